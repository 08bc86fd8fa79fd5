//! From the file as written to a [`Config`] without contradictions. Each function returns what it could make of its part
//! and adds what is wrong to the findings; whoever calls throws the result away if there are any.

mod alerts;
mod group;
mod listeners;
mod pair;
mod proxy_protocol;
mod tls;

use super::{
    AdminConfig, AdminListen, Config, NodeConfig, RouteConfig,
    error::{Findings, Place, suggest},
    file::{Admin, File, Node, Route},
    read::{Field, Found, missing_key, named},
    values::{Clients, Listen, Span},
    whole::Whole,
};
use crate::model::{NodeName, PairName, RouteName};
use ipnet::IpNet;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub(in crate::config) use group::unserved;

/// `path` is the file's; relative paths in it start at its folder.
pub(super) fn check(file: &File, path: &Path, findings: &mut Findings) -> Config {
    let folder = path.parent().unwrap_or(Path::new(""));
    let known: Vec<&str> = file.pairs.here().into_iter().flat_map(|pairs| pairs.keys()).map(|name| &*name.0).collect();
    if file.pairs.is_absent() && file.group.is_absent() {
        missing_key("pairs", &Place::default(), findings);
    }
    if let Some(pairs) = file.pairs.here().filter(|pairs| pairs.is_empty()) {
        findings.add(&pairs.place, "there is no pair", "add [pairs.NAME] with at least a primary");
    }
    listeners::check(file, findings);
    let headers = proxy_protocol::headers(file, findings);
    Config {
        node: node(file.node.here(), folder, findings),
        admin: admin(file.admin.here(), folder, findings),
        metrics: file.metrics.here().and_then(|metrics| metrics.listen.here()).map(|listen| listen.0),
        pairs: named(&file.pairs)
            .map(|(name, raw)| (name.into(), pair::check(name, raw, headers.get(name).copied(), folder, findings)))
            .collect(),
        routes: named(&file.routes).filter_map(|(name, raw)| route(name, raw, &known, folder, findings)).collect(),
        alerts: alerts::check(file.alerts.here(), folder, findings),
        files: Vec::new(),
        group: file.group.here().and_then(|raw| group::check(raw, folder, findings)),
        source: path.into(),
        warnings: Vec::new(),
    }
}

fn node(raw: Option<&Found<Node>>, folder: &Path, findings: &mut Findings) -> NodeConfig {
    let absent = Node::default();
    let node = raw.map_or(&absent, |found| &found.value);
    let workers = match node.workers.or(Whole(0)).0 {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => usize::try_from(n).unwrap_or(1),
    };
    let Span(busy_poll) = node.busy_poll.or(Span(Duration::ZERO));
    if busy_poll > Duration::from_millis(1) {
        let place = node.busy_poll.place_or(&Place::default()).clone();
        findings.add(&place, "a thread would spin most of its time", "write at most \"1ms\"; \"50us\" is plenty");
    }
    NodeConfig {
        name: node.name.here().map_or_else(host_name, |name| NodeName::from(&*name.0)),
        state_dir: node.state_dir.here().map_or_else(default_state_dir, |dir| folder.join(&dir.0)),
        workers,
        busy_poll,
    }
}

fn host_name() -> NodeName {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    NodeName::from(if name.is_empty() { "localhost" } else { &*name })
}

/// `$XDG_STATE_HOME/failback`, else `~/.local/state/failback`, without a home (a system service) `/var/lib/failback`.
fn default_state_dir() -> PathBuf {
    // The XDG rules: a path that is not absolute counts as not set.
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let state_home = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    state_home.unwrap_or_else(|| "/var/lib".into()).join("failback")
}

fn admin(raw: Option<&Found<Admin>>, folder: &Path, findings: &mut Findings) -> AdminConfig {
    let absent = Admin::default();
    let admin = raw.map_or(&absent, |found| &found.value);
    let listen = admin_listen(&admin.listen, folder, findings);
    let token_file = admin.token_file.here().map(|file| (folder.join(&file.0), &file.place));
    if let Some((path, place)) = &token_file
        && !findings.blind
        && let Err(error) = crate::model::file::open(path)
    {
        let mend = "make the file readable; a token a line, `name:scope:secret`";
        findings.add(place, format!("{} cannot be read: {error}", path.display()), mend);
    }
    if !listen.is_local() && admin.token_file.is_absent() {
        let mend = "add `token_file`, or listen on 127.0.0.1 or `unix:PATH`";
        findings.add(admin.listen.place_or(&Place::default()), "the API would be open to the network", mend);
    }
    AdminConfig { listen, token_file: token_file.map(|(path, _)| path) }
}

const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9900);
/// `sun_path` has 108 bytes, one of them for the end.
const LONGEST_UNIX_PATH: usize = 107;

fn admin_listen(raw: &Field<String>, folder: &Path, findings: &mut Findings) -> AdminListen {
    let Some(text) = raw.here() else { return AdminListen::Tcp(ADMIN_DEFAULT) };
    if let Some(path) = text.strip_prefix("unix:") {
        let path = folder.join(path);
        if path.file_name().is_none() {
            findings.add(
                &text.place,
                "the path of the socket is missing",
                "write it as in \"unix:/run/failback.sock\"",
            );
        } else if path.as_os_str().len() > LONGEST_UNIX_PATH {
            findings.add(&text.place, "the path of the socket is longer than 107 bytes", "choose a shorter one");
        }
        return AdminListen::Unix(path);
    }
    let address = text.parse().unwrap_or_else(|_| {
        let mend = "write an IP address and a port, as in \"127.0.0.1:9900\", or \"unix:/run/failback.sock\"";
        findings.add(&text.place, format!("`{}` is no address to listen on", text.value), mend);
        ADMIN_DEFAULT
    });
    AdminListen::Tcp(address)
}

fn route(
    name: &str,
    raw: &Found<Route>,
    pairs: &[&str],
    folder: &Path,
    findings: &mut Findings,
) -> Option<(RouteName, RouteConfig)> {
    let tls = raw.tls.here().and_then(|raw| tls::route(raw, folder, findings));
    let pair = raw.pair.here()?;
    if !pairs.contains(&&*pair.value) {
        findings.add(&pair.place, format!("there is no pair `{}`", pair.value), suggest(pair, pairs, "pairs"));
    }
    let Listen(listen) = &raw.listen.here()?.value;
    let name = RouteName::from(name);
    let config = RouteConfig {
        name: name.clone(),
        listen: listen.iter().map(|address| address.0).collect(),
        pair: PairName::from(&*pair.value),
        max_sessions: raw.max_sessions.or(Whole(20_000)).0,
        idle_timeout: raw.idle_timeout.or(Span(Duration::from_secs(3_600))).0,
        tls,
        proxy_protocol: proxy_protocol::spec(&raw.proxy_protocol, findings),
    };
    Some((name, config))
}

/// A list of clients' addresses and networks, none of them twice.
fn networks(raw: &Field<Vec<Found<Clients>>>, findings: &mut Findings) -> Arc<[IpNet]> {
    let mut nets: Vec<IpNet> = Vec::new();
    for net in raw.here().into_iter().flat_map(|list| list.iter()) {
        if nets.contains(&net.0) {
            findings.add(&net.place, format!("{} is there twice", net.0), "remove one");
        }
        nets.push(net.0);
    }
    nets.into()
}
