//! Where time comes from: the boot-time clock, which goes on while the machine is suspended, so that a gap is noticed.

use crate::model::Time;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};

/// Turns the kernel's clocks into [`Time`], wall time and timers.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Boot time at the start of the count.
    start: Duration,
}

impl Clock {
    /// A clock that counts from now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: boot_time() }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_start(boot_time().saturating_sub(self.start))
    }

    /// The point of tokio's clock at which it will be `time`; now, if that is over.
    #[must_use]
    pub fn timer(&self, time: Time) -> tokio::time::Instant {
        tokio::time::Instant::now() + time.since(self.now())
    }

    /// The wall time it was at `time`, by today's setting of the wall clock (RFC 3339, UTC, milliseconds).
    #[must_use]
    pub fn wall(&self, time: Time) -> String {
        rfc3339(SystemTime::now().checked_sub(self.now().since(time)).unwrap_or(SystemTime::UNIX_EPOCH))
    }
}

/// The wall time now (RFC 3339, UTC, milliseconds).
#[must_use]
pub fn wall_now() -> String {
    rfc3339(SystemTime::now())
}

fn rfc3339(time: SystemTime) -> String {
    // A wall clock that was set back to its beginning has no words for what was before.
    humantime::format_rfc3339_millis(time.max(SystemTime::UNIX_EPOCH)).to_string()
}

/// Time since the machine started, whether it was awake or suspended.
pub(in crate::control) fn boot_time() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_1970_is_said_as_1970() {
        assert_eq!(rfc3339(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
    }
}
