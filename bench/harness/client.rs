//! What all client ends do first: open sessions and hear who answers.

use super::wire::{Ask, FRAME, Hello, Kind};
use anyhow::{Context, ensure};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Sessions opened before the first answer of them is waited for.
const AT_ONCE: u64 = 64;
/// After this long without a Hello nobody serves.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens `count` sessions of a kind; every one has been greeted, and is non-blocking.
///
/// # Errors
/// One could not be opened, was not greeted, or got the Hello of another.
pub(crate) fn open(target: SocketAddr, kind: Kind, count: u32) -> anyhow::Result<Vec<TcpStream>> {
    let count = u64::from(count);
    let mut streams = Vec::with_capacity(count as usize);
    for first in (0..count).step_by(AT_ONCE as usize) {
        let ids = first..count.min(first + AT_ONCE);
        for id in ids.clone() {
            let mut stream = TcpStream::connect(target).with_context(|| format!("session {id}: cannot connect"))?;
            stream.set_nodelay(true)?;
            stream.write_all(&Ask { kind, id }.encode()).with_context(|| format!("session {id}: cannot ask"))?;
            streams.push(stream);
        }
        for id in ids {
            let stream = &mut streams[id as usize];
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut frame = [0; FRAME];
            stream.read_exact(&mut frame).with_context(|| format!("session {id}: not greeted"))?;
            ensure!(Hello::decode(&frame)?.id == id, "session {id} got the Hello of another");
            stream.set_nonblocking(true)?;
        }
    }
    Ok(streams)
}
