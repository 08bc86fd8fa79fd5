//! TLS between nodes: version 1.3, both show a certificate, and what counts is whose key it is. Names, issuers and times of
//! certificates mean nothing here, so that no clock can part two nodes.

use super::{certificate::Certificate, setup::SetupError};
use crate::model::tls::Pin;
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    version::TLS13,
};
use std::sync::Arc;

/// Towards another node. With `expected`, only the node with that key is spoken to.
///
/// # Errors
/// [`SetupError::Rustls`].
pub fn peer_client(
    chain: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    expected: Option<Pin>,
) -> Result<ClientConfig, SetupError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(KeyHolder::new(expected)));
    let mut config = builder.with_client_auth_cert(vec![chain], key)?;
    // Each connection sees the key proven, and is bound to secrets of its own.
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// For other nodes. Whoever holds the key of the certificate it shows is let in; what it may do is not decided here.
///
/// # Errors
/// [`SetupError::Rustls`].
pub fn peer_server(chain: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, SetupError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    let builder = builder.with_client_cert_verifier(Arc::new(KeyHolder::new(None)));
    let mut config = builder.with_single_cert(vec![chain], key)?;
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Whose key the other end of a finished handshake proved to hold.
#[must_use]
pub fn peer_pin(state: &CommonState) -> Option<Pin> {
    let leaf = state.peer_certificates()?.first()?;
    Certificate::read(leaf).ok().map(|certificate| certificate.pin)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Believes who proves to hold the key of the certificate shown, if it is the one expected.
#[derive(Debug)]
struct KeyHolder {
    expected: Option<Pin>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl KeyHolder {
    fn new(expected: Option<Pin>) -> Self {
        Self { expected, algorithms: aws_lc_rs::default_provider().signature_verification_algorithms }
    }

    fn judge(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        let seen = Certificate::read(leaf).map_err(|_| CertificateError::BadEncoding)?;
        match self.expected {
            Some(expected) if expected != seen.pin => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(()),
        }
    }

    fn proven(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }
}

/// Only TLS 1.3 is offered.
fn too_old() -> Error {
    Error::General("TLS 1.2 is not spoken between nodes".into())
}

impl ServerCertVerifier for KeyHolder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(leaf).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proven(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for KeyHolder {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(leaf).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proven(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
