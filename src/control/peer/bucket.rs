//! A bound on requests per second.

use super::shared::lock;
use std::sync::Mutex;
use tokio::time::Instant;

/// Full at first; each request takes one out, and time puts them back.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    most: f64,
    left: Mutex<(f64, Instant)>,
}

impl Bucket {
    pub(super) fn new(per_second: u32, most: u32) -> Self {
        let most = f64::from(most);
        Self { per_second: per_second.into(), most, left: Mutex::new((most, Instant::now())) }
    }

    /// Is there one left? Then it is taken.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut left = lock(&self.left);
        let (before, since) = *left;
        let there = self.most.min(before + now.duration_since(since).as_secs_f64() * self.per_second);
        let enough = there >= 1.0;
        *left = (if enough { there - 1.0 } else { there }, now);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_let_through_and_then_only_the_rate() {
        let (bucket, start) = (Bucket::new(2, 3), Instant::now());
        assert!((0..3).all(|_| bucket.take(start)) && !bucket.take(start));
        let later = start + Duration::from_millis(500);
        assert!(bucket.take(later) && !bucket.take(later));
        let none_comes_back = Bucket::new(0, 1);
        assert!(none_comes_back.take(start) && !none_comes_back.take(start + Duration::from_secs(3600)));
    }
}
