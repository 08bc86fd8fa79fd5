//! The journal: what outlives `kill -9`, a power loss and a full disk. Every pair's last record, and the last events.
//!
//! ```text
//!   driver ── sync_channel, bounded, try_send ──▶ journal thread ── pwrite, fdatasync ──▶ state_dir/journal
//!   driver ◀─ mpsc<News>, bounded ─────────────── journal thread
//! ```
//!
//! A record is on stable storage before [`News::Stored`] says so, and only then anybody acts on it. Events are written
//! at once and synced within a second. The thread may hang in a slow disk for as long as it wants: nobody waits for it
//! but the change of side that has to.

mod file;
mod frame;
mod lock;
mod replay;
mod store;
#[cfg(test)]
mod tests;

pub use lock::StateLock;

use crate::{
    decide::{
        effect::{PairRecord, PersistId},
        input::Stored,
    },
    model::{PairName, view::EventView},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use store::{Entry, Store};
use tokio::sync::mpsc;

/// Requests that wait for the thread at most; a record that finds no room counts as not stored and is tried again.
const QUEUE: usize = 1024;
/// Written together and synced once.
const BATCH: usize = 256;
/// How long an event may be in the kernel's memory only.
const LAZY_SYNC: Duration = Duration::from_secs(1);
/// How often a missing spare file is tried again.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The directory can't be made, read or written to.
    #[error("the state directory {} can't be used", .dir.display())]
    Directory {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the state directory {} is in use by process {holder}; stop it, or give this node a state_dir of its own", .dir.display())]
    InUse {
        /// Which.
        dir: PathBuf,
        /// The other's pid.
        holder: String,
    },
    /// The journal can't be opened.
    #[error("the journal in {} can't be opened", .dir.display())]
    Open {
        /// Where.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Written by another version of the program.
    #[error("{} has format {version}, which this program does not know; use the program that wrote it", .path.display())]
    Version {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// No thread.
    #[error("the journal's thread can't be started")]
    Thread(#[source] io::Error),
}

/// Names a request to store a record: of which machine of that pair's name, and which of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt {
    /// Which machine; given by the driver.
    pub incarnation: u64,
    /// Given by the machine.
    pub id: PersistId,
}

/// What the journal's thread has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The record is on stable storage.
    Stored(PairName, Receipt),
    /// It is not, and nothing will be tried again unless asked for.
    NotStored(PairName, Receipt),
    /// The disk is full or broken; how bad it is, in words. Said once for each degree until [`News::Recovered`].
    Trouble(String),
    /// Writing works again, and there is space in reserve.
    Recovered,
}

/// What the journal held when it was opened.
#[derive(Debug)]
pub struct Recovered {
    sum: replay::Sum,
    /// What was wrong with it, in words; empty if nothing was.
    pub remarks: Vec<String>,
}

impl Recovered {
    /// What is known of a pair.
    #[must_use]
    pub fn stored(&self, pair: &PairName) -> Stored {
        self.sum.stored(pair)
    }

    /// Every pair's last intact record.
    pub fn records(&self) -> impl Iterator<Item = (&PairName, &PairRecord)> {
        self.sum.states.iter()
    }

    /// The last events, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &EventView> {
        self.sum.events.iter()
    }
}

/// The driver's handle. Dropping it lets the thread write what waits, sync, and end.
#[derive(Debug)]
pub struct Journal {
    requests: SyncSender<Request>,
}

#[derive(Debug)]
enum Request {
    Store(PairName, Receipt, Box<PairRecord>),
    Event(EventView),
}

impl Journal {
    /// Opens the journal in `dir`, which the caller has locked, and starts its thread. Its news come through `news`.
    ///
    /// # Errors
    /// If the file can't be read or made, or is of another version. Damage is no error: see [`Recovered::stored`].
    pub fn open(dir: &Path, news: mpsc::Sender<News>) -> Result<(Self, Recovered, JoinHandle<()>), JournalError> {
        let (store, remarks) = Store::open(dir)?;
        let recovered = Recovered { sum: store.sum().clone(), remarks };
        let (requests, inbox) = sync_channel(QUEUE);
        let keeper = Keeper {
            store,
            news,
            unsynced_since: None,
            tidied: Instant::now(),
            condition: Condition::Good,
            no_spare: None,
        };
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || keeper.run(&inbox));
        Ok((Self { requests }, recovered, thread.map_err(JournalError::Thread)?))
    }

    /// Asks for a record to be stored. `false`: the queue is full, ask again later.
    #[must_use]
    pub fn store(&self, pair: &PairName, receipt: Receipt, record: Box<PairRecord>) -> bool {
        self.requests.try_send(Request::Store(pair.clone(), receipt, record)).is_ok()
    }

    /// Adds an event. `false`: the queue is full, it is not written.
    pub fn event(&self, event: EventView) -> bool {
        self.requests.try_send(Request::Event(event)).is_ok()
    }
}

struct Keeper {
    store: Store,
    news: mpsc::Sender<News>,
    unsynced_since: Option<Instant>,
    tidied: Instant,
    condition: Condition,
    /// Why the last spare could not be made.
    no_spare: Option<io::Error>,
}

/// How the disk takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Good,
    /// Records are written, but there is no space to go on once the file is full.
    NoReserve,
    Failing,
}

impl Keeper {
    fn run(mut self, inbox: &Receiver<Request>) {
        // A change of side waits for this thread as it does for the driver's; busy workers must not keep it waiting.
        let _not_allowed = rustix::process::setpriority_process(None, -5);
        loop {
            match inbox.recv_timeout(self.patience()) {
                Ok(first) => {
                    let mut batch = vec![first];
                    batch.extend(inbox.try_iter().take(BATCH - 1));
                    self.write(batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.housekeeping();
        }
        if let Err(error) = self.store.sync() {
            tracing::warn!(%error, "the last events may not be on stable storage");
        }
    }

    fn patience(&self) -> Duration {
        let sync = self.unsynced_since.map_or(TIDY_EVERY, |since| LAZY_SYNC.saturating_sub(since.elapsed()));
        sync.min(TIDY_EVERY.saturating_sub(self.tidied.elapsed())).max(Duration::from_millis(10))
    }

    fn write(&mut self, batch: Vec<Request>) {
        let mut asked = Vec::new();
        let mut entries = Vec::with_capacity(batch.len());
        for (place, request) in batch.into_iter().enumerate() {
            entries.push(match request {
                Request::Store(pair, receipt, record) => {
                    asked.push((place, pair.clone(), receipt));
                    Entry::State(pair, record)
                }
                Request::Event(event) => Entry::Event(event),
            });
        }
        let written = self.store.write(&entries);
        // First of all those who wait: a change of side hangs on it.
        for (place, pair, receipt) in asked.iter().cloned() {
            let stored = written.as_ref().is_ok_and(|unfit| !unfit.contains_key(&place));
            self.say(if stored { News::Stored(pair, receipt) } else { News::NotStored(pair, receipt) });
        }
        for error in written.iter().flat_map(|unfit| unfit.values()) {
            tracing::warn!(%error, "the journal can't take an entry; the others are not concerned");
        }
        if asked.is_empty() {
            self.unsynced_since.get_or_insert_with(Instant::now);
        } else if written.is_ok() {
            self.unsynced_since = None;
        }
        if asked.is_empty() { self.judge_unproven(written.map(drop)) } else { self.judge(written.map(drop)) }
    }

    fn housekeeping(&mut self) {
        if self.unsynced_since.is_some_and(|since| since.elapsed() >= LAZY_SYNC) {
            self.unsynced_since = None;
            let synced = self.store.sync();
            self.judge_unproven(synced);
        }
        let full = self.store.wants_compaction() && self.store.has_spare();
        if full || self.tidied.elapsed() >= TIDY_EVERY {
            self.tidied = Instant::now();
            if self.condition == Condition::Failing {
                self.store.try_the_spare();
            }
            let tidied = self.store.tidy();
            self.no_spare = None;
            match tidied {
                Err(error) if !self.store.has_spare() => {
                    self.no_spare = Some(error);
                    // That is no failure yet.
                    self.judge_unproven(Ok(()));
                }
                outcome => self.judge(outcome),
            }
        }
    }

    /// That this went well does not show that what failed before works again. News of it are an event, which would fail anew,
    /// and so on without an end.
    fn judge_unproven(&mut self, outcome: io::Result<()>) {
        if outcome.is_err() || self.condition != Condition::Failing {
            self.judge(outcome);
        }
    }

    fn judge(&mut self, outcome: io::Result<()>) {
        let was = self.condition;
        self.condition = match &outcome {
            Err(_) => Condition::Failing,
            Ok(()) if self.store.has_spare() => Condition::Good,
            Ok(()) => Condition::NoReserve,
        };
        if self.condition == was {
            return;
        }
        self.say(match outcome {
            Err(error) => News::Trouble(format!("the journal can't be written, so no pair can change sides: {error}")),
            Ok(()) if self.condition == Condition::Good => News::Recovered,
            Ok(()) => {
                let room = self.store.room() / 1024;
                let why = self.no_spare.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
                News::Trouble(format!("the journal can't take space in reserve{why}; {room} KiB of it are left"))
            }
        });
        if was == Condition::Failing {
            // There may be space again: make a reserve of it at once.
            self.tidied = self.tidied.checked_sub(TIDY_EVERY).unwrap_or(self.tidied);
        }
    }

    fn say(&self, news: News) {
        let _driver_gone = self.news.blocking_send(news);
    }
}
