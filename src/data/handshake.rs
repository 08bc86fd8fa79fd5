//! TLS handshakes on a worker: so many at once, each within its deadline, and one step of one of them a turn of the event
//! loop, so that a crowd that comes back after a failover does not stall the sessions that are there.

use super::{secure::End, worker::Worker};
use crate::{
    model::tls::TlsFailure,
    net::tls::{Channel, MOST_RECORD, Step, classify},
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};
use std::{io, time::Duration};
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::{Mutex, Semaphore},
    task::yield_now,
    time::timeout,
};

/// How long a handshake may take, waiting for its turn included.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// Handshakes under way at most; others wait for one to end.
const AT_ONCE: usize = 1_024;
/// More of the other end's words than any handshake has: certificate chains are the longest of them.
const MOST_BYTES: usize = 128 * 1024;

/// One worker's.
#[derive(Debug)]
pub(super) struct Handshakes {
    places: Semaphore,
    turn: Mutex<()>,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), turn: Mutex::new(()) }
    }
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

/// Shakes hands over `socket`.
pub(super) async fn shake(
    worker: &Worker,
    socket: &TcpStream,
    channel: Result<Channel, rustls::Error>,
) -> Result<End, Failed> {
    let channel = channel.map_err(|error| Failed::told(&error))?;
    let shaken = async {
        // The semaphore is never closed.
        let _place = worker.handshakes.places.acquire().await;
        step_by_step(worker, socket, channel).await
    };
    timeout(DEADLINE, shaken).await.unwrap_or_else(|_| Err(Failed::new(TlsFailure::TimedOut)))
}

async fn step_by_step(worker: &Worker, socket: &TcpStream, mut channel: Channel) -> Result<End, Failed> {
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
            write(socket, &mut outgoing).await.map_err(|_| Failed::new(TlsFailure::Closed))?;
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
        match read(socket, &mut raw).await {
            Ok(0) | Err(_) => return Err(Failed::new(TlsFailure::Closed)),
            Ok(_) => {}
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
