//! Files that others made, read without being made to wait.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Opens a file that must be a regular one: a pipe would keep its reader waiting for ever, a device might do anything.
///
/// # Errors
/// Those of opening, and [`io::ErrorKind::InvalidInput`] if it is something else.
pub fn open(path: &Path) -> io::Result<File> {
    // Without this flag opening a pipe waits for its writer.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a folder, a pipe or a device, not a file"));
    }
    Ok(file)
}

/// The whole of a regular file of at most `most` bytes.
///
/// # Errors
/// Those of [`open`] and of reading, and [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    // Room for all of it at once: what moves while it grows leaves copies behind, and it may be a key.
    let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len().min(most)).unwrap_or(0) + 1);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} KiB", most / 1024)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_that_is_not_too_large_is_read_and_nothing_makes_us_wait() {
        let dir = tempfile::tempdir().unwrap();
        let (file, pipe) = (dir.path().join("file"), dir.path().join("pipe"));
        std::fs::write(&file, b"four").unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(read(&file, 4).unwrap(), b"four");
        assert_eq!(read(&file, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read(&pipe, 4).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(read(dir.path(), 4).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
