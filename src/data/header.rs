//! The PROXY protocol on a session's two connections: the header that a client from a trusted network begins with, and the
//! one its upstream gets. Where a route wants neither, neither costs a system call.

use super::{admit::gone, complain::About, flow::not_ready, secure::End, session::Session, worker::Worker};
use crate::{
    model::{RefuseReason, causes::chain},
    net::{
        dial::flags,
        proxy_protocol::{Endpoints, Header, HeaderError, LONGEST, Tlv, header, parse},
    },
};
use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};
use std::time::Duration;
use tokio::{io::Interest, net::TcpStream, time::sleep};

/// From being accepted until the header is there: a lost packet is sent again well before (specification §2 wants 3 s at
/// least).
const DEADLINE: Duration = Duration::from_secs(5);

/// `PP2_TYPE_ALPN`, `PP2_TYPE_SSL` (specification §2.2).
const ALPN: u8 = 0x01;
const SSL: u8 = 0x20;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
enum Missing {
    /// The connection ended before the first byte: a balancer that looks whether somebody listens, as a rule.
    #[error("the client left")]
    Left,
    #[error("the connection ended within it")]
    CutOff,
    #[error("it did not come within {DEADLINE:?}")]
    Late,
    #[error(transparent)]
    Bad(#[from] HeaderError),
}

/// Takes the header from a client that must begin with one, and believes it. Not a byte that follows it is taken: it belongs
/// to the session.
pub(super) async fn take(worker: &Worker, session: &Session) -> Result<(), RefuseReason> {
    if !session.route.proxy_protocol.borrow().expects_header(session.peer.ip()) {
        return Ok(());
    }
    let taken = tokio::select! {
        biased;
        reason = gone(session) => return Err(reason),
        taken = first_bytes(worker, session) => taken,
        () = sleep(DEADLINE.saturating_sub(session.accepted.elapsed())) => Err(Missing::Late),
    };
    match taken {
        Ok(Header { endpoints, .. }) => {
            if let Some(endpoints) = endpoints {
                // A session has one header.
                let _first = session.told.set(Box::new(endpoints));
            }
            Ok(())
        }
        Err(Missing::Left) => Err(RefuseReason::ClientGone),
        Err(error) => {
            let (route, peer) = (&session.route.name, session.peer);
            worker.complaints.say(About::Header, || {
                tracing::warn!(%route, %peer, error = chain(&error), "no PROXY protocol header where there must be one");
            });
            Err(RefuseReason::ProxyHeader)
        }
    }
}

/// Looks at what has come without taking it until that is a whole header.
async fn first_bytes(worker: &Worker, session: &Session) -> Result<Header, Missing> {
    let client = &session.client;
    loop {
        client.readable().await.map_err(|_| Missing::Left)?;
        // One byte more than a header can have tells whether something follows the longest.
        let scratch = &mut worker.scratch.borrow_mut()[..=LONGEST];
        let seen = match recv(client, &mut *scratch, RecvFlags::PEEK) {
            Ok((0, _)) => return Err(Missing::Left),
            Ok((seen, _)) => seen,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => 0,
            Err(_) => return Err(Missing::Left),
        };
        if let Some(header) = parse(&scratch[..seen])? {
            return remove(client, &mut scratch[..header.length], seen).map(|()| header);
        }
        if flags(client, Interest::READABLE).is_read_closed() {
            return Err(Missing::CutOff);
        }
        // What has come so far stays; more of it is news.
        not_ready(client, Interest::READABLE);
    }
}

/// Takes a header, which is known to be there, out of the `seen` bytes.
fn remove(client: &TcpStream, header: &mut [u8], seen: usize) -> Result<(), Missing> {
    let mut left = header.len();
    while left > 0 {
        match recv(client, &mut header[..left], RecvFlags::empty()) {
            Ok((0, _)) => return Err(Missing::CutOff),
            Ok((taken, _)) => left -= taken,
            Err(Errno::INTR) => {}
            Err(_) => return Err(Missing::Left),
        }
    }
    if seen == header.len() {
        // The client has not spoken yet; whoever asks its socket would think so.
        not_ready(client, Interest::READABLE);
    }
    Ok(())
}

/// What the session's upstream is told before the client's first byte, if anything.
/// Of the `client`'s TLS that ended here it says version, suite, application protocol, and whose certificate was shown.
pub(super) fn to_send(session: &Session, client: Option<&End>) -> Result<Option<Vec<u8>>, RefuseReason> {
    let Some(version) = session.route.proxy_protocol.borrow().send else { return Ok(None) };
    let endpoints = match session.told.get() {
        Some(told) => Some(**told),
        // Only a connection that is gone has no address of its own.
        None => Endpoints::new(session.peer, session.client.local_addr().map_err(|_| RefuseReason::ClientGone)?),
    };
    let facts = client.and_then(End::facts).unwrap_or_default();
    let ssl = facts.ssl_vector();
    let named = [(ALPN, facts.alpn.as_slice()), (SSL, &ssl)];
    let told = named.iter().filter(|(_, value)| !value.is_empty()).map(|(kind, value)| Tlv { kind: *kind, value });
    Ok(Some(header(version, endpoints, &told.collect::<Vec<_>>())))
}
