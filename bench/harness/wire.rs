//! What the two ends say to each other, in frames of [`FRAME`] bytes. A fleet's session goes on in frames of its own; what
//! follows on any other session is bytes without a frame.

use anyhow::{Context, ensure};

/// The size of every frame.
pub(crate) const FRAME: usize = 32;
/// A frame's bytes.
pub(crate) type Frame = [u8; FRAME];

const ASK: &[u8; 4] = b"FBAs";
const HELLO: &[u8; 4] = b"FBHe";
const EVENT: &[u8; 4] = b"FBEv";

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The server sends back what it gets.
    Echo,
    /// The server discards what it gets.
    Sink,
    /// The server sends as much as will go.
    Source,
    /// Both of these.
    SourceAndSink,
    /// The server stores and acknowledges events.
    Store,
}

const KINDS: [Kind; 5] = [Kind::Echo, Kind::Sink, Kind::Source, Kind::SourceAndSink, Kind::Store];

/// The client's first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    /// What the session is for.
    pub(crate) kind: Kind,
    /// The client's number for it; the Hello repeats it, which shows a mix-up of sessions.
    pub(crate) id: u64,
}

/// The server's first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The Ask's number.
    pub(crate) id: u64,
    /// Who answers.
    pub(crate) name: ServerName,
    /// It was restarted, and its data has not been resynchronised.
    pub(crate) stale: bool,
}

/// An event, and its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    /// Whose.
    pub(crate) probe: u64,
    /// Which of them.
    pub(crate) seq: u64,
    /// How often it had been sent before.
    pub(crate) attempt: u32,
}

/// A server's name, cut to 15 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServerName([u8; 15]);

impl ServerName {
    /// The name as sent.
    pub(crate) fn new(text: &str) -> Self {
        let mut name = [0; 15];
        for (to, from) in name.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Self(name)
    }
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(String::from_utf8_lossy(&self.0).trim_end_matches('\0'))
    }
}

impl std::fmt::Debug for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Ask {
    /// The frame.
    pub(crate) fn encode(self) -> Frame {
        let mut frame = tagged(ASK);
        frame[4] = KINDS.iter().position(|kind| *kind == self.kind).map_or(0, |at| at as u8);
        frame[8..16].copy_from_slice(&self.id.to_le_bytes());
        frame
    }

    /// The Ask in `frame`.
    pub(crate) fn decode(frame: &Frame) -> anyhow::Result<Self> {
        ensure!(frame.starts_with(ASK), "not an Ask");
        let kind = *KINDS.get(usize::from(frame[4])).context("an Ask of no known kind")?;
        Ok(Self { kind, id: number(frame, 8) })
    }
}

impl Hello {
    /// The frame.
    pub(crate) fn encode(self) -> Frame {
        let mut frame = tagged(HELLO);
        frame[4] = u8::from(self.stale);
        frame[8..16].copy_from_slice(&self.id.to_le_bytes());
        frame[16..31].copy_from_slice(&self.name.0);
        frame
    }

    /// The Hello in `frame`.
    pub(crate) fn decode(frame: &Frame) -> anyhow::Result<Self> {
        ensure!(frame.starts_with(HELLO), "not a Hello");
        let mut name = ServerName([0; 15]);
        name.0.copy_from_slice(&frame[16..31]);
        Ok(Self { id: number(frame, 8), name, stale: frame[4] != 0 })
    }
}

impl Event {
    /// The frame.
    pub(crate) fn encode(self) -> Frame {
        let mut frame = tagged(EVENT);
        frame[4..8].copy_from_slice(&self.attempt.to_le_bytes());
        frame[8..16].copy_from_slice(&self.probe.to_le_bytes());
        frame[16..24].copy_from_slice(&self.seq.to_le_bytes());
        frame
    }

    /// The event in `frame`.
    pub(crate) fn decode(frame: &Frame) -> anyhow::Result<Self> {
        ensure!(frame.starts_with(EVENT), "not an event");
        Ok(Self { probe: number(frame, 8), seq: number(frame, 16), attempt: number(frame, 4) as u32 })
    }
}

fn tagged(tag: &[u8; 4]) -> Frame {
    let mut frame = [0; FRAME];
    frame[..4].copy_from_slice(tag);
    frame
}

fn number(frame: &Frame, at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&frame[at..at + 8]);
    u64::from_le_bytes(bytes)
}
