//! What a handshake led to, for who is to be told about it.

use super::certificate::Certificate;
use crate::net::proxy_protocol::Tlv;
use rustls::CommonState;

/// What was agreed upon in a handshake.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The application protocol; empty: none.
    pub alpn: Vec<u8>,
    /// As OpenSSL calls it, `TLSv1.3`; empty: there was no handshake.
    version: String,
    suite: String,
    /// The Common Name of the certificate that the other end showed and that was believed.
    common_name: Option<String>,
    showed_certificate: bool,
}

/// `PP2_CLIENT_SSL`, `PP2_CLIENT_CERT_CONN`, and what the vectors inside are (PROXY protocol §2.2.6).
const BY_TLS: u8 = 0x01;
const CERTIFICATE: u8 = 0x02;
const VERSION: u8 = 0x21;
const COMMON_NAME: u8 = 0x22;
const SUITE: u8 = 0x23;

impl Facts {
    pub(super) fn of(state: &CommonState) -> Self {
        let version = state.protocol_version().and_then(|version| version.as_str()).unwrap_or_default();
        let suite = state.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let leaf = state.peer_certificates().and_then(|chain| chain.first());
        let shown = leaf.and_then(|leaf| Certificate::read(leaf).ok());
        Self {
            alpn: state.alpn_protocol().unwrap_or_default().into(),
            version: version.replace('_', "."),
            suite: suite.unwrap_or_default().into(),
            common_name: shown.and_then(|shown| Some(shown.names.common.last()?.first()?.clone())),
            showed_certificate: leaf.is_some(),
        }
    }

    /// The value of a `PP2_TYPE_SSL` vector; empty where there was no handshake.
    #[must_use]
    pub fn ssl_vector(&self) -> Vec<u8> {
        if self.version.is_empty() {
            return Vec::new();
        }
        let mut value = vec![BY_TLS | if self.showed_certificate { CERTIFICATE } else { 0 }];
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
