//! How the group and the driver talk: which seats' settings are known here, which of them this node serves, and what became of a
//! pair's record on the other nodes.
//!
//! ```text
//!   group ── mpsc<SeatOrder> 256 ──▶ driver      snapshot, install, close, records, …
//!         ◀── mpsc<FromDriver> 256 ──            a record to be acknowledged by the others, a reload
//! ```

use super::{
    journal::Receipt,
    orders::{OrderError, Reply},
    reload::{Plan, Running},
};
use crate::{
    decide::effect::PairRecord,
    model::{Epoch, NodeName, PairName, RouteName, alert::Alert, view::ReloadAnswer},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::oneshot;

/// The part of the configuration that is one seat's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeatPart {
    /// Its pairs, with the last record that the node which writes it is known to have acted on.
    pub pairs: BTreeMap<PairName, Option<PairRecord>>,
    /// Its routes.
    pub routes: Vec<RouteName>,
    /// This node wrote those records itself, so its journal may know better.
    pub own: bool,
}

/// All seats whose settings are in a configuration.
pub type Layout = BTreeMap<NodeName, SeatPart>;

/// What serving a seat would meet here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prospects {
    /// The pairs of which no server at all answers its checks, in words.
    pub unreached: Vec<String>,
    /// Where its routes would listen.
    pub listens: Vec<(RouteName, SocketAddr)>,
}

/// May the seat still be served? Taken back by whoever gave it, at any time before it is used.
#[derive(Debug, Clone, Default)]
pub struct Permit(Arc<AtomicBool>);

impl Permit {
    /// Takes it back.
    pub fn revoke(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Does it still hold?
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.0.load(Ordering::Acquire)
    }
}

/// What the group asks of the driver.
#[derive(Debug)]
pub enum SeatOrder {
    /// What runs now, to plan a change of it.
    Snapshot(oneshot::Sender<Box<Running>>),
    /// Run this instead.
    Install {
        /// What.
        plan: Box<Plan>,
        /// Whose is what in it.
        layout: Layout,
        /// This seat's routes are opened with it, if that is still wanted then.
        open: Option<(NodeName, Permit)>,
        /// What changed, or why nothing did.
        reply: Reply<Vec<String>>,
    },
    /// Stop serving a seat: accept nobody, close everybody. Answered when no session of it is left, or after a bounded time.
    Close(NodeName, oneshot::Sender<()>),
    /// What the node that serves the seat has acted on.
    Records(NodeName, Vec<(PairName, PairRecord)>),
    /// Epochs that a node which is given up acted under, in this seat.
    Outnumbered(NodeName, BTreeMap<PairName, Epoch>),
    /// May pairs change sides by themselves?
    MayChange(bool),
    /// Who holds the seats, as far as is known: whom to ask.
    Holders(BTreeMap<NodeName, Option<NodeName>>),
    /// The record that was handed over with [`FromDriver::Replicate`] may be acted on.
    Replicated(PairName, Receipt),
    /// Are servers of the seat reached from here, so that it can be served (`G12`)?
    Preflight(NodeName, oneshot::Sender<Result<(), String>>),
    /// What serving these seats would meet here.
    Prospects(Vec<NodeName>, oneshot::Sender<BTreeMap<NodeName, Prospects>>),
    /// Something happened to the node.
    Event {
        /// The stable word for scripts.
        kind: &'static str,
        /// Worth a warning in the log.
        grave: bool,
        /// In a sentence.
        message: String,
    },
    /// Somebody is to be told of what happened.
    Alert(Box<Alert>),
    /// What stands, all of it.
    Standing(Vec<Alert>),
}

/// What the driver asks of the group.
#[derive(Debug)]
pub enum FromDriver {
    /// The record is on this node's disk; the others are to have it, if they are there, before it is acted on.
    Replicate {
        /// Whose.
        seat: NodeName,
        /// Of which pair.
        pair: PairName,
        /// What.
        record: Box<PairRecord>,
        /// Comes back with [`SeatOrder::Replicated`].
        receipt: Receipt,
    },
    /// The configuration is to be read again.
    Reload {
        /// Whatever servers were swapped.
        force: bool,
        /// Who wants it.
        by: String,
        /// What changed; nobody waits for it after a signal.
        reply: Option<Reply<ReloadAnswer>>,
    },
}

impl FromDriver {
    /// Nobody will answer.
    pub fn refuse(self, error: OrderError) {
        if let Self::Reload { reply: Some(reply), .. } = self {
            let _gone = reply.send(Err(error));
        }
    }
}
