//! `busy_poll`: after work, look for more without sleeping, for whoever prefers latency to a free core.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Keeps the worker's event loop from sleeping while work was done a short while ago.
#[derive(Debug)]
pub(super) struct Spin {
    window: Duration,
    worked: Cell<Instant>,
    asleep: Cell<bool>,
    wake: Notify,
}

impl Spin {
    /// `None` if nobody wants it.
    pub(super) fn new(window: Duration) -> Option<Self> {
        let now = Instant::now();
        (!window.is_zero()).then(|| Self {
            window,
            worked: Cell::new(now),
            asleep: Cell::new(true),
            wake: Notify::new(),
        })
    }

    /// Work was done.
    pub(super) fn worked(&self) {
        self.worked.set(Instant::now());
        if self.asleep.replace(false) {
            self.wake.notify_one();
        }
    }

    /// Never ends. Each turn of the loop makes the event loop look for news without waiting.
    pub(super) async fn spin(&self) {
        loop {
            self.wake.notified().await;
            while self.worked.get().elapsed() < self.window {
                tokio::task::yield_now().await;
            }
            self.asleep.set(true);
        }
    }
}
