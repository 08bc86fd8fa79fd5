//! The resync signal on its way to being valid, and the source of it that we poll ourselves.

use super::effect::{CheckId, Ticket};
use crate::model::{Epoch, Side, Time, UpstreamName, spec::SignalSource};
use std::time::Duration;

/// How many may wait for one verdict; who comes after them is told that we are busy.
pub(super) const MAX_WAITING: usize = 16;

/// A poll that was never answered is given up after this long beyond its own timeout.
const POLL_LOST: Duration = Duration::from_secs(30);

/// How far a signal has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its checks are under way.
    Checking,
    /// `rise` of them passed; it is to be stored.
    Valid,
    /// It is being stored.
    Storing,
}

/// A signal that is being validated: it started checks, and is answered when `rise` of them passed or one failed.
#[derive(Debug)]
pub(super) struct Validation {
    /// The server that is said to hold everything again.
    pub(super) upstream: UpstreamName,
    /// Its side.
    pub(super) of: Side,
    /// Only checks that started after it came say anything about it.
    pub(super) from: CheckId,
    /// Given up then: so long without any clear result, nobody can say that the server answers.
    pub(super) deadline: Time,
    /// How far it has come.
    pub(super) stage: Stage,
    /// Who waits for the verdict; nobody, if it came from our own polling.
    pub(super) tickets: Vec<Ticket>,
    passes: u32,
}

impl Validation {
    pub(super) fn new(upstream: UpstreamName, of: Side, from: CheckId, deadline: Time) -> Self {
        Self { upstream, of, from, deadline, stage: Stage::Checking, tickets: Vec::new(), passes: 0 }
    }

    /// One more waits for the same verdict. `false`: too many do.
    pub(super) fn join(&mut self, ticket: Ticket) -> bool {
        let room = self.tickets.len() < MAX_WAITING;
        if room {
            self.tickets.push(ticket);
        }
        room
    }

    /// A check of the server passed.
    pub(super) fn passed(&mut self, check: CheckId, rise: u32) {
        if self.stage == Stage::Checking && check >= self.from {
            self.passes += 1;
            if self.passes >= rise {
                self.stage = Stage::Valid;
            }
        }
    }

    /// We were starved: what passed before says less now, so it is counted anew.
    pub(super) fn restart(&mut self) {
        if self.stage == Stage::Checking {
            self.passes = 0;
        }
    }
}

/// Our own polling of the signal's source. Its word counts only once it was seen *not done* in this failover: what says
/// "done" from the start may be left over from the last one.
#[derive(Debug, Default)]
pub(super) struct Polling {
    seen_not_done: Option<Epoch>,
    next_at: Option<Time>,
    lost_at: Option<Time>,
    asked_of: u64,
}

impl Polling {
    /// Is it time to ask? `every` of the source later than the last answer. `generation` is the primary's.
    pub(super) fn due(&mut self, now: Time, source: &SignalSource, generation: u64) -> bool {
        let waiting = self.lost_at.is_some_and(|lost| now < lost);
        if waiting || self.next_at.is_some_and(|at| now < at) {
            return false;
        }
        let patience = match source {
            SignalSource::Http { .. } => POLL_LOST,
            SignalSource::Command { timeout, .. } => *timeout + POLL_LOST,
        };
        self.lost_at = Some(now + patience);
        self.asked_of = generation;
        true
    }

    /// The source answered. `true`: it says that the resync is done, and that counts. An answer to what was asked before
    /// the primary failed again is about data that may be gone.
    pub(super) fn answered(
        &mut self,
        now: Time,
        done: Option<bool>,
        (epoch, generation): (Epoch, u64),
        source: &SignalSource,
    ) -> bool {
        let (SignalSource::Http { every, .. } | SignalSource::Command { every, .. }) = source;
        self.lost_at = None;
        self.next_at = Some(now + *every);
        if done == Some(false) {
            self.seen_not_done = Some(epoch);
        }
        done == Some(true) && self.seen_not_done == Some(epoch) && self.asked_of == generation
    }

    /// The primary went down: what the source said before is about another resync.
    pub(super) fn forget(&mut self) {
        self.seen_not_done = None;
    }

    /// Has "not done" been seen in this failover?
    pub(super) fn counts(&self, epoch: Epoch) -> bool {
        self.seen_not_done == Some(epoch)
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.lost_at.or(self.next_at)
    }
}
