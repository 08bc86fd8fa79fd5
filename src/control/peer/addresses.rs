//! Where joined nodes are found: their handshakes have places of their own (`handshakes`).

use super::{shared::lock, store::Peer};
use crate::model::tls::Pin;
use std::{collections::BTreeMap, net::IpAddr, sync::Mutex};

/// The last address of each node by each way, proven by its key. A node may come from elsewhere than where it is reached.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<BTreeMap<(Pin, Way), IpAddr>>);

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// The other node did.
    From,
    /// We did.
    To,
}

impl Addresses {
    /// The node with this key was there just now.
    pub(super) fn note(&self, pin: Pin, way: Way, address: IpAddr) {
        lock(&self.0).insert((pin, way), address.to_canonical());
    }

    /// Was one of `peers` there, or is it to be?
    pub(super) fn is_of(&self, peers: &[Peer], address: IpAddr) -> bool {
        let (known, address) = (lock(&self.0), address.to_canonical());
        let written = |peer: &Peer| peer.address.host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical() == address);
        let seen = |peer: &Peer| [Way::From, Way::To].iter().any(|way| known.get(&(peer.pin, *way)) == Some(&address));
        peers.iter().any(|peer| written(peer) || seen(peer))
    }

    /// It is joined no more.
    pub(super) fn forget(&self, pin: Pin) {
        lock(&self.0).retain(|(known, _), _| *known != pin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::group::Role;

    #[test]
    fn a_node_is_known_where_it_is_written_to_be_and_where_it_was_last() {
        let (known, pin) = (Addresses::default(), Pin([1; 32]));
        let peer = |address: &str| {
            [Peer { node: "B".into(), pin, address: address.parse().unwrap(), role: Role::Backup, boot: 1 }]
        };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(known.is_of(&peer("192.0.2.1:9902"), ip("192.0.2.1")));
        let named = peer("b.example:9902");
        assert!(!known.is_of(&named, ip("192.0.2.1")));
        known.note(pin, Way::From, ip("192.0.2.1"));
        known.note(pin, Way::To, ip("192.0.2.2"));
        assert!(known.is_of(&named, ip("192.0.2.1")) && known.is_of(&named, ip("192.0.2.2")));
        known.note(pin, Way::From, ip("192.0.2.3"));
        assert!(!known.is_of(&named, ip("192.0.2.1")) && known.is_of(&named, ip("192.0.2.3")));
        assert!(!known.is_of(&[], ip("192.0.2.3")), "it was only seen, and is not joined");
        known.forget(pin);
        assert!(!known.is_of(&named, ip("192.0.2.3")));
    }
}
