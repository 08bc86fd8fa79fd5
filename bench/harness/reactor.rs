//! `epoll` and a timer, without a task per session.

use rustix::{
    event::epoll::{self, EventData, EventFlags},
    io::Errno,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec},
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

/// What a source became.
pub(crate) struct Ready {
    /// The number it was added under.
    pub(crate) token: usize,
    /// It has bytes or an end to read, or an error.
    pub(crate) readable: bool,
    /// It takes bytes.
    pub(crate) writable: bool,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Bytes to read.
    Read,
    /// Room to write.
    Write,
    /// Either.
    Both,
}

/// One thread's `epoll`.
pub(crate) struct Reactor {
    epoll: OwnedFd,
    timer: OwnedFd,
    events: Vec<epoll::Event>,
}

const TIMER: u64 = u64::MAX;
/// Events taken at a time.
const BATCH: usize = 512;

impl Reactor {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer =
            rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // Edge-triggered: setting it again is enough, it never has to be read.
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, timer, events: Vec::with_capacity(BATCH) })
    }

    /// Watches `source` under `token`.
    pub(crate) fn add(&self, source: impl AsFd, token: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token as u64), flags(interest))?)
    }

    /// Watches it for something else.
    pub(crate) fn change(&self, source: impl AsFd, token: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, EventData::new_u64(token as u64), flags(interest))?)
    }

    /// Watches it no more.
    pub(crate) fn forget(&self, source: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, source)?)
    }

    /// Waits until something is ready or `deadline` has come, and puts what is ready into `ready`.
    pub(crate) fn wait(&mut self, deadline: Instant, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        let left = deadline.saturating_duration_since(Instant::now());
        // `epoll_wait` counts whole milliseconds; for less than that the timer is exact.
        let timeout = if left.is_zero() {
            Duration::ZERO
        } else {
            if left < Duration::from_millis(20) {
                self.arm(left)?;
            }
            left + Duration::from_millis(1)
        };
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().filter_map(|event| {
            let (token, flags) = (event.data.u64(), event.flags);
            (token != TIMER).then(|| Ready {
                token: token as usize,
                readable: flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR),
                writable: flags.contains(EventFlags::OUT),
            })
        }));
        Ok(())
    }

    fn arm(&self, left: Duration) -> io::Result<()> {
        let value = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

fn flags(interest: Interest) -> EventFlags {
    match interest {
        Interest::Read => EventFlags::IN,
        Interest::Write => EventFlags::OUT,
        Interest::Both => EventFlags::IN | EventFlags::OUT,
    }
}
