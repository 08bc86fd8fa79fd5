//! What one recipient is still to be told, in order: gathered for a moment, so that a storm is one message; tried again with
//! growing pauses until it is taken or a day old.

use crate::model::alert::{Alert, Phase};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// Alerts that wait for one recipient at most; the oldest are dropped, counted, and missed by number in what is sent next.
const MOST: usize = 500;
/// Alerts in one message at most.
const IN_ONE: usize = 50;
/// Seconds after which an alert is no news any more.
const GIVEN_UP_AFTER: u64 = 86_400;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// What was refused for good is likely refused again: somebody must mend something first.
const LONGEST_AFTER_REFUSAL: Duration = Duration::from_secs(1_800);

/// One alert on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    /// Unique on this node, over restarts too: a message that was taken without our knowing is sent again.
    pub(super) id: u64,
    pub(super) phase: Phase,
    pub(super) repeats: u32,
    /// Seconds since 1970.
    pub(super) queued: u64,
    pub(super) alert: Alert,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// In words, without any secret.
    pub(super) words: String,
    /// The receiver answered, and does not want it as it is.
    pub(super) refused: bool,
}

/// One recipient's.
#[derive(Debug)]
pub(super) struct Outbox {
    items: VecDeque<Item>,
    /// So many of the first are the message being tried. It stays the same until it is taken.
    batch: usize,
    sending: bool,
    tries: u32,
    not_before: Instant,
    /// When the last messages were taken.
    taken: VecDeque<Instant>,
    /// Dropped since the last message that was taken.
    lost: u64,
    /// As many of them the message being tried tells of.
    admitted: u64,
    trouble: Option<Failure>,
}

impl Outbox {
    /// With what waited before a restart.
    pub(super) fn new(items: Vec<Item>, now: Instant) -> Self {
        Self {
            items: items.into(),
            batch: 0,
            sending: false,
            tries: 0,
            not_before: now,
            taken: VecDeque::new(),
            lost: 0,
            admitted: 0,
            trouble: None,
        }
    }

    /// One more; how many were dropped for it.
    pub(super) fn push(&mut self, item: Item, now: Instant) -> u64 {
        if self.items.is_empty() {
            self.not_before = self.not_before.max(now + self.gather(now));
        }
        self.items.push_back(item);
        if self.items.len() <= MOST {
            return 0;
        }
        // The message being tried stays whole.
        self.items.remove(self.batch);
        self.lost += 1;
        1
    }

    /// When there is something to do next.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.items.is_empty() && !self.sending).then_some(self.not_before)
    }

    /// The next message, and how many alerts were dropped before it.
    pub(super) fn next(&mut self) -> (Vec<Item>, u64) {
        self.sending = true;
        if self.batch == 0 {
            (self.batch, self.admitted) = (self.items.len().min(IN_ONE), self.lost);
        }
        (self.items.iter().take(self.batch).cloned().collect(), self.admitted)
    }

    /// The message was taken; how many alerts it had.
    pub(super) fn taken(&mut self, now: Instant) -> u64 {
        let count = self.items.drain(..self.batch.min(self.items.len())).count();
        self.lost = self.lost.saturating_sub(self.admitted);
        (self.batch, self.sending, self.tries, self.trouble) = (0, false, 0, None);
        self.taken.push_back(now);
        self.not_before = now + self.gather(now);
        count as u64
    }

    /// The message was not taken. `chance` is between 0 and 1: those who failed together do not come back together.
    pub(super) fn failed(&mut self, failure: Failure, now: Instant, chance: f64) {
        let longest = if failure.refused { LONGEST_AFTER_REFUSAL } else { LONGEST_PAUSE };
        let pause = FIRST_PAUSE.saturating_mul(1 << self.tries.min(20)).min(longest);
        self.not_before = now + pause.mul_f64(0.75 + chance / 2.0);
        (self.sending, self.tries, self.trouble) = (false, self.tries + 1, Some(failure));
    }

    /// Drops what is a day old; how many.
    pub(super) fn give_up(&mut self, seconds: u64) -> u64 {
        if self.sending {
            return 0;
        }
        let old = self.items.iter().take_while(|item| seconds.saturating_sub(item.queued) >= GIVEN_UP_AFTER).count();
        if old > 0 {
            drop(self.items.drain(..old));
            (self.batch, self.lost) = (0, self.lost + old as u64);
        }
        old as u64
    }

    /// The wall clock was set and shows `seconds` now: what waits is no older for it.
    pub(super) fn clock_set(&mut self, by: i64, seconds: u64) {
        for item in &mut self.items {
            item.queued = item.queued.saturating_add_signed(by).min(seconds);
        }
    }

    /// What waits.
    pub(super) fn items(&self) -> impl ExactSizeIterator<Item = &Item> {
        self.items.iter()
    }

    /// Why the last try failed, while none has been taken since.
    pub(super) fn trouble(&self) -> Option<&Failure> {
        self.trouble.as_ref()
    }

    /// How long alerts are gathered: a moment, and longer the more messages there were lately.
    fn gather(&mut self, now: Instant) -> Duration {
        while self.taken.front().is_some_and(|then| now.duration_since(*then) > Duration::from_secs(600)) {
            self.taken.pop_front();
        }
        match self.taken.len() {
            0..6 => Duration::from_secs(2),
            6..12 => Duration::from_secs(30),
            _ => Duration::from_secs(300),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::alerts::tests::alert;

    fn item(id: u64) -> Item {
        Item { id, phase: Phase::Happened, repeats: 0, queued: 1_000, alert: alert("AGG_V") }
    }

    fn ids(message: &[Item]) -> Vec<u64> {
        message.iter().map(|item| item.id).collect()
    }

    fn refused() -> Failure {
        Failure { words: "no".into(), refused: false }
    }

    #[tokio::test]
    async fn a_storm_is_one_message_and_what_follows_the_next() {
        let now = Instant::now();
        let mut outbox = Outbox::new(vec![], now);
        assert_eq!(outbox.due(), None);
        outbox.push(item(1), now);
        outbox.push(item(2), now + Duration::from_secs(1));
        assert_eq!(outbox.due(), Some(now + Duration::from_secs(2)));
        assert_eq!(ids(&outbox.next().0), [1, 2]);
        outbox.push(item(3), now);
        assert_eq!(outbox.due(), None, "one message at a time");
        outbox.failed(refused(), now, 0.5);
        assert_eq!(ids(&outbox.next().0), [1, 2], "the same message again");
        assert_eq!(outbox.taken(now), 2);
        assert_eq!(ids(&outbox.next().0), [3]);
    }

    #[tokio::test]
    async fn pauses_grow_and_have_an_end() {
        let now = Instant::now();
        let mut outbox = Outbox::new(vec![item(1)], now);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            outbox.next();
            outbox.failed(refused(), now, 0.5);
            pauses.push((outbox.due().unwrap() - now).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(outbox.give_up(1_000 + GIVEN_UP_AFTER - 1), 0);
        assert_eq!(outbox.give_up(1_000 + GIVEN_UP_AFTER), 1);
        assert_eq!(outbox.due(), None);
    }

    #[tokio::test]
    async fn a_clock_that_is_set_makes_nothing_older() {
        let mut outbox = Outbox::new(vec![item(1)], Instant::now());
        let (years, day) = (1_800_000_000, GIVEN_UP_AFTER);
        outbox.clock_set(years, 1_010 + years.cast_unsigned());
        assert_eq!(outbox.give_up(1_010 + years.cast_unsigned()), 0);
        assert_eq!(outbox.give_up(999 + years.cast_unsigned() + day), 0);
        outbox.clock_set(-years, 1_020);
        assert_eq!(outbox.items().next().unwrap().queued, 1_000);
        // Kept by a process whose clock was right, read by one whose clock was not yet.
        outbox.clock_set(years, 5_000);
        assert_eq!(outbox.give_up(5_000 + day), 1);
    }

    #[tokio::test]
    async fn too_many_cost_the_oldest_and_never_the_message_being_tried() {
        let now = Instant::now();
        let mut outbox = Outbox::new(vec![item(1)], now);
        assert_eq!(ids(&outbox.next().0), [1]);
        let dropped: u64 = (2..=502).map(|id| outbox.push(item(id), now)).sum();
        assert_eq!((dropped, outbox.items().len()), (2, MOST));
        outbox.taken(now);
        let (message, lost) = outbox.next();
        assert_eq!((message[0].id, message.len(), lost), (4, IN_ONE, 2));
    }

    #[tokio::test]
    async fn the_more_there_is_the_longer_it_is_gathered() {
        let now = Instant::now();
        let mut outbox = Outbox::new(vec![], now);
        let mut gathered = Vec::new();
        for id in 0..14 {
            outbox.push(item(id), now);
            gathered.push((outbox.due().unwrap() - now).as_secs());
            outbox.next();
            outbox.taken(now);
        }
        assert_eq!(gathered, [2, 2, 2, 2, 2, 2, 30, 30, 30, 30, 30, 30, 300, 300]);
    }
}
