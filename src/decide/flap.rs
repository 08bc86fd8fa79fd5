//! The flap budget: more than so many failovers in a window latch the pair on its backup.

use crate::model::{Time, spec::FlapSpec};
use std::collections::VecDeque;

/// The recent failovers. Never remembers more than the budget allows.
#[derive(Debug, Default)]
pub(super) struct Flap {
    failovers: VecDeque<Time>,
}

impl Flap {
    /// How many failovers the window holds if one happens now, that one included.
    pub(super) fn counting_one_now(&self, now: Time, spec: FlapSpec) -> u32 {
        let recent = self.failovers.iter().filter(|&&at| now.since(at) < spec.window).count();
        u32::try_from(recent).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// A failover happened.
    pub(super) fn happened(&mut self, now: Time, spec: FlapSpec) {
        self.failovers.push_back(now);
        // The budget itself is all that is ever asked for: more than that is latched anyway.
        while self.failovers.len() > spec.failovers.max(1) as usize {
            self.failovers.pop_front();
        }
    }

    /// An operator started the count anew (`switch --auto`).
    pub(super) fn clear(&mut self) {
        self.failovers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_failovers_within_the_window_count() {
        let spec = FlapSpec { failovers: 3, window: Duration::from_secs(60) };
        let at = |seconds| Time::from_start(Duration::from_secs(seconds));
        let mut flap = Flap::default();
        for second in [100, 110, 120] {
            flap.happened(at(second), spec);
        }
        assert_eq!(flap.counting_one_now(at(130), spec), 4);
        assert_eq!(flap.counting_one_now(at(165), spec), 3, "the one at 100 s is out of the window");
        assert_eq!(flap.counting_one_now(at(500), spec), 1);
        flap.clear();
        assert_eq!(flap.counting_one_now(at(130), spec), 1);
    }

    #[test]
    fn it_remembers_no_more_than_the_budget() {
        let spec = FlapSpec { failovers: 3, window: Duration::from_secs(3600) };
        let mut flap = Flap::default();
        for second in 0..100 {
            flap.happened(Time::from_start(Duration::from_secs(second)), spec);
        }
        assert_eq!(flap.failovers.len(), 3);
    }
}
