//! One pair's machine: its upstreams' health, its side, its signal, its migrations.
//!
//! ```text
//!   handle_* ─▶ observe (were we starved?) ─▶ take in what happened ─▶ settle:
//!      plan (at most one change of state) ─▶ Persist … Persisted ─▶ commit ─▶ Publish, Note, Answer
//! ```
//!
//! Everything below `settle` is level-triggered: it looks at how things are, never at what has just happened, so that it
//! makes no difference in which order or how late things were heard of. One change at a time is *pending*: it is on its
//! way to the disk and nothing depends on it until it is there. Meanwhile clients stay where they are or wait.

mod commit;
mod core;
mod explain;
mod inputs;
mod loss;
mod orders;
mod planned;
mod reconfigure;
mod routing;
mod signals;
mod start;
#[cfg(test)]
mod tests;

use self::core::{Core, Plan};
use super::{
    effect::{Closing, Effect, Note, PersistId, Routing, Ticket},
    flap::Flap,
    input::{Input, Order, Start},
    migration::{Journey, Migration},
    signal::{Polling, Validation},
    status::PairStatus,
    timers::{self, Jitter},
    upstream::Upstream,
};
use crate::model::{Epoch, Time, UpstreamName, spec::PairSpec, view::PairStateName as State};
use std::{collections::VecDeque, time::Duration};

/// A record that could not be stored is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);
/// Orders that may wait for the one being stored.
const MAX_ORDERS: usize = 16;

/// Decides everything about one pair. Drive it so: after [`Self::new`] and after every `handle_*` drain
/// [`Self::poll_effect`], execute the effects in order, and call [`Self::handle_timeout`] when [`Self::next_timeout`] has
/// come (at once after `new`).
#[derive(Debug)]
pub struct PairMachine {
    spec: PairSpec,
    /// The pair's own upstreams in order, then `elsewhere`.
    upstreams: Vec<Upstream>,
    /// What is in force. Always on the disk before, but for what only holds clients back.
    core: Core,
    /// The one change that is being stored.
    pending: Option<Pending>,
    /// A first record is on the disk: clients may be routed.
    stored: bool,
    /// Why it is not known which server holds the data, in words, if the start found so.
    doubt: Option<String>,
    /// The state the journal had, until the record of the restart is on the disk.
    taken_up: Option<State>,
    /// Which upstream it was left on by the node that had its seat, if this node's own watching has found that one lost.
    came_from: Option<UpstreamName>,
    /// An epoch that another node acted under: ours has to be above it.
    above: Option<Epoch>,
    /// The record on the disk has to be written anew, though nothing that is in force changed.
    rewrite: bool,
    /// The last record could not be stored; the next attempt is then.
    retry_at: Option<Time>,
    /// At most one of the primary (or `elsewhere`) and one of a backup.
    validations: Vec<Validation>,
    polling: Polling,
    orders: VecDeque<(Ticket, Order)>,
    migration: Option<Migration>,
    /// In `NoServer`: the migration to the lost upstream that goes on when it returns.
    unfinished: Option<Journey>,
    closing: Option<Closing>,
    closings: u64,
    /// In `NoServer`: the sessions of the lost upstream are closed.
    cut: bool,
    flap: Flap,
    jitter: Jitter,
    local_trouble: bool,
    published: Option<Routing>,
    effects: VecDeque<Effect>,
    next_check: u64,
    next_persist: u64,
    begun: bool,
    settled: Time,
}

#[derive(Debug)]
struct Pending {
    id: PersistId,
    plan: Plan,
}

impl PairMachine {
    /// Takes up what the journal had.
    #[must_use]
    pub fn new(start: Start, now: Time) -> Self {
        start::machine(start, now)
    }

    /// Something happened.
    pub fn handle_input(&mut self, now: Time, input: Input) {
        self.observe(now);
        self.take_in(now, input);
        self.settle(now);
    }

    /// The time asked for by [`Self::next_timeout`] has come. Calling it early is harmless; far too late is noticed and
    /// taken as our own trouble, never as the upstream's.
    pub fn handle_timeout(&mut self, now: Time) {
        self.observe(now);
        self.settle(now);
    }

    /// The next thing to do; `None` when all is done for now. Bounded: one `handle_*` adds a few for each upstream and each
    /// one who waits for an answer.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next; changes with every `handle_*`.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        let upstreams = self.upstreams.iter().map(|upstream| upstream.health.next_timeout());
        let validations = self.validations.iter().map(|validation| Some(validation.deadline));
        let migration = self.migration.as_ref().and_then(Migration::next_timeout);
        let polling = self.polled_source().and_then(|_| self.polling.next_timeout());
        let retry = self.retry_at.filter(|_| self.pending.is_none());
        let deadlines = upstreams.chain(validations).chain([migration, polling, retry, self.undecided_until()]);
        // What was due when we last looked could not be done then; it is looked at again when something changes.
        timers::earliest(deadlines.map(|at| at.filter(|at| !self.begun || *at > self.settled)))
    }

    /// The upstream whose turn it is; `None` while nobody knows.
    #[must_use]
    pub fn turn(&self) -> Option<&UpstreamName> {
        (!self.core.adrift).then_some(&self.core.upstream)
    }

    /// The pair at a glance.
    #[must_use]
    pub fn status(&self, now: Time) -> PairStatus {
        self.explain(now)
    }

    /// The upstream whose turn it is, and the one whose turn it will be once the change that is being stored is stored.
    pub fn in_use(&self) -> impl Iterator<Item = &UpstreamName> {
        std::iter::once(&self.core.upstream).chain(self.pending.iter().map(|pending| &pending.plan.next.upstream))
    }

    /// Notices when we ourselves were not watching: a timer that is late, a result that never came.
    fn observe(&mut self, now: Time) {
        let late = self.next_timeout().map_or(Duration::ZERO, |due| now.since(due));
        if !std::mem::replace(&mut self.begun, true) {
            return;
        }
        if late > timers::gap(&self.spec.health) {
            self.gap(now, late);
        } else if late > timers::slack(&self.spec.health)
            || self.upstreams.iter().any(|upstream| upstream.health.is_overdue(now))
        {
            self.starved(now);
        }
    }

    /// We were busy or frozen for a moment: what looked like silence may have been ours.
    fn starved(&mut self, now: Time) {
        self.upstreams.iter_mut().for_each(|upstream| upstream.health.forget(now));
        self.validations.iter_mut().for_each(Validation::restart);
    }

    /// Nobody watched for so long that an upstream may have died and come back unseen.
    fn gap(&mut self, now: Time, span: Duration) {
        self.upstreams.iter_mut().for_each(|upstream| upstream.health.gap(now));
        self.overtake_validations();
        self.note(Note::Gap(span));
    }

    /// Brings everything that follows from how things are now.
    fn settle(&mut self, now: Time) {
        self.upstreams.iter_mut().for_each(|upstream| upstream.health.refresh(now));
        self.note_missed_traffic();
        self.expire_validations(now);
        self.advance(now);
        self.tick_migration(now);
        self.close_when_hard();
        self.poll_source(now);
        self.start_checks(now);
        self.publish();
        self.settled = now;
    }

    /// Plans the next change of state, if none is on its way.
    fn advance(&mut self, now: Time) {
        if self.pending.is_some() {
            return;
        }
        let retry = self.retry_at.is_some_and(|at| now < at);
        let plan = self.plan_order(now).or_else(|| if retry { None } else { self.plan(now) });
        if let Some(plan) = plan {
            self.persist(plan);
        }
    }

    fn plan(&mut self, now: Time) -> Option<Plan> {
        if !self.stored || self.taken_up.is_some() {
            return Some(Plan::keep(self.core.clone()));
        }
        self.plan_loss(now)
            .or_else(|| self.plan_turn())
            .or_else(|| self.plan_revocation(now))
            .or_else(|| self.plan_signal(now))
            .or_else(|| self.plan_failback(now))
            .or_else(|| self.plan_migration(now))
            .or_else(|| self.plan_above())
            .or_else(|| self.plan_rewrite())
    }

    fn start_checks(&mut self, now: Time) {
        for place in 0..self.upstreams.len() {
            let hurry = self.is_awaited(place);
            let Some(upstream) = self.upstreams.get_mut(place) else { continue };
            upstream.health.set_hurry(now, hurry);
            if let Some(check) = upstream.health.start_due(now, &mut self.next_check) {
                let (upstream, timeout) = (upstream.name.clone(), self.spec.health.timeout);
                self.effects.push_back(Effect::StartCheck { check, upstream, timeout });
            }
        }
    }

    fn note(&mut self, note: Note) {
        self.effects.push_back(Effect::Note(note));
    }
}
