//! Who this node is to others: a key of its own, made at the first start and never again, in a certificate signed by itself.

use super::PeerError;
use crate::{
    control::disk,
    model::{NodeName, file, tls::Pin},
    net::tls::{Certificate, peer_client, peer_server},
};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{
    ClientConfig, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{io, path::Path, sync::Arc};
use zeroize::Zeroizing;

const FILE: &str = "identity.pem";
const DAMAGED: &str = "it is no key with its certificate; put a copy of it back, or remove it, let the other nodes forget this one \
    (`failback group leave --node` with its name), and join again";
const MOST_BYTES: u64 = 64 * 1024;

/// This node's key and certificate.
pub(super) struct Identity {
    pub(super) pin: Pin,
    pub(super) server: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// The one in `state_dir`, or a new one if there is none. One that is there and can't be read is an error: with another key
    /// the other nodes would take this one for a stranger.
    pub(super) fn load_or_make(state_dir: &Path, node: &NodeName) -> Result<Self, PeerError> {
        let path = state_dir.join(FILE);
        let broken = |source: io::Error| PeerError::State { path: path.clone(), source };
        let pem = match file::read(&path, MOST_BYTES).map(Zeroizing::new) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = make(node).map_err(|error| broken(io::Error::other(error)))?;
                disk::replace(&path, made.as_bytes()).map_err(broken)?;
                Zeroizing::new(made.as_bytes().to_vec())
            }
            read => read.map_err(broken)?,
        };
        let damaged = || broken(io::Error::new(io::ErrorKind::InvalidData, DAMAGED));
        let certificate = CertificateDer::from_pem_slice(&pem).map_err(|_| damaged())?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| damaged())?;
        let pin = Certificate::read(&certificate).map_err(|_| damaged())?.pin;
        let server = Arc::new(peer_server(certificate.clone(), key.clone_key())?);
        Ok(Self { pin, server, certificate, key })
    }

    /// TLS towards a node, the one with this key if one is expected.
    pub(super) fn client(&self, expected: Option<Pin>) -> Result<Arc<ClientConfig>, PeerError> {
        Ok(Arc::new(peer_client(self.certificate.clone(), self.key.clone_key(), expected)?))
    }
}

/// Valid for ever: what counts is the key.
fn make(node: &NodeName) -> Result<Zeroizing<String>, rcgen::Error> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, &**node);
    params.distinguished_name = subject;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    Ok(Zeroizing::new(format!("{}{certificate}", *Zeroizing::new(key.serialize_pem()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_identity_is_made_once_and_never_again() {
        let dir = tempfile::tempdir().unwrap();
        let node = NodeName::from("PROXY_P");
        let first = Identity::load_or_make(dir.path(), &node).unwrap().pin;
        let path = dir.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Identity::load_or_make(dir.path(), &node).unwrap().pin, first);

        std::fs::write(&path, "what was here is gone").unwrap();
        let Err(error) = Identity::load_or_make(dir.path(), &node) else { panic!("a damaged one was taken") };
        assert!(error.to_string().contains("identity.pem"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "what was here is gone");
    }
}
