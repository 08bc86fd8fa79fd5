//! TLS as configured and as it fails: whom a pair believes, what a route shows, and the reasons a handshake ends with.

use super::reason::labelled;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

/// `[pairs.NAME] tls = { … }`: TLS to the pair's upstreams, and who they must be. Without it they are spoken to in plain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTlsSpec {
    /// PEM file of the certificates that vouch for the upstreams; `None` only where there are pins.
    pub ca: Option<PathBuf>,
    /// The names of which a certificate must carry one (`N8`, `N9`); never empty, by default the pair's own name.
    pub names: Arc<[String]>,
    /// Does the subject's Common Name count as a name?
    pub common_name: CommonName,
    /// Public keys believed without anybody vouching for them.
    pub pins: Arc<[Pin]>,
    /// What we show to an upstream that asks who we are.
    pub identity: Option<IdentityFiles>,
    /// Application protocols offered (RFC 7301); empty: none is spoken of.
    pub alpn: Arc<[String]>,
}

/// `[routes.NAME] tls = { … }`: TLS ends here. Without it clients' bytes pass through untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminateSpec {
    /// Certificates with their keys; the first is shown to who asks for no name or for one that none of them carries.
    pub identities: Vec<IdentityFiles>,
    /// PEM file of the certificates that vouch for clients; with it every client must show a certificate.
    pub client_ca: Option<PathBuf>,
    /// Names of which a client's certificate must carry one; empty: any client that `client_ca` vouches for.
    pub client_names: Arc<[String]>,
    /// Application protocols agreed to, most wanted first; empty: none is spoken of.
    pub alpn: Arc<[String]>,
}

/// A certificate chain and its private key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdentityFiles {
    /// The certificate, then what leads to its issuer.
    pub cert: PathBuf,
    /// The key of the first one.
    pub key: PathBuf,
}

/// `common_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommonName {
    /// Only alternative names count (RFC 9525).
    #[default]
    Never,
    /// It counts where a certificate has no DNS name among its alternative names at all (RFC 6125 §6.4.4), as legacy tools
    /// make them.
    IfNoSan,
}

/// The SHA-256 digest of a certificate's `SubjectPublicKeyInfo`: a public key, whoever vouches for it. Written `sha256:` and
/// 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pin(pub [u8; 32]);

/// The text is no [`Pin`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no pin; write `sha256:` and 64 hexadecimal digits")]
pub struct PinError(String);

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let wrong = || PinError(text.into());
        // `openssl` separates the digits of a digest by colons.
        let digits: Vec<u8> = text.strip_prefix("sha256:").ok_or_else(wrong)?.bytes().filter(|b| *b != b':').collect();
        if digits.len() != 64 {
            return Err(wrong());
        }
        let mut pin = [0; 32];
        for (byte, digits) in pin.iter_mut().zip(digits.chunks(2)) {
            let digits =
                std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(wrong)?;
        }
        Ok(Self(pin))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

labelled! {
    /// Why a TLS handshake failed (`failback_tls_handshake_failures_total{reason}`).
    TlsFailure {
        /// No certificate authority we know vouches for it.
        UnknownIssuer = "unknown_issuer": "nobody we trust has signed the certificate",
        /// Its time is over.
        Expired = "expired": "the certificate has expired",
        /// Its time has not come.
        NotYetValid = "not_yet_valid": "the certificate is not valid yet",
        /// It carries none of the names wanted.
        WrongName = "wrong_name": "the certificate carries none of the wanted names",
        /// It is made for something else.
        WrongUsage = "wrong_usage": "the certificate is not made for this use",
        /// It is an X.509 version 1 certificate.
        OldVersion = "old_version": "the certificate is of X.509 version 1",
        /// It is a certificate authority's own.
        CaAsLeaf = "ca_as_leaf": "the certificate is a certificate authority's own",
        /// It can't be read, its signature does not fit, or its key is of no use.
        BadCertificate = "bad_certificate": "the certificate can't be used",
        /// None was shown where one was wanted.
        NoCertificate = "no_certificate": "no certificate was shown",
        /// The other end did not accept ours.
        RefusedByPeer = "refused_by_peer": "the other end refused the handshake",
        /// No version, suite or application protocol is common to both.
        NothingInCommon = "nothing_in_common": "there is no protocol version, suite or application protocol in common",
        /// What came is no TLS, or breaks its rules.
        NotTls = "not_tls": "what came is not TLS",
        /// We could not go on: says nothing about the other end.
        Local = "local": "this node could not go on with the handshake",
        /// It took longer than the deadline.
        TimedOut = "timed_out": "the handshake was not over in time",
        /// The other end went away in the middle.
        Closed = "closed": "the other end went away during the handshake",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_as_it_is_written_and_as_openssl_writes_digests() {
        let text = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(text.parse::<Pin>().unwrap().to_string(), text);
        let colons = format!("sha256:{}", ["0A"; 32].join(":"));
        assert_eq!(colons.parse::<Pin>().unwrap().to_string(), text);
        for wrong in ["", "sha256:", "0a", &text[..70], &format!("{text}0"), &text.replace('0', "+")] {
            assert!(wrong.parse::<Pin>().is_err(), "{wrong}");
        }
    }
}
