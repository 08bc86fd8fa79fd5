//! One journal file: its space is taken before it is needed, so that a full disk does not stop a failover, and written
//! with zeros, so that an append changes nothing but bytes that are there already.

use super::frame;
use rustix::fs::{FallocateFlags, fallocate};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A file with room.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    size: u64,
    end: u64,
    /// A write that failed may have left something up to here.
    dirty_to: u64,
}

impl JournalFile {
    /// Makes a file of `size` bytes, header written, everything on stable storage but its name.
    pub(super) fn create(path: &Path, size: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, size) {
            // Some file systems have no fallocate; the zeros below take the space there.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        let mut at = 0;
        while at < size {
            let chunk = ZEROS.len().min(usize::try_from(size - at).unwrap_or(ZEROS.len()));
            file.write_all_at(&ZEROS[..chunk], at)?;
            at += chunk as u64;
        }
        file.write_all_at(&frame::file_header(), 0)?;
        file.sync_all()?;
        Ok(Self { file, size, end: frame::FILE_HEADER as u64, dirty_to: 0 })
    }

    /// Goes on with a file whose frames end at `end`. With `torn`, what stands behind them is overwritten.
    pub(super) fn resume(path: &Path, end: u64, torn: bool) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let size = file.metadata()?.len();
        let mut this = Self { file, size, end, dirty_to: if torn { size } else { 0 } };
        if torn {
            this.append(&[])?;
            this.sync()?;
        }
        Ok(this)
    }

    /// Bytes that can still be appended without asking the file system for space.
    pub(super) fn room(&self) -> u64 {
        self.size.saturating_sub(self.end)
    }

    /// Can it still be found? Once somebody has removed it, what is written to it is lost with this process.
    pub(super) fn is_named(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() > 0)
    }

    /// Bytes in all.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Writes `bytes` behind the last frame. After an error the file is as before, as far as a reader can tell once
    /// something else has been appended.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end + bytes.len() as u64;
        if end > self.size {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = self.file.write_all_at(bytes, self.end).and_then(|()| self.wipe(end));
        match written {
            Ok(()) => (self.end, self.dirty_to) = (end, 0),
            Err(_) => self.dirty_to = self.dirty_to.max(end),
        }
        written
    }

    fn wipe(&self, from: u64) -> io::Result<()> {
        let mut at = from;
        while at < self.dirty_to {
            let chunk = ZEROS.len().min(usize::try_from(self.dirty_to - at).unwrap_or(ZEROS.len()));
            self.file.write_all_at(&ZEROS[..chunk], at)?;
            at += chunk as u64;
        }
        Ok(())
    }

    /// Waits until everything appended is on stable storage.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
