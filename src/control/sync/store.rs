//! What this node knows of each seat, on disk: a file a seat, replaced as a whole, so that a crash leaves the old one or the new one.

use super::{
    copy::{Copy, NotApplied, Refusal, Update},
    draft::{self, DraftError},
    settings::Settings,
};
use crate::{
    control::disk,
    decide::effect::PairRecord,
    model::{Epoch, NodeName, PairName, causes::chain, file},
};
use ipnet::IpNet;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::watch;

/// More than this is no copy of a seat.
const MOST_BYTES: u64 = 16 << 20;
/// A node that holds a seat once more under the same epoch leaves out so many serials: what it had given to the others when it died may
/// not have reached its own disk, and no number may mean two things.
const LEFT_OUT: u64 = 1 << 20;

/// The store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system says no.
    #[error("{} can't be written or read", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The same, of what is for people.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// What is there is no copy of a seat.
    #[error("{} is damaged; remove it, and the seat is copied anew", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// All seats known here. Whoever writes waits for the disk; who only wants to know looks at what [`Self::known`] shows, and waits for nobody.
///
/// What comes from elsewhere is known once it is on the disk. What is in force here already (who holds a seat, and where its pairs are)
/// is known at once and written down as soon as the disk takes it: the others must get it, whatever this node's disk is like. Should
/// the node die before, its journal has the pairs' records, and its own record who holds the seat.
#[derive(Debug)]
pub struct SeatStore {
    dir: PathBuf,
    seats: Known,
    known: watch::Sender<Known>,
    /// Seats of which the disk has something older, and the settings it has.
    unwritten: BTreeMap<NodeName, Option<String>>,
    /// Seats that were held in this run, so that what was given away is known.
    held: BTreeSet<NodeName>,
}

/// What is known of each seat.
pub type Known = Arc<BTreeMap<NodeName, Copy>>;

/// Where the settings of a seat are for people to read, and to edit.
#[must_use]
pub fn draft_path(state_dir: &Path, seat: &NodeName) -> PathBuf {
    path(&state_dir.join("seats"), seat).with_extension("toml")
}

/// Where settings of a seat are kept that were given up for another node's.
#[must_use]
pub fn set_aside_path(state_dir: &Path, seat: &NodeName) -> PathBuf {
    draft::set_aside_path(&draft_path(state_dir, seat))
}

/// Names may have characters that file names can't.
fn path(dir: &Path, seat: &NodeName) -> PathBuf {
    let name = percent_encoding::utf8_percent_encode(seat, percent_encoding::NON_ALPHANUMERIC);
    dir.join(format!("{name}.json"))
}

impl SeatStore {
    /// Reads what is in `state_dir`, or begins with nothing.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is guessed.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let dir = state_dir.join("seats");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed(&dir))?;
        let mut seats = BTreeMap::new();
        for entry in fs::read_dir(&dir).map_err(failed(&dir))? {
            let path = entry.map_err(failed(&dir))?.path();
            if path.extension().is_none_or(|kind| kind != "json") {
                continue;
            }
            let bytes = file::read(&path, MOST_BYTES).map_err(failed(&path))?;
            let copy: Copy = serde_json::from_slice(&bytes).map_err(|source| StoreError::Damaged { path, source })?;
            seats.insert(copy.seat.clone(), copy);
        }
        let seats = Arc::new(seats);
        let (known, _) = watch::channel(Arc::clone(&seats));
        let store = Self { dir, seats, known, unwritten: BTreeMap::new(), held: BTreeSet::new() };
        store.write_drafts()?;
        Ok(store)
    }

    /// What is known, as it changes.
    #[must_use]
    pub fn known(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    fn draft(&self, seat: &NodeName) -> PathBuf {
        self.path(seat).with_extension("toml")
    }

    /// What somebody wrote there that is not known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn edited_draft(&self, seat: &NodeName) -> Result<Option<Settings>, StoreError> {
        let Some(copy) = self.seats.get(seat) else { return Ok(None) };
        Ok(draft::edited(&self.draft(seat), &copy.settings)?)
    }

    /// Writes the file as what is known is, in place of what somebody wrote there. Where that is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_draft_back(&self, seat: &NodeName) -> Result<PathBuf, StoreError> {
        let path = self.draft(seat);
        if let Some(copy) = self.seats.get(seat) {
            draft::write(&path, seat, Some(&copy.settings), &copy.settings)?;
        }
        Ok(draft::kept_path(&path))
    }

    /// Writes those that are missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn write_drafts(&self) -> Result<(), StoreError> {
        let mut missing = self.seats.values().filter(|copy| !self.draft(&copy.seat).exists());
        missing.try_for_each(|copy| draft::write(&self.draft(&copy.seat), &copy.seat, None, &copy.settings))?;
        Ok(())
    }

    /// What is known of a seat.
    #[must_use]
    pub fn get(&self, seat: &NodeName) -> Option<&Copy> {
        self.seats.get(seat)
    }

    /// All of them.
    pub fn seats(&self) -> impl Iterator<Item = &Copy> {
        self.seats.values()
    }

    /// The settings of `seat` as they are on this node, which may write them: another revision if they changed. `true` if so.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing changed.
    pub fn write_settings(&mut self, seat: &NodeName, settings: &Settings) -> Result<bool, StoreError> {
        let mut copy = self.known_or_first(seat);
        if !copy.resettle(settings) {
            return Ok(false);
        }
        copy.serial += 1;
        self.put(copy)?;
        Ok(true)
    }

    /// This node, `me`, holds the seat under `epoch` and is who writes it from now on, with these settings if they are given. In force at
    /// once; [`Self::write_down`] is to follow.
    ///
    /// # Errors
    /// [`StoreError`] of new settings: they are written before anybody gets them, as a revision that was lost would be nobody's parent. Then
    /// nothing changed.
    pub fn hold(
        &mut self,
        seat: &NodeName,
        epoch: Epoch,
        me: &NodeName,
        shared_address: Option<IpNet>,
        settings: Option<&Settings>,
    ) -> Result<(), StoreError> {
        let known = self.known_or_first(seat);
        let mut copy = known.clone();
        let resettled = settings.is_some_and(|settings| copy.resettle(settings));
        copy.shared_address = shared_address;
        if copy.epoch != epoch || copy.by != *me {
            (copy.epoch, copy.serial, copy.by) = (epoch, 0, me.clone());
        } else if !self.held.contains(seat) {
            copy.serial += LEFT_OUT;
        } else if copy != known {
            copy.serial += 1;
        } else {
            return Ok(());
        }
        // As a whole: who pulls meanwhile sees the one or the other.
        if resettled {
            self.put(copy)?;
        } else {
            self.know_unwritten(copy);
        }
        self.held.insert(seat.clone());
        Ok(())
    }

    fn known_or_first(&self, seat: &NodeName) -> Copy {
        let nothing = || Copy::first(seat.clone(), &Settings::received(String::new()), seat.clone());
        self.seats.get(seat).cloned().unwrap_or_else(nothing)
    }

    /// Pairs' records, as acted on by this node, which holds the seat. What is to be given to the others; `None`: nothing is new. In force
    /// at once; [`Self::write_down`] is to follow.
    pub fn keep_records(&mut self, seat: &NodeName, records: &[(PairName, PairRecord)]) -> Option<Update> {
        let known = self.seats.get(seat)?;
        let news: Vec<_> =
            records.iter().filter(|(pair, record)| known.pairs.get(pair) != Some(record)).cloned().collect();
        let head = known.lineage.head().filter(|_| !news.is_empty())?.clone();
        let mut copy = known.clone();
        let after = copy.serial;
        copy.serial += 1;
        copy.pairs.extend(news.iter().cloned());
        let (epoch, by, serial) = (copy.epoch, copy.by.clone(), copy.serial);
        self.know_unwritten(copy);
        Some(Update { seat: seat.clone(), epoch, by, head, after, serial, records: news })
    }

    /// Puts on the disk what is in force and not there yet.
    ///
    /// # Errors
    /// [`StoreError`], of the first that can't be written; it is to be tried again. The others are written.
    pub fn write_down(&mut self) -> Result<(), StoreError> {
        let mut written = Ok(());
        for (seat, before) in std::mem::take(&mut self.unwritten) {
            let Some(copy) = self.seats.get(&seat) else { continue };
            if let Err(error) = self.write(copy, before.as_deref()) {
                self.unwritten.insert(seat, before);
                written = written.and(Err(error));
            }
        }
        written
    }

    /// Takes records that the node which holds the seat has written. `true` if they are new.
    ///
    /// # Errors
    /// `Ok(Err(…))` if they don't follow on what is here, and [`StoreError`]; either way nothing changed.
    pub fn apply(&mut self, update: &Update) -> Result<Result<bool, NotApplied>, StoreError> {
        let Some(known) = self.seats.get(&update.seat) else { return Ok(Err(NotApplied::Behind)) };
        let (theirs, ours) = ((update.epoch, &update.by), (known.epoch, &known.by));
        if theirs < ours {
            return Ok(Err(NotApplied::Superseded));
        }
        let alike = theirs == ours && known.lineage.head() == Some(&update.head);
        if alike && update.serial <= known.serial {
            return Ok(Ok(false));
        }
        // Records of pairs that the settings here don't have come with settings that are not here.
        let are_known = || {
            let pairs = Settings::received(known.settings.clone()).names().0;
            update.records.iter().all(|(pair, _)| pairs.contains(pair))
        };
        let follows = update.after == known.serial && update.after.checked_add(1) == Some(update.serial);
        if !alike || !follows || !are_known() {
            return Ok(Err(NotApplied::Behind));
        }
        let mut copy = known.clone();
        copy.serial = update.serial;
        copy.pairs.extend(update.records.iter().cloned());
        self.put(copy)?;
        Ok(Ok(true))
    }

    /// Takes a copy that another node gave. `true` if anything in it is new.
    ///
    /// # Errors
    /// `Ok(Err(…))` if it is refused, and [`StoreError`]; either way nothing changed.
    pub fn take(&mut self, copy: Copy) -> Result<Result<bool, Refusal>, StoreError> {
        if let Err(refusal) = copy.follows(self.seats.get(&copy.seat)) {
            return Ok(Err(refusal));
        }
        // What was on its way for longer than what came after it is no news.
        if self.seats.get(&copy.seat).is_some_and(|known| *known == copy || copy.is_older_than(known)) {
            return Ok(Ok(false));
        }
        if let Some(known) = self.seats.get(&copy.seat).filter(|known| !copy.lineage.descends_from(&known.lineage)) {
            draft::set_aside(&self.draft(&known.seat), &known.settings)?;
        }
        self.put(copy)?;
        Ok(Ok(true))
    }

    /// Takes the states of the pairs that are known here from a copy whose settings can't be taken. Those that are new. Names may have changed with
    /// the settings: a server is known by its address, and a pair by its servers.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing changed.
    pub fn take_states(&mut self, copy: &Copy) -> Result<Vec<(PairName, PairRecord)>, StoreError> {
        let Some(known) = self.seats.get(&copy.seat) else { return Ok(Vec::new()) };
        let pairs = Settings::received(known.settings.clone()).names().0;
        let is_news = |(pair, record): &(PairName, PairRecord)| known.pairs.get(pair) != Some(record);
        let news: Vec<_> = copy.states_of(&pairs, &known.pairs).filter(is_news).collect();
        if !news.is_empty() {
            let mut known = known.clone();
            known.pairs.extend(news.iter().cloned());
            self.put(known)?;
        }
        Ok(news)
    }

    /// Forgets a seat, on disk too (`B5`).
    ///
    /// # Errors
    /// [`StoreError`]; then it is still there.
    pub fn forget(&mut self, seat: &NodeName) -> Result<(), StoreError> {
        if self.seats.contains_key(seat) {
            let (path, draft) = (self.path(seat), self.draft(seat));
            let kept = draft::kept_path(&draft);
            let aside = draft::set_aside_path(&draft);
            for draft in [draft, kept, aside].iter().filter(|path| path.exists()) {
                fs::remove_file(draft).map_err(|source| StoreError::Io { path: draft.clone(), source })?;
            }
            let removed = match fs::remove_file(&path) {
                // It was never written down.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed.and_then(|()| disk::sync_folder_of(&path)),
            };
            removed.map_err(|source| StoreError::Io { path, source })?;
            Arc::make_mut(&mut self.seats).remove(seat);
            self.unwritten.remove(seat);
            self.held.remove(seat);
            self.known.send_replace(Arc::clone(&self.seats));
        }
        Ok(())
    }

    fn put(&mut self, copy: Copy) -> Result<(), StoreError> {
        self.write(&copy, self.settings_on_disk(&copy.seat).as_deref())?;
        self.unwritten.remove(&copy.seat);
        self.know(copy);
        Ok(())
    }

    fn know_unwritten(&mut self, copy: Copy) {
        let before = self.settings_on_disk(&copy.seat);
        self.unwritten.insert(copy.seat.clone(), before);
        self.know(copy);
    }

    fn settings_on_disk(&self, seat: &NodeName) -> Option<String> {
        let known = || self.seats.get(seat).map(|copy| copy.settings.clone());
        self.unwritten.get(seat).cloned().unwrap_or_else(known)
    }

    fn know(&mut self, copy: Copy) {
        Arc::make_mut(&mut self.seats).insert(copy.seat.clone(), copy);
        self.known.send_replace(Arc::clone(&self.seats));
    }

    fn write(&self, copy: &Copy, before: Option<&str>) -> Result<(), StoreError> {
        let path = self.path(&copy.seat);
        let bytes = serde_json::to_vec(copy).map_err(|source| StoreError::Damaged { path: path.clone(), source })?;
        if bytes.len() as u64 > MOST_BYTES {
            // It could not be read again at the next start.
            let source = io::Error::other(format!("{} bytes are too many for what is known of a seat", bytes.len()));
            return Err(StoreError::Io { path, source });
        }
        disk::replace(&path, &bytes).map_err(|source| StoreError::Io { path, source })?;
        if before != Some(&copy.settings)
            && let Err(error) = draft::write(&self.draft(&copy.seat), &copy.seat, before, &copy.settings)
        {
            // It is for people; what counts is written.
            tracing::error!(error = %chain(&error), "what is known of a seat could not be written down for people");
        }
        Ok(())
    }

    fn path(&self, seat: &NodeName) -> PathBuf {
        path(&self.dir, seat)
    }
}

#[cfg(test)]
mod tests;
