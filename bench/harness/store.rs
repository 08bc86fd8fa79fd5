//! Where a server end keeps a fleet's events: a file of frames that survives the server's `kill -9`, or only a count.

use super::wire::{Event, FRAME};
use anyhow::Context;
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// One server's events.
pub(crate) struct Store {
    file: Option<File>,
    unwritten: Vec<u8>,
    /// The file whose existence says that this server's data has been resynchronised, if it must be.
    resynced: Option<PathBuf>,
}

impl Store {
    /// Opens the file, or keeps nothing.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None, unwritten: Vec::new(), resynced: None }) };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot open the store {}", path.display()))?;
        let has_a_past = file.metadata()?.len() > 0;
        let mut mark = path.as_os_str().to_owned();
        mark.push(".resynced");
        let resynced = has_a_past.then_some(mark.into());
        Ok(Self { file: Some(file), unwritten: Vec::new(), resynced })
    }

    /// It was restarted, and nobody has said that it holds everything again.
    pub(crate) fn is_stale(&mut self) -> bool {
        self.resynced.take_if(|path| path.exists());
        self.resynced.is_some()
    }

    /// Keeps an event; [`flush`](Self::flush) before it is acknowledged.
    pub(crate) fn keep(&mut self, event: Event) {
        if self.file.is_some() {
            self.unwritten.extend_from_slice(&event.encode());
        }
    }

    /// Hands what is kept to the kernel.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file
            && !self.unwritten.is_empty()
        {
            file.write_all(&self.unwritten)?;
            self.unwritten.clear();
        }
        Ok(())
    }
}

/// What all servers together hold of each event that was sent.
#[derive(Debug, Default)]
pub(crate) struct Union {
    copies: BTreeMap<(u64, u64), BTreeMap<u32, u64>>,
}

impl Union {
    /// Reads the stores. A frame that a killed server left torn is none.
    pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut union = Self::default();
        for path in paths {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read the store {}", path.display()))?;
            let (frames, _torn) = bytes.as_chunks::<FRAME>();
            for frame in frames {
                union.add(Event::decode(frame)?);
            }
        }
        Ok(union)
    }

    fn add(&mut self, event: Event) {
        *self.copies.entry((event.probe, event.seq)).or_default().entry(event.attempt).or_default() += 1;
    }

    /// Is the event anywhere?
    pub(crate) fn has(&self, probe: u64, seq: u64) -> bool {
        self.copies.contains_key(&(probe, seq))
    }

    /// Copies beyond the first of what was sent once: only the proxy can have made them.
    pub(crate) fn duplicates(&self) -> u64 {
        self.copies.values().flat_map(BTreeMap::values).map(|copies| copies - 1).sum()
    }

    /// Events there are.
    pub(crate) fn len(&self) -> u64 {
        self.copies.len() as u64
    }
}
