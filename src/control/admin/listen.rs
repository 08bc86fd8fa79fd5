//! Accepting and serving HTTP/1.1 connections, with a bound on everything a client can take from us.

use super::bind::{Bound, SocketFile, bind_unix};
use crate::control::http;
use axum::{Extension, Router};
use rustix::process::{Resource, getrlimit};
use std::{
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

/// Connections at once, where there are descriptors for them; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: u64 = 256;
/// Of all descriptors, the part that a listener's connections may take. Clients leave a quarter to the rest of the process, and
/// health checks need some of it.
const SHARE: u64 = 16;
/// How long the answers under way may take once we stop.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);
/// Without descriptors there is nothing to do but to wait until others let go of theirs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Between two looks whether a unix socket can still be found.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two lines in the log about it.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// Who is at the other end; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Unix,
    Loopback,
    Remote,
}

/// Serves `app` until `stop` is true (or its sender is gone), then ends what is under way and returns.
pub(super) async fn serve(bound: Bound, app: Router, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    let mut listener = Listener::new(bound)?;
    let permits = Arc::new(Semaphore::new(most_connections()));
    let (mut connections, mut quiet_since) = (JoinSet::new(), None);
    let stopping = stop.clone();
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => break,
            // Reaps what ended, so that the set stays as small as the number of permits.
            Some(_) = connections.join_next() => continue,
            _ = look.tick() => {
                listener.renew();
                continue;
            }
            accepted = accept(&listener, &permits, &mut quiet_since) => accepted,
        };
        let (stream, peer, permit) = accepted;
        connections.spawn(serve_one(stream, peer, app.clone(), stopping.clone(), permit));
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP_TIMEOUT, all_ended).await;
    Ok(())
}

/// How many connections a listener has at once.
pub(super) fn most_connections() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((limit / SHARE).clamp(2, MAX_CONNECTIONS)).unwrap_or(2)
}

enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix { socket: tokio::net::UnixListener, file: SocketFile },
}

impl Listener {
    fn new(bound: Bound) -> io::Result<Self> {
        Ok(match bound {
            Bound::Tcp(listener) => Self::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Bound::Unix(listener, file) => Self::Unix { socket: tokio::net::UnixListener::from_std(listener)?, file },
        })
    }

    /// A socket whose file somebody removed can't be reached any more: another one is made. What fails is tried again.
    fn renew(&mut self) {
        let Self::Unix { file, .. } = self else { return };
        let Some(path) = file.removed() else { return };
        if let Some(renewed) = bind_unix(path).ok().and_then(|bound| Self::new(bound).ok()) {
            tracing::warn!(path = %path.display(), "the admin socket was removed; it is made anew");
            *self = renewed;
        }
    }

    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                let local = address.ip().to_canonical().is_loopback();
                Ok((Box::new(stream), if local { Peer::Loopback } else { Peer::Remote }))
            }
            Self::Unix { socket, .. } => Ok((Box::new(socket.accept().await?.0), Peer::Unix)),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The next connection; errors are said and waited out.
async fn accept(
    listener: &Listener,
    permits: &Arc<Semaphore>,
    quiet_since: &mut Option<Instant>,
) -> (Box<dyn Stream>, Peer, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            // The client's own doing: it left before we came.
            Err(gone) if matches!(gone.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
            Err(error) => {
                if quiet_since.is_none_or(|said| said.elapsed() >= COMPLAIN_EVERY) {
                    *quiet_since = Some(Instant::now());
                    tracing::warn!(%error, "the admin listener can't accept; trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(
    stream: Box<dyn Stream>,
    peer: Peer,
    app: Router,
    stop: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    http::serve_connection(stream, app.layer(Extension(peer)), stop).await;
}
