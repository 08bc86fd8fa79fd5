//! What outlives the process: a small file of its own beside the journal, replaced whole, so that it is old or new and
//! never half.

use super::{ledger::Ledger, outbox::Item};
use crate::{control::disk, model::file};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// More than this is no file of ours.
const MOST_BYTES: u64 = 64 << 20;

/// What is in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The number of the next alert.
    pub(super) next_id: u64,
    pub(super) ledger: Ledger,
    /// By the channels' names.
    pub(super) outboxes: BTreeMap<String, Vec<Item>>,
}

/// Where it is.
#[derive(Debug)]
pub(super) struct Keep {
    path: PathBuf,
}

impl Keep {
    /// In the state directory.
    pub(super) fn within(dir: &Path) -> Self {
        Self { path: dir.join("alerts.json") }
    }

    /// What was kept last; nothing if there is no file.
    pub(super) fn load(&self) -> io::Result<Kept> {
        match file::read(&self.path, MOST_BYTES) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file. When this returns it is on the disk.
    pub(super) fn save(&self, kept: &Kept) -> io::Result<()> {
        disk::replace(&self.path, &serde_json::to_vec(kept)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{control::alerts::tests::alert, model::alert::Phase};

    #[test]
    fn what_is_kept_is_read_again_and_rubbish_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::within(dir.path());
        assert_eq!(keep.load().unwrap(), Kept::default());
        let item = Item { id: 7, phase: Phase::Ended, repeats: 2, queued: 5, alert: alert("AGG_V") };
        let mut ledger = Ledger::default();
        ledger.raised(alert("AGG_W"), 3);
        let kept = Kept { next_id: 8, ledger, outboxes: [("webhook1".to_owned(), vec![item])].into() };
        keep.save(&kept).unwrap();
        assert_eq!(keep.load().unwrap(), kept);
        std::fs::write(dir.path().join("alerts.json"), "{\"next_id\":").unwrap();
        assert!(keep.load().is_err());
    }
}
