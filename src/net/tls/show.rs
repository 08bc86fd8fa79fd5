//! What a server shows, whoever it is: for people who want to see it. Nothing is said to it and nothing believed.

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    io::{self, Read, Write},
    net::{IpAddr, TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Why no certificate was seen.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// Nobody was reached.
    #[error("can't connect to {0}")]
    Unreached(String, #[source] io::Error),
    /// It was reached, and showed none.
    #[error("{0} showed no certificate")]
    NotShown(String, #[source] io::Error),
}

/// The certificates that the server at `address` (`host:port`) shows when asked for `name`, the leaf first. Blocks, for
/// `patience` at most once its addresses are known.
///
/// # Errors
/// Whatever kept it from showing any.
pub fn shown_by(
    address: &str,
    name: Option<ServerName<'static>>,
    patience: Duration,
) -> Result<Vec<CertificateDer<'static>>, ShowError> {
    let stream = connect(address, patience).map_err(|error| ShowError::Unreached(address.into(), error))?;
    look(address, name, stream).map_err(|error| ShowError::NotShown(address.into(), error))
}

fn connect(address: &str, patience: Duration) -> io::Result<Hasty> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    let addresses = address.to_socket_addrs()?;
    let end = Instant::now() + patience;
    for address in addresses {
        match left_until(end).and_then(|left| TcpStream::connect_timeout(&address, left)) {
            Ok(stream) => return Ok(Hasty { stream, end }),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn look(
    address: &str,
    name: Option<ServerName<'static>>,
    mut stream: Hasty,
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
    let shaken = connection.complete_io(&mut stream);
    let chain = std::mem::take(&mut *seen.0.lock().unwrap_or_else(PoisonError::into_inner));
    // A server that wants a certificate of ours has shown its own before it refuses.
    match shaken {
        Err(error) if chain.is_empty() => Err(error),
        _ if chain.is_empty() => Err(io::Error::other("it shook hands without")),
        _ => Ok(chain),
    }
}

/// A connection that ends at a time, however little comes how often.
struct Hasty {
    stream: TcpStream,
    end: Instant,
}

fn left_until(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(late()) } else { Ok(left) }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it took too long")
}

/// What the system says of a socket whose timeout has passed.
fn timely<T>(result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| if error.kind() == io::ErrorKind::WouldBlock { late() } else { error })
}

impl Read for Hasty {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left_until(self.end)?))?;
        timely(self.stream.read(room))
    }
}

impl Write for Hasty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left_until(self.end)?))?;
        timely(self.stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_server_that_drips_is_not_waited_for_and_one_that_is_not_there_was_not_reached() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let dripping = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // The header of a long record, and then the record for as long as anybody listens.
            let header = [22, 3, 3, 0x40, 0];
            for byte in header.into_iter().chain(std::iter::repeat(0)) {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let patience = Duration::from_millis(300);
        let Err(ShowError::NotShown(_, error)) = shown_by(&address, None, patience) else { panic!("it showed one") };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        dripping.join().unwrap();
        let error = shown_by(&address, None, patience).unwrap_err();
        assert_eq!(error.to_string(), format!("can't connect to {address}"));
    }
}
