//! The secret of a group, as its file holds it. What is made of it is the peer link's business.

use super::file;
use std::{io, path::Path};
use zeroize::Zeroizing;

/// Shorter ones could be guessed.
pub const LEAST: usize = 16;
/// More than this is no key.
const MOST: u64 = 4096;

/// Why a file holds no pairing key. Never shows what is in it.
#[derive(Debug, thiserror::Error)]
pub enum PairingKeyError {
    /// It can't be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
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

    #[test]
    fn white_space_at_the_ends_is_no_part_of_the_key_and_a_short_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let read_back = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path)
        };
        assert_eq!(**read_back("\n0123456789 abcdef\r\n").unwrap(), *b"0123456789 abcdef");
        assert!(matches!(read_back(" \n"), Err(PairingKeyError::Empty)));
        assert!(matches!(read_back("0123456789abcde \n"), Err(PairingKeyError::Short(15))));
        assert!(matches!(read(&dir.path().join("none")), Err(PairingKeyError::Unreadable(_))));
    }
}
