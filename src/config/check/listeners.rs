//! What one file makes the node listen on: no two on one address, and no upstream that is one of them.

use crate::config::{
    error::Findings,
    file::{File, Pair},
    read::{Found, named},
};
use crate::model::HostPort;
use std::net::{IpAddr, SocketAddr};

/// One address to listen on, and what for, in words.
struct Listener<'a> {
    address: SocketAddr,
    place: std::borrow::Cow<'a, crate::config::error::Place>,
    what: String,
}

pub(super) fn check(file: &File, findings: &mut Findings) {
    let listeners = all(file);
    for (index, one) in listeners.iter().enumerate() {
        let Some(other) = listeners[..index].iter().find(|other| collide(one.address, other.address)) else { continue };
        let reason = if one.address == other.address {
            format!("{} is taken by {}", one.address, other.what)
        } else {
            format!("{} overlaps {} of {}", one.address, other.address, other.what)
        };
        findings.add(&one.place, reason, "choose another port, or another address of this host");
    }
    for (name, pair) in named(&file.pairs) {
        for upstream in upstreams(pair) {
            if let Some(own) = listeners.iter().find(|own| leads_to(upstream, own.address)) {
                let reason = format!(
                    "{} is this node's own, of {}: clients of {} would be led in a circle",
                    upstream.value, own.what, name
                );
                findings.add(&upstream.place, reason, "write the server's own address");
            }
        }
    }
}

fn all(file: &File) -> Vec<Listener<'_>> {
    use std::borrow::Cow::{Borrowed, Owned};
    let mut listeners = Vec::new();
    let admin = file.admin.here();
    match admin.and_then(|admin| admin.listen.here()) {
        Some(listen) => listeners.extend(listen.parse().ok().map(|address| Listener {
            address,
            place: Borrowed(&listen.place),
            what: "admin.listen".into(),
        })),
        None => listeners.push(Listener {
            address: super::ADMIN_DEFAULT,
            place: admin.map_or(Owned(Default::default()), |admin| Borrowed(&admin.place)),
            what: "admin.listen (its default)".into(),
        }),
    }
    listeners.extend(file.metrics.here().and_then(|metrics| metrics.listen.here()).map(|listen| Listener {
        address: listen.0,
        place: Borrowed(&listen.place),
        what: "metrics.listen".into(),
    }));
    listeners.extend(super::group::listener(&file.group).map(|listen| Listener {
        address: listen.0,
        place: Borrowed(&listen.place),
        what: "group.peer_listen".into(),
    }));
    for (name, route) in named(&file.routes) {
        listeners.extend(route.listen.here().into_iter().flat_map(|listen| &listen.0).map(|address| Listener {
            address: address.0,
            place: Borrowed(&address.place),
            what: format!("routes.{name}.listen"),
        }));
    }
    listeners
}

/// Port 0 is any free port, never the same one. An IPv6 address means IPv6 only (`net::listen`).
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() != 0 && a.port() == b.port() && (covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
}

fn covers(listening: IpAddr, ip: IpAddr) -> bool {
    match listening.to_canonical() {
        IpAddr::V6(v6) if v6.is_unspecified() => ip.to_canonical().is_ipv6(),
        IpAddr::V4(v4) if v4.is_unspecified() => ip.to_canonical().is_ipv4(),
        own => own == ip.to_canonical(),
    }
}

fn upstreams(pair: &Pair) -> impl Iterator<Item = &Found<HostPort>> {
    let backups = pair.backups.here().into_iter().flat_map(|backups| backups.iter());
    let first = pair.primary.here().or(pair.elsewhere.here());
    first.into_iter().chain(backups).filter_map(|upstream| upstream.address.here())
}

/// A dial to `upstream` ends at `own`. With a wildcard listener that is certain for loopback addresses only: which other
/// addresses are this host's, the file does not say.
fn leads_to(upstream: &HostPort, own: SocketAddr) -> bool {
    let ip = match upstream.ip() {
        Some(ip) => ip.to_canonical(),
        None if upstream.host == "localhost" => IpAddr::from([127, 0, 0, 1]),
        None => return false,
    };
    let wildcard = own.ip().to_canonical().is_unspecified();
    upstream.port == own.port() && covers(own.ip(), ip) && (!wildcard || ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_collides_with_every_address_of_its_family() {
        let meet = |a: &str, b: &str| collide(a.parse().unwrap(), b.parse().unwrap());
        assert!(meet("10.0.0.1:1", "10.0.0.1:1"));
        assert!(meet("0.0.0.0:1", "10.0.0.1:1") && meet("10.0.0.1:1", "0.0.0.0:1"));
        assert!(meet("[::]:1", "[fe80::1]:1") && !meet("[::]:1", "10.0.0.1:1") && !meet("[::]:1", "0.0.0.0:1"));
        assert!(!meet("0.0.0.0:1", "[::1]:1"));
        assert!(!meet("10.0.0.1:1", "10.0.0.1:2") && !meet("10.0.0.1:1", "10.0.0.2:1"));
        assert!(!meet("127.0.0.1:0", "127.0.0.1:0"), "any free port is another one each time");
    }

    #[test]
    fn a_dial_is_led_back_by_the_listener_that_would_answer_it() {
        let back = |upstream: &str, own: &str| leads_to(&upstream.parse().unwrap(), own.parse().unwrap());
        assert!(back("10.0.0.1:1", "10.0.0.1:1"));
        assert!(back("localhost:1", "0.0.0.0:1") && back("[::1]:1", "[::]:1"));
        assert!(!back("10.0.0.1:1", "0.0.0.0:1"), "10.0.0.1 may be another host");
        assert!(!back("127.0.0.1:1", "[::]:1"), "that one answers IPv6 only");
        assert!(!back("127.0.0.1:1", "127.0.0.1:2") && !back("agg-p:1", "127.0.0.1:1"));
    }
}
