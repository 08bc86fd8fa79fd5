//! The peer link: who the other nodes of the group are, what they say, and how they are asked.
//!
//! ```text
//!   driver ── say(role, state, claims) ──▶ PeerLinks ──┬─ link, one a node: TLS 1.3, POST heartbeat ──────▶ other nodes'
//!          ── join / leave / call ───────▶             ├─ call: the same way, connections of its own ─────▶   serve
//!                                                      └─ beacon: signed UDP, multicast ──────────────────▶ network
//!   driver ◀── Heard, Link…, Joined, Left, NameTwice ──┬─ beacon ◀── believed once, by signature and number ── network
//!              (bounded; heartbeats may be lost)       └─ serve ─▶ routes ─┬▶ hello, join: for strangers too
//!                                                         bounds, TLS 1.3  ├▶ heartbeat, leave
//!                                                                          └▶ mounted: sync and orders
//! ```
//!
//! A node is its key (`identity`), pinned at joining (`store`); joining proves the pairing key over the channel (`join`,
//! `key`). Losing a peer loses a peer: nothing here ends the node or makes it wait.

mod addresses;
pub mod beacon;
mod bucket;
mod channel;
mod client;
mod fresh;
mod handshakes;
mod identity;
mod join;
mod key;
mod link;
mod routes;
mod serve;
mod shared;
mod slots;
mod start;
mod store;

pub use key::{Fingerprint, PairingKey};
pub use start::{PeerLinks, PeerSpec};
pub use store::Peer;

use crate::{
    model::{
        NodeName,
        group::{Claim, Heartbeat, HeartbeatPath, JoinRefusal, NodeStateName, Role},
    },
    net::tls::SetupError,
};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Between two lines in the log about the same trouble.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// What keeps the peer link from being set up.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// A file of the state directory can't be read or written, or is damaged.
    #[error("{} cannot be used", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody can listen there.
    #[error("group.peer_listen: can't listen on {address}")]
    Listen {
        /// `group.peer_listen`.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// TLS refuses our own key.
    #[error(transparent)]
    Tls(#[from] SetupError),
}

/// What a node says of itself with each heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// Its configured role, as it is now.
    pub role: Role,
    /// What it does.
    pub state: NodeStateName,
    /// What it knows of seats.
    pub claims: Vec<Claim>,
}

/// What the peer link has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// A node that is joined said something new. The same thing may be heard by either path, or both.
    Heard {
        /// What.
        heartbeat: Heartbeat,
        /// By which path.
        path: HeartbeatPath,
    },
    /// A node that has the pairing key, and is not joined with this one, said something new by beacon.
    Overheard {
        /// What.
        heartbeat: Heartbeat,
    },
    /// Our connection to a node stands.
    LinkUp {
        /// To whom.
        node: NodeName,
        /// Which version it runs; all nodes of a group should run the same (`G10`).
        version: String,
        /// Its configured role.
        role: Role,
    },
    /// Our connection to a node ended, or could not be had, the first time or for another reason than was told last. It is tried again
    /// all the time.
    LinkLost {
        /// To whom.
        node: NodeName,
        /// It ended.
        was_up: bool,
        /// Why, in words.
        why: String,
    },
    /// A node was joined, from either side, perhaps once more.
    Joined {
        /// Who.
        peer: Peer,
    },
    /// Another node has this node's name. Told once in a while.
    NameTwice {
        /// Where it was heard.
        from: IpAddr,
    },
    /// A node left the group; what came from it is to be removed (`B5`).
    Left {
        /// Who.
        node: NodeName,
    },
}

/// Why two nodes were not joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", reason.words())]
pub struct JoinError {
    /// The reason.
    pub reason: JoinRefusal,
    /// What it is this time.
    pub detail: String,
}

/// A node that this one has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parting {
    /// Its name.
    pub node: NodeName,
    /// It knows. One that was not reached takes this node for joined until it is made to leave itself.
    pub told: bool,
}

/// The node a request comes from; an extension of every request to what is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its name.
    pub node: NodeName,
}

/// A question to another node.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GET`, `POST` …
    pub method: hyper::Method,
    /// Below `/peer/v1`, with a `/` in front.
    pub path: String,
    /// JSON, if there is anything to say.
    pub body: Option<bytes::Bytes>,
    /// For all of it: dialling, asking and the whole answer.
    pub limit: Duration,
    /// Bytes of the answer's body; a longer one is a failure.
    pub most: usize,
}

/// What a node answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status; an error's too.
    pub status: u16,
    /// The body.
    pub body: bytes::Bytes,
}

/// Why a node gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// This node is not joined with it.
    #[error("{0} is not joined with this node")]
    NotJoined(NodeName),
    /// It was not reached, or did not answer in time.
    #[error("{node} did not answer: {why}")]
    Failed {
        /// Who.
        node: NodeName,
        /// Why, in words.
        why: String,
    },
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Beacons with a signature that does not fit.
    pub beacons_forged: u64,
    /// Datagrams that are no beacons.
    pub beacons_malformed: u64,
    /// Signed beacons of nodes this one is not joined with.
    pub beacons_of_strangers: u64,
    /// Beacons that could not be sent.
    pub beacons_unsent: u64,
    /// Heartbeats heard before, or too late, on either path.
    pub stale: u64,
    /// Heartbeats the driver had no room for.
    pub events_lost: u64,
    /// Connections closed because there were too many, unfinished handshakes that gave way among them.
    pub turned_away: u64,
    /// Connections that were no TLS 1.3 with a certificate, or took too long about it.
    pub failed_handshakes: u64,
    /// Beacons and questions to be joined of a node that has this node's name.
    pub names_twice: u64,
    /// Nodes that wanted to be joined with another pairing key.
    pub wrong_keys: u64,
}

impl Counts {
    /// Each by its name, as metrics have them.
    #[must_use]
    pub fn each(self) -> [(&'static str, u64); 10] {
        [
            ("beacon_forged", self.beacons_forged),
            ("beacon_malformed", self.beacons_malformed),
            ("beacon_of_stranger", self.beacons_of_strangers),
            ("beacon_unsent", self.beacons_unsent),
            ("heartbeat_stale", self.stale),
            ("event_lost", self.events_lost),
            ("turned_away", self.turned_away),
            ("handshake_failed", self.failed_handshakes),
            ("name_twice", self.names_twice),
            ("wrong_key", self.wrong_keys),
        ]
    }
}
