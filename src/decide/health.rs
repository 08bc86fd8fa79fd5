//! One upstream's health: when its checks start, and what their results mean.
//!
//! ```text
//!             rise passes                      fall failures
//!   Unknown ───────────────▶ Up ─────────────────────────────────────▶ Down
//!      │                      ▲   refused: the next check after 5 ms     │
//!      │                      │   silent:  every fast_interval, overlapping
//!      └──── fall failures ───┼─────────────────────────────────────▶  │
//!                             └──────────── rise passes ◀───────────────┘
//! ```
//!
//! A result counts in the order in which the checks *started* ([`super::tally`]). What we could not even try counts for
//! nothing, and what came too late is forgotten: being starved must never look like the upstream's death.

use super::{
    effect::CheckId,
    input::CheckResult,
    schedule::Schedule,
    tally::{Failure, Mark, Tally},
    timers,
};
use crate::model::{Time, ports::Evidence, spec::HealthSpec, view::HealthName};
use std::time::Duration;

/// A refusal costs nothing to ask about again, so the next check follows this soon.
const AFTER_REFUSAL: Duration = Duration::from_millis(5);

/// What a result meant.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Finding {
    /// The health changed to this.
    pub(super) changed: Option<HealthName>,
    /// It passed.
    pub(super) passed: bool,
    /// It failed, and that counts.
    pub(super) failed: bool,
    /// It passed after nobody had known anything about the upstream for this long.
    pub(super) unwatched: Option<Duration>,
}

/// One upstream's health.
#[derive(Debug)]
pub(super) struct Health {
    spec: HealthSpec,
    stable_for: Duration,
    state: HealthName,
    since: Time,
    tally: Tally,
    schedule: Schedule,
    hurry: bool,
    /// Checks from this number on started after the first failure of the present run of failures.
    first_failure: Option<CheckId>,
    healthy_since: Option<Time>,
    stable: bool,
    admitted: bool,
    generation: u64,
    last_known: Option<Time>,
    last_failure: Option<CheckResult>,
    last_took: Option<Duration>,
}

impl Health {
    /// Nothing is known yet; the first check starts at once.
    pub(super) fn new(now: Time, spec: HealthSpec, stable_for: Duration, generation: u64) -> Self {
        Self {
            tally: Tally::new(spec.fall, spec.rise),
            spec,
            stable_for,
            state: HealthName::Unknown,
            since: now,
            schedule: Schedule::new(now),
            hurry: false,
            first_failure: None,
            healthy_since: None,
            stable: false,
            admitted: false,
            generation,
            last_known: None,
            last_failure: None,
            last_took: None,
        }
    }

    /// Other numbers apply from now on. What is under way was started under the old ones and is forgotten.
    pub(super) fn reconfigure(&mut self, now: Time, spec: HealthSpec, stable_for: Duration) {
        if (&self.spec, self.stable_for) == (&spec, stable_for) {
            return;
        }
        self.spec = spec;
        self.stable_for = stable_for;
        self.tally = Tally::new(self.spec.fall, self.spec.rise);
        self.first_failure = None;
        self.forget(now);
    }

    pub(super) fn state(&self) -> HealthName {
        self.state
    }

    pub(super) fn since(&self) -> Time {
        self.since
    }

    pub(super) fn is_up(&self) -> bool {
        self.state == HealthName::Up
    }

    pub(super) fn is_down(&self) -> bool {
        self.state == HealthName::Down
    }

    /// Fails its newest checks, though it may not be down yet.
    pub(super) fn is_failing(&self) -> bool {
        self.tally.failures() > 0
    }

    /// Healthy without a break since then.
    pub(super) fn healthy_since(&self) -> Option<Time> {
        self.healthy_since
    }

    /// Healthy without a break for `stable_for`.
    pub(super) fn is_stable(&self) -> bool {
        self.stable && self.is_up() && !self.is_failing()
    }

    /// Was stable once since it was last down.
    pub(super) fn is_admitted(&self) -> bool {
        self.admitted && self.is_up()
    }

    /// Its last sign of life is recent: nobody decides for an upstream on what it was a while ago.
    pub(super) fn is_fresh(&self, now: Time) -> bool {
        self.last_known.is_some_and(|known| now.since(known) <= self.blind_after())
    }

    /// Raised by every counted failure and every gap in our watching.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn last_failure(&self) -> Option<&CheckResult> {
        self.last_failure.as_ref()
    }

    pub(super) fn last_took(&self) -> Option<Duration> {
        self.last_took
    }

    /// How the newest check failed; `None` if it passed.
    pub(super) fn failure(&self) -> Option<Failure> {
        match self.tally.newest() {
            Some((_, Mark::Failed(failure))) => Some(failure),
            _ => None,
        }
    }

    /// Is `self` known to be alive *while* `lost` is not? It passed a check that started after the first failure of `lost`,
    /// and `lost` failed a check that started after that one: only so a fault of our own, which hits both, can't look
    /// like the death of one.
    pub(super) fn outlives(&self, lost: &Self) -> bool {
        let (Some(from), Some((to, Mark::Failed(_)))) = (lost.first_failure, lost.tally.newest()) else { return false };
        !self.is_failing() && self.tally.passed_between(from, to)
    }

    /// Does [`Self::outlives`] lack nothing but a newer failure of `lost`?
    pub(super) fn passed_after_loss_of(&self, lost: &Self) -> Option<CheckId> {
        let (from, (newest, mark)) = (lost.first_failure?, self.tally.newest()?);
        (mark == Mark::Passed && newest >= from).then_some(newest)
    }

    /// Is the newest result a pass, and of a check from `from` on?
    pub(super) fn passed_since(&self, from: CheckId) -> bool {
        self.tally.newest().is_some_and(|(check, mark)| mark == Mark::Passed && check >= from)
    }

    /// Is a check under way that started after `other`?
    pub(super) fn checks_since(&self, other: CheckId) -> bool {
        self.schedule.checks_since(other)
    }

    /// Check every `fast_interval` while somebody waits for an answer.
    pub(super) fn set_hurry(&mut self, now: Time, hurry: bool) {
        if hurry && !self.hurry {
            self.schedule.pull_to_pace(now, self.spec.fast_interval);
        }
        self.hurry = hurry;
    }

    /// Start a check now, whatever the schedule says.
    pub(super) fn check_now(&mut self, now: Time) {
        self.schedule.pull(now, now);
    }

    /// Starts the check that is due, if one is.
    pub(super) fn start_due(&mut self, now: Time, next: &mut u64) -> Option<CheckId> {
        let pace = if self.is_unsettled() { self.spec.fast_interval } else { self.spec.interval };
        self.schedule.start(now, next, pace)
    }

    /// A check ended. `next` is the number the next check will get; `deaf` means failures count for nothing now. `None`: not
    /// one of ours, or forgotten.
    pub(super) fn done(
        &mut self,
        now: Time,
        check: CheckId,
        result: CheckResult,
        next: CheckId,
        deaf: bool,
    ) -> Option<Finding> {
        let started = self.schedule.end(check)?;
        let mut finding = Finding::default();
        let failure = match &result {
            CheckResult::Passed { took } => {
                self.passed(now, check, started, *took, &mut finding);
                None
            }
            CheckResult::Refused => Some(Failure::Refused),
            CheckResult::TimedOut => Some(Failure::Silent),
            CheckResult::Wrong(_) => Some(Failure::Wrong),
            CheckResult::Local(_) | CheckResult::Unresolved(_) => {
                self.last_failure = Some(result.clone());
                if !self.hurry {
                    self.schedule.put_off(started + self.spec.interval);
                }
                None
            }
        };
        if let Some(failure) = failure.filter(|_| !deaf) {
            self.last_failure = Some(result);
            self.failed(now, check, failure, next);
            finding.failed = true;
        }
        finding.changed = self.turn(now);
        self.reschedule(now, failure);
        Some(finding)
    }

    /// Something was seen that makes a check worth while.
    pub(super) fn evidence(&mut self, now: Time, evidence: Evidence) {
        self.schedule.evidence(now, evidence, self.spec.fast_interval, self.is_down());
    }

    /// Is a result so late that whoever brings it must have been starved?
    pub(super) fn is_overdue(&self, now: Time) -> bool {
        self.overdue_at().is_some_and(|at| now >= at)
    }

    /// We were starved: what is under way, and silence that may have been our own, is forgotten; checks start anew.
    pub(super) fn forget(&mut self, now: Time) {
        self.schedule.forget(now);
        if !self.is_down() {
            self.tally.forget_silence();
            if self.tally.failures() == 0 {
                self.first_failure = None;
            }
        }
    }

    /// Nobody watched for too long: the upstream may have died and come back unseen.
    pub(super) fn gap(&mut self, now: Time) {
        self.forget(now);
        self.generation += 1;
        self.healthy_since = None;
        self.stable = false;
        self.last_known = Some(now);
    }

    /// Its addresses may be another machine's, of which nothing is known before its checks tell.
    pub(super) fn moved(&mut self, now: Time) {
        self.gap(now);
        self.check_now(now);
    }

    /// It has the place of a server that had this generation; nothing that was bound to that one may hold for it.
    pub(super) fn outgrow(&mut self, generation: u64) {
        self.generation = self.generation.max(generation) + 1;
    }

    /// Takes note of the time: what was healthy for `stable_for` is stable now.
    pub(super) fn refresh(&mut self, now: Time) {
        self.stable = self.is_up() && self.stable_at().is_some_and(|at| now >= at);
        self.admitted = self.is_up() && (self.admitted || self.stable);
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        let check = self.schedule.next_timeout();
        let stable = self.stable_at().filter(|_| self.is_up() && !self.stable);
        timers::earliest([check, self.overdue_at(), stable])
    }

    fn passed(&mut self, now: Time, check: CheckId, started: Time, took: Duration, finding: &mut Finding) {
        finding.passed = true;
        self.last_took = Some(took);
        let blind = self.last_known.map_or(Duration::ZERO, |known| started.since(known));
        if blind > self.blind_after() {
            self.generation += 1;
            self.healthy_since = None;
            finding.unwatched = Some(blind);
        }
        self.last_known = self.last_known.max(Some(started));
        self.tally.add(check, Mark::Passed);
        if self.tally.failures() == 0 {
            self.first_failure = None;
            self.last_failure = None;
            self.healthy_since.get_or_insert(now);
        }
    }

    fn failed(&mut self, now: Time, check: CheckId, failure: Failure, next: CheckId) {
        self.generation += 1;
        self.healthy_since = None;
        self.last_known = Some(now);
        self.tally.add(check, Mark::Failed(failure));
        if self.tally.failures() > 0 {
            self.first_failure.get_or_insert(next);
        }
    }

    fn turn(&mut self, now: Time) -> Option<HealthName> {
        let to = if self.tally.failures() >= self.spec.fall {
            HealthName::Down
        } else if self.tally.passes() >= self.spec.rise {
            HealthName::Up
        } else {
            self.state
        };
        if to == self.state {
            return None;
        }
        (self.state, self.since) = (to, now);
        self.refresh(now);
        Some(to)
    }

    fn reschedule(&mut self, now: Time, failure: Option<Failure>) {
        if failure == Some(Failure::Refused) && !self.is_down() {
            self.schedule.pull(now, now + AFTER_REFUSAL);
        } else if self.is_unsettled() {
            self.schedule.pull_to_pace(now, self.spec.fast_interval);
        }
    }

    /// The next results may change the state.
    fn is_unsettled(&self) -> bool {
        let turning = match self.state {
            HealthName::Unknown => true,
            HealthName::Up => self.tally.failures() > 0,
            HealthName::Down => self.tally.passes() > 0,
        };
        self.hurry || turning
    }

    fn blind_after(&self) -> Duration {
        timers::gap(&self.spec) + self.spec.timeout
    }

    fn stable_at(&self) -> Option<Time> {
        self.healthy_since.map(|since| since + self.stable_for)
    }

    fn overdue_at(&self) -> Option<Time> {
        self.schedule.overdue_at(self.spec.timeout + timers::slack(&self.spec))
    }
}
