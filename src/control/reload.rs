//! Reload by difference: the file is read again, compared with what runs, and what is new is bound *before* anything is
//! changed. Whatever speaks against it, nothing has happened yet.

use super::{
    admin::{NewTokens, Tokens},
    driver::Listeners,
    orders::OrderError,
    tls::{Loaded, Trouble},
};
use crate::{
    config::{self, Config, Finding, RouteConfig},
    decide::identity::Former,
    model::{HostPort, PairName, RouteName, causes::chain, group::GroupSpec, spec::PairSpec},
    net::listen::{Presence, bind_set_to},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

/// What runs now.
#[derive(Debug)]
pub struct Running {
    /// The configuration.
    pub config: Config,
    /// Its listeners.
    pub listeners: Listeners,
    /// The servers of every pair that is or was there, and on which of them clients are.
    pub former: Formers,
    /// TLS as loaded.
    pub tls: Loaded,
}

/// The servers of pairs as they were before a change.
pub type Formers = BTreeMap<PairName, Former>;

/// What is to be run instead.
#[derive(Debug)]
pub struct Plan {
    /// The new configuration.
    pub config: Config,
    /// The listeners it adds, bound.
    pub listeners: Listeners,
    /// TLS, loaded anew where files or settings changed.
    pub tls: Loaded,
    /// What could not be, and was loaded before.
    pub troubles: Vec<Trouble>,
    /// The API's tokens, read anew; nothing: those that are known count.
    pub tokens: Option<NewTokens>,
    /// What changes, a sentence each.
    pub changes: Vec<String>,
    /// Servers may be swapped under their names.
    pub force: bool,
}

/// How the files that the configuration names are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// They are read because an operator asks for it: everything has to be right.
    Anew,
    /// Nobody asked for it: what was loaded for the same settings counts, whatever became of its file since.
    Kept,
}

impl Plan {
    /// Does it still hold? While it was made, clients may have gone to a server that it moves.
    ///
    /// # Errors
    /// [`OrderError::Refused`].
    pub fn still_holds(&self, running: &Config, former: &Formers) -> Result<(), OrderError> {
        let mut objections = Vec::new();
        if !self.force {
            objections.extend(swapped_servers(running, former, &self.config));
            objections.extend(renamed_pairs(running, former, &self.config));
        }
        if objections.is_empty() { Ok(()) } else { Err(OrderError::Refused(objections.join("\n"))) }
    }
}

/// Every address that the routes which are `open` listen on.
#[must_use]
pub fn listened(config: &Config, open: impl Fn(&RouteName) -> bool) -> BTreeSet<SocketAddr> {
    let routes = config.routes.values().filter(|route| open(&route.name));
    routes.flat_map(|route| route.listen.iter().copied()).collect()
}

/// Binds one address of a route.
///
/// # Errors
/// Why it can't be, with the route and the address.
pub fn bind(route: &RouteName, address: SocketAddr, workers: usize, presence: Presence) -> Result<Listeners, String> {
    match bind_set_to(address, workers, presence) {
        Ok(set) => Ok([(address, Arc::new(set))].into()),
        Err(error) => Err(format!("route `{route}`: {}", chain(&error))),
    }
}

/// Reads the running configuration's file again. Blocks for file system and sockets.
///
/// # Errors
/// [`OrderError::BadConfig`] if the file is wrong; [`OrderError::Refused`] if it can't be applied while running.
pub fn plan(running: &Running, force: bool) -> Result<Plan, OrderError> {
    let config =
        config::load_again(&running.config.source).map_err(|errors| OrderError::BadConfig(errors.to_string()))?;
    let objections = if force { Vec::new() } else { moved_servers(running, &config) };
    let doubts = doubts_in_words(&config.warnings);
    let plan = plan_for(running, config, (Presence::Now, Files::Anew), &|_| true, objections)?;
    Ok(Plan { force, changes: [plan.changes, doubts].concat(), ..plan })
}

/// What it takes to run `config` instead; its routes that `opens` are listened on. Servers may be swapped: whoever asks has copied
/// the settings from a node that has asked. Blocks for file system and sockets.
///
/// # Errors
/// As [`plan`].
pub fn plan_copied(
    running: &Running,
    config: Config,
    files: Files,
    opens: &dyn Fn(&RouteName) -> bool,
) -> Result<Plan, OrderError> {
    plan_for(running, config, (Presence::Later, files), opens, Vec::new())
}

/// Servers that would change behind clients' backs.
#[must_use]
pub fn moved_servers(running: &Running, config: &Config) -> Vec<String> {
    let mut objections = swapped_servers(&running.config, &running.former, config);
    objections.extend(renamed_pairs(&running.config, &running.former, config));
    objections
}

fn plan_for(
    running: &Running,
    config: Config,
    (presence, files): (Presence, Files),
    opens: &dyn Fn(&RouteName) -> bool,
    moved: Vec<String>,
) -> Result<Plan, OrderError> {
    if files == Files::Anew {
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    }
    let objections: Vec<String> = fixed_settings(&running.config, &config).into_iter().chain(moved).collect();
    if !objections.is_empty() {
        return Err(OrderError::Refused(objections.join("\n")));
    }
    let (tls, troubles) = running.tls.renewed(&config);
    let (kept, wrong): (Vec<Trouble>, Vec<Trouble>) =
        troubles.into_iter().partition(|trouble| files == Files::Kept && trouble.is_replaced());
    if !wrong.is_empty() {
        return Err(OrderError::BadConfig(Trouble::findings(&wrong, &config).to_string()));
    }
    let mut listeners = Listeners::new();
    for route in config.routes.values().filter(|route| opens(&route.name)) {
        for address in route.listen.iter().filter(|address| !running.listeners.contains_key(*address)) {
            let bound = bind(&route.name, *address, config.node.workers, presence).map_err(OrderError::Refused)?;
            listeners.extend(bound);
        }
    }
    let changes = changes(&running.config, &config);
    let read = || {
        let tokens = Tokens::read(config.admin.token_file.as_deref());
        tokens.map_err(|error| OrderError::BadConfig(format!("admin.token_file: {}", chain(&error))))
    };
    let tokens = if files == Files::Anew { Some(read()?) } else { None };
    Ok(Plan { config, listeners, tls, troubles: kept, tokens, changes, force: true })
}

/// What `check` would warn of, a sentence each.
#[must_use]
pub fn doubts_in_words(doubts: &[Finding]) -> Vec<String> {
    doubts.iter().map(|doubt| format!("warning: {doubt}")).collect()
}

/// What can't change while the process lives.
fn fixed_settings(old: &Config, new: &Config) -> Vec<String> {
    let settings = [
        ("node.name", old.node.name != new.node.name),
        ("node.state_dir", old.node.state_dir != new.node.state_dir),
        ("node.workers", old.node.workers != new.node.workers),
        ("node.busy_poll", old.node.busy_poll != new.node.busy_poll),
        ("admin.listen", old.admin.listen != new.admin.listen),
        ("metrics.listen", old.metrics != new.metrics),
        ("group", is_another_group(old, new)),
    ];
    let changed = settings.iter().filter(|(_, changed)| *changed);
    changed
        .map(|(key, _)| format!("{key} can't be changed by a reload; restart the node, or undo the change"))
        .collect()
}

/// The role in the file counts at a node's first start, and may be put right.
fn is_another_group(old: &Config, new: &Config) -> bool {
    let role = |group: &GroupSpec| old.group.as_ref().map_or(group.role, |old| old.role);
    let alike = new.group.clone().map(|group| GroupSpec { role: role(&group), ..group });
    old.group != alike
}

/// Servers that would change behind clients' backs: a name that gets another server's address, and the server that
/// clients are on.
fn swapped_servers(running: &Config, former: &Formers, new: &Config) -> Vec<String> {
    let mut objections = Vec::new();
    for (name, new) in new.pairs.iter().filter(|(name, _)| running.pairs.contains_key(*name)) {
        for swap in former.get(name).into_iter().flat_map(|former| former.swaps(new)) {
            let what = match swap.whose {
                Some(other) => format!("would get the address {}, which is {other}'s now", swap.to),
                None => format!(
                    "has clients at {} and would move to {}, where their data may be missing",
                    swap.from, swap.to
                ),
            };
            let mend = "give the server a new name, or reload with --force if it holds the same data";
            objections.push(format!("pair `{name}`: {} {what}; {mend}", swap.name));
        }
    }
    objections
}

/// Pairs that would take over the servers of one that is gone under another name, and begin where its clients are not.
fn renamed_pairs(running: &Config, former: &Formers, new: &Config) -> Vec<String> {
    let mut objections = Vec::new();
    for (name, spec) in new.pairs.iter().filter(|(name, _)| !running.pairs.contains_key(*name)) {
        // Of two that are gone it is not known which was there later, but one that goes now was.
        let own = former.get(name);
        let gone = former.iter().filter(|(other, _)| {
            !new.pairs.contains_key(*other) && (own.is_none() || running.pairs.contains_key(*other))
        });
        let Some(first) = begins_on(spec, own) else { continue };
        let before = gone.into_iter().find(|(_, former)| former.is_contradicted_by(spec, first));
        if let Some((before, former)) = before {
            let on = former.turn.as_ref().map_or_else(|| "nobody knows where".into(), |turn| format!("on {turn}"));
            objections.push(format!(
                "pair `{name}`: has servers of `{before}`, whose clients are {on}, and would send its own to {first}, where \
                 data may be missing; keep the name `{before}`, or reload with --force if all is there"
            ));
        }
    }
    objections
}

/// Where a pair that is started now sends its clients; `None`: nowhere, until an operator decides.
fn begins_on<'a>(spec: &'a PairSpec, own: Option<&Former>) -> Option<&'a HostPort> {
    let known = own.map(|own| own.turn.as_ref());
    let mut upstreams = spec.upstreams().map(|(_, upstream)| upstream);
    let first = match known {
        Some(turn) => upstreams.find(|upstream| Some(&upstream.name) == turn),
        None => upstreams.next(),
    };
    first.map(|upstream| &upstream.address)
}

fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut changes = Vec::new();
    compare("pair", &old.pairs, &new.pairs, pair_changes, &mut changes);
    compare("route", &old.routes, &new.routes, route_changes, &mut changes);
    if old.admin.token_file != new.admin.token_file {
        changes.push("admin.token_file changed".into());
    }
    if let (Some(old), Some(new)) = (&old.group, &new.group)
        && old.role != new.role
    {
        changes.push(
            "group.role changed: it counts at a node's first start, and `failback group role` changes it later".into(),
        );
    }
    if old.alerts != new.alerts {
        changes.push("alerts changed".into());
    }
    changes
}

fn compare<K: Ord + std::fmt::Display, V: PartialEq>(
    what: &str,
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    differences: impl Fn(&V, &V) -> Vec<&'static str>,
    changes: &mut Vec<String>,
) {
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.push(format!("{what} `{name}` removed"));
    }
    for (name, new) in new {
        match old.get(name) {
            None => changes.push(format!("{what} `{name}` added")),
            Some(old) if old != new => {
                changes.push(format!("{what} `{name}`: {} changed", differences(old, new).join(", ")));
            }
            Some(_) => {}
        }
    }
}

fn pair_changes(old: &PairSpec, new: &PairSpec) -> Vec<&'static str> {
    let parts = [
        ("primary", old.primary != new.primary),
        ("backups", old.backups != new.backups),
        ("elsewhere", old.elsewhere != new.elsewhere),
        ("health", old.health != new.health),
        ("failback", old.failback != new.failback),
        ("hold", old.hold != new.hold),
        ("flap", old.flap != new.flap),
        ("admission", old.admission != new.admission),
        ("transport", old.transport != new.transport),
        ("tls", old.tls != new.tls),
    ];
    parts.iter().filter(|(_, changed)| *changed).map(|(part, _)| *part).collect()
}

fn route_changes(old: &RouteConfig, new: &RouteConfig) -> Vec<&'static str> {
    let parts = [
        ("listen", old.listen != new.listen),
        ("pair", old.pair != new.pair),
        ("max_sessions", old.max_sessions != new.max_sessions),
        ("idle_timeout", old.idle_timeout != new.idle_timeout),
        ("tls", old.tls != new.tls),
        ("proxy_protocol", old.proxy_protocol != new.proxy_protocol),
    ];
    parts.iter().filter(|(_, changed)| *changed).map(|(part, _)| *part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(backup: &str) -> Config {
        let text = format!(
            "[node]\nstate_dir = \"/tmp/state\"\n[pairs.AGG_V]\n\
             primary = {{ name = \"AGG_P\", address = \"10.0.0.1:1\" }}\n\
             backups = [{{ name = \"AGG_B\", address = \"{backup}\" }}]\n\
             [routes.probes]\nlisten = [\"127.0.0.1:1\"]\npair = \"AGG_V\"\n"
        );
        config::parse(&text, "/tmp/failback.toml".as_ref()).unwrap()
    }

    /// The backup may move while it is idle; a failover while the plan is made makes it the one that may not.
    #[test]
    fn a_plan_that_was_overtaken_by_a_failover_needs_force() {
        let (running, moved) = (config("10.0.0.2:1"), config("10.0.0.3:1"));
        let using = |upstream: &str| {
            let servers = [("AGG_P", "10.0.0.1:1"), ("AGG_B", "10.0.0.2:1")];
            let servers = servers.map(|(name, address)| (name.into(), address.parse().unwrap())).into();
            Formers::from([("AGG_V".into(), Former { turn: Some(upstream.into()), next: None, servers })])
        };
        let mut plan = Plan {
            config: moved,
            listeners: Listeners::new(),
            tls: Loaded::default(),
            troubles: Vec::new(),
            tokens: None,
            changes: Vec::new(),
            force: false,
        };
        assert_eq!(plan.still_holds(&running, &using("AGG_P")), Ok(()));
        let refused = plan.still_holds(&running, &using("AGG_B")).unwrap_err().to_string();
        assert!(refused.contains("AGG_B has clients at 10.0.0.2:1 and would move"), "{refused}");
        plan.force = true;
        assert_eq!(plan.still_holds(&running, &using("AGG_B")), Ok(()));
    }
}
