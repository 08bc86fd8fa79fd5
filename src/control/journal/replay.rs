//! What a journal file says: the last record of every pair, the last events, and what of it can't be trusted.
//!
//! The rule is *never a guess*. A frame that was cut short by a crash was not acted on by anybody and is dropped. A frame
//! that rotted after it had been stored makes the pairs it may have concerned unreadable, unless a later record of theirs
//! is intact.

use super::frame::{self, FileHeader, HEADER, Header, Kind, PairMark};
use crate::{
    decide::{effect::PairRecord, input::Stored},
    model::{Epoch, PairName, view::EventView},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many events are kept through a compaction.
pub(super) const EVENTS_KEPT: usize = 500;

/// The payload of a [`Kind::State`] frame.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) pair: PairName,
    pub(super) record: PairRecord,
}

/// The sum of a journal's frames.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    /// The last intact record of each pair.
    pub(super) states: BTreeMap<PairName, PairRecord>,
    /// Pairs whose last record is not intact.
    pub(super) unreadable: BTreeSet<PairMark>,
    /// Something was lost that may have concerned any pair that is not in `states`.
    pub(super) lost: bool,
    /// The last events.
    pub(super) events: VecDeque<EventView>,
    /// The highest epoch of any pair in anything that was intact.
    pub(super) highest: Epoch,
}

impl Sum {
    /// What is known of a pair.
    pub(super) fn stored(&self, pair: &PairName) -> Stored {
        match self.states.get(pair) {
            Some(record) => Stored::Record(Box::new(record.clone())),
            None if self.lost || self.unreadable.contains(&PairMark::of(pair)) => Stored::Unreadable(self.highest),
            None => Stored::Nothing,
        }
    }

    /// A record was stored.
    pub(super) fn state(&mut self, pair: PairName, record: PairRecord) {
        self.unreadable.remove(&PairMark::of(&pair));
        self.seen(record.epoch);
        self.states.insert(pair, record);
    }

    /// An event was stored.
    pub(super) fn event(&mut self, event: EventView) {
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
        }
        self.seen(event.epoch.unwrap_or_default());
        self.events.push_back(event);
    }

    fn seen(&mut self, epoch: Epoch) {
        self.highest = self.highest.max(epoch);
    }

    fn pair_unreadable(&mut self, pair: PairMark) {
        self.states.retain(|name, _| PairMark::of(name) != pair);
        self.unreadable.insert(pair);
    }

    fn anything_lost(&mut self) {
        self.states.clear();
        self.lost = true;
    }
}

/// A journal file, read.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) sum: Sum,
    /// Where the next frame goes.
    pub(super) end: usize,
    /// The number of the last frame.
    pub(super) last_seq: u64,
    /// What was wrong, in words; empty if nothing was.
    pub(super) remarks: Vec<String>,
    /// Bytes behind `end` that are not zero must be made so before anything is appended.
    pub(super) torn: bool,
    /// Something stored had rotted.
    pub(super) damaged: bool,
    /// The last frame that any later one says was on stable storage.
    synced: u64,
}

/// Reads a whole file.
pub(super) fn replay(bytes: &[u8]) -> Replay {
    let mut reader = Replay {
        sum: Sum::default(),
        end: frame::FILE_HEADER,
        last_seq: 0,
        remarks: Vec::new(),
        torn: false,
        damaged: false,
        synced: frame::headers(bytes).map(|header| header.synced).max().unwrap_or(0),
    };
    let bytes = without_zeros(bytes);
    if frame::read_file_header(bytes) == FileHeader::Damaged {
        reader.lose("the journal's first bytes are damaged");
    }
    while reader.end < bytes.len() {
        if reader.step(bytes).is_none() {
            break;
        }
    }
    reader
}

impl Replay {
    /// Reads the frame at `end`; `None` if nothing that counts follows.
    fn step(&mut self, bytes: &[u8]) -> Option<()> {
        let at = self.end;
        let Some(header) = frame::header_at(bytes, at) else { return self.bad_header(bytes) };
        let next = at + HEADER + header.length;
        match frame::payload_at(bytes, at, &header) {
            Some(payload) => self.good(&header, payload),
            None if self.cut_short(bytes, at + HEADER, next) => return self.torn(bytes.len() - at),
            None => self.rotten(&header),
        }
        self.last_seq = header.seq;
        self.end = next;
        Some(())
    }

    fn good(&mut self, header: &Header, payload: &[u8]) {
        match header.kind {
            Kind::State => match serde_json::from_slice::<State>(payload) {
                Ok(State { pair, record }) => self.sum.state(pair, record),
                Err(_) => self.rotten(header),
            },
            Kind::Event => {
                if let Ok(event) = serde_json::from_slice(payload) {
                    self.sum.event(event);
                }
            }
            Kind::Unreadable => {
                self.sum.seen(frame::epoch_in(payload));
                self.sum.pair_unreadable(header.pair);
            }
            Kind::Lost => {
                self.sum.seen(frame::epoch_in(payload));
                self.sum.anything_lost();
            }
        }
    }

    /// A frame whose header is intact and whose payload is not.
    fn rotten(&mut self, header: &Header) {
        self.damaged = true;
        match header.kind {
            Kind::Event => self.remarks.push(format!("event record {} is damaged and left out", header.seq)),
            Kind::State | Kind::Unreadable => {
                self.remarks
                    .push(format!("record {} of a pair is damaged; that pair's state is not known", header.seq));
                self.sum.pair_unreadable(header.pair);
            }
            Kind::Lost => self.sum.anything_lost(),
        }
    }

    fn bad_header(&mut self, bytes: &[u8]) -> Option<()> {
        let at = self.end;
        match frame::next_header(bytes, at + 1) {
            Some((next, header)) => {
                if self.synced <= self.last_seq && frame::has_hole(bytes, at, next) {
                    return self.torn(bytes.len() - at);
                }
                self.lose(&format!("records {} to {} are damaged", self.last_seq + 1, header.seq.saturating_sub(1)));
                self.end = next;
                Some(())
            }
            None if bytes.len() - at <= HEADER || frame::has_hole(bytes, at, bytes.len()) => {
                self.torn(bytes.len() - at)
            }
            None => {
                self.lose(&format!("the last record, {}, is damaged", self.last_seq + 1));
                self.last_seq += 1;
                self.end = bytes.len();
                None
            }
        }
    }

    /// The write of `[from, to)` never came to its end, and nothing later says that it was on stable storage.
    fn cut_short(&self, bytes: &[u8], from: usize, to: usize) -> bool {
        self.synced <= self.last_seq && frame::has_hole(bytes, from, to)
    }

    fn torn(&mut self, length: usize) -> Option<()> {
        self.torn = true;
        self.remarks
            .push(format!("the last write was cut short ({length} bytes); nobody had acted on it, it is left out"));
        None
    }

    /// Something is missing that may have concerned any pair.
    pub(super) fn lose(&mut self, what: &str) {
        self.damaged = true;
        self.remarks.push(format!("{what}; the state of every pair without a later record is not known"));
        self.sum.anything_lost();
    }
}

/// The space that was taken in advance and not used yet.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    const CHUNK: [u8; 4096] = [0; 4096];
    let mut used = bytes;
    while let Some(rest) = used.strip_suffix(&CHUNK) {
        used = rest;
    }
    &used[..used.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)]
}
