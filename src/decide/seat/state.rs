//! What a node knows of its peers and of each seat, and the questions it has put to the world.

use super::{copies::Grown, effect::AskId};
use crate::{
    decide::suspicion::Hearing,
    model::{
        Epoch, NodeName, Time,
        group::{Claim, NodeStateName, Role},
        seat::{SeatReason, SeatRefusal},
    },
};
use std::time::Duration;

/// A question without an answer is put again after this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) role: Role,
    pub(super) state: NodeStateName,
    pub(super) hearing: Hearing,
    pub(super) claims: Vec<Claim>,
    /// It was called silent.
    pub(super) silent: bool,
}

impl Peer {
    pub(super) fn new(role: Role, now: Time) -> Self {
        let (state, hearing) = (NodeStateName::Unknown, Hearing::new(now));
        Self { role, state, hearing, claims: Vec::new(), silent: false }
    }

    pub(super) fn claim(&self, seat: &NodeName) -> Option<&Claim> {
        self.claims.iter().find(|claim| claim.seat == *seat)
    }
}

/// One seat, as this node knows it.
#[derive(Debug)]
pub(super) struct Seat {
    /// The highest epoch known. If this node is the holder, its own.
    pub(super) epoch: Epoch,
    pub(super) holder: Option<NodeName>,
    pub(super) home: NodeName,
    pub(super) reason: SeatReason,
    pub(super) granted: Option<Granted>,
    pub(super) phase: Phase,
    pub(super) owner: Question<super::input::Owner>,
    /// How far the countdown is (`B8`).
    pub(super) countdown: u32,
    /// What was said last about why this node does not take over.
    pub(super) held_back: Option<SeatRefusal>,
    /// What keeps this node from serving it although it holds it by its record.
    pub(super) hindrance: Option<SeatRefusal>,
    /// Who else is heard to hold it.
    pub(super) conflict: Option<NodeName>,
    /// When to announce the address again.
    pub(super) announce_at: Time,
    /// Bringing it up failed: not again before then.
    pub(super) retry_at: Option<Time>,
    /// A newer copy was asked for: not again before then.
    pub(super) ask_copy_at: Option<Time>,
    /// Whether this node, which goes on where it stopped, lacks something.
    pub(super) catching_up: CatchingUp,
    /// What is served here grew from that.
    pub(super) grown: Grown,
    /// Who had something newer than that.
    pub(super) lacks: Option<NodeName>,
    /// When it could not be brought up here last.
    pub(super) failed_at: Option<Time>,
    /// Since when it can't be brought up here.
    pub(super) unable: Option<super::unable::Unable>,
    /// Since when its holder is heard to yield it.
    pub(super) yielded: Option<Time>,
}

/// Let go and promised to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) to: NodeName,
    pub(super) epoch: Epoch,
    /// Taken back then.
    pub(super) until: Time,
}

/// Does a node that goes on where it stopped have what it gave to others?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CatchingUp {
    /// That was not looked at.
    NotYet,
    /// Another node has more, which is waited for until then.
    Until(Time),
    /// It has, or goes on without.
    Over,
}

/// What this node does with a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing.
    Idle,
    /// It holds the seat and has to show that nobody else serves it.
    Entering(Entry),
    /// Clients are accepted.
    Serving,
    /// It is being promised to a guest: the promise is on its way to the disk, and until it is there all stays as it is. `serving`: clients
    /// are accepted; else nothing is begun.
    Promising { guest: Guest, serving: bool },
    /// The address is being removed; then the seat is granted to whom it was promised.
    Leaving(Option<Promise>),
}

/// How a seat is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// What is shown must be shown of a time after this.
    pub(super) since: Time,
    /// An operator forced it: nothing has to be shown.
    pub(super) forced: bool,
    /// It was granted until then.
    pub(super) deadline: Option<Time>,
}

/// A promise that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) guest: Guest,
    pub(super) epoch: Epoch,
}

/// Who asked for a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guest {
    pub(super) name: NodeName,
    pub(super) ask: AskId,
    pub(super) adopt: bool,
}

impl Seat {
    pub(super) fn new(home: NodeName) -> Self {
        Self {
            epoch: Epoch(0),
            holder: None,
            home,
            reason: SeatReason::FirstStart,
            granted: None,
            phase: Phase::Idle,
            owner: Question::default(),
            countdown: 0,
            held_back: None,
            hindrance: None,
            conflict: None,
            announce_at: Time::ZERO,
            retry_at: None,
            ask_copy_at: None,
            catching_up: CatchingUp::NotYet,
            grown: Grown::new(0),
            lacks: None,
            failed_at: None,
            unable: None,
            yielded: None,
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving | Phase::Promising { serving: true, .. })
    }

    /// Held by another node than its own (`G5`).
    pub(super) fn is_degraded(&self) -> bool {
        self.holder.as_ref().is_some_and(|holder| *holder != self.home)
    }
}

/// A question put to the world, and the last answer.
#[derive(Debug)]
pub(super) struct Question<A> {
    open: Option<(AskId, Time)>,
    answer: Option<(Time, A)>,
}

impl<A> Default for Question<A> {
    fn default() -> Self {
        Self { open: None, answer: None }
    }
}

impl<A: Copy> Question<A> {
    /// Is it time to put it (again)?
    pub(super) fn is_due(&self, now: Time, every: Duration) -> bool {
        match (&self.open, &self.answer) {
            (Some((_, at)), _) => now.since(*at) >= PATIENCE,
            (None, Some((at, _))) => now.since(*at) >= every,
            (None, None) => true,
        }
    }

    pub(super) fn put(&mut self, id: AskId, now: Time) {
        self.open = Some((id, now));
    }

    /// Takes the answer, if it is one to the last question.
    pub(super) fn answered(&mut self, id: AskId, answer: A) -> bool {
        let Some((_, at)) = self.open.take_if(|(open, _)| *open == id) else { return false };
        self.answer = Some((at, answer));
        true
    }

    /// The answer, if the question was put at or after `since` and not longer than `fresh` ago.
    pub(super) fn fresh(&self, now: Time, since: Time, fresh: Duration) -> Option<A> {
        self.answer.as_ref().filter(|(at, _)| *at >= since && now.since(*at) <= fresh).map(|(_, answer)| *answer)
    }
}
