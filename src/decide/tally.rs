//! The newest results of one upstream's checks, in the order in which the checks *started*.
//!
//! Overlapping checks end out of order: a check that started first may time out after a later one passed. Sorting by
//! start makes counting honest: a pass outweighs every failure of a check that started before it, and the other way round.

use super::effect::CheckId;
use std::collections::VecDeque;

/// How a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Hard evidence: the process is gone.
    Refused,
    /// No answer. The only failure that a starved proxy can make up.
    Silent,
    /// A wrong answer.
    Wrong,
}

/// What a check said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Passed,
    Failed(Failure),
}

/// A bounded, sorted memory of marks.
#[derive(Debug)]
pub(super) struct Tally {
    marks: VecDeque<(CheckId, Mark)>,
    keep: usize,
}

impl Tally {
    /// Remembers at least so many marks as `fall` and `rise` ask for.
    pub(super) fn new(fall: u32, rise: u32) -> Self {
        Self { marks: VecDeque::new(), keep: fall.max(rise).max(8) as usize }
    }

    pub(super) fn add(&mut self, check: CheckId, mark: Mark) {
        let place = self.marks.partition_point(|(other, _)| *other < check);
        self.marks.insert(place, (check, mark));
        while self.marks.len() > self.keep {
            self.marks.pop_front();
        }
    }

    /// The mark of the check that started last.
    pub(super) fn newest(&self) -> Option<(CheckId, Mark)> {
        self.marks.back().copied()
    }

    /// How many of the newest marks, without a break, are passes.
    pub(super) fn passes(&self) -> u32 {
        self.run(|mark| mark == Mark::Passed)
    }

    /// How many of the newest marks, without a break, are failures.
    pub(super) fn failures(&self) -> u32 {
        self.run(|mark| mark != Mark::Passed)
    }

    /// Did a check pass that started at `from` or later, but before `to`?
    pub(super) fn passed_between(&self, from: CheckId, to: CheckId) -> bool {
        self.marks.iter().any(|(check, mark)| *mark == Mark::Passed && (from..to).contains(check))
    }

    /// Forgets what may have been our own doing.
    pub(super) fn forget_silence(&mut self) {
        self.marks.retain(|(_, mark)| *mark != Mark::Failed(Failure::Silent));
    }

    fn run(&self, wanted: impl Fn(Mark) -> bool) -> u32 {
        let run = self.marks.iter().rev().take_while(|(_, mark)| wanted(*mark)).count();
        u32::try_from(run).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: Mark = Mark::Passed;
    const SILENT: Mark = Mark::Failed(Failure::Silent);
    const REFUSED: Mark = Mark::Failed(Failure::Refused);

    fn tally(marks: &[(u64, Mark)]) -> Tally {
        let mut tally = Tally::new(3, 2);
        for (check, mark) in marks {
            tally.add(CheckId(*check), *mark);
        }
        tally
    }

    #[test]
    fn a_pass_outweighs_failures_of_checks_that_started_before_it() {
        // Input: checks 1 and 3 time out, then 2 is found to have passed, out of order. Output: one failure in a row.
        let tally = tally(&[(1, SILENT), (3, SILENT), (2, PASSED)]);
        assert_eq!((tally.failures(), tally.passes()), (1, 0));
    }

    #[test]
    fn a_late_failure_of_an_older_check_does_not_break_a_run_of_passes() {
        let tally = tally(&[(2, PASSED), (3, PASSED), (1, SILENT)]);
        assert_eq!((tally.failures(), tally.passes()), (0, 2));
    }

    #[test]
    fn silence_is_forgotten_and_refusals_are_kept() {
        let mut tally = tally(&[(1, PASSED), (2, REFUSED), (3, SILENT), (4, SILENT)]);
        tally.forget_silence();
        assert_eq!(tally.failures(), 1);
        assert_eq!(tally.newest(), Some((CheckId(2), REFUSED)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut tally = Tally::new(3, 2);
        for check in 0..1000 {
            tally.add(CheckId(check), PASSED);
        }
        assert_eq!(tally.marks.len(), 8);
    }
}
