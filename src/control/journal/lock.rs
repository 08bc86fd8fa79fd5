//! The state directory belongs to one process.

use super::JournalError;
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Held while it lives; the kernel lets go when the process ends, however it ends.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Makes the directory (mode 0700) if it is missing, and takes it.
    ///
    /// # Errors
    /// [`JournalError::Directory`] if it can't be made or written to; [`JournalError::InUse`], with the other's pid, if
    /// another process has it.
    pub fn take(dir: &Path) -> Result<Self, JournalError> {
        let no_directory = |source| JournalError::Directory { dir: dir.into(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(no_directory)?;
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(no_directory)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _unknown_then = file.read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "?" } else { holder }.into();
                return Err(JournalError::InUse { dir: dir.into(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(no_directory(source)),
        }
        // On a full disk the pid is missing from the other's message, no more.
        let _no_space =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}
