//! Storing a change, and what follows once it is stored. Nothing else changes what is in force.

use super::{
    PairMachine, Pending, RETRY,
    core::{Plan, Sessions},
};
use crate::{
    decide::{
        effect::{Closing, Effect, Note, PersistId, SignalRefusal, Verdict},
        migration::{Journey, Migration, Phase},
    },
    model::{EndReason, HostPort, Time, UpstreamName, spec::Migrate, view::PairStateName as State},
};

impl PairMachine {
    /// Sends the change to the disk. Until it is there, clients stay where they are or wait.
    pub(super) fn persist(&mut self, plan: Plan) {
        let id = PersistId(self.next_persist);
        self.next_persist += 1;
        let generation = self.home().map_or(0, |home| home.health.generation());
        let record = plan.next.record(generation, self.addresses());
        self.rewrite = false;
        self.effects.push_back(Effect::Persist(id, Box::new(record)));
        self.pending = Some(Pending { id, plan });
    }

    /// The record is on stable storage: what it says is in force now.
    pub(super) fn persisted(&mut self, now: Time, id: PersistId) {
        let Some(Pending { plan, .. }) = self.pending.take_if(|pending| pending.id == id) else { return };
        self.retry_at = None;
        self.commit(now, plan);
    }

    /// Nothing changed. Whoever waits is told so; what has to be done is planned anew a second later.
    pub(super) fn persist_failed(&mut self, now: Time, id: PersistId) {
        let Some(Pending { plan, .. }) = self.pending.take_if(|pending| pending.id == id) else { return };
        if self.retry_at.replace(now + RETRY).is_none() {
            self.note(Note::NotStored);
        }
        self.rewrite = true;
        if let Some((ticket, order, _)) = plan.order {
            let words = "the state could not be stored (is the disk full?), so nothing was changed; try again";
            self.answer_order(ticket, order, Verdict::Refused(words.into()));
        }
        if plan.signal {
            self.finish_stored_signal(&Verdict::SignalIgnored(SignalRefusal::NotStored));
        }
    }

    fn commit(&mut self, now: Time, plan: Plan) {
        let before = std::mem::replace(&mut self.core, plan.next);
        // The configuration may have changed while the record was on its way.
        self.core.side = self.spec.side_of(&self.core.upstream).unwrap_or(self.core.side);
        let first = !std::mem::replace(&mut self.stored, true);
        let taken_up = self.taken_up.take();
        let moved = before.upstream != self.core.upstream;
        let came_from = self.came_from.take().unwrap_or_else(|| before.upstream.clone());
        if first || taken_up.is_some() || moved || before.state != self.core.state {
            self.core.since = now;
            self.note(Note::Transition {
                from: taken_up.unwrap_or(before.state),
                to: self.core.state,
                from_upstream: came_from,
                to_upstream: self.core.upstream.clone(),
                epoch: self.core.epoch,
                reason: self.core.reason,
            });
        }
        if moved || before.epoch != self.core.epoch {
            self.cut = false;
            self.overtake_validations();
            self.welcome();
            if matches!(plan.sessions, Sessions::Admit | Sessions::Move(_)) {
                self.vouch_for(&before.upstream);
            }
        }
        if plan.failover {
            let failovers = self.flap.counting_one_now(now, self.spec.flap);
            self.flap.happened(now, self.spec.flap);
            if self.core.latched && !before.latched {
                self.note(Note::Latched { failovers });
            }
        }
        self.interrupt_migration();
        self.move_sessions(now, plan.sessions);
        if let Some((ticket, order, verdict)) = plan.order {
            self.answer_order(ticket, order, verdict);
        }
        if plan.signal {
            let valid = if self.signal_holds() {
                Verdict::SignalAccepted
            } else {
                Verdict::SignalIgnored(SignalRefusal::PrimaryDown)
            };
            self.finish_stored_signal(&valid);
        }
    }

    fn move_sessions(&mut self, now: Time, sessions: Sessions) {
        match sessions {
            Sessions::Keep => {}
            Sessions::Lost { spare, end } => self.close_lost(spare, end),
            Sessions::Leave(journey) => {
                let words = format!("leaving {}: its sessions are closed, newcomers wait", journey.from);
                self.begin(now, journey, Phase::Leaving, words);
            }
            Sessions::Move(journey) => {
                let (drain_until, how) = match self.spec.failback.migrate {
                    Migrate::Drain { deadline } if !journey.at_once => (Some(now + deadline), "may end by themselves"),
                    _ => (None, "are closed bit by bit"),
                };
                let words = format!("moving to {}: the sessions on {} {how}", journey.to, journey.from);
                self.begin(now, journey, Phase::Moving { drain_until }, words);
            }
            Sessions::Admit => {
                let pace = self.spec.failback.pace;
                if let Some(migration) = &mut self.migration {
                    migration.admit(now, pace);
                }
            }
            Sessions::Arrived => self.end_migration("done"),
            Sessions::GivenUp => self.end_migration("given up"),
        }
    }

    /// Closes everything but what is on `spare`, at once.
    pub(super) fn close_lost(&mut self, spare: Option<UpstreamName>, end: EndReason) {
        self.end_migration("overtaken by a failure");
        self.cut = true;
        self.order_closing(spare, false, None, end);
    }

    /// Begins a migration that nothing has to be stored for, or whose record is stored.
    pub(super) fn begin(&mut self, now: Time, journey: Journey, phase: Phase, words: String) {
        let allowed = if phase == Phase::Leaving { None } else { Some(0) };
        // Sessions of clients that go to another proxy have no upstream here to be spared on.
        let spare = self.upstream(&journey.to).map(|_| journey.to.clone());
        let order = self.order_closing(spare, true, allowed, journey.end);
        self.migration = Some(Migration::new(now, journey, phase, order));
        self.note(Note::Migration(words));
    }

    /// Nobody is moved to a server that is lost. Who was not moved yet is when it returns.
    fn interrupt_migration(&mut self) {
        if self.core.state != State::NoServer {
            self.unfinished = None;
        } else if let Some(migration) = &self.migration {
            let ours = migration.is_moving() && !self.is_homecoming();
            self.unfinished = ours.then(|| migration.journey.clone());
            self.end_migration("interrupted");
        }
    }

    pub(super) fn end_migration(&mut self, how: &str) {
        if let Some(migration) = self.migration.take() {
            let Migration { journey, .. } = migration;
            self.note(Note::Migration(format!("the migration from {} to {} is {how}", journey.from, journey.to)));
        }
    }

    fn order_closing(
        &mut self,
        spare_upstream: Option<UpstreamName>,
        spare_exempt: bool,
        allowed: Option<u64>,
        reason: EndReason,
    ) -> u64 {
        self.closings += 1;
        let id = self.closings;
        self.closing = Some(Closing { id, spare_upstream, spare_exempt, allowed, reason });
        id
    }

    fn addresses(&self) -> Vec<(UpstreamName, HostPort)> {
        self.spec.upstreams().map(|(_, upstream)| (upstream.name.clone(), upstream.address.clone())).collect()
    }
}
