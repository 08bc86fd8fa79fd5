//! The nodes this one is joined with, by their keys. On disk before it is believed (`peers.json`), so it outlives restarts.

use super::PeerError;
use crate::{
    control::disk,
    model::{
        HostPort, NodeName, file,
        group::Role,
        tls::{Pin, PinError},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::{Mutex, watch};

const FILE: &str = "peers.json";
const MOST_BYTES: u64 = 256 * 1024;
/// Nodes of a group; each of them has an entry, a task and connections.
pub(super) const MOST_PEERS: usize = 32;

/// A node this one is joined with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its name.
    pub node: NodeName,
    /// Its key.
    #[serde(with = "pin_text")]
    pub pin: Pin,
    /// Where it is reached.
    pub address: HostPort,
    /// What it was meant to be when it was joined.
    pub role: Role,
    /// The highest run of its process that was heard of; what a beacon tells of an earlier one is no news.
    pub boot: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    /// The fingerprint of the pairing key they were joined by.
    group: String,
    peers: Vec<Peer>,
}

/// Why a node is not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error(
        "it is joined with other nodes by another pairing key; `failback group leave` there, if they are not needed any more"
    )]
    OtherGroup,
    #[error(
        "it knows another node by the name {0}; if that is gone for good, `failback group leave --node {0}` forgets it"
    )]
    OtherKey(NodeName),
    #[error("it is joined with {MOST_PEERS} nodes already")]
    Full,
}

/// All of them. What changes is on disk first.
pub(super) struct Store {
    path: PathBuf,
    group: String,
    /// The group of those that are there; it differs from ours if the pairing key was changed since.
    joined_by: Mutex<String>,
    peers: watch::Sender<Arc<[Peer]>>,
}

impl Store {
    /// What is in `state_dir`; nothing there is nobody joined. Something unreadable is an error, not nobody.
    pub(super) fn open(state_dir: &Path, group: String) -> Result<Self, PeerError> {
        let path = state_dir.join(FILE);
        let broken = |source: io::Error| PeerError::State { path: path.clone(), source };
        let stored = match file::read(&path, MOST_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Stored { version: 1, group: group.clone(), peers: vec![] }
            }
            read => serde_json::from_slice(&read.map_err(broken)?).map_err(|error| {
                let mend = "put a copy of it back, or remove it and join the nodes again";
                broken(io::Error::new(io::ErrorKind::InvalidData, format!("it is damaged ({error}); {mend}")))
            })?,
        };
        if stored.version != 1 || stored.peers.len() > MOST_PEERS {
            return Err(broken(io::Error::new(io::ErrorKind::InvalidData, "it is of another version of failback")));
        }
        let peers = watch::Sender::new(stored.peers.into());
        Ok(Self { path, group, joined_by: Mutex::new(stored.group), peers })
    }

    pub(super) fn all(&self) -> Arc<[Peer]> {
        Arc::clone(&self.peers.borrow())
    }

    pub(super) fn follow(&self) -> watch::Receiver<Arc<[Peer]>> {
        self.peers.subscribe()
    }

    pub(super) fn by_pin(&self, pin: Pin) -> Option<Peer> {
        self.peers.borrow().iter().find(|peer| peer.pin == pin).cloned()
    }

    pub(super) fn by_name(&self, node: &NodeName) -> Option<Peer> {
        self.peers.borrow().iter().find(|peer| peer.node == *node).cloned()
    }

    /// Could a node with this name and key be added?
    pub(super) async fn fits(&self, known: Option<(&NodeName, Pin)>) -> Result<(), Unfit> {
        let peers = self.all();
        if !peers.is_empty() && *self.joined_by.lock().await != self.group {
            return Err(Unfit::OtherGroup);
        }
        let Some((node, pin)) = known else { return Ok(()) };
        let related = |peer: &&Peer| peer.node == *node || peer.pin == pin;
        match peers.iter().find(related) {
            Some(same) if same.node == *node && same.pin == pin => Ok(()),
            Some(other) => Err(Unfit::OtherKey(other.node.clone())),
            None if peers.len() >= MOST_PEERS => Err(Unfit::Full),
            None => Ok(()),
        }
    }

    /// Adds a node, or puts a new entry in the place of its old one.
    pub(super) async fn put(&self, peer: Peer) -> io::Result<()> {
        self.change(|peers| {
            peers.retain(|other| other.node != peer.node);
            peers.push(peer);
        })
        .await
    }

    /// Forgets those for whom `stays` is false.
    pub(super) async fn retain(&self, stays: impl Fn(&Peer) -> bool) -> io::Result<()> {
        self.change(|peers| peers.retain(stays)).await
    }

    /// Remembers a later run of a node's process, and its role.
    pub(super) async fn note_run(&self, node: &NodeName, boot: u64, role: Role) -> io::Result<()> {
        self.change(|peers| {
            let known = peers.iter_mut().filter(|peer| peer.node == *node);
            known.for_each(|peer| (peer.boot, peer.role) = (boot, role));
        })
        .await
    }

    async fn change(&self, change: impl FnOnce(&mut Vec<Peer>)) -> io::Result<()> {
        // One change at a time, so that what is on disk is what the last one led to.
        let mut joined_by = self.joined_by.lock().await;
        let mut peers = self.all().to_vec();
        let was_empty = peers.is_empty();
        change(&mut peers);
        peers.sort_by(|a, b| a.node.cmp(&b.node));
        if **self.peers.borrow() == *peers {
            return Ok(());
        }
        let group = if was_empty { self.group.clone() } else { joined_by.clone() };
        let stored = Stored { version: 1, group: group.clone(), peers: peers.clone() };
        let bytes = serde_json::to_vec_pretty(&stored)?;
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || disk::replace(&path, &bytes)).await.map_err(io::Error::other)??;
        *joined_by = group;
        self.peers.send_replace(peers.into());
        Ok(())
    }
}

mod pin_text {
    use super::{Pin, PinError};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(pin: &Pin, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(pin)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Pin, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|error: PinError| D::Error::custom(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn peer(node: &str, pin: u8) -> Peer {
        let address = "10.0.0.3:9902".parse().unwrap();
        Peer { node: node.into(), pin: Pin([pin; 32]), address, role: Role::Backup, boot: 3 }
    }

    #[tokio::test]
    async fn who_was_joined_is_known_after_a_restart_and_who_has_left_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Store::open(dir.path(), "group".into()).unwrap();
        let store = open();
        store.put(peer("B", 1)).await.unwrap();
        store.put(peer("C", 2)).await.unwrap();
        store.note_run(&"C".into(), 9, Role::Primary).await.unwrap();
        assert_eq!(std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);

        let again = open();
        assert_eq!(*again.all(), [peer("B", 1), Peer { boot: 9, role: Role::Primary, ..peer("C", 2) }]);
        again.retain(|peer| &*peer.node != "B").await.unwrap();
        assert_eq!(open().all().len(), 1);
    }

    #[tokio::test]
    async fn a_name_or_a_key_that_is_known_otherwise_does_not_fit_and_neither_does_another_group() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "group".into()).unwrap();
        store.put(peer("B", 1)).await.unwrap();
        let (b, c) = (NodeName::from("B"), NodeName::from("C"));
        assert_eq!(store.fits(Some((&b, Pin([1; 32])))).await, Ok(()), "joined once more");
        assert_eq!(store.fits(Some((&c, Pin([2; 32])))).await, Ok(()));
        assert_eq!(store.fits(Some((&b, Pin([2; 32])))).await, Err(Unfit::OtherKey("B".into())));
        assert_eq!(store.fits(Some((&c, Pin([1; 32])))).await, Err(Unfit::OtherKey("B".into())));

        let moved = Store::open(dir.path(), "another".into()).unwrap();
        assert_eq!(moved.fits(None).await, Err(Unfit::OtherGroup));
        moved.retain(|_| false).await.unwrap();
        assert_eq!(moved.fits(None).await, Ok(()));
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nobody() {
        let dir = tempfile::tempdir().unwrap();
        for text in
            ["", "{}", "{\"version\":2,\"group\":\"g\",\"peers\":[]}", "{\"version\":1,\"group\":\"g\",\"peers\":[{}]}"]
        {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            assert!(Store::open(dir.path(), "g".into()).is_err(), "{text}");
        }
    }
}
