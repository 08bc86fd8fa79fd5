//! A TLS connection to another node, over which both have shown whose they are.

use crate::{
    model::{HostPort, tls::Pin},
    net::{
        dial::{DialError, FirstWord, dial},
        options,
        tls::peer_pin,
    },
};
use rustls::{ClientConfig, CommonState, ServerConfig, pki_types::ServerName, server::Acceptor};
use std::{io, net::IpAddr, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::{interval, timeout},
};
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, client, server};

/// Whoever dials speaks at once. A far node whose first word was lost on its way dials again.
const FIRST_WORD: Duration = Duration::from_millis(500);
/// The kernel asks again after a second, and again after another: on a network that was cut and has healed that is too late for
/// a backup node that waits for a heartbeat. We begin anew after this time, beside what is under way: a far node is reached too.
const DIAL_AGAIN: Duration = Duration::from_millis(250);
/// A host with more addresses is asked for too much.
const MOST_ADDRESSES: usize = 16;

/// What only the two ends of one connection have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    /// `tls-exporter` of RFC 9266.
    pub(super) exporter: [u8; 32],
    /// Who dialled.
    pub(super) client: Pin,
    /// Who was dialled.
    pub(super) server: Pin,
}

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChannelError {
    #[error("the name can't be resolved")]
    Unresolved(#[source] io::Error),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{0}")]
    Handshake(String),
    #[error("timed out")]
    TimedOut,
}

/// Dials `address` and shows who we are, all of it within `limit`.
pub(super) async fn connect(
    address: &HostPort,
    tls: Arc<ClientConfig>,
    own: Pin,
    limit: Duration,
) -> Result<(client::TlsStream<TcpStream>, Binding), ChannelError> {
    let connecting = async {
        let found = lookup_host((address.host.as_str(), address.port)).await.map_err(ChannelError::Unresolved)?;
        let addresses: Vec<SocketAddr> = found.take(MOST_ADDRESSES).collect();
        if addresses.is_empty() {
            return Err(ChannelError::Unresolved(io::ErrorKind::NotFound.into()));
        }
        let stream = reach(addresses.into(), limit).await?;
        options::send_at_once(&stream);
        // No name is sent: an address stands in for it.
        let nobody = ServerName::IpAddress(IpAddr::from([0, 0, 0, 0]).into());
        let stream = TlsConnector::from(tls).connect(nobody, stream).await.map_err(|error| refused(&error))?;
        let (_, connection) = stream.get_ref();
        let server = shown(connection)?;
        let exporter = exporter(|out, label| connection.export_keying_material(out, label, Some(&[])))?;
        Ok((stream, Binding { exporter, client: own, server }))
    };
    timeout(limit, connecting).await.unwrap_or(Err(ChannelError::TimedOut))
}

/// The first connection that is answered; a refusal is an answer.
async fn reach(addresses: Arc<[SocketAddr]>, limit: Duration) -> Result<TcpStream, DialError> {
    let (mut under_way, mut again) = (JoinSet::new(), interval(DIAL_AGAIN));
    loop {
        tokio::select! {
            Some(Ok(answered)) = under_way.join_next() => return answered,
            _ = again.tick() => {
                let addresses = Arc::clone(&addresses);
                under_way.spawn(async move { dial(&addresses, limit, FirstWord::Ours).await });
            }
        }
    }
}

/// The same from the other end. `has_spoken` is called once a handshake has been asked for, which must be soon.
pub(super) async fn accept(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    own: Pin,
    limit: Duration,
    has_spoken: impl FnOnce(),
) -> Result<(server::TlsStream<TcpStream>, Binding), ChannelError> {
    let accepting = async {
        options::send_at_once(&stream);
        let asking = timeout(FIRST_WORD, LazyConfigAcceptor::new(Acceptor::default(), stream)).await;
        let asked = asking.map_err(|_| ChannelError::TimedOut)?.map_err(|error| refused(&error))?;
        has_spoken();
        let stream = asked.into_stream(tls).await.map_err(|error| refused(&error))?;
        let (_, connection) = stream.get_ref();
        let client = shown(connection)?;
        let exporter = exporter(|out, label| connection.export_keying_material(out, label, Some(&[])))?;
        Ok((stream, Binding { exporter, client, server: own }))
    };
    timeout(limit, accepting).await.unwrap_or(Err(ChannelError::TimedOut))
}

fn shown(connection: &CommonState) -> Result<Pin, ChannelError> {
    peer_pin(connection).ok_or_else(|| ChannelError::Handshake("no certificate was shown".into()))
}

/// RFC 9266 §2: this label, a context of no bytes, 32 bytes.
fn exporter(export: impl FnOnce([u8; 32], &[u8]) -> Result<[u8; 32], rustls::Error>) -> Result<[u8; 32], ChannelError> {
    export([0; 32], b"EXPORTER-Channel-Binding").map_err(|error| ChannelError::Handshake(error.to_string()))
}

fn refused(error: &io::Error) -> ChannelError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    ChannelError::Handshake(match inner {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure)) => {
            "another node answers there".into()
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            "what answers there does not speak TLS, so it is no node's peer port; is it the port of `peer_listen`?"
                .into()
        }
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "it hung up before the handshake was over".into(),
        None => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    /// A listener whose queue is full answers no SYN, as if the network were cut. The kernel tries again after one second and
    /// after two; the cut ends in between.
    #[tokio::test]
    async fn a_network_that_heals_is_used_at_once() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = std::net::TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let mut fillers = Vec::new();
        while let Ok(filler) = dial(&[address], Duration::from_millis(300), FirstWord::Unknown).await {
            fillers.push(filler);
        }
        let kernel = tokio::spawn(TcpStream::connect(address));
        let reaching = tokio::spawn(reach(Arc::from([address]), Duration::from_secs(10)));
        sleep(Duration::from_millis(1200)).await;
        assert!(!reaching.is_finished());

        for _ in &fillers {
            listener.accept().unwrap();
        }

        let stream = reaching.await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(!kernel.is_finished(), "no sooner than the kernel tries again");
    }
}
