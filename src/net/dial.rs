//! Dialling a server: every address it has, both families (RFC 8305, "happy eyeballs"), one deadline, and a clear answer
//! whose fault a failure was.

use super::options;
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt},
};
use std::{
    io,
    net::SocketAddr,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt, Interest, Ready},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until, timeout_at},
};

/// How long one address is tried alone before the next one is tried beside it (RFC 8305 §5).
pub const STAGGER: Duration = Duration::from_millis(250);

/// Why a server was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Answered with RST: nobody listens there.
    #[error("connection refused")]
    Refused,
    /// The network says that the host can't be reached.
    #[error("unreachable")]
    Unreachable(#[source] io::Error),
    /// No answer before the deadline.
    #[error("timed out")]
    TimedOut,
    /// We could not even try: no descriptors, ports, memory or route of our own. Says nothing about the server.
    #[error("cannot dial from here")]
    Local(#[source] io::Error),
}

/// Who will speak first on a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstWord<'a> {
    /// We, and at once: the last step of the handshake may travel with it (`TCP_QUICKACK` off), a packet less to send and
    /// a wake-up less for the server. The kernel sends that step alone after 0.2 s if nothing was said by then.
    Ours,
    /// We, and it is this: written before the connection is handed over, so that whatever follows comes behind it.
    This(&'a [u8]),
    /// Perhaps the server, which must hear of the connection to do so.
    Unknown,
}

/// Connects to the first of `addresses` (preferred first) that answers, within `timeout`. The socket is registered with
/// the current runtime and non-blocking; dropping the future closes what it opened.
///
/// # Errors
/// [`DialError`]. With several addresses a local shortage outweighs silence, silence a refusal, and any of them the lack
/// of a route for one address family: only if all that could be tried were refused is the server's process gone.
pub async fn dial(addresses: &[SocketAddr], timeout: Duration, first: FirstWord<'_>) -> Result<TcpStream, DialError> {
    let race = async {
        let stream = match addresses {
            [only] => attempt(*only, first).await,
            several => race(several, first).await,
        }?;
        match first {
            FirstWord::This(words) => say(stream, words).await,
            FirstWord::Ours | FirstWord::Unknown => Ok(stream),
        }
    };
    timeout_at(Instant::now() + timeout, race).await.unwrap_or(Err(DialError::TimedOut))
}

async fn attempt(address: SocketAddr, first: FirstWord<'_>) -> Result<TcpStream, DialError> {
    let attempt = Attempt(Some(begin(address, first)?));
    std::future::poll_fn(|cx| attempt.poll(cx)).await?;
    attempt.won()
}

/// Writes all of `words`. What follows must not wait until they are acknowledged.
async fn say(stream: TcpStream, words: &[u8]) -> Result<TcpStream, DialError> {
    options::send_at_once(&stream);
    let mut attempt = Attempt(Some(stream));
    if let Some(stream) = &mut attempt.0 {
        let written = stream.write_all(words).await;
        written.map_err(|error| answer(Errno::from_io_error(&error).unwrap_or(Errno::PIPE)))?;
    }
    attempt.won()
}

/// A connection no client has spoken on. If none will, it ends with RST: the server is not to wait for a first word.
struct Attempt(Option<TcpStream>);

impl Attempt {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        self.0.as_ref().map_or(Poll::Ready(Ok(())), |socket| poll_connected(socket, cx))
    }

    fn won(mut self) -> Result<TcpStream, DialError> {
        self.0.take().ok_or_else(no_address)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            options::reset_on_close(socket);
        }
    }
}

/// Starts with the first address; the next one starts when the last one failed or has been silent for [`STAGGER`].
async fn race(addresses: &[SocketAddr], first: FirstWord<'_>) -> Result<TcpStream, DialError> {
    let mut waiting = addresses.iter();
    let mut under_way: Vec<Attempt> = Vec::new();
    let mut worst: Option<(u8, DialError)> = None;
    let mut next = pin!(sleep_until(Instant::now()));
    std::future::poll_fn(|cx| {
        loop {
            for at in (0..under_way.len()).rev() {
                match under_way[at].poll(cx) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(())) => return Poll::Ready(under_way.swap_remove(at).won()),
                    Poll::Ready(Err(error)) => {
                        under_way.remove(at);
                        note(&mut worst, weight(&error), error);
                        next.as_mut().reset(Instant::now());
                    }
                }
            }
            if waiting.len() == 0 {
                if under_way.is_empty() {
                    return Poll::Ready(Err(worst.take().map_or_else(no_address, |(_, error)| error)));
                }
                return Poll::Pending;
            }
            if Sleep::poll(next.as_mut(), cx).is_pending() {
                return Poll::Pending;
            }
            if let Some(address) = waiting.next() {
                match begin(*address, first) {
                    Ok(socket) => {
                        under_way.push(Attempt(Some(socket)));
                        next.as_mut().reset(Instant::now() + STAGGER);
                    }
                    // Where IPv6 is switched off it has no address to dial from, which is no want of ports.
                    Err(error) if address.is_ipv6() && is(&error, Errno::ADDRNOTAVAIL) => note(&mut worst, 0, error),
                    Err(error) => note(&mut worst, weight(&error), error),
                }
            }
        }
    })
    .await
}

/// Sends the SYN. What fails here failed on this machine, but for a refusal by ourselves.
fn begin(address: SocketAddr, first: FirstWord<'_>) -> Result<TcpStream, DialError> {
    let local = |errno: Errno| DialError::Local(errno.into());
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP)).map_err(local)?;
    if first != FirstWord::Unknown {
        // Without it there is a packet more, no harm.
        let _ = sockopt::set_tcp_quickack(&socket, false);
    }
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(Errno::CONNREFUSED) => return Err(DialError::Refused),
        Err(errno) => return Err(local(errno)),
    }
    TcpStream::from_std(socket.into()).map_err(DialError::Local)
}

fn poll_connected(socket: &TcpStream, cx: &mut Context<'_>) -> Poll<Result<(), DialError>> {
    match socket.poll_write_ready(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Err(gone)) => Poll::Ready(Err(DialError::Local(gone))),
        Poll::Ready(Ok(())) => {
            // The flags tell success from failure; asking for SO_ERROR would cost a system call for each connection.
            let seen = flags(socket, Interest::WRITABLE | Interest::ERROR);
            if !seen.is_error() && !seen.is_write_closed() {
                return Poll::Ready(Ok(()));
            }
            match sockopt::socket_error(socket) {
                Ok(Ok(())) => Poll::Ready(Ok(())),
                Ok(Err(errno)) => Poll::Ready(Err(answer(errno))),
                Err(errno) => Poll::Ready(Err(DialError::Local(errno.into()))),
            }
        }
    }
}

/// What is known of the socket's readiness now, without waiting and without a system call.
#[must_use]
pub fn flags(socket: &TcpStream, interest: Interest) -> Ready {
    let mut now = Context::from_waker(Waker::noop());
    match pin!(socket.ready(interest)).poll(&mut now) {
        Poll::Ready(Ok(ready)) => ready,
        Poll::Ready(Err(_)) | Poll::Pending => Ready::EMPTY,
    }
}

/// What came back from the network.
fn answer(errno: Errno) -> DialError {
    match errno {
        Errno::CONNREFUSED | Errno::CONNRESET | Errno::PIPE => DialError::Refused,
        Errno::TIMEDOUT => DialError::TimedOut,
        Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::HOSTDOWN | Errno::NOPROTOOPT | Errno::ACCESS => {
            DialError::Unreachable(errno.into())
        }
        errno => DialError::Local(errno.into()),
    }
}

fn note(worst: &mut Option<(u8, DialError)>, weight: u8, error: DialError) {
    if worst.as_ref().is_none_or(|(known, _)| weight > *known) {
        *worst = Some((weight, error));
    }
}

fn weight(error: &DialError) -> u8 {
    // No route for one family says nothing if the other one could be tried.
    let no_route = [Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::AFNOSUPPORT, Errno::NETDOWN];
    match error {
        DialError::Local(_) if no_route.iter().any(|errno| is(error, *errno)) => 0,
        DialError::Unreachable(_) => 1,
        DialError::Refused => 2,
        DialError::TimedOut => 3,
        DialError::Local(_) => 4,
    }
}

fn is(error: &DialError, errno: Errno) -> bool {
    matches!(error, DialError::Local(source) if Errno::from_io_error(source) == Some(errno))
}

/// There is nothing to dial.
#[must_use]
pub fn no_address() -> DialError {
    DialError::Local(io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to dial"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const SOON: Duration = Duration::from_secs(10);

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address where nobody listens.
    fn deserted() -> SocketAddr {
        // Not 127.0.0.1: the port may be given to an outgoing connection or to another test's listener there.
        let listener = TcpListener::bind("127.0.77.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    /// A listener whose queue is full answers no SYN. The connections that fill it are returned too.
    async fn silent() -> (OwnedListener, SocketAddr) {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let mut fillers = Vec::new();
        while let Ok(filler) = dial(&[address], Duration::from_millis(300), FirstWord::Unknown).await {
            fillers.push(filler);
        }
        ((listener, fillers), address)
    }
    type OwnedListener = (TcpListener, Vec<TcpStream>);

    #[tokio::test]
    async fn one_address_that_answers() {
        let (_listener, address) = listener();
        assert_eq!(dial(&[address], SOON, FirstWord::Unknown).await.unwrap().peer_addr().unwrap(), address);
    }

    #[tokio::test]
    async fn a_server_that_speaks_first_hears_of_the_connection_even_if_we_said_we_would() {
        let (listener, address) = listener();
        let _silent = dial(&[address], SOON, FirstWord::Ours).await.unwrap();
        listener.accept().unwrap();
    }

    /// More than the kernel takes at once, so that it is written piece by piece as the server reads.
    #[tokio::test]
    async fn the_first_words_are_written_whole_before_anybody_else_writes() {
        let (listener, address) = listener();
        let words: Vec<u8> = (0..32 << 20).map(|at: u32| (at >> 8) as u8).collect();
        let server = std::thread::spawn(move || {
            let (mut stream, mut heard) = (listener.accept().unwrap().0, vec![]);
            std::thread::sleep(STAGGER);
            io::Read::read_to_end(&mut stream, &mut heard).unwrap();
            heard
        });
        let mut stream = dial(&[address], SOON, FirstWord::This(&words)).await.unwrap();
        stream.write_all(b"and then the client's").await.unwrap();
        drop(stream);
        assert!(server.join().unwrap() == [&words, &b"and then the client's"[..]].concat());
    }

    #[tokio::test]
    async fn a_server_that_does_not_take_the_first_words_is_silent_and_hears_no_orderly_end() {
        let (listener, address) = listener();
        let words = vec![7; 32 << 20];
        let result = dial(&[address], Duration::from_millis(300), FirstWord::This(&words)).await;
        assert!(matches!(result, Err(DialError::TimedOut)), "{result:?}");
        let mut stream = listener.accept().unwrap().0;
        let ended = io::Read::read_to_end(&mut stream, &mut vec![]).unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn nobody_there_is_a_refusal() {
        assert!(matches!(dial(&[deserted()], SOON, FirstWord::Unknown).await, Err(DialError::Refused)));
        assert!(matches!(dial(&[deserted(), deserted()], SOON, FirstWord::Unknown).await, Err(DialError::Refused)));
    }

    #[tokio::test]
    async fn after_a_refusal_the_next_address_is_tried_at_once() {
        let (_listener, address) = listener();
        assert!(dial(&[deserted(), deserted(), address], SOON, FirstWord::Unknown).await.is_ok());
    }

    #[tokio::test]
    async fn silence_ends_at_the_deadline_and_outweighs_a_refusal() {
        let (_full, silent) = silent().await;
        let began = Instant::now();
        let result = dial(&[deserted(), silent], Duration::from_millis(400), FirstWord::Unknown).await;
        assert!(matches!(result, Err(DialError::TimedOut)), "{result:?}");
        assert!(began.elapsed() >= Duration::from_millis(400));
    }

    #[tokio::test]
    async fn a_silent_address_delays_the_next_one_by_the_stagger_only() {
        let (_full, silent) = silent().await;
        let (_listener, address) = listener();
        let began = Instant::now();
        let reached = dial(&[silent, address], SOON, FirstWord::Unknown).await.unwrap();
        assert_eq!(reached.peer_addr().unwrap(), address);
        assert!(began.elapsed() >= STAGGER);
    }

    #[tokio::test]
    async fn what_we_could_not_even_try_is_our_own_trouble() {
        let everybody: SocketAddr = "255.255.255.255:9".parse().unwrap();
        let result = dial(&[everybody], SOON, FirstWord::Unknown).await;
        assert!(matches!(result, Err(DialError::Local(_))), "{result:?}");
        // It says nothing about the server, so it does not soften what its other address said.
        assert!(matches!(dial(&[everybody, deserted()], SOON, FirstWord::Unknown).await, Err(DialError::Refused)));
        assert!(matches!(dial(&[], SOON, FirstWord::Unknown).await, Err(DialError::Local(_))));
    }
}
