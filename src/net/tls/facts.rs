//! What a handshake led to, for who is to be told about it.

use super::certificate::Certificate;
use crate::net::proxy_protocol::Tlv;
use rustls::{CommonState, HandshakeKind};

/// What was agreed upon in a handshake.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The application protocol; empty: none.
    pub alpn: Vec<u8>,
    /// As OpenSSL calls it, `TLSv1.3`; empty: there was no handshake.
    version: String,
    /// As OpenSSL calls it.
    suite: String,
    /// The Common Name of the certificate that the other end showed and that was believed.
    common_name: Option<String>,
    showed_certificate: bool,
    /// The certificate was shown when the TLS session began, over another connection.
    resumed: bool,
}

/// `PP2_CLIENT_SSL`, `PP2_CLIENT_CERT_CONN`, `PP2_CLIENT_CERT_SESS`, and what the vectors inside are (PROXY protocol §2.2.6).
const BY_TLS: u8 = 0x01;
const CERTIFICATE_NOW: u8 = 0x02;
const CERTIFICATE_EVER: u8 = 0x04;
const VERSION: u8 = 0x21;
const COMMON_NAME: u8 = 0x22;
const SUITE: u8 = 0x23;

impl Facts {
    pub(super) fn of(state: &CommonState) -> Self {
        let version = state.protocol_version().and_then(|version| version.as_str()).unwrap_or_default();
        let suite = state.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        let leaf = state.peer_certificates().and_then(|chain| chain.first());
        let shown = leaf.and_then(|leaf| Certificate::read(leaf).ok());
        Self {
            alpn: state.alpn_protocol().unwrap_or_default().into(),
            version: version.replace('_', "."),
            suite: openssl_name(suite),
            common_name: shown.and_then(|shown| Some(shown.names.common.last()?.first()?.clone())),
            showed_certificate: leaf.is_some(),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// The value of a `PP2_TYPE_SSL` vector; empty where there was no handshake.
    #[must_use]
    pub fn ssl_vector(&self) -> Vec<u8> {
        if self.version.is_empty() {
            return Vec::new();
        }
        let shown = match (self.showed_certificate, self.resumed) {
            (false, _) => 0,
            (true, false) => CERTIFICATE_NOW | CERTIFICATE_EVER,
            (true, true) => CERTIFICATE_EVER,
        };
        let mut value = vec![BY_TLS | shown];
        // 0: a certificate was shown and believed.
        value.extend(u32::from(!self.showed_certificate).to_be_bytes());
        let common_name = self.common_name.as_deref().unwrap_or_default();
        let inside = [(VERSION, self.version.as_str()), (COMMON_NAME, common_name), (SUITE, self.suite.as_str())];
        for (kind, text) in inside.into_iter().filter(|(_, text)| !text.is_empty()) {
            Tlv { kind, value: text.as_bytes() }.append_to(&mut value);
        }
        value
    }
}

/// What OpenSSL calls a suite, which is what readers of the header know, by the library's name for it: `TLS_AES_128_GCM_SHA256` and
/// `ECDHE-RSA-AES128-GCM-SHA256` where that has `TLS13_AES_128_GCM_SHA256` and `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`.
fn openssl_name(suite: &str) -> String {
    if let Some(rest) = suite.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    let name = suite.trim_start_matches("TLS_").replace("_WITH_", "_").replace("AES_", "AES").replace('_', "-");
    match name.strip_suffix("POLY1305-SHA256") {
        Some(cipher) => format!("{cipher}POLY1305"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;

    #[test]
    fn suites_are_called_what_openssl_calls_them() {
        let names: Vec<_> =
            ALL_CIPHER_SUITES.iter().map(|suite| openssl_name(suite.suite().as_str().unwrap())).collect();
        let expected = [
            "TLS_AES_256_GCM_SHA384",
            "TLS_AES_128_GCM_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-RSA-CHACHA20-POLY1305",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_certificate_was_shown_over_this_connection_or_when_its_session_began() {
        let flags = |showed_certificate, resumed| {
            let facts = Facts { version: "TLSv1.3".into(), showed_certificate, resumed, ..Facts::default() };
            (facts.ssl_vector()[0], facts.ssl_vector()[1..5] == [0; 4])
        };
        assert_eq!(flags(true, false), (0b111, true));
        assert_eq!(flags(true, true), (0b101, true));
        assert_eq!(flags(false, false), (0b001, false));
    }
}
