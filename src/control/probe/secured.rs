//! A check's TLS handshake, and what the server says of ours.

use super::{ANSWER, Handshake, broken, refused};
use crate::{
    decide::input::CheckResult,
    model::tls::TlsFailure,
    net::tls::{Certificate, classify, refused_until},
};
use rustls::{ClientConfig, ProtocolVersion, pki_types::ServerName};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How long a server that has shaken hands may take to judge our certificate; then it has nothing against it.
const VERDICT: Duration = Duration::from_millis(500);

/// The same handshake, with the same verifier, that clients' sessions will need.
pub(super) async fn shake(
    stream: TcpStream,
    (config, name): &(Arc<ClientConfig>, ServerName<'static>),
    seen: &mut Handshake,
) -> Result<TlsStream<TcpStream>, CheckResult> {
    // Until it is over: the deadline ends it from outside.
    seen.failure = Some(TlsFailure::TimedOut);
    let secured = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await;
    let secured = secured.map_err(|error| {
        *seen = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(tls) => Handshake { expires: refused_until(tls), failure: Some(classify(tls).0) },
            None => Handshake { expires: None, failure: Some(TlsFailure::Closed) },
        };
        broken(&error)
    })?;
    let leaf = secured.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let expires = leaf.and_then(|leaf| Certificate::read(leaf).ok()).map(|leaf| leaf.not_after);
    *seen = Handshake { expires, failure: None };
    Ok(secured)
}

/// What the server makes of our certificate, if it says so soon.
pub(super) async fn verdict(
    secured: TlsStream<TcpStream>,
    deadline: Instant,
    seen: &mut Handshake,
) -> Result<(), CheckResult> {
    let judged = timeout_at(deadline.min(Instant::now() + VERDICT), judged(secured)).await;
    judged.unwrap_or(Ok(())).inspect_err(|_| seen.failure = Some(TlsFailure::RefusedByPeer))
}

/// In TLS 1.3 a server judges our certificate when our handshake is over, and objects by an alert. A ticket, data or its end
/// show that it does not.
async fn judged(mut secured: TlsStream<TcpStream>) -> Result<(), CheckResult> {
    let (stream, connection) = secured.get_mut();
    if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return Ok(());
    }
    while connection.tls13_tickets_received() == 0 {
        let mut records = [0; ANSWER];
        let mut came = match stream.read(&mut records).await {
            Ok(read) => &records[..read],
            Err(_) => &[],
        };
        if came.is_empty() {
            return Ok(());
        }
        while !came.is_empty() {
            connection.read_tls(&mut came).map_err(|error| broken(&error))?;
            let state = connection.process_new_packets().map_err(|error| refused(&error))?;
            if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                return Ok(());
            }
        }
    }
    Ok(())
}
