//! Everything that happens gets a number and goes everywhere at once: ring, journal, log.

use super::words::Story;
use crate::{
    control::{
        clock::wall_now,
        journal::{Journal, Recovered},
    },
    model::{Epoch, PairName, view::EventView},
    observe::event::EventLog,
};

/// An event's message is cut after so many bytes: thousands of them are kept, and the journal takes none that is far longer.
const LONGEST: usize = 4096;

/// The node's events.
#[derive(Debug)]
pub(super) struct Chronicle {
    log: EventLog,
    last_seq: u64,
}

impl Chronicle {
    /// Goes on where the journal ended.
    pub(super) fn continued(log: EventLog, recovered: &Recovered) -> Self {
        let mut last_seq = 0;
        for event in recovered.events() {
            last_seq = event.seq.max(last_seq);
            log.push(event.clone());
        }
        Self { log, last_seq }
    }

    /// Something happened to a pair.
    pub(super) fn pair(&mut self, journal: &Journal, pair: &PairName, epoch: Epoch, story: Story) {
        self.push(journal, Some((pair, epoch)), story);
    }

    /// Something happened to the node.
    pub(super) fn node(&mut self, journal: &Journal, kind: &'static str, grave: bool, message: String) {
        self.push(journal, None, Story { kind, reason: None, message, grave });
    }

    fn push(&mut self, journal: &Journal, pair: Option<(&PairName, Epoch)>, story: Story) {
        self.last_seq += 1;
        let Story { kind, reason, mut message, grave } = story;
        shorten(&mut message);
        match grave {
            true => tracing::warn!(target: "failback", kind, "{message}"),
            false => tracing::info!(target: "failback", kind, "{message}"),
        }
        let event = EventView {
            seq: self.last_seq,
            time: wall_now(),
            kind: kind.into(),
            pair: pair.map(|(name, _)| name.clone()),
            epoch: pair.map(|(_, epoch)| epoch),
            reason,
            message,
        };
        self.log.push(event.clone());
        if !journal.event(event) {
            tracing::warn!("the journal is too busy; an event is only in memory");
        }
    }
}

/// Cuts what is too long, between two characters.
fn shorten(message: &mut String) {
    if message.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message.truncate(end);
        message.push_str(" …");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_two_characters() {
        let mut message = format!("a{}", "ö".repeat(LONGEST));
        shorten(&mut message);
        assert_eq!(message.len(), LONGEST - 1 + " …".len());
        let mut whole = "ö".repeat(LONGEST / 2);
        shorten(&mut whole);
        assert_eq!(whole.len(), LONGEST);
    }
}
