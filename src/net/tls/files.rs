//! PEM files: the certificates of authorities, and certificates with their keys.

use super::certificate::Certificate;
use crate::model::{file, tls::IdentityFiles};
use rustls::{
    Error, RootCertStore,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// More than this is no file of certificates.
const MOST_BYTES: u64 = 4 << 20;
const PRIVATE_KEY: &str = "private key";

/// Why a file is of no use. Never shows what is in it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be opened or read.
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It is no PEM, or what is in it is cut off.
    #[error("{} is no PEM file, or not whole", .0.display())]
    Damaged(PathBuf),
    /// What is wanted is not in it.
    #[error("there is no {what} in {}", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The certificate and the key don't belong together.
    #[error("the key in {} is not that of the certificate in {}", .key.display(), .cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The library can't use it.
    #[error("what is in {} can't be used", .0.display())]
    Unusable(PathBuf, #[source] Error),
}

impl FileError {
    /// The file to look at.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::Unreadable(path, _) | Self::Damaged(path) | Self::Unusable(path, _) => path,
            Self::Missing { path, .. } => path,
            Self::Mismatch { key, .. } => key,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Unreadable(..) => "correct the path, or make the file readable",
            Self::Damaged(_) => "write it anew, whole and as PEM",
            Self::Missing { what: PRIVATE_KEY, .. } => "name the PEM file that has it; it must not be encrypted",
            Self::Missing { .. } => "name the PEM file that has it",
            Self::Mismatch { .. } => "are both files of the same renewal?",
            Self::Unusable(..) => "have it made anew, with an ECDSA, RSA or Ed25519 key",
        }
    }
}

/// The certificates of the authorities in `path`.
///
/// # Errors
/// [`FileError`].
pub(super) fn roots(path: &Path) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| FileError::Unusable(path.into(), error))?;
    }
    Ok(roots)
}

/// A certificate, what leads to its issuer, and its key, which belongs to it.
///
/// # Errors
/// [`FileError`].
pub(super) fn identity(files: &IdentityFiles) -> Result<Arc<CertifiedKey>, FileError> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?);
    let key = Zeroizing::new(key.map_err(|error| told(&error, &files.key, PRIVATE_KEY))?);
    let key = any_supported_type(&key).map_err(|error| FileError::Unusable(files.key.clone(), error))?;
    // Compared here: the library's own comparison reads no certificate of version 1, which our peer may well accept.
    let leaf = chain.first().and_then(|leaf| Certificate::read(leaf).ok());
    let leaf = leaf.ok_or_else(|| FileError::Damaged(files.cert.clone()))?;
    match key.public_key() {
        Some(public) if public != leaf.key => {
            Err(FileError::Mismatch { cert: files.cert.clone(), key: files.key.clone() })
        }
        _ => Ok(Arc::new(CertifiedKey::new(chain, key))),
    }
}

/// When the identity's certificate expires, in seconds since 1970.
pub(super) fn not_after(identity: &CertifiedKey) -> Option<i64> {
    Some(Certificate::read(identity.cert.first()?).ok()?.not_after)
}

/// All names that the identity's certificate carries.
pub(super) fn names_of(identity: &CertifiedKey) -> Vec<String> {
    let leaf = identity.cert.first().and_then(|leaf| Certificate::read(leaf).ok());
    let names = leaf.map(|leaf| leaf.names).unwrap_or_default();
    names.dns.iter().cloned().chain(names.common.into_iter().flatten()).collect()
}

/// The certificates in `path`, in their order.
///
/// # Errors
/// [`FileError`].
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let all = all.map_err(|error| told(&error, path, "certificate"))?;
    if all.is_empty() {
        return Err(FileError::Missing { path: path.into(), what: "certificate" });
    }
    Ok(all)
}

/// What is in the file. It may be a key, so it is wiped when it is dropped.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    file::read(path, MOST_BYTES).map(Zeroizing::new).map_err(|error| FileError::Unreadable(path.into(), error))
}

fn told(error: &pem::Error, path: &Path, what: &'static str) -> FileError {
    match error {
        pem::Error::NoItemsFound => FileError::Missing { path: path.into(), what },
        _ => FileError::Damaged(path.into()),
    }
}
