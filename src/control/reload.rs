//! Reload by difference: the file is read again, compared with what runs, and what is new is bound *before* anything is
//! changed. Whatever speaks against it, nothing has happened yet.

use super::{
    admin::{NewTokens, Tokens},
    driver::Listeners,
    orders::OrderError,
    tls::Loaded,
};
use crate::{
    config::{self, Config, RouteConfig},
    model::{PairName, RouteName, UpstreamName, causes::chain, spec::PairSpec},
    net::listen::bind_set,
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
    /// The servers that clients are on, or will be once what is being stored is.
    pub in_use: InUse,
    /// TLS as loaded.
    pub tls: Loaded,
}

/// Servers of pairs.
pub type InUse = BTreeSet<(PairName, UpstreamName)>;

/// What is to be run instead.
#[derive(Debug)]
pub struct Plan {
    /// The new configuration.
    pub config: Config,
    /// The listeners it adds, bound.
    pub listeners: Listeners,
    /// TLS, loaded anew where files or settings changed.
    pub tls: Loaded,
    /// The API's tokens, read anew.
    pub tokens: NewTokens,
    /// What changes, a sentence each.
    pub changes: Vec<String>,
    /// Servers may be swapped under their names.
    pub force: bool,
}

impl Plan {
    /// Does it still hold? While it was made, clients may have gone to a server that it moves.
    ///
    /// # Errors
    /// [`OrderError::Refused`].
    pub fn still_holds(&self, running: &Config, in_use: &InUse) -> Result<(), OrderError> {
        let objections = if self.force { Vec::new() } else { swapped_servers(running, in_use, &self.config) };
        if objections.is_empty() { Ok(()) } else { Err(OrderError::Refused(objections.join("\n"))) }
    }
}

/// Every address that is listened on.
#[must_use]
pub fn listened(config: &Config) -> BTreeSet<SocketAddr> {
    config.routes.values().flat_map(|route| route.listen.iter().copied()).collect()
}

/// Binds one address of a route.
///
/// # Errors
/// Why it can't be, with the route and the address.
pub fn bind(route: &RouteName, address: SocketAddr, workers: usize) -> Result<Listeners, String> {
    match bind_set(address, workers) {
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
    let mut objections = fixed_settings(&running.config, &config);
    if !force {
        objections.extend(swapped_servers(&running.config, &running.in_use, &config));
    }
    if !objections.is_empty() {
        return Err(OrderError::Refused(objections.join("\n")));
    }
    let (tls, troubles) = running.tls.renewed(&config);
    if !troubles.is_empty() {
        return Err(OrderError::BadConfig(troubles.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    }
    let mut listeners = Listeners::new();
    for route in config.routes.values() {
        for address in route.listen.iter().filter(|address| !running.listeners.contains_key(*address)) {
            let bound = bind(&route.name, *address, config.node.workers).map_err(OrderError::Refused)?;
            listeners.extend(bound);
        }
    }
    let changes = changes(&running.config, &config);
    let tokens = Tokens::read(config.admin.token_file.as_deref());
    let tokens = tokens.map_err(|error| OrderError::BadConfig(format!("admin.token_file: {}", chain(&error))))?;
    Ok(Plan { config, listeners, tls, tokens, changes, force })
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
    ];
    let changed = settings.iter().filter(|(_, changed)| *changed);
    changed
        .map(|(key, _)| format!("{key} can't be changed by a reload; restart the node, or undo the change"))
        .collect()
}

/// Servers that would change behind clients' backs: a name that gets another server's address, and the server that
/// clients are on.
fn swapped_servers(running: &Config, in_use: &InUse, new: &Config) -> Vec<String> {
    let mut objections = Vec::new();
    for (name, new) in &new.pairs {
        let Some(old) = running.pairs.get(name) else { continue };
        for upstream in new.checked() {
            let Some(before) = old.checked().find(|before| before.name == upstream.name) else { continue };
            if before.address == upstream.address {
                continue;
            }
            let former = old.checked().find(|other| other.address == upstream.address);
            let active = in_use.contains(&(name.clone(), upstream.name.clone()));
            let what = match former {
                Some(other) => format!("would get the address {}, which is {}'s now", upstream.address, other.name),
                None if active => format!(
                    "has clients at {} and would move to {}, where their data may be missing",
                    before.address, upstream.address
                ),
                None => continue,
            };
            let mend = "give the server a new name, or reload with --force if it holds the same data";
            objections.push(format!("pair `{name}`: {} {what}; {mend}", upstream.name));
        }
    }
    objections
}

fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut changes = Vec::new();
    compare("pair", &old.pairs, &new.pairs, pair_changes, &mut changes);
    compare("route", &old.routes, &new.routes, route_changes, &mut changes);
    if old.admin.token_file != new.admin.token_file {
        changes.push("admin.token_file changed".into());
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
        let using = |upstream: &str| InUse::from([("AGG_V".into(), upstream.into())]);
        let mut plan = Plan {
            config: moved,
            listeners: Listeners::new(),
            tls: Loaded::default(),
            tokens: Tokens::read(None).unwrap(),
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
