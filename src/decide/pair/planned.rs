//! Planned changes: the failback, the homecoming of the two-proxy figure, and the steps of a migration under way.

use super::{
    PairMachine,
    core::{Plan, Sessions},
};
use crate::{
    decide::{
        effect::CheckId,
        migration::{Journey, Migration, Phase},
    },
    model::{
        EndReason, Side, Time, TransitionReason as Reason, UpstreamName,
        spec::{FailbackWhen, Migrate, Overlap},
        view::{PairStateName as State, UpstreamRole},
    },
};

impl PairMachine {
    /// The state that says where clients are, no change under way.
    pub(super) fn resting(&self) -> State {
        match self.core.side {
            Side::Primary => State::OnPrimary,
            Side::Backup if self.primary().is_some() && self.signal_holds() => State::Resynced,
            Side::Backup => State::OnBackup,
        }
    }

    /// The configuration gave the active upstream another place: the state is named after it.
    pub(super) fn plan_turn(&self) -> Option<Plan> {
        let right = match (self.core.state, self.core.side) {
            (State::NoServer, _) | (State::OnPrimary | State::Returning, Side::Primary) => true,
            (State::OnBackup | State::Resynced, Side::Backup) => true,
            (State::Returning, Side::Backup) => self.is_leaving(),
            _ => false,
        };
        (!right).then(|| Plan::keep(self.core.turned(self.resting(), Reason::Reconfigured)))
    }

    /// The signal does not hold any more, so the pair is not resynced any more.
    pub(super) fn plan_revocation(&mut self, now: Time) -> Option<Plan> {
        let void = self.core.signal.is_some() && !self.signal_holds();
        if self.is_leaving() && self.must_turn_back(now) {
            let mut next = self.core.turned(self.resting(), Reason::SignalRevoked);
            next.signal = next.signal.filter(|_| !void);
            return Some(Plan::new(next, Sessions::GivenUp));
        }
        if !void || self.is_leaving() {
            return None;
        }
        let state = if self.core.state == State::Resynced { State::OnBackup } else { self.core.state };
        let mut next = self.core.turned(state, Reason::SignalRevoked);
        next.signal = None;
        let sessions = if self.is_homecoming() { Sessions::GivenUp } else { Sessions::Keep };
        Some(Plan::new(next, sessions))
    }

    /// Resynced (or, in poll mode, simply healthy) for long enough, and nothing else blocks: back to the primary.
    pub(super) fn plan_failback(&mut self, now: Time) -> Option<Plan> {
        let core = &self.core;
        if core.pinned || core.latched || core.frozen || self.local_trouble || self.migration.is_some() {
            return None;
        }
        if !matches!(core.state, State::OnBackup | State::Resynced) || !self.home_is_steady(now) {
            return None;
        }
        let home = self.home()?;
        let journey = |why| Journey {
            from: core.upstream.clone(),
            from_side: core.side,
            to: home.name.clone(),
            why,
            end: EndReason::Failback,
            pin: false,
            force: false,
            at_once: false,
        };
        if home.role == UpstreamRole::Elsewhere {
            // Nothing of ours changes, so nothing has to be stored: clients are only told to look again (`N11`).
            if self.signal_holds() {
                let (journey, drain_until) = (journey(Reason::PrimaryResynced), None);
                let words = format!("{} is whole again: clients are closed so that they return to it", journey.to);
                self.begin(now, journey, Phase::Moving { drain_until }, words);
            }
            return None;
        }
        let why = match self.spec.failback.when {
            FailbackWhen::Resync if self.signal_holds() => Reason::PrimaryResynced,
            FailbackWhen::Poll => Reason::PrimaryPolled,
            _ => return None,
        };
        if home.resolved.is_empty() {
            return None;
        }
        Some(self.change_to(journey(why)))
    }

    /// The next step of the migration under way.
    pub(super) fn plan_migration(&mut self, now: Time) -> Option<Plan> {
        let migration = self.migration.as_ref()?;
        let journey = &migration.journey;
        if migration.phase == Phase::Leaving {
            let (to, force) = (journey.to.clone(), journey.force);
            if !migration.confirmed || !(force || self.has_arrived(now, &to)) {
                return None;
            }
            let journey = &self.migration.as_ref()?.journey;
            let mut next = self.moved(&journey.to, journey.why);
            next.pinned |= journey.pin;
            return Some(Plan::new(next, Sessions::Admit));
        }
        if !migration.is_over(now) {
            return None;
        }
        if self.core.state == State::Returning {
            return Some(Plan::new(self.core.turned(State::OnPrimary, Reason::MigrationDone), Sessions::Arrived));
        }
        if self.is_homecoming() {
            let mut next = self.core.clone();
            next.signal = None;
            return Some(Plan::new(next, Sessions::Arrived));
        }
        self.end_migration("done");
        None
    }

    /// The way a planned change of the active upstream begins.
    pub(super) fn change_to(&self, journey: Journey) -> Plan {
        let alive = self.active().is_some_and(|active| !active.health.is_down());
        if !alive || self.core.state == State::NoServer || self.core.adrift {
            let mut next = self.moved(&journey.to, journey.why);
            next.state = if next.side == Side::Primary { State::OnPrimary } else { State::OnBackup };
            next.pinned |= journey.pin;
            return Plan::new(next, Sessions::Lost { spare: Some(journey.to), end: journey.end });
        }
        if self.overlaps() {
            let mut next = self.moved(&journey.to, journey.why);
            next.pinned |= journey.pin;
            return Plan::new(next, Sessions::Move(journey));
        }
        // The upstream changes when everybody has left the old one, so the epoch does not rise yet: after a crash in
        // between, the side that was written to last is still the one whose turn it is.
        let next = match self.spec.side_of(&journey.to) {
            Some(Side::Primary) => self.core.turned(State::Returning, journey.why),
            _ => self.core.clone(),
        };
        Plan::new(next, Sessions::Leave(journey))
    }

    /// The side is being left, and the other one not entered yet.
    pub(super) fn is_leaving(&self) -> bool {
        self.migration.as_ref().is_some_and(|migration| migration.phase == Phase::Leaving)
    }

    /// Clients are being closed so that they return to the other proxy's primary.
    pub(super) fn is_homecoming(&self) -> bool {
        self.migration.as_ref().is_some_and(|migration| self.upstream(&migration.journey.to).is_none())
    }

    pub(super) fn tick_migration(&mut self, now: Time) {
        let (pace, jitter) = (self.spec.failback.pace, &mut self.jitter);
        let Some(migration) = &mut self.migration else { return };
        migration.tick(now, pace, jitter);
        if let Some(closing) = self.closing.as_mut().filter(|closing| closing.id == migration.order) {
            closing.allowed = migration.allowed(pace);
        }
    }

    /// Everybody has left the old side. Is the new one alive *now*? Asks it, the first time.
    fn has_arrived(&mut self, now: Time, to: &UpstreamName) -> bool {
        let (Some(migration), Some(target)) =
            (&mut self.migration, self.upstreams.iter_mut().find(|upstream| upstream.name == *to))
        else {
            return false;
        };
        match migration.arrival {
            Some(from) => target.health.passed_since(from),
            None => {
                migration.arrival = Some(CheckId(self.next_check));
                target.health.check_now(now);
                false
            }
        }
    }

    /// The primary (or `elsewhere`) has been healthy for `stable_for`, seen with our own eyes until now.
    fn home_is_steady(&self, now: Time) -> bool {
        !self.is_home_here() && self.home().is_some_and(|home| home.health.is_stable() && home.health.is_fresh(now))
    }

    /// While the old side is being left: is where we are going still good?
    fn must_turn_back(&self, now: Time) -> bool {
        let Some(Migration { journey, .. }) = &self.migration else { return false };
        let Some(to) = self.upstream(&journey.to) else { return true };
        if journey.force {
            return false;
        }
        let to_primary = to.role == UpstreamRole::Primary;
        let stale = to_primary && self.spec.failback.when != FailbackWhen::Poll && !self.signal_holds();
        let automatic = journey.end == EndReason::Failback;
        let unsteady = automatic && (self.core.frozen || !self.home_is_steady(now));
        to.health.is_down() || stale || unsteady
    }

    fn moved(&self, to: &UpstreamName, why: Reason) -> super::core::Core {
        let side = self.spec.side_of(to).unwrap_or(Side::Backup);
        let state = if side == Side::Primary { State::Returning } else { State::OnBackup };
        self.core.moved(to, side, state, why)
    }

    fn overlaps(&self) -> bool {
        let failback = &self.spec.failback;
        failback.overlap == Overlap::Allow || failback.migrate != Migrate::Close
    }
}
