//! The resync signal: taken in, validated by checks, stored, answered (`X1`, `N5`).
//!
//! ```text
//!   signal ─▶ Checking ── `rise` checks passed ──▶ Valid ── pending is free ──▶ Storing ── Persisted ──▶ answered
//!                └────────── one failed ──▶ answered          (a backup's own is not stored, but answered at once)
//! ```

use super::{
    PairMachine,
    core::{Bound, Plan},
};
use crate::{
    decide::{
        effect::{CheckId, Effect, Note, SignalRefusal, Ticket, Verdict},
        signal::{Stage, Validation},
        timers,
    },
    model::{
        Epoch, Side, Time, TransitionReason as Reason, UpstreamName,
        spec::SignalSource,
        view::{PairStateName as State, UpstreamRole},
    },
};

impl PairMachine {
    /// The accepted signal binds to the generation the primary still has.
    pub(super) fn signal_holds(&self) -> bool {
        let generation = self.home().map(|home| home.health.generation());
        let holds = self.core.signal.is_some_and(|signal| Some(signal.generation) == generation);
        self.core.side == Side::Backup && holds && !self.is_home_here()
    }

    /// Somebody says that `of` holds everything again.
    pub(super) fn signal(&mut self, now: Time, ticket: Option<Ticket>, of: Side, epoch: Option<Epoch>) {
        let verdict = match self.signal_target(now, of, epoch) {
            Err(refusal) => Verdict::SignalIgnored(refusal),
            Ok(name) if self.is_resynced(&name, of) => Verdict::SignalRepeated,
            Ok(name) => match self.validate(now, &name, of, ticket) {
                Ok(()) => return,
                Err(refusal) => Verdict::SignalIgnored(refusal),
            },
        };
        self.answer_signal(of, ticket.as_slice(), &verdict);
    }

    /// The polled source answered; "done" is a signal like any other.
    pub(super) fn polled(&mut self, now: Time, done: Option<bool>) {
        let generation = self.home().map_or(0, |home| home.health.generation());
        let Some(source) = self.spec.failback.source.as_ref() else { return };
        if self.polling.answered(now, done, (self.core.epoch, generation), source) && self.polled_source().is_some() {
            self.signal(now, None, Side::Primary, None);
        }
    }

    /// The source that is to be polled now: while the pair is on its backup, the primary answers, and no signal holds.
    pub(super) fn polled_source(&self) -> Option<&SignalSource> {
        let wanted = self.core.side == Side::Backup && !self.signal_holds() && !self.core.adrift;
        let answers = self.home().is_some_and(|home| home.health.is_up()) && !self.is_home_here();
        self.spec.failback.source.as_ref().filter(|_| wanted && answers && self.stored)
    }

    pub(super) fn poll_source(&mut self, now: Time) {
        let Some(source) = self.polled_source().cloned() else { return };
        let generation = self.home().map_or(0, |home| home.health.generation());
        if self.polling.due(now, &source, generation) {
            self.effects.push_back(Effect::PollSignal);
        }
    }

    pub(super) fn is_being_validated(&self, name: &UpstreamName) -> bool {
        self.validations.iter().any(|validation| validation.upstream == *name && validation.stage == Stage::Checking)
    }

    pub(super) fn validation_passed(&mut self, name: &UpstreamName, check: CheckId) {
        let rise = self.spec.health.rise;
        let concerned = self.validations.iter_mut().filter(|validation| validation.upstream == *name);
        concerned.for_each(|validation| validation.passed(check, rise));
    }

    /// Any failure of its server, also of a check that started before the signal came, makes an end of it.
    pub(super) fn validation_failed(&mut self, name: &UpstreamName) {
        self.end_validations(SignalRefusal::PrimaryDown, |validation| validation.upstream == *name);
    }

    /// The pair changed sides, or was not watched, while signals were being validated.
    pub(super) fn overtake_validations(&mut self) {
        self.end_validations(SignalRefusal::Overtaken, |_| true);
    }

    /// The server's name leads to another machine now.
    pub(super) fn overtake_validation_of(&mut self, name: &UpstreamName) {
        self.end_validations(SignalRefusal::Overtaken, |validation| validation.upstream == *name);
    }

    pub(super) fn expire_validations(&mut self, now: Time) {
        self.end_validations(SignalRefusal::PrimaryDown, |validation| {
            validation.stage == Stage::Checking && now >= validation.deadline
        });
        self.end_validations(SignalRefusal::NotStored, |validation| now >= validation.deadline);
    }

    /// A validated signal: a backup's takes effect at once, the primary's is stored first.
    pub(super) fn plan_signal(&mut self, now: Time) -> Option<Plan> {
        while let Some(place) = self.validations.iter().position(|validation| validation.stage == Stage::Valid) {
            let generation = |upstream: &UpstreamName| {
                let found = self.upstreams.iter().find(|other| other.name == *upstream);
                found.map(|upstream| upstream.health.generation())
            };
            let validation = self.validations.get_mut(place)?;
            let generation = generation(&validation.upstream)?;
            if validation.of == Side::Primary {
                validation.stage = Stage::Storing;
                let mut next = self.core.clone();
                next.signal = Some(Bound { generation, since: now });
                if next.state == State::OnBackup && self.primary().is_some() {
                    (next.state, next.reason) = (State::Resynced, Reason::ResyncSignal);
                }
                return Some(Plan { signal: true, ..Plan::keep(next) });
            }
            let Validation { upstream, of, tickets, .. } = self.validations.remove(place);
            if let Some(backup) = self.upstreams.iter_mut().find(|other| other.name == upstream) {
                backup.signal = Some(generation);
                backup.missed_traffic = false;
            }
            self.answer_signal(of, &tickets, &Verdict::SignalAccepted);
        }
        None
    }

    /// The record with the signal is stored, or could not be.
    pub(super) fn finish_stored_signal(&mut self, verdict: &Verdict) {
        let stored = self.validations.iter().position(|validation| validation.stage == Stage::Storing);
        if let Some(validation) = stored.map(|place| self.validations.remove(place)) {
            self.answer_signal(validation.of, &validation.tickets, verdict);
        }
    }

    /// Whom a signal is about, if it can be valid at all.
    fn signal_target(&self, now: Time, of: Side, epoch: Option<Epoch>) -> Result<UpstreamName, SignalRefusal> {
        let target = match of {
            Side::Primary => self.home(),
            Side::Backup => {
                let mut backups = self.upstreams.iter().filter(|upstream| upstream.role == UpstreamRole::Backup);
                backups.find(|backup| backup.name != self.core.upstream)
            }
        };
        let target = target.ok_or(SignalRefusal::NoSuchSide(of))?;
        if let Some(given) = epoch.filter(|given| *given != self.core.epoch) {
            return Err(SignalRefusal::WrongEpoch { given, have: self.core.epoch });
        }
        if (of == Side::Primary && self.core.side == Side::Primary) || self.core.adrift {
            return Err(match self.core.state {
                State::NoServer => SignalRefusal::NobodyServed(self.explain(now).blockers.join("; ")),
                _ => SignalRefusal::NotFailedOver,
            });
        }
        if of == Side::Primary && self.is_home_here() {
            return Err(SignalRefusal::SameServer);
        }
        Ok(target.name.clone())
    }

    fn is_resynced(&self, name: &UpstreamName, of: Side) -> bool {
        match of {
            Side::Primary => self.signal_holds(),
            Side::Backup => self.upstream(name).is_some_and(crate::decide::upstream::Upstream::is_resynced),
        }
    }

    /// Joins the validation under way, or begins one with a check that starts now.
    fn validate(
        &mut self,
        now: Time,
        name: &UpstreamName,
        of: Side,
        ticket: Option<Ticket>,
    ) -> Result<(), SignalRefusal> {
        let same = self.validations.iter_mut().find(|validation| validation.of == of);
        if let Some(under_way) = same.filter(|validation| validation.upstream == *name) {
            let room = ticket.is_none_or(|ticket| under_way.join(ticket));
            return if room { Ok(()) } else { Err(SignalRefusal::Busy) };
        }
        let health = &self.spec.health;
        let patience = (health.fast_interval.saturating_mul(health.rise) + health.timeout) * 2 + timers::gap(health);
        let mut validation = Validation::new(name.clone(), of, CheckId(self.next_check), now + patience);
        validation.tickets.extend(ticket);
        self.validations.push(validation);
        let target = self.upstreams.iter_mut().find(|upstream| upstream.name == *name);
        target.into_iter().for_each(|upstream| upstream.health.check_now(now));
        Ok(())
    }

    fn end_validations(&mut self, refusal: SignalRefusal, ended: impl Fn(&Validation) -> bool) {
        // What is being stored is answered when it is.
        let over = |validation: &mut Validation| validation.stage != Stage::Storing && ended(validation);
        let answers: Vec<_> = self.validations.extract_if(.., over).collect();
        let verdict = Verdict::SignalIgnored(refusal);
        answers.iter().for_each(|validation| self.answer_signal(validation.of, &validation.tickets, &verdict));
    }

    fn answer_signal(&mut self, of: Side, tickets: &[Ticket], verdict: &Verdict) {
        self.note(Note::Signal { of, verdict: verdict.clone() });
        self.effects.extend(tickets.iter().map(|ticket| Effect::Answer(*ticket, verdict.clone())));
    }
}
