//! What all client ends do first: open sessions and hear who answers.

use super::{
    args,
    stream::Stream,
    tls::Tls,
    wire::{Ask, FRAME, Hello, Kind},
};
use anyhow::{Context, ensure};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Sessions opened before the first answer of them is waited for.
const AT_ONCE: u64 = 64;
/// After this long without a Hello nobody serves.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a client goes, and what it speaks there.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) target: SocketAddr,
    pub(crate) tls: Option<Tls>,
}

impl Reach {
    /// As the command line says.
    pub(crate) fn of(args: &args::Target) -> anyhow::Result<Self> {
        Ok(Self { target: args.target, tls: Tls::of_client(args)? })
    }

    /// A blocking connection that waits no longer than `patience` for bytes.
    pub(crate) fn connect(&self, patience: Duration) -> io::Result<Stream> {
        let socket = TcpStream::connect(self.target)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(patience))?;
        Stream::new(socket, self.tls.as_ref())
    }
}

/// Opens `count` sessions of a kind; every one has been greeted, and is non-blocking.
///
/// # Errors
/// One could not be opened, was not greeted, or got the Hello of another.
pub(crate) fn open(reach: &Reach, kind: Kind, count: u32) -> anyhow::Result<Vec<Stream>> {
    let count = u64::from(count);
    let mut streams = Vec::with_capacity(count as usize);
    for first in (0..count).step_by(AT_ONCE as usize) {
        let ids = first..count.min(first + AT_ONCE);
        for id in ids.clone() {
            let mut stream = reach.connect(PATIENCE).with_context(|| format!("session {id}: cannot connect"))?;
            stream.write_all(&Ask { kind, id }.encode()).with_context(|| format!("session {id}: cannot ask"))?;
            streams.push(stream);
        }
        for id in ids {
            let stream = &mut streams[id as usize];
            let mut frame = [0; FRAME];
            stream.read_exact(&mut frame).with_context(|| format!("session {id}: not greeted"))?;
            ensure!(Hello::decode(&frame)?.id == id, "session {id} got the Hello of another");
            stream.socket().set_nonblocking(true)?;
        }
    }
    Ok(streams)
}
