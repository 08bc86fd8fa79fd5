//! `[group]`: what its keys mean together.

use crate::config::{
    error::{Findings, Place},
    file::{Address, File, Group, InNetwork, Sync, Takeover},
    path::FilePath,
    read::{Field, Found, named},
    values::{Local, Name, Span, Wait},
};
use crate::model::{
    causes::chain,
    group::{GroupSpec, InterfaceAddress, Role, SyncSpec, TakeoverSpec, Witness},
    pairing_key::{self, PairingKeyError},
};
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Faster than this, heartbeats are a load and tell no more.
const LEAST_HEARTBEAT: Duration = Duration::from_millis(20);
/// The kernel counts the lifetime of an address in whole seconds.
const LEAST_LIFETIME: Duration = Duration::from_secs(1);

/// `folder` is the configuration file's. `None` also where a required key is wrong, which was said already.
pub(super) fn check(raw: &Found<Group>, folder: &Path, findings: &mut Findings) -> Option<GroupSpec> {
    let heartbeat = heartbeat(&raw.heartbeat, findings);
    let shared_address = address(&raw.shared_address, findings);
    let fallback_address = address(&raw.fallback_address, findings);
    let takeover = takeover(raw, heartbeat, shared_address.is_some(), findings);
    let sync = sync(&raw.sync, findings);
    let pairing_key_file = key_file(&raw.pairing_key_file, folder, findings);
    let peer_listen = raw.peer_listen.here().map(|listen| listen.0);
    listening(raw, shared_address.as_ref(), fallback_address.as_ref(), findings);
    fallback(raw, shared_address.as_ref(), fallback_address.as_ref(), findings);
    let networks: Vec<IpNet> =
        [&shared_address, &fallback_address].into_iter().flatten().map(|its| its.address).collect();
    let own: Vec<IpAddr> = peer_listen.iter().map(SocketAddr::ip).chain(networks.iter().map(IpNet::addr)).collect();
    Some(GroupSpec {
        role: raw.role.or(Role::Backup),
        site: raw.site.here().map(|Found { value: Name(name), .. }| name.clone()),
        peer_listen: peer_listen?,
        pairing_key_file: pairing_key_file?,
        heartbeat,
        witnesses: witnesses(raw, takeover.auto, &own, &networks, findings),
        shared_address,
        fallback_address,
        sync,
        takeover,
    })
}

fn heartbeat(raw: &Field<Wait>, findings: &mut Findings) -> Duration {
    let Wait(heartbeat) = raw.or(Wait(Duration::from_millis(200)));
    let place = raw.place_or(&Place::default()).clone();
    if heartbeat < LEAST_HEARTBEAT {
        findings.add(&place, "so many heartbeats are a load and tell no more", "write \"20ms\" or more");
    } else if heartbeat > Duration::from_secs(60) {
        findings.add(&place, "a node would be gone long before it is missed", "write \"60s\" or less");
    }
    heartbeat
}

fn takeover(raw: &Found<Group>, heartbeat: Duration, shared: bool, findings: &mut Findings) -> TakeoverSpec {
    let absent = Takeover::default();
    let takeover = raw.takeover.here().map_or(&absent, |found| &found.value);
    let Wait(primary_timeout) = takeover.primary_timeout.or(Wait(Duration::from_secs(3)));
    let place = takeover.primary_timeout.place_or(raw.heartbeat.place_or(&raw.place));
    let in_words = |span| humantime::format_duration(span);
    if primary_timeout <= heartbeat * 3 {
        let reason = format!(
            "takeover.primary_timeout ({}) is not longer than three heartbeats ({} each): two that are lost by chance would end a healthy node",
            in_words(primary_timeout),
            in_words(heartbeat)
        );
        findings.add(place, reason, "make the timeout longer, or `heartbeat` shorter");
    } else if shared && primary_timeout <= LEAST_LIFETIME {
        let reason = "the kernel takes the shared address from a node that hangs after a second at the earliest, \
                      and by then another has it";
        findings.warn(place, reason, "write more than \"1s\" where a node may hang or be suspended");
    }
    let command = takeover.command.here();
    if let Some(command) = command.filter(|command| command.first().is_some_and(|program| program.is_empty())) {
        findings.add(&command.place, "the program is missing", "write the program first, then its arguments");
    }
    for argument in command.into_iter().flat_map(|words| words.iter()).filter(|word| word.contains('\0')) {
        findings.add(&argument.place, "no argument of a program can hold a zero byte", "remove it");
    }
    let command: Vec<String> = command.into_iter().flat_map(|words| words.iter()).map(|w| w.value.clone()).collect();
    if !shared && command.is_empty() && raw.shared_address.is_absent() {
        let reason = "nothing leads clients to a node that takes over";
        let mend = "add `shared_address`, or `takeover.command` where no address can move";
        findings.warn(&raw.place, reason, mend);
    }
    TakeoverSpec { auto: takeover.auto.or(true), primary_timeout, command }
}

fn sync(raw: &Field<Sync>, findings: &mut Findings) -> SyncSpec {
    let absent = Sync::default();
    let sync = raw.here().map_or(&absent, |found| &found.value);
    let Span(interval) = sync.interval.or(Span(Duration::from_secs(60)));
    let Wait(alert_after) = sync.alert_after.or(Wait(Duration::from_secs(15 * 60)));
    if alert_after <= interval {
        let (alert, every) = (humantime::format_duration(alert_after), humantime::format_duration(interval));
        let whole = Place::default();
        let place = sync.alert_after.place_or(sync.interval.place_or(&whole));
        let reason =
            format!("alert_after ({alert}) is not longer than interval ({every}): every pull would come too late");
        findings.add(place, reason, "make it a few intervals long");
    }
    SyncSpec { interval, alert_after }
}

fn key_file(raw: &Field<FilePath>, folder: &Path, findings: &mut Findings) -> Option<PathBuf> {
    const MEND: &str =
        "copy it from another node of the group; for a new group make one with `openssl rand -base64 32`";
    let found = raw.here()?;
    let path = folder.join(&found.0);
    let shown = path.display();
    if findings.blind {
        return Some(path);
    }
    match pairing_key::read(&path) {
        Err(error @ PairingKeyError::Open(_)) => {
            findings.add(&found.place, format!("{shown} {error}"), format!("`chmod 600 {shown}`"));
        }
        Err(error) => findings.add(&found.place, format!("{shown} {}", chain(&error)), MEND),
        // Of another user, who may mean it.
        Ok(_) if std::fs::metadata(&path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0) => {
            let reason = format!("others on this machine may read {shown}, and be a node of the group");
            findings.warn(&found.place, reason, "give it mode 0600");
        }
        Ok(_) => {}
    }
    Some(path)
}

fn address(raw: &Field<Address>, findings: &mut Findings) -> Option<InterfaceAddress> {
    let raw = raw.here()?;
    if let Some(interface) = raw.interface.here().filter(|interface| interface.0 == "lo") {
        let reason = "no other host reaches an address of `lo`, nor hears this node there";
        findings.add(&interface.place, reason, "name the interface that leads to clients, such as \"eth0\"");
    }
    if let Some(interface) = raw.interface.here().filter(|interface| findings.at_home && is_missing(&interface.0)) {
        let reason = format!("this host has no interface `{}` now", interface.0);
        findings.warn(&interface.place, reason, "`ip link` lists those there are; without it the address can't be had");
    }
    let (InNetwork(address), interface) = (raw.address.here()?.value, raw.interface.here()?.value.0.clone());
    Some(InterfaceAddress { address, interface })
}

/// Is there no such interface here? Where the kernel's list is not mounted nobody knows.
fn is_missing(interface: &str) -> bool {
    let all = Path::new("/sys/class/net");
    all.is_dir() && !all.join(interface).exists()
}

fn listening(
    raw: &Found<Group>,
    shared: Option<&InterfaceAddress>,
    fallback: Option<&InterfaceAddress>,
    findings: &mut Findings,
) {
    let Some(Found { value: Local(listen), place }) = raw.peer_listen.here() else { return };
    if listen.port() == 0 {
        findings.add(place, "the other nodes would have to guess the port", "name a port, such as 9902");
    }
    if shared.is_some_and(|shared| shared.address.addr() == listen.ip()) {
        let reason = format!("{} is the shared address: the peer link would move with it", listen.ip());
        findings.add(place, reason, "write an address that stays with this node");
    } else if fallback.is_some_and(|fallback| fallback.address.addr() == listen.ip()) {
        let reason =
            format!("{} is the fallback address, which is there only while this node is displaced", listen.ip());
        findings.add(place, reason, "write an address that stays with this node");
    }
    if [shared, fallback].into_iter().flatten().any(|its| is_broadcast(its.address, listen.ip())) {
        let reason = format!("{} is a network's broadcast address: no connection leads there", listen.ip());
        findings.add(place, reason, "write an address of this node");
    }
}

fn fallback(
    raw: &Found<Group>,
    shared: Option<&InterfaceAddress>,
    fallback: Option<&InterfaceAddress>,
    findings: &mut Findings,
) {
    let (Some(shared), Some(fallback), Some(place)) = (shared, fallback, raw.fallback_address.here()) else { return };
    if shared.address.addr() == fallback.address.addr() {
        let reason = "it is the shared address, which a displaced node has lost";
        findings.add(&place.place, reason, "write another address of the same network");
    } else if shared.address.trunc() != fallback.address.trunc() {
        // `G6`
        let reason = format!(
            "{} is in another network than the shared address, {}: a displaced node may not be reached there",
            fallback.address, shared.address
        );
        findings.warn(&place.place, reason, "write an address of the same network, if there is one");
    }
}

/// `own` addresses are this node's or the seat's, and `networks` those it is in.
fn witnesses(
    raw: &Found<Group>,
    auto: bool,
    own: &[IpAddr],
    networks: &[IpNet],
    findings: &mut Findings,
) -> Vec<Witness> {
    const MEND: &str = "name a router, or another host that is always on";
    let mut witnesses: Vec<Witness> = Vec::new();
    for Found { value: witness, place } in raw.witnesses.here().into_iter().flat_map(|list| list.iter()) {
        let (ip, host) = match witness {
            Witness::Icmp(ip) => (Some(*ip), None),
            Witness::Tcp(address) => (address.ip().map(|ip| ip.to_canonical()), Some(&*address.host)),
        };
        if witnesses.contains(witness) {
            findings.add(place, format!("{witness} is there twice"), "remove one");
        } else if ip.is_some_and(|ip| own.contains(&ip)) {
            let reason = format!("{witness} is this node's own, or the seat's: it says nothing about the network");
            findings.add(place, reason, MEND);
        } else if ip.is_some_and(|ip| networks.iter().any(|net| is_broadcast(*net, ip))) {
            findings.add(place, format!("{witness} is a network's broadcast address, which answers nobody"), MEND);
        } else if ip.is_some_and(|ip| ip.is_loopback()) || host.is_some_and(is_this_host) {
            let reason = format!("{witness} is this host, which answers also when it is cut off");
            findings.warn(place, reason, MEND);
        }
        witnesses.push(witness.clone());
    }
    if auto && witnesses.is_empty() && (raw.witnesses.is_absent() || raw.witnesses.here().is_some()) {
        // `B10`
        let reason = "only the pairs' servers are left to tell whether it is this node that is cut off: \
                      while none of them answers, it takes nothing over";
        findings.warn(raw.witnesses.place_or(&raw.place), reason, "name a router on the clients' side in `witnesses`");
    }
    witnesses
}

/// Of `net`, an address inside it.
fn is_broadcast(net: IpNet, ip: IpAddr) -> bool {
    matches!(net, IpNet::V4(v4) if v4.prefix_len() < 31 && ip == v4.broadcast())
}

/// A name that leads here, whatever the network is like.
fn is_this_host(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name == super::host_name().to_ascii_lowercase()
}

/// What is written for a seat of its own in the file of a node that has none.
pub(in crate::config) fn unserved(file: &File, findings: &mut Findings) {
    let Some(role) = file.group.here().and_then(|group| group.role.here()) else { return };
    if role.value == Role::Primary {
        if file.pairs.here().is_none_or(|pairs| pairs.is_empty()) {
            let reason = "a primary node without pairs has nothing to serve, and nothing for a backup node to copy";
            findings.warn(&role.place, reason, "add `[pairs.NAME]` and `[routes.NAME]`; or write `role = \"backup\"`");
        }
        return routes_elsewhere(file, findings);
    }
    const REASON: &str = "a backup node serves what it copies, and nothing of what its own file has here";
    const MEND: &str = "remove it; or write `role = \"primary\"` if this node is to have a seat of its own";
    let pairs = file.pairs.here().filter(|pairs| !pairs.is_empty()).map(|pairs| &pairs.place);
    let routes = file.routes.here().filter(|routes| !routes.is_empty()).map(|routes| &routes.place);
    [pairs, routes].into_iter().flatten().for_each(|place| findings.warn(place, REASON, MEND));
}

/// Routes that clients of the shared address do not reach, wherever it is.
fn routes_elsewhere(file: &File, findings: &mut Findings) {
    let shared = file.group.here().and_then(|group| group.shared_address.here()?.address.here());
    let Some(shared) = shared.map(|address| address.value.0.addr()) else { return };
    for (_, route) in named(&file.routes) {
        let listens = route.listen.here().map(|listen| listen.0.as_slice()).unwrap_or_default();
        let reaches = |ip: IpAddr| ip == shared || (ip.is_unspecified() && ip.is_ipv4() == shared.is_ipv4());
        if let Some(first) = listens.first().filter(|_| !listens.iter().any(|listen| reaches(listen.value.0.ip()))) {
            let reason = format!(
                "clients of the shared address, {shared}, do not reach this route, and after a takeover nobody does"
            );
            findings.warn(&first.place, reason, format!("listen on {shared}"));
        }
    }
}

/// Where peers reach this node, for who looks for listeners that collide.
pub(super) fn listener(raw: &Field<Group>) -> Option<&Found<Local>> {
    raw.here()?.peer_listen.here().filter(|listen| SocketAddr::port(&listen.0) != 0)
}
