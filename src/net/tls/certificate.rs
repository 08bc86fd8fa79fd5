//! What a certificate says, read without believing any of it.

use super::names::Offered;
use crate::model::tls::Pin;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use std::net::IpAddr;
use x509_parser::{
    asn1_rs::Any,
    certificate::X509Certificate,
    extensions::{GeneralName, SubjectAlternativeName},
    oid_registry::{OID_X509_COMMON_NAME, OID_X509_EXT_SUBJECT_ALT_NAME},
    prelude::FromDer,
    public_key::PublicKey,
};

/// One certificate.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The names it carries.
    pub names: Offered,
    /// Its public key, as DER.
    pub key: SubjectPublicKeyInfoDer<'static>,
    /// Its public key's digest.
    pub pin: Pin,
    /// What kind of key it is, if it is of none that signatures are checked with here, whoever vouches for it.
    pub unusable_key: Option<String>,
    /// The X.509 version, as people count: 1 or 3.
    pub version: u32,
    /// It says that it may sign others.
    pub is_ca: bool,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
}

/// It can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate can't be read")]
pub struct Unreadable;

impl Certificate {
    /// Reads one in DER.
    ///
    /// # Errors
    /// [`Unreadable`], whatever is wrong with it.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| Unreadable)?;
        if !rest.is_empty() {
            return Err(Unreadable);
        }
        let key = parsed.tbs_certificate.subject_pki.raw;
        Ok(Self {
            names: names(&parsed),
            key: SubjectPublicKeyInfoDer::from(key.to_vec()),
            pin: pin(key)?,
            unusable_key: unusable(&parsed),
            version: parsed.version.0 + 1,
            is_ca: parsed.is_ca(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            subject: shown(&parsed.subject().to_string()),
            issuer: shown(&parsed.issuer().to_string()),
        })
    }

    /// It says that it signed itself.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

fn shown(name: &str) -> String {
    crate::model::plain::plain(name).into_owned()
}

fn pin(key: &[u8]) -> Result<Pin, Unreadable> {
    let digest = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .map(|suite| suite.common.hash_provider.hash(key))
        .ok_or(Unreadable)?;
    digest.as_ref().try_into().map(Pin).map_err(|_| Unreadable)
}

/// The library's signature algorithms take RSA keys of 2,048 to 8,192 bits only.
fn unusable(parsed: &X509Certificate<'_>) -> Option<String> {
    let key = parsed.public_key();
    if let Ok(PublicKey::RSA(rsa)) = key.parsed() {
        let bits = rsa.key_size();
        return (!(2_048..=8_192).contains(&bits)).then(|| format!("RSA of {bits} bits"));
    }
    let known = algorithm(key.raw).is_some_and(|kind| {
        let all = super::verify::algorithms().all;
        all.iter().any(|known| known.public_key_alg_id().as_ref() == kind)
    });
    (!known).then(|| format!("of the kind {}", key.algorithm.algorithm))
}

/// What stands inside the `AlgorithmIdentifier` of a `SubjectPublicKeyInfo` (RFC 5280 §4.1).
fn algorithm(key: &[u8]) -> Option<&[u8]> {
    let (_, info) = Any::from_der(key).ok()?;
    let (_, kind) = Any::from_der(info.data).ok()?;
    Some(kind.data)
}

/// What can't be read may have been a DNS name: better this one, which matches nothing, than the Common Name.
const UNREADABLE: String = String::new();

fn names(parsed: &X509Certificate<'_>) -> Offered {
    let mut names = Offered::default();
    for extension in parsed.extensions().iter().filter(|found| found.oid == OID_X509_EXT_SUBJECT_ALT_NAME) {
        // Read here again, because the parser's own reading passes over what stands behind it.
        let Ok(([], alternative)) = SubjectAlternativeName::from_der(extension.value) else {
            names.dns.push(UNREADABLE);
            continue;
        };
        for name in &alternative.general_names {
            match name {
                GeneralName::DNSName(name) => names.dns.push((*name).into()),
                GeneralName::IPAddress(bytes) => names.ips.extend(ip(bytes)),
                GeneralName::Invalid(..) => names.dns.push(UNREADABLE),
                _ => {}
            }
        }
    }
    for place in parsed.subject().iter_rdn() {
        let here = place.iter().filter(|attribute| *attribute.attr_type() == OID_X509_COMMON_NAME);
        // What is neither UTF-8, printable nor ASCII text has no name we would compare.
        let here: Vec<String> = here.map(|attribute| attribute.as_str().unwrap_or_default().into()).collect();
        if !here.is_empty() {
            names.common.push(here);
        }
    }
    names
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair};

    fn read(alternative_names: &[u8]) -> Offered {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "AGG_V");
        let extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], alternative_names.to_vec());
        params.custom_extensions = vec![extension];
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::read(der.der()).unwrap().names
    }

    #[test]
    fn alternative_names_that_are_not_wholly_readable_leave_no_room_for_the_common_name() {
        let broken: [&[u8]; 9] = [
            // A name that claims more bytes than there are.
            b"\x30\x07\x82\x15AGG_B",
            // One byte more than the sequence has, within the name and behind it.
            b"\x30\x07\x82\x06AGG_B",
            b"\x30\x07\x82\x05AGG_B\x00",
            b"\x30\x00\x82\x05AGG_B",
            // A good name before a kind that there is none of, and before half a header.
            b"\x30\x09\x82\x05AGG_B\x8f\x00",
            b"\x30\x08\x82\x05AGG_B\x82",
            // No sequence; nothing; a name that is no text.
            b"\x82\x05AGG_B",
            b"",
            b"\x30\x07\x82\x05AGG\xffB",
        ];
        for bytes in broken {
            let names = read(bytes);
            assert!(!names.dns.is_empty(), "{}", bytes.escape_ascii());
            assert_eq!(names.common, [["AGG_V"]]);
        }
        assert_eq!(read(b"\x30\x07\x82\x05AGG_B").dns, ["AGG_B"]);
        assert!(read(b"\x30\x06\x87\x04\x0a\x00\x00\x01").dns.is_empty());
    }
}
