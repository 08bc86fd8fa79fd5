//! One pair's machine (`design.md` §2).

use super::{
    effect::Effect,
    input::{Input, Start},
    status::PairStatus,
};
use crate::model::{Epoch, Side, Time, TransitionReason, UpstreamName, view::PairStateName};
use std::collections::VecDeque;

/// Decides everything about one pair: its upstreams' health, its side, its migrations. Drive it so: after every
/// `handle_*` drain [`Self::poll_effect`], execute the effects in order, and call [`Self::handle_timeout`] when
/// [`Self::next_timeout`] has come.
#[derive(Debug)]
pub struct PairMachine {
    start: Start,
    since: Time,
    effects: VecDeque<Effect>,
}

impl PairMachine {
    /// Takes up what the journal had. Starts checking at the first `handle_*`; call [`Self::handle_timeout`] at once.
    #[must_use]
    pub fn new(start: Start, now: Time) -> Self {
        Self { start, since: now, effects: VecDeque::new() }
    }

    /// Something happened.
    pub fn handle_input(&mut self, now: Time, input: Input) {
        let _ = (now, input);
    }

    /// The time asked for by [`Self::next_timeout`] has come. Calling it early or late is harmless; far too late is
    /// noticed and taken as the proxy's own trouble, never as the upstream's.
    pub fn handle_timeout(&mut self, now: Time) {
        let _ = now;
    }

    /// The next thing to do; `None` when all is done for now. Bounded: a `handle_*` adds a few per upstream at most.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next; changes with every `handle_*`.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        None
    }

    /// The pair at a glance.
    #[must_use]
    pub fn status(&self, now: Time) -> PairStatus {
        let _ = now;
        let active = self.start.spec.upstreams().next();
        PairStatus {
            active_side: active.map_or(Side::Backup, |(side, _)| side),
            active_upstream: active.map_or(UpstreamName::from(""), |(_, upstream)| upstream.name.clone()),
            state: PairStateName::NoServer,
            epoch: Epoch::FIRST,
            since: self.since,
            reason: TransitionReason::FirstStart,
            blockers: Vec::new(),
            frozen: false,
            pinned: false,
            latched: false,
            resynced_since: None,
            upstreams: Vec::new(),
            migration: None,
        }
    }
}
