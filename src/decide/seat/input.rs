//! What can happen to a node of a group. The driver turns the world into these; the simulation makes them up.

use super::effect::{AskId, Message, NodeRecord};
use crate::{
    decide::{
        effect::{PersistId, Ticket},
        suspicion::Path,
    },
    model::{
        NodeName,
        group::{Heartbeat, Role},
        seat::SeatRefusal,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// One thing that happened to this node.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A heartbeat, signature and sender checked. Of a node that is no peer: ignored.
    Heard {
        /// By which path.
        path: Path,
        /// What it says.
        heartbeat: Heartbeat,
    },
    /// A beacon, signature checked, of a node that is no peer.
    Overheard(Heartbeat),
    /// The connection to this peer was lost; no sign of death by itself.
    LinkLost(NodeName),
    /// The peer's host *refuses* a new connection to its `peer_listen`: the process is gone. Shortens the silence that is
    /// asked for to one heartbeat and a half; everything else is asked for as ever.
    PeerGone(NodeName),
    /// What became of [`super::effect::Effect::AskWitnesses`]: did at least one answer?
    Witnesses(AskId, bool),
    /// What became of [`super::effect::Effect::ProbeAddress`].
    Probed(AskId, Owner),
    /// The record is on stable storage.
    Persisted(PersistId),
    /// The record could not be stored; nothing of it is acted on.
    PersistFailed(PersistId),
    /// This node did not run for so long (`CLOCK_BOOTTIME`). Also noticed by the machine when a timer comes far too late.
    Gap(Duration),
    /// An operator's order.
    Order {
        /// Who gets the verdict.
        ticket: Ticket,
        /// What is wanted.
        order: Order,
    },
    /// This node and another were joined.
    Joined(NodeName, Role),
    /// A peer left the group.
    Left(NodeName),
    /// This node has this revision of the seat's configuration now: pulled, or written by an operator where it is held.
    Synced {
        /// Of which seat.
        seat: NodeName,
        /// Which; rises along the chain.
        revision: u64,
    },
    /// These are the seats that could not be served here, as far as is known without trying: ports, addresses, servers that are not reached.
    Unfit(BTreeSet<NodeName>),
    /// A pull of the seat failed.
    SyncFailed {
        /// Which.
        seat: NodeName,
        /// A copy came, and could not be taken; else nobody answered.
        came: bool,
    },
    /// What became of [`super::effect::Effect::Preflight`].
    Preflight {
        /// Of which seat.
        seat: NodeName,
        /// Nothing stands against it, or this does.
        found: Result<(), SeatRefusal>,
    },
    /// A peer sent a message over the peer link.
    Told(NodeName, Message),
    /// What [`super::effect::Effect::LetGo`] asked for is done: the address is removed, the routes are stopped.
    Gone(NodeName),
    /// What [`super::effect::Effect::Serve`] asked for could not be done.
    ServeFailed(NodeName),
    /// `[group]` was read anew.
    Reconfigured(NodeSpec),
}

/// What a probe of a shared address (ARP, NS) found. Where no address can move, the driver answers `Nobody`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Another host answered.
    Somebody,
    /// Nobody did.
    Nobody,
    /// We could not even ask (the link is down). Proves nothing.
    Unknown,
}

/// What an operator can order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// `takeover SEAT`: this node shall hold the seat (`G3`).
    Takeover {
        /// Which.
        seat: NodeName,
        /// Whatever stands against it. Audited.
        force: bool,
    },
    /// `reverse SEAT`: the seat goes back to its own node (`G6`). Given to either of the two.
    Reverse {
        /// Which.
        seat: NodeName,
    },
    /// `replace SEAT --with NODE`: the seat becomes that node's own (`G7`). Given to the seat's holder or to that node.
    Replace {
        /// Which.
        seat: NodeName,
        /// By whom.
        with: NodeName,
    },
    /// `group role` (`B13`).
    Role {
        /// What this node shall be.
        role: Role,
        /// Pull before anything changes.
        sync_first: bool,
        /// Whatever stands against it. Audited.
        force: bool,
    },
    /// `group resolve`: mends what a conflict left (`B14`).
    Resolve,
    /// `group leave`: this node leaves. Refused while it holds a seat that has others to serve it.
    Leave,
}

/// What a node's machine goes by. All of it is the node's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeSpec {
    /// From one heartbeat to the next.
    pub heartbeat: Duration,
    /// After how long a silence on both paths a holder may be dead.
    pub primary_timeout: Duration,
    /// Take over without an operator.
    pub auto: bool,
    /// The kernel removes a shared address that was not renewed for so long. Shorter than `primary_timeout`.
    pub lifetime: Duration,
}

/// What a node's machine is made from.
#[derive(Debug, Clone)]
pub struct Start {
    /// This node.
    pub me: NodeName,
    /// As configured; counts only where nothing is stored.
    pub role: Role,
    /// What it goes by.
    pub spec: NodeSpec,
    /// What the disk had.
    pub stored: Stored,
    /// Its peers and the roles they had last.
    pub peers: BTreeMap<NodeName, Role>,
    /// The revisions it has of seats' configurations.
    pub synced: BTreeMap<NodeName, u64>,
}

/// What the disk had about this node.
#[derive(Debug, Clone)]
pub enum Stored {
    /// Nothing: never seen before.
    Nothing,
    /// The last durable record.
    Record(Box<NodeRecord>),
    /// Something that can't be read: no seat is served until an operator orders it.
    Unreadable,
}
