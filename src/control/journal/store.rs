//! The journal without its thread: two files, of which one is written and one is spare, so that compaction needs no new
//! space either.

use super::{
    JournalError, StateLock,
    file::JournalFile,
    frame::{self, FileHeader, Kind, PairMark},
    replay::{Replay, State, Sum, replay},
};
use crate::{
    decide::effect::PairRecord,
    model::{PairName, file, view::EventView},
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// A file is at least this large: some 2,000 records.
const SIZE: u64 = 1024 * 1024;

/// One thing to write.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    State(PairName, Box<PairRecord>),
    Event(EventView),
}

/// What is on disk, and how to add to it.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    file: JournalFile,
    /// Empty, ready to be compacted into. `None` while there is no space for one.
    spare: Option<JournalFile>,
    sum: Sum,
    last_seq: u64,
    synced_seq: u64,
    /// The last sync failed: what the file holds is not known, so it is left for a new one before anything is added.
    suspect: bool,
    /// Of a directory that had to be made anew.
    lock: Option<StateLock>,
    /// That it was removed has been said, and it is not there again yet.
    missed: bool,
}

impl Store {
    /// Reads the journal in `dir`, or makes one, and says in words what was wrong with it.
    pub(super) fn open(dir: &Path) -> Result<(Self, Vec<String>), JournalError> {
        let failed = |source| JournalError::Open { dir: dir.into(), source };
        let path = dir.join("journal");
        let bytes = match file::read(&path, u64::MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Self::make(dir).map_err(failed)?, Vec::new()));
            }
            Err(error) => return Err(failed(error)),
        };
        if let FileHeader::Version(version) = frame::read_file_header(&bytes) {
            return Err(JournalError::Version { path, version });
        }
        let mut found = replay(&bytes);
        if (bytes.len() as u64) < SIZE {
            // Made whole and synced before its first use: no crash shortens it, a copy that failed does.
            found.lose("the journal's end is missing");
        }
        let Replay { sum, end, last_seq, remarks, torn, damaged, .. } = found;
        if damaged {
            // Kept for whoever wants to know what happened.
            let _no_space = fs::copy(&path, dir.join("journal.damaged"));
        }
        let file = JournalFile::resume(&path, end as u64, torn).map_err(failed)?;
        let mut this = Self::over(dir, file);
        (this.sum, this.last_seq, this.synced_seq) = (sum, last_seq, last_seq);
        // What the last process left behind may still be in memory only.
        this.file.sync().map_err(failed)?;
        let compacted = if damaged { this.compact() } else { Ok(()) };
        if let Err(error) = compacted.and_then(|()| this.tidy()) {
            tracing::warn!(%error, "the journal could not be compacted; going on with the old file");
        }
        Ok((this, remarks))
    }

    fn make(dir: &Path) -> io::Result<Self> {
        let fresh = dir.join("journal.new");
        let file = JournalFile::create(&fresh, SIZE)?;
        fs::rename(&fresh, dir.join("journal"))?;
        sync_directory(dir)?;
        let mut this = Self::over(dir, file);
        this.tidy()?;
        Ok(this)
    }

    fn over(dir: &Path, file: JournalFile) -> Self {
        let (dir, sum) = (dir.into(), Sum::default());
        Self { dir, file, spare: None, sum, last_seq: 0, synced_seq: 0, suspect: false, lock: None, missed: false }
    }

    /// What is known.
    pub(super) fn sum(&self) -> &Sum {
        &self.sum
    }

    /// Writes `entries`, in order. If there is a record among them they are on stable storage when this returns. Returns the
    /// places of those that can't be stored by anybody, each with why; after an error none of them counts.
    pub(super) fn write(&mut self, entries: &[Entry]) -> io::Result<BTreeMap<usize, io::Error>> {
        self.notice_removal()?;
        if self.suspect {
            self.compact()?;
        }
        let mut bytes = Vec::new();
        let (mut seq, mut durable, mut unfit) = (self.last_seq, false, BTreeMap::new());
        for (place, entry) in entries.iter().enumerate() {
            if matches!(entry, Entry::Event(_)) && !self.has_room_for_events() {
                continue;
            }
            if let Err(error) = encode(&mut bytes, entry, seq + 1, self.synced_seq) {
                unfit.insert(place, error);
                continue;
            }
            seq += 1;
            durable |= matches!(entry, Entry::State(..));
        }
        if bytes.len() as u64 > self.file.room() {
            self.compact()?;
        }
        self.file.append(&bytes)?;
        self.last_seq = seq;
        if durable {
            self.sync()?;
        }
        for (_, entry) in entries.iter().enumerate().filter(|(place, _)| !unfit.contains_key(place)) {
            match entry.clone() {
                Entry::State(pair, record) => self.sum.state(pair, *record),
                Entry::Event(event) => self.sum.event(event),
            }
        }
        Ok(unfit)
    }

    /// Waits until everything written is on stable storage.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        // After a failed sync the kernel forgets which pages were not written, so asking again would lie.
        self.file.sync().inspect_err(|_| self.suspect = true)?;
        self.synced_seq = self.last_seq;
        Ok(())
    }

    /// Is there space in reserve?
    pub(super) fn has_spare(&self) -> bool {
        self.spare.is_some()
    }

    /// Bytes that can still be written without any.
    pub(super) fn room(&self) -> u64 {
        self.file.room()
    }

    /// Is it time for [`Self::tidy`]?
    pub(super) fn wants_compaction(&self) -> bool {
        self.suspect || self.file.room() < self.file.size() / 2
    }

    /// Leaves a file that can't be written for the spare, if there is one, at the next [`Self::tidy`].
    pub(super) fn try_the_spare(&mut self) {
        self.suspect |= self.has_spare();
    }

    /// What has time: compacts a file that is half full, makes the next spare.
    pub(super) fn tidy(&mut self) -> io::Result<()> {
        self.notice_removal()?;
        if self.spare.is_none() {
            self.spare = Some(JournalFile::create(&self.dir.join("journal.spare"), self.wanted_size())?);
        }
        if self.wants_compaction() {
            self.compact()?;
        }
        Ok(())
    }

    /// Somebody may have removed the files, or the whole directory. What they held is known, so they are made anew.
    fn notice_removal(&mut self) -> io::Result<()> {
        if self.spare.as_ref().is_some_and(|spare| !spare.is_named().unwrap_or(true)) {
            self.spare = None;
        }
        if self.file.is_named()? {
            self.missed = false;
            return Ok(());
        }
        self.suspect = true;
        if !std::mem::replace(&mut self.missed, true) {
            tracing::warn!(dir = %self.dir.display(), "the journal was removed from the state directory; it is made anew");
        }
        if !self.dir.join("lock").exists() {
            self.lock = Some(StateLock::take(&self.dir).map_err(io::Error::other)?);
        }
        Ok(())
    }

    /// Events give way to records when space is short.
    fn has_room_for_events(&self) -> bool {
        self.spare.is_some() || self.file.room() > self.file.size() / 4
    }

    /// Room for what there is, four times over, because a file is compacted when it is half full.
    fn wanted_size(&self) -> u64 {
        SIZE.max(4 * self.live().map_or(0, |(bytes, _)| bytes.len() as u64))
    }

    /// Everything that is still wanted, as frames, and the last one's number.
    fn live(&self) -> io::Result<(Vec<u8>, u64)> {
        let (mut bytes, mut seq) = (Vec::new(), self.last_seq);
        let mut next = || {
            seq += 1;
            seq
        };
        let highest = self.sum.highest.to_string();
        if self.sum.lost {
            frame::encode(&mut bytes, Kind::Lost, PairMark::NONE, next(), self.synced_seq, highest.as_bytes());
        }
        for pair in &self.sum.unreadable {
            frame::encode(&mut bytes, Kind::Unreadable, *pair, next(), self.synced_seq, highest.as_bytes());
        }
        for (pair, record) in &self.sum.states {
            let entry = Entry::State(pair.clone(), Box::new(record.clone()));
            encode(&mut bytes, &entry, next(), self.synced_seq)?;
        }
        for event in &self.sum.events {
            encode(&mut bytes, &Entry::Event(event.clone()), next(), self.synced_seq)?;
        }
        Ok((bytes, seq))
    }

    /// Writes what is still wanted into the spare file and lets it take the journal's place.
    fn compact(&mut self) -> io::Result<()> {
        let (bytes, last_seq) = self.live()?;
        let path = self.dir.join("journal.spare");
        let mut fresh = match self.spare.take() {
            Some(spare) if bytes.len() as u64 <= spare.size() / 2 => spare,
            _ => JournalFile::create(&path, self.wanted_size())?,
        };
        fresh.append(&bytes)?;
        fresh.sync()?;
        fs::rename(&path, self.dir.join("journal"))?;
        self.file = fresh;
        self.last_seq = last_seq;
        // Until the new name is on stable storage the old file may come back after a power loss, so it still counts.
        sync_directory(&self.dir).inspect_err(|_| self.suspect = true)?;
        self.synced_seq = last_seq;
        self.suspect = false;
        Ok(())
    }
}

fn encode(to: &mut Vec<u8>, entry: &Entry, seq: u64, synced: u64) -> io::Result<()> {
    let (kind, mark, payload) = match entry {
        Entry::State(pair, record) => {
            let state = State { pair: pair.clone(), record: (**record).clone() };
            (Kind::State, PairMark::of(pair), serde_json::to_vec(&state)?)
        }
        Entry::Event(event) => (Kind::Event, PairMark::NONE, serde_json::to_vec(event)?),
    };
    if payload.len() > frame::MAX_PAYLOAD {
        return Err(io::Error::other(format!("it has {} bytes, and the journal takes 64 KiB", payload.len())));
    }
    frame::encode(to, kind, mark, seq, synced, &payload);
    Ok(())
}

fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
