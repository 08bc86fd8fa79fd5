//! TLS handshakes on a worker: so many at once, each within its deadline, and one step of one of them a turn of the event
//! loop, so that a crowd that comes back after a failover does not stall the sessions that are there.
//!
//! Each route has places for its clients and each pair for its servers, so that nobody who is slow or silent is in the way of
//! others' sessions. A client takes its place once its first words are there, and only what the other end takes counts into
//! the deadline: waiting for a place or a turn is our own affair.

use super::{
    complain::About,
    flow::{Broken, Lane, not_ready},
    secure::End,
    session::{Session, Way},
    worker::Worker,
};
use crate::{
    model::{UpstreamName, tls::TlsFailure},
    net::{
        dial::flags,
        tls::{Channel, MOST_RECORD, Step, classify},
    },
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};
use rustls::ServerConfig;
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::{Mutex, Semaphore, SemaphorePermit},
    task::yield_now,
    time::timeout,
};

/// How long the other end may take over a handshake; and how long a place in one is waited for.
const DEADLINE: Duration = Duration::from_secs(10);
/// Of a route's clients or with a pair's servers on one worker, handshakes under way at most; others wait for one to end.
const AT_ONCE: usize = 1_024;
/// More of the other end's words than any handshake has: certificate chains are the longest of them.
const MOST_BYTES: usize = 128 * 1024;
/// Of a client's first words, as many are waited for before it takes a place: all of them, as a rule.
const FIRST_WORDS: usize = 2_048;
/// The content type of a handshake's records, and the length of a record's header (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
const HEADER: usize = 5;

/// Whose turn it is on a worker.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    turn: Mutex<()>,
}

/// A route's or a pair's places on a worker.
#[derive(Debug)]
pub(super) struct Places(Semaphore);

impl Default for Places {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Places {
    async fn take(&self) -> Result<SemaphorePermit<'_>, Unshaken> {
        // It is never closed.
        timeout(DEADLINE, self.0.acquire()).await.ok().and_then(Result::ok).ok_or(Unshaken::NoPlace)
    }
}

/// Why there was no handshake.
#[derive(Debug)]
pub(super) enum Unshaken {
    /// All places were taken for so long. Says nothing about the other end.
    NoPlace,
    /// It failed.
    Failed(Failed),
}

/// A handshake that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) reason: TlsFailure,
    /// What was wanted, what came, and the mend.
    pub(super) words: String,
}

impl Failed {
    fn new(reason: TlsFailure) -> Self {
        Self { reason, words: reason.words().into() }
    }

    fn told(error: &rustls::Error) -> Self {
        let (reason, words) = classify(error);
        Self { reason, words }
    }
}

impl From<Failed> for Unshaken {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

/// How much longer the other end is waited for.
struct Patience(Duration);

impl Patience {
    async fn with<T>(&mut self, step: impl Future<Output = io::Result<T>>) -> Result<T, Failed> {
        let began = Instant::now();
        let ended = timeout(self.0, step).await;
        self.0 = self.0.saturating_sub(began.elapsed());
        match ended {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(Failed::new(TlsFailure::Closed)),
            Err(_) => Err(Failed::new(TlsFailure::TimedOut)),
        }
    }
}

/// The server's part of a handshake with a session's client.
pub(super) async fn with_client(
    worker: &Worker,
    session: &Session,
    config: Arc<ServerConfig>,
) -> Result<End, Unshaken> {
    let mut patience = Patience(DEADLINE);
    patience.with(first_words(worker, &session.client)).await?;
    let _place = session.route.handshakes.take().await?;
    let channel = Channel::server(config).map_err(|error| Failed::told(&error))?;
    Ok(step_by_step(worker, &session.client, channel, patience).await?)
}

/// The client's part of a handshake with the pair's server behind `socket`.
pub(super) async fn with_server(
    worker: &Worker,
    session: &Session,
    socket: &TcpStream,
    channel: Result<Channel, rustls::Error>,
) -> Result<End, Unshaken> {
    let channel = channel.map_err(|error| Failed::told(&error))?;
    let _place = session.pair().handshakes.take().await?;
    Ok(step_by_step(worker, socket, channel, Patience(DEADLINE)).await?)
}

/// Counts a handshake with `upstream` that failed, and says so.
pub(super) fn failed_with(worker: &Worker, session: &Session, upstream: &UpstreamName, failed: &Failed) {
    worker.stats.upstream_handshakes_failed[failed.reason as usize].add(1);
    worker.complaints.say(About::UpstreamHandshake, || {
        let pair = &session.pair().name;
        tracing::warn!(%pair, %upstream, reason = %failed.reason, "its TLS handshake failed: {}", failed.words);
    });
}

/// In TLS 1.3 a server judges our certificate when our handshake is over: an alert before its first byte is the handshake's end.
/// `plain` bytes came just before the `error`.
pub(super) fn failed_late(lane: &Lane<'_>, plain: usize, error: &rustls::Error) -> Broken {
    let first = lane.way == Way::ToClient && plain == 0 && lane.session.is_unanswered();
    if let (rustls::Error::AlertReceived(_), Some(upstream), true) = (error, lane.session.upstream_name(), first) {
        failed_with(lane.worker, lane.session, upstream, &Failed::told(error));
    }
    Broken::Source
}

/// Waits until a client has said what it begins with, or will not.
async fn first_words(worker: &Worker, client: &TcpStream) -> io::Result<()> {
    loop {
        client.readable().await?;
        let scratch = &mut worker.scratch.borrow_mut()[..FIRST_WORDS];
        let seen = match recv(client, &mut *scratch, RecvFlags::PEEK) {
            Ok((seen, _)) => seen,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => 0,
            Err(errno) => return Err(errno.into()),
        };
        if is_enough(&scratch[..seen]) || flags(client, Interest::READABLE).is_read_closed() {
            return Ok(());
        }
        // What has come so far stays; more of it is news.
        not_ready(client, Interest::READABLE);
    }
}

/// Is this a whole record, or so much of one, or none of a handshake?
fn is_enough(seen: &[u8]) -> bool {
    match seen {
        [HANDSHAKE, _major, _minor, high, low, rest @ ..] => {
            rest.len() >= usize::from(u16::from_be_bytes([*high, *low])).min(FIRST_WORDS - HEADER)
        }
        [] | [HANDSHAKE, ..] => false,
        _ => true,
    }
}

async fn step_by_step(
    worker: &Worker,
    socket: &TcpStream,
    mut channel: Channel,
    mut patience: Patience,
) -> Result<End, Failed> {
    let (mut raw, mut early, mut outgoing) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let step = {
            let _turn = worker.handshakes.turn.lock().await;
            let step = work_off(&mut channel, &mut raw, &mut early, &mut outgoing);
            // Signatures take up to a millisecond: the others first.
            yield_now().await;
            step
        };
        let over = !channel.is_handshaking() && matches!(step, Ok(Step::Open | Step::Ended));
        // A client's last step may travel with its first words; a server's is waited for.
        if !over || !channel.is_client() {
            patience.with(write(socket, &mut outgoing)).await?;
        }
        match step {
            Ok(Step::Blocked | Step::Again) => {}
            Ok(Step::Ended) if channel.is_handshaking() => return Err(Failed::new(TlsFailure::Closed)),
            Ok(Step::Open | Step::Ended) => return Ok(End::secure(channel, early, raw, outgoing)),
            Err(error) => return Err(Failed::told(&error)),
        }
        if raw.len() > MOST_BYTES {
            return Err(Failed::new(TlsFailure::NotTls));
        }
        if patience.with(read(socket, &mut raw)).await? == 0 {
            return Err(Failed::new(TlsFailure::Closed));
        }
    }
}

/// Until it needs more bytes, or is over. What came behind the handshake goes to `early`.
fn work_off(
    channel: &mut Channel,
    raw: &mut Vec<u8>,
    early: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
) -> Result<Step, rustls::Error> {
    loop {
        let (done, step) = channel.step(raw, outgoing, |plain| {
            early.extend_from_slice(plain);
            Ok(())
        });
        raw.drain(..done);
        match step? {
            Step::Again => {}
            step => return Ok(step),
        }
    }
}

async fn write(socket: &TcpStream, outgoing: &mut Vec<u8>) -> io::Result<()> {
    while !outgoing.is_empty() {
        let sent = socket.async_io(Interest::WRITABLE, || Ok(send(socket, outgoing, SendFlags::NOSIGNAL)?)).await?;
        outgoing.drain(..sent);
    }
    Ok(())
}

async fn read(socket: &TcpStream, raw: &mut Vec<u8>) -> io::Result<usize> {
    let old = raw.len();
    raw.resize(old + MOST_RECORD, 0);
    let got = socket
        .async_io(Interest::READABLE, || match recv(socket, &mut raw[old..], RecvFlags::empty()) {
            Ok((got, _)) => Ok(got),
            Err(Errno::INTR) => Err(io::ErrorKind::WouldBlock.into()),
            Err(errno) => Err(errno.into()),
        })
        .await;
    raw.truncate(old + got.as_ref().unwrap_or(&0));
    got
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_begun_once_its_first_record_is_there_or_it_is_clear_that_none_will_be() {
        let hello = |length: usize| [&[HANDSHAKE, 3, 1, 2, 0][..], &vec![0; length]].concat();
        for (words, enough) in [
            (vec![], false),
            (vec![HANDSHAKE], false),
            (hello(0), false),
            (hello(511), false),
            (hello(512), true),
            (hello(600), true),
            (b"GET / HTTP/1.1".to_vec(), true),
            ([&[HANDSHAKE, 3, 1, 0x40, 0][..], &[0; FIRST_WORDS - HEADER]].concat(), true),
        ] {
            assert_eq!(is_enough(&words), enough, "{} bytes", words.len());
        }
    }
}
