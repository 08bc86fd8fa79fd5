//! Events: everything that changed and why, kept in a bounded ring, streamed to whoever listens, written to the journal.

use crate::model::view::EventView;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::broadcast;

/// How many events are kept in memory.
pub const KEPT: usize = 2_000;

/// The node's recent events. Cloning it gives another handle on the same ring.
#[derive(Debug, Clone)]
pub struct EventLog {
    ring: Arc<Mutex<VecDeque<EventView>>>,
    news: broadcast::Sender<EventView>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self { ring: Arc::default(), news: broadcast::channel(256).0 }
    }
}

impl EventLog {
    /// Adds an event; the oldest is forgotten when [`KEPT`] are there.
    pub fn push(&self, event: EventView) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() == KEPT {
            ring.pop_front();
        }
        ring.push_back(event.clone());
        // Sent under the lock, so that a subscriber sees each event either in the ring or as news, and in order.
        let _nobody_listens = self.news.send(event);
    }

    /// The events after `seq` (0 = all that are kept), and the ones to come.
    pub fn follow(&self, seq: u64) -> (Vec<EventView>, broadcast::Receiver<EventView>) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        (ring.iter().filter(|event| event.seq > seq).cloned().collect(), self.news.subscribe())
    }

    /// The number of the newest event; 0 if there was none.
    pub fn newest(&self) -> u64 {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).back().map_or(0, |event| event.seq)
    }

    /// The events after `seq` (0 = all that are kept).
    pub fn since(&self, seq: u64) -> Vec<EventView> {
        self.follow(seq).0
    }
}
