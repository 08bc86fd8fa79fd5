//! What a server shows, whoever it is: for people who want to see it. Nothing is said to it and nothing believed.

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    io,
    net::{IpAddr, TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The certificates that the server at `address` (`host:port`) shows when asked for `name`, the leaf first. Blocks.
///
/// # Errors
/// Whatever kept it from showing any.
pub fn shown_by(
    address: &str,
    name: Option<ServerName<'static>>,
    patience: Duration,
) -> io::Result<Vec<CertificateDer<'static>>> {
    let seen = Arc::new(Seen::default());
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let verifier: Arc<Seen> = Arc::clone(&seen);
    let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    let name = name.unwrap_or_else(|| {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
        ServerName::try_from(host).unwrap_or(ServerName::IpAddress(IpAddr::from([0, 0, 0, 0]).into()))
    });
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                let shaken = connection.complete_io(&mut stream);
                let chain = std::mem::take(&mut *seen.0.lock().unwrap_or_else(PoisonError::into_inner));
                // A server that wants a certificate of ours has shown its own before it refuses.
                return if chain.is_empty() { Err(shaken.err().unwrap_or(last)) } else { Ok(chain) };
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Looks and nods.
#[derive(Debug, Default)]
struct Seen(Mutex<Vec<CertificateDer<'static>>>);

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(leaf).chain(others).map(|der| der.clone().into_owned()).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = chain;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
