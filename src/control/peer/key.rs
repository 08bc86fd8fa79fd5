//! The pairing key, and what is made of it. The key itself is used for nothing and kept nowhere.
//!
//! ```text
//!   file ──PBKDF2──▶ master ──HKDF-Expand, a label each──┬▶ proofs of joining
//!                    (dropped)                           ├▶ beacons
//!                                                        └▶ fingerprint, shown to people
//! ```

use super::channel::Binding;
use crate::model::pairing_key::{self, PairingKeyError};
use aws_lc_rs::{hmac, pbkdf2};
use std::{fmt, num::NonZeroU32, path::Path};
use zeroize::Zeroizing;

/// Makes guessing a key that is no random one dear to who has seen a proof or a fingerprint; some 30 ms for us, once.
const ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();
/// The same for every group: nodes have nothing else in common before they are joined.
const SALT: &[u8] = b"failback pairing key, version 1";

/// What nodes of one group have in common.
pub struct PairingKey {
    proof: hmac::Key,
    beacon: hmac::Key,
    fingerprint: Fingerprint,
}

/// Tells whether two nodes hold the same pairing key (`B16`), and nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 8]);

/// Who proves something. Each side has a label of its own, so that nobody can be answered with his own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prover {
    Asking,
    Asked,
}

impl PairingKey {
    /// Reads the key's file. Blocks for some tens of milliseconds.
    ///
    /// # Errors
    /// [`PairingKeyError`].
    pub fn load(path: &Path) -> Result<Self, PairingKeyError> {
        Ok(Self::from_secret(&pairing_key::read(path)?))
    }

    /// Of the secret itself.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Self {
        let mut master = Zeroizing::new([0; 32]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, SALT, secret, master.as_mut());
        let master = hmac::Key::new(hmac::HMAC_SHA256, master.as_ref());
        let mut shown = [0; 8];
        shown.copy_from_slice(&expand(&master, b"fingerprint").as_ref()[..8]);
        Self {
            proof: hmac::Key::new(hmac::HMAC_SHA256, expand(&master, b"proof").as_ref()),
            beacon: hmac::Key::new(hmac::HMAC_SHA256, expand(&master, b"beacon").as_ref()),
            fingerprint: Fingerprint(shown),
        }
    }

    /// To compare two nodes by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The key that beacons are signed with.
    #[must_use]
    pub fn for_beacons(&self) -> &hmac::Key {
        &self.beacon
    }

    /// Proves that we hold the key, to the other end of this one connection.
    pub(super) fn prove(&self, prover: Prover, binding: &Binding) -> Vec<u8> {
        hmac::sign(&self.proof, &words(prover, binding)).as_ref().into()
    }

    /// Does the other end hold it?
    pub(super) fn is_proven(&self, prover: Prover, binding: &Binding, proof: &[u8]) -> bool {
        hmac::verify(&self.proof, &words(prover, binding), proof).is_ok()
    }
}

impl fmt::Debug for PairingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PairingKey({})", self.fingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if index % 2 == 0 && index > 0 { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// HKDF-Expand (RFC 5869 §2.3) to one block of SHA-256.
fn expand(master: &hmac::Key, label: &[u8]) -> hmac::Tag {
    hmac::sign(master, &[b"failback ", label, b" 1\x01"].concat())
}

fn words(prover: Prover, binding: &Binding) -> Vec<u8> {
    let label: &[u8] = match prover {
        Prover::Asking => b"asking ",
        Prover::Asked => b"asked  ",
    };
    [label, &binding.exporter, &binding.client.0, &binding.server.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tls::Pin;

    fn binding(exporter: u8) -> Binding {
        Binding { exporter: [exporter; 32], client: Pin([1; 32]), server: Pin([2; 32]) }
    }

    #[test]
    fn b16_a_fingerprint_is_the_same_for_the_same_key_only() {
        let fingerprint = |secret: &str| PairingKey::from_secret(secret.as_bytes()).fingerprint().to_string();
        let shown = fingerprint("a secret of the tests' own");
        assert_eq!(shown, fingerprint("a secret of the tests' own"));
        assert_ne!(shown, fingerprint("a secret of the tests' owN"));
        assert_eq!((shown.len(), shown.matches('-').count()), (19, 3), "{shown}");
    }

    #[test]
    fn b2_a_proof_holds_for_its_key_its_side_and_its_channel() {
        let (ours, other) = (PairingKey::from_secret(b"one key"), PairingKey::from_secret(b"another"));
        let proof = ours.prove(Prover::Asking, &binding(7));
        assert!(ours.is_proven(Prover::Asking, &binding(7), &proof));
        assert!(!ours.is_proven(Prover::Asked, &binding(7), &proof), "sent back to who made it");
        assert!(!ours.is_proven(Prover::Asking, &binding(8), &proof), "carried to another connection");
        assert!(!other.is_proven(Prover::Asking, &binding(7), &proof));
        assert!(!ours.is_proven(Prover::Asking, &binding(7), &proof[..31]));
        let other_node = Binding { client: Pin([3; 32]), ..binding(7) };
        assert!(!ours.is_proven(Prover::Asking, &other_node, &proof));
        assert!(!format!("{ours:?}").contains("one key"));
    }
}
