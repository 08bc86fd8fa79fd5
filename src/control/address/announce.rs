//! When the address is announced: several times at first, because a frame may be lost, and because a host that learnt another
//! owner a moment ago ignores news for a second (Linux, `neigh/*/locktime`); then every minute, for those that were cut off.

use crate::net::{
    neighbour::{Mac, announcements},
    packet::Wire,
};
use std::{io, net::IpAddr, time::Duration};
use tokio::time::Instant;

/// From one announcement to the next after it was taken.
const BURST: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(800), Duration::from_millis(1600)];
/// Afterwards. keepalived's users do this by configuration, once caches were found stale.
const REFRESH: Duration = Duration::from_secs(60);

/// The next announcement.
#[derive(Debug)]
pub(super) struct Schedule {
    said: usize,
    next: Instant,
}

impl Schedule {
    /// A burst from now on.
    pub(super) fn burst() -> Self {
        Self { said: 0, next: Instant::now() }
    }

    /// When to say it next.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// It was said (or could not be).
    pub(super) fn said(&mut self) {
        self.next = Instant::now() + BURST.get(self.said).copied().unwrap_or(REFRESH);
        self.said = self.said.saturating_add(1);
    }
}

/// Tells the link that `mac` has `address`.
pub(super) fn announce(wire: &Wire, address: IpAddr, mac: Mac) -> io::Result<()> {
    announcements(address, mac).iter().try_for_each(|frame| wire.send(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_announcements_within_seconds_and_then_one_a_minute() {
        let start = Instant::now();
        let mut schedule = Schedule::burst();
        let mut said = 0;
        while schedule.next() < start + Duration::from_secs(30) {
            schedule.said();
            said += 1;
        }
        assert_eq!(said, 5);
        assert!(schedule.next() >= start + REFRESH);
    }
}
