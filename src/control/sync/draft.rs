//! What is known of a seat as a file for people: to be read anywhere, and to be edited where the seat is held for another node, whose own
//! configuration file is out of reach.

use super::settings::{Settings, Unreadable};
use crate::{control::disk, model::file};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Of a file that somebody edited.
const MOST_BYTES: u64 = 4 << 20;

/// Such a file can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The file system says no.
    #[error("{}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// What is in it.
    #[error("{}", .0.display())]
    Unreadable(PathBuf, #[source] Unreadable),
}

/// Writes the settings, with a word about the file, unless they are there already. What somebody wrote there that is neither they nor
/// `known`, what was there before, is kept beside it.
pub(super) fn write(path: &Path, seat: &str, known: Option<&str>, settings: &str) -> Result<(), DraftError> {
    let failed = |source| DraftError::Io(path.to_owned(), source);
    match edited(path, known.unwrap_or_default()) {
        Ok(None) => {}
        Ok(Some(there)) if there.text() == settings => return Ok(()),
        Ok(Some(_)) | Err(DraftError::Unreadable(..)) => {
            fs::rename(path, kept_path(path)).map_err(failed)?;
        }
        Err(error) => return Err(error),
    }
    let text = format!(
        "# What this node knows of seat {seat}. Where it holds the seat for another node, edit this, then: failback reload\n\
         # The node of that name has its configuration file for that.\n\n{settings}"
    );
    disk::replace(path, text.as_bytes()).map_err(failed)
}

/// Where it is kept what somebody wrote there.
pub(super) fn kept_path(path: &Path) -> PathBuf {
    path.with_extension("toml.kept")
}

/// Where settings that are given up are kept, beside the file.
pub(super) fn set_aside_path(path: &Path) -> PathBuf {
    path.with_extension("toml.set-aside")
}

/// Keeps settings that are given up.
pub(super) fn set_aside(path: &Path, settings: &str) -> Result<(), DraftError> {
    let path = set_aside_path(path);
    let text = format!("# Given up for what another node had, which served the seat meanwhile.\n\n{settings}");
    disk::replace(&path, text.as_bytes()).map_err(|source| DraftError::Io(path, source))
}

/// What somebody wrote there, if it is something else than `settings`.
///
/// # Errors
/// [`DraftError`].
pub(super) fn edited(path: &Path, settings: &str) -> Result<Option<Settings>, DraftError> {
    let bytes = match file::read(path, MOST_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|source| DraftError::Io(path.to_owned(), source))?,
    };
    let text = String::from_utf8(bytes).map_err(|error| DraftError::Io(path.to_owned(), io::Error::other(error)))?;
    let found = Settings::of(&text).map_err(|source| DraftError::Unreadable(path.to_owned(), source))?;
    Ok((found.text() != settings).then_some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_edited_and_not_applied_is_found_and_kept_when_it_is_overtaken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("A.toml");
        let settings = |name: &str| Settings::of(&format!("[pairs.{name}]\nbackups = []\n")).unwrap();
        let (old, edit, new) = (settings("OLD"), settings("EDIT"), settings("NEW"));
        write(&path, "A", None, old.text()).unwrap();
        assert_eq!(edited(&path, old.text()).unwrap(), None, "its own words are no edit");
        fs::write(&path, format!("# mine\n{}", edit.text())).unwrap();
        assert_eq!(edited(&path, old.text()).unwrap(), Some(edit.clone()));
        write(&path, "A", Some(old.text()), edit.text()).unwrap();
        assert!(
            fs::read_to_string(&path).unwrap().starts_with("# mine"),
            "it was applied, and stays as it was written"
        );
        write(&path, "A", Some(old.text()), new.text()).unwrap();
        assert_eq!(edited(&path, new.text()).unwrap(), None);
        assert_eq!(edited(&dir.path().join("A.toml.kept"), new.text()).unwrap(), Some(edit));
        fs::write(&path, "not toml").unwrap();
        assert!(edited(&path, new.text()).unwrap_err().to_string().contains("A.toml"));
    }
}
