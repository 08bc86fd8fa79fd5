//! Moving existing sessions off the side just left: closing them so that clients reconnect (`X2`).
//!
//! ```text
//!   overlap = "none":    Leaving ── every worker confirmed ──▶ Admitting ── newcomers paced ──▶ over
//!                        (newcomers wait, all are closed at once)
//!   overlap = "allow":   Moving ── closed at `pace`, oldest first, until none is left ──▶ over
//!   drain:               Moving ── nobody is closed until the deadline, then at `pace` ──▶ over
//!   elsewhere:           Moving ── so that clients find their first proxy again ──▶ over
//! ```

use super::{effect::CheckId, timers::Jitter};
use crate::model::{EndReason, Side, Time, TransitionReason, UpstreamName, view::MigrationView};
use std::time::Duration;

/// The table is published no more often than this for the sake of a migration.
const TICK: Duration = Duration::from_millis(50);

/// What is wanted: the seed of a migration.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Journey {
    /// The upstream that is left.
    pub(super) from: UpstreamName,
    /// Its side.
    pub(super) from_side: Side,
    /// Where clients are to be; not one of the pair's own when they go to the other proxy's primary.
    pub(super) to: UpstreamName,
    /// Why the side changes.
    pub(super) why: TransitionReason,
    /// Why sessions end.
    pub(super) end: EndReason,
    /// An operator wants it, and the side stays until `switch --auto`.
    pub(super) pin: bool,
    /// An operator wants it whatever the health of the target.
    pub(super) force: bool,
    /// Neither closing nor admitting is paced.
    pub(super) at_once: bool,
}

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The old side is being left; newcomers wait. The side has not changed yet.
    Leaving,
    /// The side has changed; newcomers are admitted at `pace` until then.
    Admitting { until: Time },
    /// The side has changed (or nothing has to); sessions are closed bit by bit. With `drain_until` not before then.
    Moving { drain_until: Option<Time> },
}

/// A migration under way.
#[derive(Debug)]
pub(super) struct Migration {
    pub(super) journey: Journey,
    pub(super) phase: Phase,
    /// The close order's id; progress of another order is not ours.
    pub(super) order: u64,
    pub(super) paused: bool,
    /// Every worker has seen the order, and none has a condemned session or dial left.
    pub(super) confirmed: bool,
    counted: bool,
    /// The target must pass a check from this one on, which starts when everybody has left: what the old side took last
    /// reaches only a server that is alive.
    pub(super) arrival: Option<CheckId>,
    total: u64,
    left: u64,
    exempt: u64,
    /// How long closings have been going on, pauses not counted.
    spent: Duration,
    ticked: Time,
    tick_at: Option<Time>,
    allowed: u64,
}

impl Migration {
    pub(super) fn new(now: Time, journey: Journey, phase: Phase, order: u64) -> Self {
        let tick_at = match phase {
            Phase::Moving { drain_until } => Some(drain_until.unwrap_or(now)),
            _ => None,
        };
        Self {
            journey,
            phase,
            order,
            paused: false,
            confirmed: false,
            counted: false,
            arrival: None,
            total: 0,
            left: 0,
            exempt: 0,
            spent: Duration::ZERO,
            ticked: tick_at.unwrap_or(now),
            tick_at,
            allowed: 0,
        }
    }

    /// What the workers report together about this migration's order; `complete` once every one has counted its own.
    pub(super) fn progress(&mut self, left: u64, exempt: u64, complete: bool, confirmed: bool) {
        self.total = self.total.max(left);
        self.counted |= complete;
        (self.left, self.exempt, self.confirmed) = (left, exempt, confirmed);
    }

    /// Is it known how many sessions there are to move?
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }

    /// The side has changed after everybody left the old one: newcomers come, at most `pace` a second.
    pub(super) fn admit(&mut self, now: Time, pace: u32) {
        let pace = self.pace(pace);
        let seconds = if pace == 0 { 0 } else { self.total.div_ceil(u64::from(pace)) };
        self.phase = Phase::Admitting { until: now + Duration::from_secs(seconds) };
    }

    /// The pace that applies: none if it was asked for at once.
    pub(super) fn pace(&self, pace: u32) -> u32 {
        if self.journey.at_once { 0 } else { pace }
    }

    /// How many closings are allowed; `None` = all at once.
    pub(super) fn allowed(&self, pace: u32) -> Option<u64> {
        match self.phase {
            Phase::Moving { .. } if self.pace(pace) > 0 || self.allowed == 0 => Some(self.allowed),
            _ => None,
        }
    }

    /// Lets closings go on as far as time has.
    pub(super) fn tick(&mut self, now: Time, pace: u32, jitter: &mut Jitter) {
        if self.paused || self.tick_at.is_none_or(|at| now < at) {
            return;
        }
        let pace = self.pace(pace);
        if pace == 0 {
            self.allowed = u64::MAX;
            self.tick_at = None;
            return;
        }
        let step = (Duration::from_secs(1) / pace).max(TICK);
        self.spent += now.since(self.ticked);
        self.ticked = now;
        let allowed = self.spent.as_nanos() * u128::from(pace) / Duration::from_secs(1).as_nanos();
        self.allowed = u64::try_from(allowed).unwrap_or(u64::MAX).max(self.allowed);
        self.tick_at = Some(now + jitter.spread(step));
    }

    /// Closes nobody for now, or goes on. Only while sessions are being moved; `false` if it is so already.
    pub(super) fn pause(&mut self, now: Time, paused: bool) -> bool {
        if self.paused == paused {
            return false;
        }
        self.paused = paused;
        // The time of the pause allows nothing.
        self.ticked = now.max(self.ticked);
        self.tick_at = self.tick_at.map(|at| at.max(now));
        true
    }

    /// Closes all that are left at once.
    pub(super) fn force(&mut self, now: Time) {
        self.journey.at_once = true;
        self.paused = false;
        match self.phase {
            Phase::Moving { .. } => {
                self.phase = Phase::Moving { drain_until: None };
                self.tick_at = Some(now);
            }
            Phase::Admitting { .. } => self.phase = Phase::Admitting { until: now },
            Phase::Leaving => {}
        }
    }

    /// Are sessions being moved, one by one, to a side that newcomers go to already?
    pub(super) fn is_moving(&self) -> bool {
        matches!(self.phase, Phase::Moving { .. })
    }

    /// Is there nothing left to move, and nobody left to pace?
    pub(super) fn is_over(&self, now: Time) -> bool {
        match self.phase {
            Phase::Leaving => false,
            Phase::Admitting { until } => now >= until,
            Phase::Moving { .. } => self.confirmed,
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        match self.phase {
            Phase::Leaving => None,
            Phase::Admitting { until } => Some(until),
            Phase::Moving { .. } => self.tick_at.filter(|_| !self.paused && !self.confirmed),
        }
    }

    /// Sessions and dials still to move.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// As the API shows it.
    pub(super) fn view(&self, now: Time, pace: u32) -> MigrationView {
        let pace = self.pace(pace);
        let wait = match self.phase {
            Phase::Admitting { until } => until.since(now),
            Phase::Moving { drain_until: Some(deadline) } => deadline.since(now),
            _ => Duration::ZERO,
        };
        let moving = if pace == 0 || matches!(self.phase, Phase::Admitting { .. }) {
            0.0
        } else {
            f64::from(u32::try_from(self.left).unwrap_or(u32::MAX)) / f64::from(pace)
        };
        MigrationView {
            from: self.journey.from_side,
            total: self.total,
            remaining: self.left,
            exempt: self.exempt,
            pace,
            admitting: matches!(self.phase, Phase::Admitting { .. }),
            paused: self.paused,
            eta_seconds: (!self.paused).then_some(wait.as_secs_f64() + moving),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_start(Duration::from_millis(millis))
    }

    fn moving(drain_until: Option<Time>) -> Migration {
        let journey = Journey {
            from: "AGG_B".into(),
            from_side: Side::Backup,
            to: "AGG_P".into(),
            why: TransitionReason::PrimaryResynced,
            end: EndReason::Failback,
            pin: false,
            force: false,
            at_once: false,
        };
        Migration::new(at(0), journey, Phase::Moving { drain_until }, 1)
    }

    /// Ticks as asked for until `end`, and says how many closings are allowed then.
    fn run(migration: &mut Migration, pace: u32, jitter: &mut Jitter, end: Time) -> u64 {
        while let Some(due) = migration.next_timeout().filter(|due| *due <= end) {
            migration.tick(due, pace, jitter);
        }
        migration.allowed
    }

    #[test]
    fn x2_closings_keep_the_pace() {
        for pace in [1, 7, 60, 5000] {
            let (mut migration, mut jitter) = (moving(None), Jitter::new(3));
            let allowed = run(&mut migration, pace, &mut jitter, at(20_000));
            let wanted = u64::from(pace) * 20;
            assert!(allowed <= wanted && allowed + 2 + wanted / 50 >= wanted, "{allowed} of {wanted}");
        }
    }

    #[test]
    fn x2_a_pause_allows_nothing_and_shifts_the_rest() {
        let (mut migration, mut jitter) = (moving(None), Jitter::new(3));
        let before = run(&mut migration, 10, &mut jitter, at(2_000));
        assert!(migration.pause(at(2_000), true));
        assert!(!migration.pause(at(2_000), true), "it is paused already");
        assert_eq!(migration.next_timeout(), None);
        assert_eq!(migration.view(at(3_000), 10).eta_seconds, None, "unknown while paused");
        assert!(migration.pause(at(60_000), false));
        let after = run(&mut migration, 10, &mut jitter, at(61_000));
        assert!((before..=before + 11).contains(&after), "{before} before, {after} after");
    }

    #[test]
    fn x2_the_eta_is_what_is_left_at_this_pace() {
        let mut migration = moving(None);
        migration.progress(15, 0, false, false);
        assert!(!migration.is_counted(), "a worker has not counted yet");
        migration.progress(40, 2, true, false);
        assert!(migration.is_counted());
        let view = migration.view(at(0), 10);
        assert_eq!((view.total, view.remaining, view.exempt, view.eta_seconds), (40, 40, 2, Some(4.0)));
    }

    #[test]
    fn drain_closes_nobody_before_its_deadline() {
        let (mut migration, mut jitter) = (moving(Some(at(10_000))), Jitter::new(3));
        assert_eq!(run(&mut migration, 10, &mut jitter, at(9_999)), 0);
        assert!(run(&mut migration, 10, &mut jitter, at(12_000)) >= 15);
    }

    #[test]
    fn force_closes_all_at_once_even_when_paused() {
        let (mut migration, mut jitter) = (moving(Some(at(10_000))), Jitter::new(3));
        migration.pause(at(100), true);
        migration.force(at(200));
        run(&mut migration, 10, &mut jitter, at(200));
        assert_eq!(migration.allowed(10), None);
    }

    #[test]
    fn paced_admission_lasts_as_long_as_the_closed_need() {
        let mut migration = moving(None);
        migration.progress(25, 0, true, false);
        migration.progress(0, 0, true, true);
        migration.admit(at(1_000), 10);
        assert_eq!(migration.next_timeout(), Some(at(4_000)));
        assert!(!migration.is_over(at(3_999)) && migration.is_over(at(4_000)));
        let view = migration.view(at(1_000), 10);
        assert_eq!((view.admitting, view.remaining, view.eta_seconds), (true, 0, Some(3.0)));
    }
}
