//! Why a handshake failed, as one of few reasons and in words that an operator can act on.

use super::certificate::Certificate;
use crate::model::tls::TlsFailure;
use rustls::{AlertDescription as Alert, CertificateError, Error, OtherError, PeerIncompatible};
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
        Error::PeerMisbehaved(_) | Error::PeerSentOversizedRecord | Error::DecryptError => {
            (NotTls, format!("what came breaks the rules of TLS ({error})"))
        }
        Error::PeerIncompatible(
            // Versions are looked at after the extensions that came with 1.2.
            PeerIncompatible::SignatureAlgorithmsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => (NothingInCommon, "the other end's version of TLS is too old: 1.2 is the least".into()),
        Error::PeerIncompatible(what) => (NothingInCommon, format!("{}: {what:?}", NothingInCommon.words())),
        Error::NoApplicationProtocol => (NothingInCommon, "no application protocol (ALPN) is known to both".into()),
        Error::AlertReceived(alert) => alert_words(*alert),
        _ => (Local, format!("{}: {error}", Local.words())),
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
        CertificateError::Other(OtherError(inner)) => match inner.downcast_ref() {
            Some(error) => from_webpki(error, &whose),
            None => (TlsFailure::BadCertificate, format!("{whose} can't be used: {inner}")),
        },
        other => from_what_is_wrong(other, &whose),
    };
    VerifyError { reason, words }
}

/// What is wrong with the certificate itself, or with one on the way.
fn from_what_is_wrong(error: &CertificateError, whose: &str) -> (TlsFailure, String) {
    let words = match error {
        CertificateError::BadEncoding => format!("{whose}, or one that vouches for it, is damaged"),
        CertificateError::BadSignature => {
            format!(
                "a signature by or on {whose} does not fit: it is damaged, another one's key is used, or an RSA key is below 2048 bits"
            )
        }
        CertificateError::UnhandledCriticalExtension => critical(whose),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            format!(
                "{whose}, or one that vouches for it, is signed in a way that is not believed here, such as with SHA-1"
            )
        }
        other => format!("{whose} can't be used: {other}"),
    };
    (TlsFailure::BadCertificate, words)
}

/// What rustls has no words for.
fn from_webpki(error: &webpki::Error, whose: &str) -> (TlsFailure, String) {
    use webpki::Error as Wrong;
    match error {
        Wrong::NameConstraintViolation | Wrong::MalformedNameConstraint | Wrong::InvalidNetworkMaskConstraint => {
            let why = "an authority on the way may not vouch for the names it carries (name constraints)";
            (TlsFailure::WrongName, format!("{whose} is not believed: {why}"))
        }
        Wrong::PathLenConstraintViolated => {
            let why = "an authority on the way may have fewer others below it (path length)";
            (TlsFailure::UnknownIssuer, format!("{whose} is not believed: {why}"))
        }
        Wrong::EndEntityUsedAsCa => (
            TlsFailure::UnknownIssuer,
            format!("{whose} is not believed: what signed it is no authority's certificate"),
        ),
        Wrong::MaximumPathDepthExceeded
        | Wrong::MaximumPathBuildCallsExceeded
        | Wrong::MaximumSignatureChecksExceeded
        | Wrong::MaximumNameConstraintComparisonsExceeded => {
            let why = "the way from it to an authority in `ca` is too long or too tangled";
            (TlsFailure::UnknownIssuer, format!("{whose} is not believed: {why}"))
        }
        Wrong::CaUsedAsEndEntity => {
            (TlsFailure::CaAsLeaf, format!("{whose} is a certificate authority's own (CA:TRUE)"))
        }
        Wrong::UnsupportedCertVersion => {
            (TlsFailure::OldVersion, format!("{whose}, or one that vouches for it, is not of X.509 version 3"))
        }
        Wrong::UnsupportedCriticalExtension => (TlsFailure::BadCertificate, critical(whose)),
        other => (TlsFailure::BadCertificate, format!("{whose} can't be used: {other}")),
    }
}

fn critical(whose: &str) -> String {
    format!("{whose}, or one that vouches for it, has an extension that must be understood and is not known here")
}

/// A moment in seconds since 1970 as people write it, in UTC.
#[must_use]
pub fn date(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{InvalidMessage, PeerMisbehaved};

    #[test]
    fn each_error_has_its_reason_and_words_without_the_librarys_innards() {
        use TlsFailure::*;
        let webpki =
            |error: webpki::Error| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))));
        for (error, reason, words) in [
            (webpki(webpki::Error::NameConstraintViolation), WrongName, "may not vouch for the names it carries"),
            (webpki(webpki::Error::MaximumPathDepthExceeded), UnknownIssuer, "too long or too tangled"),
            (webpki(webpki::Error::PathLenConstraintViolated), UnknownIssuer, "path length"),
            (webpki(webpki::Error::EmptyEkuExtension), BadCertificate, "can't be used"),
            (CertificateError::BadSignature.into(), BadCertificate, "does not fit"),
            (PeerIncompatible::SignatureAlgorithmsExtensionRequired.into(), NothingInCommon, "too old"),
            (PeerIncompatible::Tls12NotOffered.into(), NothingInCommon, "too old"),
            (InvalidMessage::InvalidContentType.into(), NotTls, "not TLS"),
            (PeerMisbehaved::InvalidCertCompression.into(), NotTls, "breaks the rules"),
            (Error::DecryptError, NotTls, "breaks the rules"),
            (Error::General("no".into()), Local, "this node"),
            (Error::FailedToGetRandomBytes, Local, "this node"),
            (Error::AlertReceived(Alert::UnknownCA), RefusedByPeer, "who signed our certificate"),
        ] {
            let (seen, told) = classify(&error);
            assert_eq!(seen, reason, "{error:?}");
            assert!(told.contains(words) && !told.contains("OtherError"), "{told}");
        }
    }
}
