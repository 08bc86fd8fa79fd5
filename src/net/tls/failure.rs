//! Why a handshake failed, as one of few reasons and in words that an operator can act on.

use super::certificate::Certificate;
use crate::model::tls::TlsFailure;
use rustls::{AlertDescription as Alert, CertificateError, Error, OtherError};
use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// A certificate that is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct VerifyError {
    /// Which of few reasons.
    pub reason: TlsFailure,
    /// What was wanted, what came, and the mend.
    pub words: String,
}

impl VerifyError {
    /// As it passes through rustls with the end of the certificate concerned; [`classify`] and [`refused_until`] find them
    /// again.
    pub(super) fn into_rustls(self, not_after: Option<i64>) -> Error {
        // The alert that goes out with it is of the certificate's own kind (RFC 8446 §6.2).
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Refused { why: self, not_after }))))
    }
}

/// A certificate that was shown and not believed.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
struct Refused {
    why: VerifyError,
    not_after: Option<i64>,
}

/// When the certificate that made a handshake fail expires, in seconds since 1970; `None` if it failed for another reason.
#[must_use]
pub fn refused_until(error: &Error) -> Option<i64> {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = error else { return None };
    inner.downcast_ref::<Refused>()?.not_after
}

/// A handshake's error as a reason and in words.
#[must_use]
pub fn classify(error: &Error) -> (TlsFailure, String) {
    use TlsFailure::*;
    let told = |reason: TlsFailure| (reason, reason.words().to_owned());
    match error {
        Error::InvalidCertificate(error) => {
            let VerifyError { reason, words } = from_certificate_error(error, None);
            (reason, words)
        }
        Error::NoCertificatesPresented => told(NoCertificate),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            (NotTls, format!("what came is not TLS ({error}); does the other end speak in plain?"))
        }
        Error::PeerIncompatible(what) => (NothingInCommon, format!("{}: {what:?}", NothingInCommon.words())),
        Error::NoApplicationProtocol => (NothingInCommon, "no application protocol (ALPN) is known to both".into()),
        Error::AlertReceived(alert) => alert_words(*alert),
        _ => (RefusedByPeer, error.to_string()),
    }
}

fn alert_words(alert: Alert) -> (TlsFailure, String) {
    let why = match alert {
        Alert::UnknownCA => "it does not know who signed our certificate",
        Alert::CertificateRequired => "it wants a certificate of ours: set `cert` and `key`",
        Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate | Alert::AccessDenied => {
            "it does not accept our certificate, or the name it carries"
        }
        Alert::CertificateExpired => "it says that our certificate has expired",
        Alert::UnrecognisedName => "it has no certificate for the name that it was asked for",
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            return (TlsFailure::NothingInCommon, format!("it has nothing in common with us ({alert:?})"));
        }
        Alert::NoApplicationProtocol => {
            return (TlsFailure::NothingInCommon, "it knows none of our application protocols (`alpn`)".into());
        }
        _ => "it gave no further reason",
    };
    (TlsFailure::RefusedByPeer, format!("the other end refused ({alert:?}): {why}"))
}

/// What webpki says of a certificate; `seen` is the leaf, for what it is called and when it is valid.
pub(super) fn from_certificate_error(error: &CertificateError, seen: Option<&Certificate>) -> VerifyError {
    if let CertificateError::Other(OtherError(inner)) = error
        && let Some(Refused { why, .. }) = inner.downcast_ref()
    {
        return why.clone();
    }
    let whose = seen.map_or("the certificate".into(), |seen| format!("the certificate of {}", seen.subject));
    let (reason, words) = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let end = seen.map(|seen| format!(" on {}", date(seen.not_after))).unwrap_or_default();
            (TlsFailure::Expired, format!("{whose}, or one that vouches for it, has expired{end}: have it renewed"))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            let begin = seen.map(|seen| format!(" before {}", date(seen.not_before))).unwrap_or_default();
            (TlsFailure::NotYetValid, format!("{whose} is not valid{begin}: is a clock wrong?"))
        }
        CertificateError::UnknownIssuer => {
            let issuer = seen.map(|seen| format!("; its issuer is {}", seen.issuer)).unwrap_or_default();
            let mend = "add the issuer's certificate to `ca`, or what leads there to the certificate's own file";
            (TlsFailure::UnknownIssuer, format!("nobody in `ca` vouches for {whose}{issuer}: {mend}"))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            let mend = "it needs the extended key usage serverAuth (clients': clientAuth), or none at all";
            (TlsFailure::WrongUsage, format!("{whose} is not made for this use: {mend}"))
        }
        other => (TlsFailure::BadCertificate, format!("{whose} is damaged or its signature does not fit: {other}")),
    };
    VerifyError { reason, words }
}

/// A day, in UTC.
pub(super) fn date(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}
