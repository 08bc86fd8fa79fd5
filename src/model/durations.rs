//! How long things took, counted in fixed buckets: cheap enough to write on every connection, and a histogram for who reads.

use super::stats::Counter;
use std::time::Duration;

/// Upper bounds of the buckets in microseconds, from half a millisecond to ten seconds: a dial in the same rack falls into
/// the first ones, one that had to repeat its SYN into the last.
pub const BOUNDS_MICROS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// Durations in buckets. One writer, as [`Counter`]; anybody may read.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [Counter; BOUNDS_MICROS.len() + 1],
    sum_micros: Counter,
}

impl Durations {
    /// Counts one. Only the owning task may.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[BOUNDS_MICROS.partition_point(|bound| *bound < micros)].add(1);
        self.sum_micros.add(micros);
    }

    /// What was counted so far.
    #[must_use]
    pub fn snapshot(&self) -> DurationsSnapshot {
        let mut taken = DurationsSnapshot { sum_micros: self.sum_micros.get(), ..Default::default() };
        for (to, bucket) in taken.buckets.iter_mut().zip(&self.buckets) {
            *to = bucket.get();
        }
        taken
    }
}

/// The counts of one or several [`Durations`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DurationsSnapshot {
    /// Per bucket (not cumulative); the last one has no upper bound.
    pub buckets: [u64; BOUNDS_MICROS.len() + 1],
    /// All durations together.
    pub sum_micros: u64,
}

impl DurationsSnapshot {
    /// Adds another writer's counts.
    pub fn merge(&mut self, other: &Self) {
        for (to, from) in self.buckets.iter_mut().zip(&other.buckets) {
            *to += from;
        }
        self.sum_micros += other.sum_micros;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket_and_ten_seconds_are_not_the_end() {
        let taken = Durations::default();
        taken.record(Duration::from_micros(500));
        taken.record(Duration::from_micros(501));
        taken.record(Duration::from_secs(11));
        let seen = taken.snapshot();
        assert_eq!((seen.buckets[0], seen.buckets[1], seen.buckets[BOUNDS_MICROS.len()]), (1, 1, 1));
        assert_eq!(seen.sum_micros, 11_001_001);
    }
}
