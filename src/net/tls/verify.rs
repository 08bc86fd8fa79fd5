//! Whom we believe: a certificate whose key is pinned; else one that a known authority vouches for, that is valid now, and
//! that carries a wanted name. One judgement for sessions, checks and `failback certs inspect`.

use super::{
    certificate::Certificate,
    constraints::unlimited,
    failure::{VerifyError, from_certificate_error},
    names::{Rule, accept},
};
use crate::model::tls::{CommonName, Pin, TlsFailure, UpstreamTlsSpec};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{
        WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::{fmt, sync::Arc};
use webpki::KeyUsage;

/// Why a certificate was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Its key is pinned; nothing else was asked of it, not even that its time has come or is not over.
    Pinned(Pin),
    /// A known authority vouches for it, and it carries a wanted name.
    Named(Rule),
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(pin) => write!(f, "its key is pinned ({pin})"),
            Self::Named(rule) => rule.fmt(f),
        }
    }
}

/// Judges an upstream's certificate, the leaf, and what was sent with it.
///
/// # Errors
/// Why it is not believed, and the mend.
pub(super) fn judge(
    spec: &UpstreamTlsSpec,
    roots: &RootCertStore,
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<Accepted, VerifyError> {
    let seen = Certificate::read(leaf)
        .map_err(|error| VerifyError { reason: TlsFailure::BadCertificate, words: error.to_string() })?;
    if let Some(kind) = &seen.unusable_key {
        let words = format!(
            "the key of {} is {kind}; those used here are RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, and Ed25519: \
             have it made anew, since no pin helps",
            seen.subject
        );
        return Err(VerifyError { reason: TlsFailure::BadCertificate, words });
    }
    if spec.pins.contains(&seen.pin) {
        return Ok(Accepted::Pinned(seen.pin));
    }
    if spec.ca.is_none() {
        let words = format!("the key of {} is {}, which is not among the pins", seen.subject, seen.pin);
        return Err(VerifyError { reason: TlsFailure::UnknownIssuer, words });
    }
    form(&seen)?;
    vouched(roots, leaf, others, now).map_err(|error| from_certificate_error(&error, Some(&seen)))?;
    let rule = accept(&seen.names, &spec.names, spec.common_name).ok_or_else(|| wrong_name(spec, &seen))?;
    if matches!(rule, Rule::CommonName(_)) && !unlimited(roots, leaf, others, now, KeyUsage::server_auth()) {
        return Err(limited(&seen));
    }
    Ok(Accepted::Named(rule))
}

fn limited(seen: &Certificate) -> VerifyError {
    let words = format!(
        "its only name is the Common Name, and an authority on the way is limited to certain names, which says nothing of Common \
         Names: have it made anew with the name among the alternative names; it carries {}",
        seen.names
    );
    VerifyError { reason: TlsFailure::WrongName, words }
}

/// What webpki refuses to look at (RFC 5280 §4.1.2.1, §4.2.1.9).
fn form(seen: &Certificate) -> Result<(), VerifyError> {
    let (reason, what) = if seen.version < 3 {
        (TlsFailure::OldVersion, "is of X.509 version 1, which can't say what it may be used for")
    } else if seen.is_ca {
        (TlsFailure::CaAsLeaf, "is a certificate authority's own (CA:TRUE), and could vouch for any name")
    } else {
        return Ok(());
    };
    let words = format!(
        "the certificate of {} {what}: have a proper one made, or believe this key alone with `pins = [\"{}\"]`",
        seen.subject, seen.pin
    );
    Err(VerifyError { reason, words })
}

fn vouched(
    roots: &RootCertStore,
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), CertificateError> {
    let parsed = ParsedCertificate::try_from(leaf);
    let checked = parsed
        .and_then(|parsed| verify_server_cert_signed_by_trust_anchor(&parsed, roots, others, now, algorithms().all));
    checked.map_err(|error| match error {
        Error::InvalidCertificate(error) => error,
        _ => CertificateError::BadEncoding,
    })
}

fn wrong_name(spec: &UpstreamTlsSpec, seen: &Certificate) -> VerifyError {
    let wanted = spec.names.join(" or ");
    let common = super::names::common_name(&seen.names);
    let would = common.is_some_and(|name| spec.names.iter().any(|wanted| super::names::matches(name, wanted)));
    let mend = match (would, spec.common_name, seen.names.dns.is_empty()) {
        (true, CommonName::Never, true) => "; its Common Name would do with `common_name = \"if-no-san\"`",
        (true, _, false) => "; its Common Name does not count beside DNS names",
        _ => "; have it made for the pair's name, or add the name it carries to `names`",
    };
    VerifyError { reason: TlsFailure::WrongName, words: format!("wanted {wanted}; it carries {}{mend}", seen.names) }
}

pub(super) fn algorithms() -> WebPkiSupportedAlgorithms {
    aws_lc_rs::default_provider().signature_verification_algorithms
}

/// [`judge`] as rustls calls it.
#[derive(Debug)]
pub(super) struct UpstreamVerifier {
    spec: Arc<UpstreamTlsSpec>,
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl UpstreamVerifier {
    pub(super) fn new(spec: &Arc<UpstreamTlsSpec>, roots: RootCertStore) -> Self {
        Self { spec: Arc::clone(spec), roots, algorithms: algorithms() }
    }

    pub(super) fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Accepted, VerifyError> {
        judge(&self.spec, &self.roots, leaf, others, now)
    }
}

impl ServerCertVerifier for UpstreamVerifier {
    /// Whatever host was dialled: what counts are the pair's names (`N8`).
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.judge(leaf, others, now).map(|_| ServerCertVerified::assertion());
        judged.map_err(|error| error.into_rustls(Certificate::read(leaf).ok().map(|leaf| leaf.not_after)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match raw_key(leaf)? {
            Some(key) => verify_tls12_signature_with_raw_key(message, &key, signed, &self.algorithms),
            None => verify_tls12_signature(message, leaf, signed, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match raw_key(leaf)? {
            Some(key) => verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms),
            None => verify_tls13_signature(message, leaf, signed, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The key of a certificate that webpki does not read, such as one of version 1 that is pinned.
fn raw_key(leaf: &CertificateDer<'_>) -> Result<Option<SubjectPublicKeyInfoDer<'static>>, Error> {
    if ParsedCertificate::try_from(leaf).is_ok() {
        return Ok(None);
    }
    let seen = Certificate::read(leaf).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    Ok(Some(seen.key))
}

/// As rustls does it for certificates: each algorithm that the scheme may mean is tried.
fn verify_tls12_signature_with_raw_key(
    message: &[u8],
    key: &SubjectPublicKeyInfoDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let bad = |_| Error::InvalidCertificate(CertificateError::BadSignature);
    let key = webpki::RawPublicKeyEntity::try_from(key).map_err(bad)?;
    let candidates = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme);
    let mut tried = candidates.flat_map(|(_, candidates)| candidates.iter());
    match tried.any(|candidate| key.verify_signature(*candidate, message, signed.signature()).is_ok()) {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(Error::InvalidCertificate(CertificateError::BadSignature)),
    }
}

/// Clients' certificates: vouched for by `roots`, and carrying one of `names` if there are any. The Common Name counts in want
/// of DNS names: clients' certificates seldom have others.
pub(super) fn client_verifier(
    roots: RootCertStore,
    names: &Arc<[String]>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = Arc::new(roots);
    let chain = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider).build();
    let chain = chain.map_err(|error| Error::General(error.to_string()))?;
    Ok(if names.is_empty() { chain } else { Arc::new(NamedClients { chain, roots, names: Arc::clone(names) }) })
}

#[derive(Debug)]
struct NamedClients {
    chain: Arc<dyn ClientCertVerifier>,
    roots: Arc<RootCertStore>,
    names: Arc<[String]>,
}

impl ClientCertVerifier for NamedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(leaf, others, now)?;
        let seen = Certificate::read(leaf).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let refused = match accept(&seen.names, &self.names, CommonName::IfNoSan) {
            Some(Rule::CommonName(_)) if !unlimited(&self.roots, leaf, others, now, KeyUsage::client_auth()) => {
                limited(&seen)
            }
            Some(_) => return Ok(verified),
            None => {
                let words = format!("wanted {}; it carries {}", self.names.join(" or "), seen.names);
                VerifyError { reason: TlsFailure::WrongName, words }
            }
        };
        Err(refused.into_rustls(Some(seen.not_after)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
