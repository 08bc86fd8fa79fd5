//! Open loop: when each operation is due, whether or not the one before it has been answered.

use std::time::{Duration, Instant};

/// Operations at a steady rate, dealt out to `lanes` in turn. Latency counts from the due time, so that a stall is felt
/// by every operation that was due meanwhile, not only by the one that was under way (no coordinated omission).
pub(crate) struct Pace {
    start: Instant,
    seconds_each: f64,
    lanes: u64,
    next: u64,
}

impl Pace {
    /// `rate` operations per second from `start` on.
    pub(crate) fn new(start: Instant, rate: f64, lanes: usize) -> Self {
        Self { start, seconds_each: 1.0 / rate, lanes: lanes as u64, next: 0 }
    }

    /// The lane of the next operation that is due at `now`, if one is.
    pub(crate) fn due(&mut self, now: Instant) -> Option<usize> {
        (self.next_due() <= now).then(|| {
            let lane = self.next % self.lanes;
            self.next += 1;
            lane as usize
        })
    }

    /// When the next one is due.
    pub(crate) fn next_due(&self) -> Instant {
        self.at(self.next)
    }

    /// When the `nth` operation of `lane` was due.
    pub(crate) fn due_time(&self, lane: usize, nth: u64) -> Instant {
        self.at(nth * self.lanes + lane as u64)
    }

    fn at(&self, nth: u64) -> Instant {
        self.start + Duration::from_secs_f64(nth as f64 * self.seconds_each)
    }
}
