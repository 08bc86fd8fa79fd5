//! What a node of a group can do about seats. The driver executes these in order and decides nothing.

use crate::{
    decide::effect::{PersistId, Ticket},
    model::{
        Epoch, NodeName,
        group::{Claim, NodeStateName, Role},
        seat::{SeatReason, SeatRefusal},
    },
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Numbers a machine's questions to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AskId(pub u64);

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Put the record on stable storage, then report `Persisted` or `PersistFailed`.
    Persist(PersistId, Box<NodeRecord>),
    /// Send this on both paths to all peers, with the name, boot and sequence of this run.
    Beat(Beat),
    /// Start the seat's routes, *then* add its address and announce it. The epoch is on the disk.
    Serve {
        /// Which.
        seat: NodeName,
        /// Under which epoch clients are accepted.
        epoch: Epoch,
    },
    /// Remove the seat's address at once, stop its routes, and report `Gone`.
    LetGo {
        /// Which.
        seat: NodeName,
    },
    /// Tell the neighbours again where the seat's address is (gratuitous ARP, unsolicited NA).
    Announce {
        /// Which.
        seat: NodeName,
    },
    /// `takeover.command`: this node's role in the seat changed.
    RunCommand {
        /// Which.
        seat: NodeName,
        /// Does it hold the seat now?
        holds: bool,
        /// Under which epoch.
        epoch: Epoch,
    },
    /// Ask all witnesses, upstreams included; the first answer counts.
    AskWitnesses(AskId),
    /// Does anybody own the seat's address?
    ProbeAddress(AskId, NodeName),
    /// Pull the seat's configuration from this node now.
    PullNow {
        /// Which.
        seat: NodeName,
        /// From whom.
        from: NodeName,
    },
    /// Could the seat be served here: are its addresses and ports to be had, and are its upstreams reached (`G12`)?
    Preflight {
        /// Which.
        seat: NodeName,
        /// Do its upstreams count?
        upstreams: bool,
    },
    /// Send this over the peer link, once; if it is lost, time runs out on either side.
    Tell(NodeName, Message),
    /// The peer may not return: forget its pinned identity (`replace`).
    Dismiss(NodeName),
    /// A level: may this node's pairs change sides by themselves? Not while it is alone and reaches no witness.
    LetPairsChange(bool),
    /// Tell the one who waits.
    Answer(Ticket, Verdict),
    /// Something worth an event: journal, log, metric, alert.
    Note(Note),
}

/// A [`crate::model::group::Heartbeat`] as far as the machine knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Configured role.
    pub role: Role,
    /// What it does.
    pub state: NodeStateName,
    /// What it knows of seats.
    pub claims: Vec<Claim>,
}

/// What nodes tell each other to hand a seat over, serially (`B12`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "Ask me for this seat": an operator at the holder ordered `reverse`, `replace` or another role, or the holder can't serve it.
    Come {
        /// Which.
        seat: NodeName,
        /// Shall it become the other's own?
        adopt: bool,
        /// No operator: the holder can't serve it.
        unable: bool,
    },
    /// "Let go of this seat and grant it to me."
    Want {
        /// Which.
        seat: NodeName,
        /// The asker's number for it.
        ask: AskId,
        /// Shall it become the asker's own?
        adopt: bool,
    },
    /// "I have let go; it is yours under this epoch if you take it up in time."
    Grant {
        /// Which.
        seat: NodeName,
        /// The asker's number.
        ask: AskId,
        /// The asker's new epoch.
        epoch: Epoch,
        /// What the asker must have pulled before it serves.
        revision: u64,
    },
    /// "Our configured roles are at odds, and it is yours that has to change." (`B14`)
    Resolve,
    /// "No."
    Refuse {
        /// Which.
        seat: NodeName,
        /// The asker's number.
        ask: AskId,
        /// Why.
        why: SeatRefusal,
    },
}

/// What is stored of a node, always before it takes effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Configured role.
    pub role: Role,
    /// What it knows of seats.
    pub seats: Vec<SeatRecord>,
}

/// What is stored of a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatRecord {
    /// Which.
    pub seat: NodeName,
    /// The highest epoch known.
    pub epoch: Epoch,
    /// Who holds it under that epoch, as far as is known.
    pub holder: Option<NodeName>,
    /// Whose own it is; the node it is called by until `replace` or a change of roles.
    pub home: NodeName,
    /// Why the holder holds it.
    pub reason: SeatReason,
    /// This node holds it, but has granted it to another, under that epoch, and nobody was heard to take it up yet.
    pub granted: Option<(NodeName, Epoch)>,
}

/// The answer to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Carried out; what happens now, in words.
    Done(String),
    /// It was so already; in words.
    Unchanged(String),
    /// Nothing was changed, and why.
    Refused(SeatRefusal),
}

/// Something worth an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// This node serves the seat from now on.
    Serving {
        /// Which.
        seat: NodeName,
        /// Under which epoch.
        epoch: Epoch,
        /// Why.
        reason: SeatReason,
        /// It is another node's own: no redundancy until `reverse`, `replace`, or other roles (`G5`).
        degraded: bool,
    },
    /// This node no longer serves the seat.
    LetGo {
        /// Which.
        seat: NodeName,
        /// The highest epoch it knows.
        epoch: Epoch,
        /// Why.
        reason: SeatReason,
    },
    /// The holder is silent; one of a series (`B8`).
    Countdown {
        /// Which.
        seat: NodeName,
        /// Who is silent.
        holder: NodeName,
        /// Until it may be taken over.
        left: Duration,
        /// What keeps this node from taking over by itself, if anything does.
        held_back: Option<SeatRefusal>,
    },
    /// The holder was heard again before it was taken over.
    CountdownOver {
        /// Which.
        seat: NodeName,
        /// Who is heard.
        holder: NodeName,
    },
    /// The time is over and this node does not take over; why.
    HeldBack {
        /// Which.
        seat: NodeName,
        /// Why not.
        why: SeatRefusal,
    },
    /// This node holds the seat, can't serve it, and asks another to take it.
    AskedToCome {
        /// Which.
        seat: NodeName,
        /// Who is asked.
        guest: NodeName,
    },
    /// Who was asked to take it does not.
    NotComing {
        /// Which.
        seat: NodeName,
        /// Who was asked.
        guest: NodeName,
        /// Why not.
        why: SeatRefusal,
    },
    /// Two nodes hold one seat (`B14`).
    Conflict {
        /// Which.
        seat: NodeName,
        /// The other one.
        other: NodeName,
        /// Its epoch.
        epoch: Epoch,
        /// Does this node let go?
        lets_go: bool,
    },
    /// A peer that was silent is heard again.
    Healed(NodeName),
    /// A peer is heard on neither path.
    Silent(NodeName),
    /// An operator's order and what became of it; with `forced` an audit event.
    Order {
        /// Whose; nothing where another node asked for it.
        ticket: Option<Ticket>,
        /// The order.
        order: super::input::Order,
        /// Was it forced?
        forced: bool,
        /// What became of it.
        verdict: Verdict,
    },
    /// The configured role changed.
    Role(Role),
    /// The node did not run for so long.
    Gap(Duration),
    /// A record could not be stored; nothing was changed.
    NotStored,
}
