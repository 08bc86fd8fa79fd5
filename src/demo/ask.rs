//! Questions to an aggregation server.

use super::{
    protocol::{Line, Lines, ProbeId, Status},
    store::Ranges,
};
use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

/// For a whole answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Everything a server holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Dump {
    probes: BTreeMap<ProbeId, Ranges>,
    /// Rows in its store.
    pub(super) rows: u64,
}

impl Dump {
    /// How many different events there are.
    pub(super) fn events(&self) -> u64 {
        self.probes.values().map(Ranges::len).sum()
    }

    /// How many of a probe's events from `first` to `last` there are.
    pub(super) fn count(&self, probe: ProbeId, first: u64, last: u64) -> u64 {
        self.probes.get(&probe).map_or(0, |ranges| ranges.count_within(first, last))
    }

    /// How many of another dump's events are not in this one.
    pub(super) fn lacks(&self, other: &Self) -> u64 {
        let ranges = other.probes.iter().flat_map(|(probe, ranges)| ranges.iter().map(|range| (*probe, range)));
        ranges.map(|(probe, (first, last))| last - first + 1 - self.count(probe, first, last)).sum()
    }

    /// Adds a range.
    pub(super) fn add(&mut self, probe: ProbeId, first: u64, last: u64) {
        self.probes.entry(probe).or_default().insert(first, last);
    }
}

/// What the server is and has.
///
/// # Errors
/// It can't be reached, or does not answer as it should.
pub(super) async fn status(server: SocketAddr) -> io::Result<Status> {
    match ask(server, &Line::StatusPlease).await? {
        Line::Status(status) => Ok(status),
        other => Err(strange(&other)),
    }
}

/// Asks for the resync of whichever of the two servers is stale; `Err` with the reason inside `Ok` if there is none.
///
/// # Errors
/// As [`status`].
pub(super) async fn resync(server: SocketAddr) -> io::Result<Result<(), String>> {
    match ask(server, &Line::Resync).await? {
        Line::Ok => Ok(Ok(())),
        Line::No(reason) => Ok(Err(reason)),
        other => Err(strange(&other)),
    }
}

/// All it holds.
///
/// # Errors
/// As [`status`].
pub(super) async fn dump(server: SocketAddr) -> io::Result<Dump> {
    let whole = async {
        let mut lines = send(server, &Line::Dump).await?;
        let mut dump = Dump::default();
        loop {
            match lines.next().await? {
                Some(Line::Held(probe, first, last)) => dump.add(probe, first, last),
                Some(Line::Done(rows)) => {
                    dump.rows = rows;
                    return Ok(dump);
                }
                Some(other) => return Err(strange(&other)),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    };
    timeout(DEADLINE, whole).await?
}

async fn ask(server: SocketAddr, question: &Line) -> io::Result<Line> {
    let answer = async { send(server, question).await?.next().await };
    timeout(DEADLINE, answer).await??.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

async fn send(server: SocketAddr, question: &Line) -> io::Result<Lines<TcpStream>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(format!("{question}\n").as_bytes()).await?;
    Ok(Lines::new(stream))
}

fn strange(line: &Line) -> io::Error {
    io::Error::other(format!("an unexpected answer: {line}"))
}
