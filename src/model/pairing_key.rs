//! The secret of a group, as its file holds it. What is made of it is the peer link's business.

use super::file;
use std::{io, os::unix::fs::MetadataExt, path::Path};
use zeroize::Zeroizing;

/// Shorter ones could be guessed.
pub const LEAST: usize = 16;
/// More than this is no key.
const MOST: u64 = 4096;

/// Why a file holds no pairing key. Never shows what is in it.
#[derive(Debug, thiserror::Error)]
pub enum PairingKeyError {
    /// It can't be opened or read.
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
    /// It is this process' own user's, and others have rights to it (its mode). As `ssh` sees it: where another user owns it, that
    /// one has decided who may read it.
    #[error("has mode {0:04o}: others on this machine may read it, and be a node of the group")]
    Open(u32),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It would be guessed.
    #[error("holds {0} bytes, fewer than {LEAST}")]
    Short(usize),
}

/// The bytes of the file without white space at its ends, which editors add and hide.
///
/// # Errors
/// [`PairingKeyError`].
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, PairingKeyError> {
    let file = file::open(path).and_then(|file| file.metadata()).map_err(PairingKeyError::Unreadable)?;
    let mode = file.mode() & 0o777;
    if mode & 0o077 != 0 && file.uid() == rustix::process::geteuid().as_raw() {
        return Err(PairingKeyError::Open(mode));
    }
    let bytes = file::read(path, MOST).map(Zeroizing::new).map_err(PairingKeyError::Unreadable)?;
    match bytes.trim_ascii() {
        [] => Err(PairingKeyError::Empty),
        short if short.len() < LEAST => Err(PairingKeyError::Short(short.len())),
        key => Ok(Zeroizing::new(key.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    #[test]
    fn white_space_at_the_ends_is_no_part_of_the_key_and_a_short_or_open_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let read_back = |text: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            read(&path)
        };
        assert_eq!(**read_back("\n0123456789 abcdef\r\n").unwrap(), *b"0123456789 abcdef");
        assert!(matches!(read_back(" \n"), Err(PairingKeyError::Empty)));
        assert!(matches!(read_back("0123456789abcde \n"), Err(PairingKeyError::Short(15))));
        assert!(matches!(read(&dir.path().join("none")), Err(PairingKeyError::Unreadable(_))));
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(&path), Err(PairingKeyError::Open(seen)) if seen == mode));
        }
    }
}
