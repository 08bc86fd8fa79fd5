//! When one upstream's checks start. They may overlap; how many are under way is bounded.

use super::effect::CheckId;
use crate::model::{Time, ports::Evidence};
use std::time::Duration;

/// Checks that may be under way at once.
const MAX_OUTSTANDING: usize = 16;
/// Evidence starts checks no closer together than this.
const BETWEEN_EVIDENCE: Duration = Duration::from_millis(10);
/// Ends by FIN this close together are more than a server hanging up on one client.
const ENDS_TOGETHER: Duration = Duration::from_millis(100);
/// Checks at once that evidence may start in a burst; then one per `fast_interval`, as a server that always ends its
/// sessions itself must not be checked a hundred times a second.
const EVIDENCE_BURST: u32 = 10;

/// When the next check starts, and which are under way.
#[derive(Debug)]
pub(super) struct Schedule {
    outstanding: Vec<(CheckId, Time)>,
    next_at: Time,
    last_start: Option<Time>,
    last_end: Option<Time>,
    evidence_left: u32,
    evidence_at: Time,
}

impl Schedule {
    /// The first check starts at once.
    pub(super) fn new(now: Time) -> Self {
        Self {
            outstanding: Vec::new(),
            next_at: now,
            last_start: None,
            last_end: None,
            evidence_left: EVIDENCE_BURST,
            evidence_at: now,
        }
    }

    /// Starts the check that is due, if one is; the one after it follows `pace` later.
    pub(super) fn start(&mut self, now: Time, next: &mut u64, pace: Duration) -> Option<CheckId> {
        if now < self.next_at || self.outstanding.len() >= MAX_OUTSTANDING {
            return None;
        }
        let check = CheckId(*next);
        *next += 1;
        self.outstanding.push((check, now));
        self.last_start = Some(now);
        self.next_at = now + pace.max(Duration::from_millis(1));
        Some(check)
    }

    /// The check ended; when did it start? `None`: not one of ours, or forgotten.
    pub(super) fn end(&mut self, check: CheckId) -> Option<Time> {
        let place = self.outstanding.iter().position(|(other, _)| *other == check)?;
        Some(self.outstanding.remove(place).1)
    }

    /// Is a check under way that started after `other`?
    pub(super) fn checks_since(&self, other: CheckId) -> bool {
        self.outstanding.iter().any(|(check, _)| *check > other)
    }

    /// Moves the next check forward, never back, never into the past.
    pub(super) fn pull(&mut self, now: Time, at: Time) {
        self.next_at = self.next_at.min(at.max(now));
    }

    /// Moves the next check forward to `span` after the start of the last.
    pub(super) fn pull_to_pace(&mut self, now: Time, span: Duration) {
        self.pull(now, self.last_start.map_or(now, |start| start + span));
    }

    /// Moves the next check back.
    pub(super) fn put_off(&mut self, until: Time) {
        self.next_at = self.next_at.max(until);
    }

    /// Something was seen that makes a check worth while. An end by FIN alone is no hurry: it starts one check per `fast`,
    /// put off, never dropped.
    pub(super) fn evidence(&mut self, now: Time, evidence: Evidence, fast: Duration, down: bool) {
        let earned = now.since(self.evidence_at).as_nanos() / fast.as_nanos().max(1);
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.evidence_left = self.evidence_left.saturating_add(earned).min(EVIDENCE_BURST);
            self.evidence_at = now;
        }
        let together = self.last_end.is_some_and(|end| now.since(end) <= ENDS_TOGETHER);
        if evidence == Evidence::Ended {
            self.last_end = Some(now);
        }
        let urgent = (evidence != Evidence::Ended || together) && !down && self.evidence_left > 0;
        let apart = if urgent { BETWEEN_EVIDENCE } else { fast };
        let at = self.last_start.map_or(now, |start| start + apart).max(now);
        if at < self.next_at {
            self.evidence_left -= u32::from(urgent);
            self.next_at = at;
        }
    }

    /// Forgets what is under way; results that still come are ignored.
    pub(super) fn forget(&mut self, now: Time) {
        self.outstanding.clear();
        self.next_at = self.next_at.min(now);
    }

    /// When the oldest check is overdue, each having `patience`.
    pub(super) fn overdue_at(&self, patience: Duration) -> Option<Time> {
        self.outstanding.first().map(|(_, started)| *started + patience)
    }

    /// When the next check starts; `None` while too many are under way.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        (self.outstanding.len() < MAX_OUTSTANDING).then_some(self.next_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(200);
    const INTERVAL: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Time {
        Time::from_start(Duration::from_millis(millis))
    }

    /// A schedule whose last check started at 0, so that the next one is due at 1,000 ms.
    fn checked_at_zero() -> Schedule {
        let (mut schedule, mut next) = (Schedule::new(at(0)), 0);
        assert_eq!(schedule.start(at(0), &mut next, INTERVAL), Some(CheckId(0)));
        schedule
    }

    #[test]
    fn one_end_by_fin_is_put_off_not_dropped() {
        let mut schedule = checked_at_zero();
        schedule.evidence(at(50), Evidence::Ended, FAST, false);
        assert_eq!(schedule.next_timeout(), Some(at(200)));
    }

    #[test]
    fn two_ends_by_fin_together_start_a_check_at_once() {
        let mut schedule = checked_at_zero();
        schedule.evidence(at(50), Evidence::Ended, FAST, false);
        schedule.evidence(at(60), Evidence::Ended, FAST, false);
        assert_eq!(schedule.next_timeout(), Some(at(60)));
    }

    #[test]
    fn two_ends_by_fin_far_apart_are_two_single_ones() {
        let mut schedule = checked_at_zero();
        schedule.evidence(at(50), Evidence::Ended, FAST, false);
        schedule.evidence(at(160), Evidence::Ended, FAST, false);
        assert_eq!(schedule.next_timeout(), Some(at(200)));
    }

    #[test]
    fn a_failed_dial_starts_a_check_at_once_but_no_closer_than_ten_milliseconds() {
        let mut schedule = checked_at_zero();
        schedule.evidence(at(3), Evidence::DialRefused, FAST, false);
        assert_eq!(schedule.next_timeout(), Some(at(10)));
        let mut schedule = checked_at_zero();
        schedule.evidence(at(30), Evidence::Reset, FAST, false);
        assert_eq!(schedule.next_timeout(), Some(at(30)));
    }

    #[test]
    fn a_server_that_always_hangs_up_first_is_not_checked_a_hundred_times_a_second() {
        // Input: 10 s of ends by FIN, one each millisecond. Output: ten checks a second at most.
        let (mut schedule, mut next) = (Schedule::new(at(0)), 0);
        for millis in 0..10_000 {
            schedule.evidence(at(millis), Evidence::Ended, FAST, false);
            if let Some(check) = schedule.start(at(millis), &mut next, INTERVAL) {
                schedule.end(check);
            }
        }
        assert!((50..=115).contains(&next), "{next} checks");
    }

    #[test]
    fn evidence_about_a_server_that_is_down_is_no_hurry() {
        let mut schedule = checked_at_zero();
        schedule.evidence(at(50), Evidence::DialRefused, FAST, true);
        assert_eq!(schedule.next_timeout(), Some(at(200)));
    }

    #[test]
    fn checks_under_way_are_bounded() {
        let (mut schedule, mut next) = (Schedule::new(at(0)), 0);
        for millis in 0..1000 {
            schedule.pull(at(millis), at(millis));
            schedule.start(at(millis), &mut next, FAST);
        }
        assert_eq!(schedule.outstanding.len(), MAX_OUTSTANDING);
        assert_eq!(schedule.next_timeout(), None);
        schedule.end(CheckId(0));
        assert!(schedule.next_timeout().is_some());
    }
}
