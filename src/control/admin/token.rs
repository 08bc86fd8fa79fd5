//! Who may do what: the tokens file, one `name:scope:secret` a line.

use crate::model::{PairName, file};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};
use subtle::ConstantTimeEq;

/// What a token may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// See everything, change nothing.
    Read,
    /// Send resync signals for this pair, nothing else: all that a database server's trigger needs (`N10`).
    Resync(PairName),
    /// Everything.
    Operate,
}

/// One line of the file.
#[derive(Clone)]
struct Token {
    name: Arc<str>,
    scope: Scope,
    secret: Box<[u8]>,
}

/// The tokens in force. Cloning it gives another handle on the same set; [`Tokens::replace`] replaces it for all.
#[derive(Clone, Default)]
pub struct Tokens(Arc<RwLock<Option<Vec<Token>>>>);

/// Why a tokens file is not acceptable. No message ever shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It can't be read.
    #[error("the tokens file {} can't be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is no token.
    #[error("{}:{line}: {what}; write name:scope:secret, scope being read, resync:PAIR or operate", path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It has no token, so that nobody could be served.
    #[error("the tokens file {} holds no token; write name:scope:secret on a line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Tokens that were read and are not in force yet.
pub struct NewTokens(Option<Vec<Token>>);

impl std::fmt::Debug for NewTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().flatten().map(|token| &token.name)).finish()
    }
}

/// Larger files are refused: nobody has that many tokens.
const MAX_FILE: u64 = 1 << 20;

impl Tokens {
    /// The tokens in `file`. Without a file no token is needed, which is good on loopback and unix sockets only.
    ///
    /// # Errors
    /// If the file can't be read, or one of its lines is no token.
    pub fn load(file: Option<&Path>) -> Result<Self, TokenError> {
        let tokens = Self::default();
        tokens.replace(Self::read(file)?);
        Ok(tokens)
    }

    /// Reads the file, for [`Self::replace`]. Blocks for the file system.
    ///
    /// # Errors
    /// If the file can't be read, or one of its lines is no token.
    pub fn read(file: Option<&Path>) -> Result<NewTokens, TokenError> {
        file.map(read).transpose().map(NewTokens)
    }

    /// These are in force from now on.
    pub fn replace(&self, new: NewTokens) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new.0;
    }

    /// Is a token needed?
    pub(super) fn needed(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whose secret this is, and what they may do. Every token is compared in full, so that the time taken tells nothing.
    pub(super) fn find(&self, secret: &[u8]) -> Option<(Arc<str>, Scope)> {
        let tokens = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for token in tokens.iter().flatten() {
            if bool::from(token.secret.ct_eq(secret)) {
                found = Some((Arc::clone(&token.name), token.scope.clone()));
            }
        }
        found
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tokens = self.0.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_list().entries(tokens.iter().flatten().map(|token| &token.name)).finish()
    }
}

fn read(path: &Path) -> Result<Vec<Token>, TokenError> {
    let unreadable = |source| TokenError::Unreadable { path: path.into(), source };
    let text = file::read(path, MAX_FILE).map_err(unreadable)?;
    let text =
        String::from_utf8(text).map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    let mut tokens: Vec<Token> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let bad = |what| TokenError::BadLine { path: path.into(), line: index + 1, what };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let token = parse(line).map_err(bad)?;
        if tokens.iter().any(|known| known.name == token.name) {
            return Err(bad("the name is taken by an earlier line"));
        }
        if tokens.iter().any(|known| known.secret == token.secret) {
            return Err(bad("the secret is used by an earlier line"));
        }
        tokens.push(token);
    }
    if tokens.is_empty() { Err(TokenError::Empty { path: path.into() }) } else { Ok(tokens) }
}

fn parse(line: &str) -> Result<Token, &'static str> {
    let (name, rest) = line.split_once(':').ok_or("there is no `:`")?;
    let (scope, rest) = rest.split_once(':').ok_or("the secret is missing")?;
    let (scope, secret) = match scope {
        "read" => (Scope::Read, rest),
        "operate" => (Scope::Operate, rest),
        "resync" => {
            let (pair, secret) = rest.split_once(':').ok_or("the scope `resync` needs a pair")?;
            if pair.is_empty() {
                return Err("the scope `resync` needs a pair");
            }
            (Scope::Resync(pair.into()), secret)
        }
        _ => return Err("the scope is none of read, resync:PAIR, operate"),
    };
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("the name is empty or has blanks");
    }
    // What an `Authorization` header can carry, and no `:`, so that a forgotten scope can't pass for a secret.
    if secret.is_empty() || !secret.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return Err("the secret is empty or has other characters than visible ASCII without `:`");
    }
    Ok(Token { name: name.into(), scope, secret: secret.as_bytes().into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn each_secret_leads_to_its_name_and_scope() {
        let file = file("# ours\n\nmonitor:read:abc\nagg:resync:AGG_V:def\n ops:operate:ghi \n");
        let tokens = Tokens::load(Some(file.path())).unwrap();
        assert!(tokens.needed());
        assert_eq!(tokens.find(b"abc"), Some(("monitor".into(), Scope::Read)));
        assert_eq!(tokens.find(b"def"), Some(("agg".into(), Scope::Resync("AGG_V".into()))));
        assert_eq!(tokens.find(b"ghi"), Some(("ops".into(), Scope::Operate)));
        for wrong in [&b""[..], b"ab", b"abcd", b"abd", b"monitor:read:abc"] {
            assert_eq!(tokens.find(wrong), None);
        }
    }

    #[test]
    fn a_bad_line_is_named_and_its_secret_is_not() {
        for bad in [
            "ops",
            "ops:hunter2",
            "ops:admin:hunter2",
            "ops:resync:hunter2",
            "ops:resync::hunter2",
            "ops:read:",
            ":read:hunter2",
            "ops:read:hunter 2",
            "ops:read:a:hunter2",
            "good:read:hunter2",
            "ops:read:hunter1",
        ] {
            let file = file(&format!("good:read:hunter1\n{bad}\n"));
            let error = Tokens::load(Some(file.path())).unwrap_err();
            assert!(matches!(error, TokenError::BadLine { line: 2, .. }), "{bad}: {error}");
            assert!(!error.to_string().contains("hunter"), "{error}");
        }
    }

    #[test]
    fn a_file_without_tokens_and_a_missing_file_are_errors() {
        let file = file("# nobody yet\n");
        assert!(matches!(Tokens::load(Some(file.path())), Err(TokenError::Empty { .. })));
        assert!(matches!(Tokens::load(Some(Path::new("/nonexistent"))), Err(TokenError::Unreadable { .. })));
    }

    #[test]
    fn a_failed_reload_keeps_the_tokens_in_force() {
        let file = file("ops:operate:abc\n");
        let tokens = Tokens::load(Some(file.path())).unwrap();
        std::fs::write(file.path(), "ops:operate\n").unwrap();
        assert!(Tokens::read(Some(file.path())).is_err());
        assert!(tokens.find(b"abc").is_some());
        std::fs::write(file.path(), "ops:operate:xyz\n").unwrap();
        tokens.replace(Tokens::read(Some(file.path())).unwrap());
        assert!(tokens.find(b"abc").is_none() && tokens.find(b"xyz").is_some());
    }
}
