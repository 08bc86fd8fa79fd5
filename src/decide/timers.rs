//! Small things about time: the earliest of several deadlines, what counts as late, and seeded jitter.

use crate::model::{Time, spec::HealthSpec};
use std::time::Duration;

/// The earliest of the deadlines that are set.
pub(super) fn earliest(deadlines: impl IntoIterator<Item = Option<Time>>) -> Option<Time> {
    deadlines.into_iter().flatten().min()
}

/// How much later than asked for a timer or a result may come before it means that *we* were starved.
pub(super) fn slack(health: &HealthSpec) -> Duration {
    Duration::from_millis(100).max(health.timeout / 4)
}

/// Not watching an upstream for longer than this is a gap: it may have died and come back unseen.
pub(super) fn gap(health: &HealthSpec) -> Duration {
    Duration::from_secs(2).max(health.interval * 2)
}

/// A repeatable source of jitter (splitmix64).
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Something between half of `span` and one and a half of it, `span` on average.
    pub(super) fn spread(&mut self, span: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let thousandths = 500 + u32::try_from(mixed % 1001).unwrap_or(0);
        span.saturating_mul(thousandths) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_bounds_and_is_the_same_for_the_same_seed() {
        let span = Duration::from_millis(100);
        let draw = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..500).map(|_| jitter.spread(span)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|drawn| (span / 2..=span * 3 / 2).contains(drawn)));
        let mean = draw(7).iter().sum::<Duration>() / 500;
        assert!(mean > span * 95 / 100 && mean < span * 105 / 100, "the mean is {mean:?}");
    }
}
