//! The journal's bytes. A file header, then frames one after the other, then zeros up to the file's end:
//!
//! ```text
//!   file    "fbjournl"  version:u32  crc32 of both:u32
//!   frame   mark:u32  length:u32  kind:u8 0 0 0  pair:u32  seq:u64  synced:u64  payload crc32:u32  header crc32:u32  payload
//! ```
//!
//! All numbers are little-endian. The header has a checksum of its own and names the pair (by the CRC-32 of its name), so
//! that a rotten payload casts doubt on one pair only. `synced` is the last frame that was known to be on stable storage
//! when this one was written; it tells a write that was cut short (nobody acted on it) from one that rotted later.

use crate::model::{Epoch, PairName};

/// The file header's length.
pub(super) const FILE_HEADER: usize = 16;
/// A frame header's length.
pub(super) const HEADER: usize = 40;
/// The longest payload; a record or event is far below it.
pub(super) const MAX_PAYLOAD: usize = 64 * 1024;

const MAGIC: [u8; 8] = *b"fbjournl";
const VERSION: u32 = 1;
const MARK: [u8; 4] = [0xfb, 0x10, 0xad, 0x5e];
/// Written as one; a device loses a write by whole sectors.
const SECTOR: usize = 512;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A pair's record.
    State,
    /// An event.
    Event,
    /// The stored state of one pair could not be read (its name is known by checksum only). The payload is an epoch
    /// ([`epoch_in`]).
    Unreadable,
    /// Something was lost here that may have concerned any pair. The payload is an epoch likewise.
    Lost,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::State, Self::Event, Self::Unreadable, Self::Lost].into_iter().find(|kind| *kind as u8 + 1 == byte)
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) pair: PairMark,
    pub(super) seq: u64,
    pub(super) synced: u64,
    pub(super) length: usize,
    payload_crc: u32,
}

/// A pair's name as a frame header carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PairMark(pub(super) u32);

impl PairMark {
    /// Of frames that concern no pair.
    pub(super) const NONE: Self = Self(0);

    pub(super) fn of(pair: &PairName) -> Self {
        Self(crc32fast::hash(pair.as_bytes()))
    }
}

/// What stands at the beginning of the file.
pub(super) fn file_header() -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// How the beginning of a file looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileHeader {
    /// As we write it.
    Good,
    /// Intact, but of a version this program does not read.
    Version(u32),
    /// Rotten, or not ours.
    Damaged,
}

/// Reads the beginning of a file.
pub(super) fn read_file_header(bytes: &[u8]) -> FileHeader {
    let Some(header) = bytes.get(..FILE_HEADER) else { return FileHeader::Damaged };
    if header[..8] != MAGIC || crc32fast::hash(&header[..12]) != u32_at(header, 12) {
        return FileHeader::Damaged;
    }
    match u32_at(header, 8) {
        VERSION => FileHeader::Good,
        other => FileHeader::Version(other),
    }
}

/// Appends one frame to `to`. The payload is never empty and never ends with a zero byte, which is how a hole is told
/// from a frame.
pub(super) fn encode(to: &mut Vec<u8>, kind: Kind, pair: PairMark, seq: u64, synced: u64, payload: &[u8]) {
    debug_assert!(payload.len() <= MAX_PAYLOAD && payload.last().is_some_and(|last| *last != 0));
    let start = to.len();
    to.extend(MARK);
    to.extend((payload.len() as u32).to_le_bytes());
    to.extend([kind as u8 + 1, 0, 0, 0]);
    to.extend(pair.0.to_le_bytes());
    to.extend(seq.to_le_bytes());
    to.extend(synced.to_le_bytes());
    to.extend(crc32fast::hash(payload).to_le_bytes());
    let crc = crc32fast::hash(&to[start..]);
    to.extend(crc.to_le_bytes());
    to.extend(payload);
}

/// The header at `at`, if an intact one stands there.
pub(super) fn header_at(bytes: &[u8], at: usize) -> Option<Header> {
    let header = bytes.get(at..at.checked_add(HEADER)?)?;
    let intact = header[..4] == MARK && crc32fast::hash(&header[..HEADER - 4]) == u32_at(header, HEADER - 4);
    let length = u32_at(header, 4) as usize;
    if !intact || length > MAX_PAYLOAD {
        return None;
    }
    Some(Header {
        kind: Kind::from_byte(header[8])?,
        pair: PairMark(u32_at(header, 12)),
        seq: u64_at(header, 16),
        synced: u64_at(header, 24),
        length,
        payload_crc: u32_at(header, 32),
    })
}

/// The payload of the frame at `at`, if it is intact.
pub(super) fn payload_at<'a>(bytes: &'a [u8], at: usize, header: &Header) -> Option<&'a [u8]> {
    let start = at + HEADER;
    bytes.get(start..start + header.length).filter(|payload| crc32fast::hash(payload) == header.payload_crc)
}

/// The highest epoch that was known when something was lost, written as a number; a dot, as older files have, is none.
pub(super) fn epoch_in(payload: &[u8]) -> Epoch {
    Epoch(std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// The next intact header at or after `from`.
pub(super) fn next_header(bytes: &[u8], from: usize) -> Option<(usize, Header)> {
    let mut at = from;
    while at + HEADER <= bytes.len() {
        at += bytes[at..].iter().position(|byte| *byte == MARK[0])?;
        if let Some(header) = header_at(bytes, at) {
            return Some((at, header));
        }
        at += 1;
    }
    None
}

/// All intact headers, wherever they stand.
pub(super) fn headers(bytes: &[u8]) -> impl Iterator<Item = Header> {
    let mut from = FILE_HEADER;
    std::iter::from_fn(move || {
        let (at, header) = next_header(bytes, from)?;
        from = at + HEADER;
        Some(header)
    })
}

/// Was `bytes[from..to]` never wholly written? True if the file ends within it, if its end is still zero, or if a whole
/// sector of it is.
pub(super) fn has_hole(bytes: &[u8], from: usize, to: usize) -> bool {
    if to > bytes.len() || bytes[from..to].last().is_none_or(|last| *last == 0) {
        return true;
    }
    let mut start = from;
    while start < to {
        let end = ((start / SECTOR + 1) * SECTOR).min(to);
        if end - start >= HEADER.min(to - from) && bytes[start..end].iter().all(|byte| *byte == 0) {
            return true;
        }
        start = end;
    }
    false
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
