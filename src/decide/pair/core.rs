//! What is in force for a pair, and a planned change of it.

use super::super::{
    effect::{PairRecord, Ticket, Verdict},
    input::Order,
    migration::Journey,
};
use crate::model::{
    EndReason, Epoch, HostPort, Side, Time, TransitionReason, UpstreamName, view::PairStateName as State,
};

/// What is in force.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Core {
    pub(super) epoch: Epoch,
    /// Whose turn it is, and who may have been written to last.
    pub(super) upstream: UpstreamName,
    pub(super) side: Side,
    pub(super) state: State,
    pub(super) reason: TransitionReason,
    pub(super) since: Time,
    pub(super) signal: Option<Bound>,
    pub(super) pinned: bool,
    pub(super) latched: bool,
    pub(super) frozen: bool,
    /// Nobody knows which server holds the current data: only an operator's `switch --to … --force` helps.
    pub(super) adrift: bool,
}

/// An accepted signal and the primary's generation it binds to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) generation: u64,
    pub(super) since: Time,
}

impl Core {
    pub(super) fn record(&self, generation: u64, addresses: Vec<(UpstreamName, HostPort)>) -> PairRecord {
        PairRecord {
            epoch: self.epoch,
            upstream: self.upstream.clone(),
            state: self.state,
            reason: self.reason,
            generation,
            signal: self.signal.map(|signal| signal.generation),
            pinned: self.pinned,
            latched: self.latched,
            frozen: self.frozen,
            addresses,
        }
    }

    /// The same, in another state.
    pub(super) fn turned(&self, state: State, reason: TransitionReason) -> Self {
        Self { state, reason, ..self.clone() }
    }

    /// The same pair on another upstream: a new epoch, and no signal, as a signal is about one failover.
    pub(super) fn moved(&self, to: &UpstreamName, side: Side, state: State, reason: TransitionReason) -> Self {
        let (epoch, upstream) = (self.epoch.next(), to.clone());
        Self { epoch, upstream, side, state, reason, signal: None, adrift: false, ..self.clone() }
    }
}

/// A change of what is in force. Stored first, then committed as a whole.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) next: Core,
    pub(super) sessions: Sessions,
    /// The order it carries out, and what its giver is told once it is stored.
    pub(super) order: Option<(Ticket, Order, Verdict)>,
    /// It stores the signal that was validated.
    pub(super) signal: bool,
    /// It spends the flap budget.
    pub(super) failover: bool,
}

/// What a change means to the sessions that are there.
#[derive(Debug)]
pub(super) enum Sessions {
    /// Nothing.
    Keep,
    /// All but those on `spare` are closed at once; a migration under way is over.
    Lost { spare: Option<UpstreamName>, end: EndReason },
    /// The side is left before the other one is entered.
    Leave(Journey),
    /// Everybody has left; newcomers may come.
    Admit,
    /// They are moved bit by bit, while newcomers go to the new side.
    Move(Journey),
    /// The migration is done.
    Arrived,
    /// The migration is given up; who is closed is closed, the others stay.
    GivenUp,
}

impl Plan {
    pub(super) fn new(next: Core, sessions: Sessions) -> Self {
        Self { next, sessions, order: None, signal: false, failover: false }
    }

    /// Nothing but what is stored changes.
    pub(super) fn keep(next: Core) -> Self {
        Self::new(next, Sessions::Keep)
    }

    /// Does it cut off who is there, without waiting for anybody?
    pub(super) fn cuts(&self) -> bool {
        matches!(self.sessions, Sessions::Lost { .. })
    }

    pub(super) fn ordered(mut self, ticket: Ticket, order: Order, words: impl Into<String>) -> Self {
        self.order = Some((ticket, order, Verdict::Done(words.into())));
        self
    }
}
