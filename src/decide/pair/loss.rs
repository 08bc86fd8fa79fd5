//! What happens when the active upstream is lost, and when a server comes back: failover, NoServer, and the ways out of it.

use super::{
    PairMachine,
    core::{Plan, Sessions},
};
use crate::{
    decide::{tally::Failure, timers, upstream::Upstream},
    model::{
        EndReason, Side, Time, TransitionReason as Reason, UpstreamName,
        spec::{Admission, FailbackWhen},
        view::{HealthName, PairStateName as State, UpstreamRole},
    },
};

/// Can a server stand in for the lost one?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitness {
    /// It is alive, and the lost one is not.
    Ready,
    /// Its checks will tell.
    Waiting,
    /// No.
    Unfit,
}

impl PairMachine {
    /// The active upstream is lost, or it is `NoServer` and somebody can serve again.
    pub(super) fn plan_loss(&mut self, now: Time) -> Option<Plan> {
        // Who is leaving a side anyway arrives at the other one, or turns back, before its loss matters.
        if self.core.adrift || self.is_leaving() {
            return None;
        }
        let health = self.active().map_or(HealthName::Down, |active| active.health.state());
        if self.core.state == State::NoServer && health == HealthName::Up {
            return Some(self.returned());
        }
        if health != HealthName::Down {
            return None;
        }
        match self.stand_in(now) {
            (Fitness::Ready, Some(place)) => self.take_over(now, place),
            (Fitness::Waiting, _) if self.undecided_until().is_none_or(|until| now < until) => None,
            _ if self.core.state == State::NoServer => None,
            _ => Some(self.no_server()),
        }
    }

    /// Until when a loss may wait for a stand-in's checks before it is called `NoServer`.
    pub(super) fn undecided_until(&self) -> Option<Time> {
        let health = &self.active()?.health;
        let patience = self.spec.health.timeout * 2 + timers::slack(&self.spec.health);
        (self.core.state != State::NoServer && health.is_down()).then(|| health.since() + patience)
    }

    /// Are its checks what somebody waits for, so that they must be quick?
    pub(super) fn is_awaited(&self, place: usize) -> bool {
        let Some(upstream) = self.upstreams.get(place) else { return false };
        let lost = self.active().is_some_and(|active| active.health.is_failing() || active.health.is_down());
        let deciding = lost && self.core.state != State::NoServer && upstream.role != UpstreamRole::Elsewhere;
        deciding || self.is_being_validated(&upstream.name)
    }

    /// May this backup be used when the primary is lost?
    pub(super) fn is_admissible_backup(&self, backup: &Upstream) -> bool {
        let resynced = self.spec.admission == Admission::Healthy || backup.is_resynced();
        backup.health.is_admitted() && resynced
    }

    /// Does the primary hold everything, as far as the failback mode asks?
    pub(super) fn is_admissible_primary(&self) -> bool {
        let Some(primary) = self.primary().filter(|_| !self.is_home_here()) else { return false };
        match self.spec.failback.when {
            FailbackWhen::Resync | FailbackWhen::Manual => primary.health.is_up() && self.signal_holds(),
            FailbackWhen::Poll => primary.health.is_stable() || (primary.health.is_up() && self.signal_holds()),
        }
    }

    /// Closes what is established once it is certain that nobody is there.
    pub(super) fn close_when_hard(&mut self) {
        if self.core.state == State::NoServer && self.stored && !self.cut && !self.core.adrift && self.is_hard_loss() {
            let spare = self.other_side_alive();
            self.close_lost(spare, EndReason::Failover);
        }
    }

    /// Who can stand in, in the configured order; asks for the check that is missing.
    fn stand_in(&mut self, now: Time) -> (Fitness, Option<usize>) {
        if self.core.pinned || self.core.frozen {
            return (Fitness::Unfit, None);
        }
        let mut verdict = Fitness::Unfit;
        for place in 0..self.upstreams.len() {
            match self.fitness(place) {
                Fitness::Ready => return (Fitness::Ready, Some(place)),
                Fitness::Waiting => {
                    verdict = Fitness::Waiting;
                    self.ask_lost_again(now, place);
                }
                Fitness::Unfit => {}
            }
        }
        (verdict, None)
    }

    fn fitness(&self, place: usize) -> Fitness {
        let Some(other) = self.upstreams.get(place) else { return Fitness::Unfit };
        let entitled = match (self.core.side, other.role) {
            (Side::Primary, UpstreamRole::Backup) => self.is_admissible_backup(other),
            // No other backup: that it holds what the lost one took is not known. A primary with a valid signal does.
            (Side::Backup, UpstreamRole::Primary) => {
                let automatic = self.spec.failback.when != FailbackWhen::Manual && !self.core.latched;
                automatic && self.is_admissible_primary()
            }
            _ => false,
        };
        if !entitled || other.resolved.is_empty() || other.name == self.core.upstream || other.health.is_failing() {
            return Fitness::Unfit;
        }
        match self.active() {
            Some(lost) if !other.health.outlives(&lost.health) => Fitness::Waiting,
            _ => Fitness::Ready,
        }
    }

    /// A stand-in passed. Had the fault been ours and just gone, the lost one would pass as well: ask it once more.
    fn ask_lost_again(&mut self, now: Time, place: usize) {
        let Some((other, lost)) = self.upstreams.get(place).zip(self.active()) else { return };
        let Some(passed) = other.health.passed_after_loss_of(&lost.health) else { return };
        if !lost.health.checks_since(passed) {
            let lost = lost.name.clone();
            let found = self.upstreams.iter_mut().find(|upstream| upstream.name == lost);
            found.into_iter().for_each(|upstream| upstream.health.check_now(now));
        }
    }

    fn take_over(&mut self, now: Time, place: usize) -> Option<Plan> {
        let to = self.upstreams.get(place)?;
        let (side, state) = match to.role {
            UpstreamRole::Primary => (Side::Primary, State::OnPrimary),
            _ => (Side::Backup, State::OnBackup),
        };
        let reason = match (self.core.state, side, self.spec.failback.when) {
            (State::NoServer, Side::Backup, _) => Reason::BackupAdmitted,
            (State::NoServer, Side::Primary, FailbackWhen::Poll) => Reason::PrimaryPolled,
            (State::NoServer, Side::Primary, _) => Reason::PrimaryResynced,
            _ => self.loss_reason(),
        };
        let name = to.name.clone();
        let mut next = self.core.moved(&name, side, state, reason);
        let failover = side == Side::Backup && self.active().is_some();
        if failover {
            next.latched |= self.flap.counting_one_now(now, self.spec.flap) > self.spec.flap.failovers;
        }
        let spare = Some(name);
        Some(Plan { failover, ..Plan::new(next, Sessions::Lost { spare, end: EndReason::Failover }) })
    }

    /// Who has the turn answers again. Nobody else served meanwhile, so it is not stale. A migration to it goes on.
    fn returned(&self) -> Plan {
        let mut next = self.core.turned(self.resting(), Reason::UpstreamReturned);
        let Some(journey) = self.unfinished.clone() else { return Plan::keep(next) };
        if next.state == State::OnPrimary {
            next.state = State::Returning;
        }
        Plan::new(next, Sessions::Move(journey))
    }

    /// Nobody can serve: newcomers wait, the turn stays.
    fn no_server(&self) -> Plan {
        let sessions = if self.is_hard_loss() {
            Sessions::Lost { spare: self.other_side_alive(), end: EndReason::Failover }
        } else if self.migration.is_some() {
            Sessions::GivenUp
        } else {
            Sessions::Keep
        };
        Plan::new(self.core.turned(State::NoServer, self.loss_reason()), sessions)
    }

    /// Is it certain that the sessions on the lost upstream are dead? Mere silence of everybody may be our own; but who has
    /// one upstream only wants its clients to look elsewhere (`N1`).
    fn is_hard_loss(&self) -> bool {
        let alone = self.spec.upstreams().count() == 1;
        self.active().is_none_or(|active| {
            active.health.is_down() && (alone || active.health.failure() == Some(Failure::Refused))
        })
    }

    /// Sessions of exempt clients may live on the other side.
    fn other_side_alive(&self) -> Option<UpstreamName> {
        let others = self.upstreams.iter().filter(|other| other.role != UpstreamRole::Elsewhere);
        let mut alive = others.filter(|other| other.name != self.core.upstream && other.health.is_up());
        alive.next().map(|other| other.name.clone())
    }

    fn loss_reason(&self) -> Reason {
        match self.active().map(|active| active.health.failure()) {
            None => Reason::Reconfigured,
            Some(Some(Failure::Refused)) => Reason::UpstreamRefused,
            Some(Some(Failure::Wrong)) => Reason::UpstreamWrong,
            Some(_) => Reason::UpstreamSilent,
        }
    }
}
