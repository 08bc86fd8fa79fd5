//! What is stored of the node itself: roles and seats (`state_dir/node.json`), replaced as a whole.

use crate::{
    control::disk,
    decide::seat::{effect::NodeRecord, input::Stored},
    model::file,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// More than this is no record of a node.
const MOST_BYTES: u64 = 1 << 20;

pub(super) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("node.json")
}

/// What the disk has. What can't be read is kept beside it (`node.damaged`), and said.
pub(super) fn load(state_dir: &Path) -> io::Result<Stored> {
    let path = path(state_dir);
    let bytes = match file::read(&path, MOST_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::Nothing),
        read => read?,
    };
    match serde_json::from_slice(&bytes) {
        Ok(record) => Ok(Stored::Record(Box::new(record))),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the node's record is damaged: no seat is served before an operator orders it");
            let aside = path.with_extension("damaged");
            if let Err(error) = fs::copy(&path, &aside) {
                tracing::error!(path = %aside.display(), %error, "the damaged record can't be kept");
            }
            Ok(Stored::Unreadable)
        }
    }
}

/// On stable storage before it returns. Blocks.
pub(super) fn store(state_dir: &Path, record: &NodeRecord) -> io::Result<()> {
    disk::replace(&path(state_dir), &serde_json::to_vec(record)?)
}
