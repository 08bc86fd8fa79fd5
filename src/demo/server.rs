//! An aggregation server: takes probes' events, keeps them, and copies them to its peer. An event is acknowledged only once
//! both servers hold it, as long as they are equal; so whatever is lost later, the proxy (or its operator) lost it.
//!
//! ```text
//!   probe, anyone ──▶ connection task ──┐                    ┌── link task ◀──▶ the peer's link task   (link.rs)
//!   probe, anyone ──▶ connection task ──┼──▶ Mutex<Inner> ◀──┤
//!   probe, anyone ──▶ connection task ──┘     core, disk     └── dialer, if this one has `--peer`
//! ```

use super::{
    DemoError,
    core::{Bond, Core},
    disk::Disk,
    link,
    protocol::{Line, Lines, ProbeId, Standing, Status},
    signal::Signal,
};
use std::{
    fmt::Write as _,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};

/// Connections at most; more wait in the listening socket's queue.
const CONNECTIONS: usize = 2_000;
/// Lines that wait for the peer at most; a peer that lets more wait is given up. Room for all that the demo's probes can owe
/// when they come back from a long wait, in one go.
const QUEUE: usize = 100_000;
/// Events of one probe that are stored together.
const BATCH: usize = 256;
/// A peer that does not confirm a copy within this time is given up.
const PEER_TIMEOUT: Duration = Duration::from_secs(2);

/// What a server is started with.
#[derive(Debug, Clone)]
pub(super) struct ServerSettings {
    /// Its name.
    pub(super) name: String,
    /// Where it listens.
    pub(super) listen: SocketAddr,
    /// The other server, if this one is to dial it (one of the two does).
    pub(super) peer: Option<String>,
    /// Where it remembers its events.
    pub(super) data: PathBuf,
    /// How long a resync takes, however little there is to copy.
    pub(super) resync_time: Duration,
    /// When stale, ask for the resync after this time. `None`: somebody else asks.
    pub(super) resync_after: Option<Duration>,
    /// Whom to tell once it was resynchronised.
    pub(super) signal: Option<Signal>,
}

/// Runs a server until it is killed.
///
/// # Errors
/// The address or the data's file can't be used.
pub(super) async fn serve(settings: ServerSettings) -> Result<(), DemoError> {
    let disk = Disk::open(&settings.data);
    let (disk, memory) = disk.map_err(|error| DemoError::Io(settings.data.display().to_string(), error))?;
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.map_err(|error| DemoError::Io(settings.listen.to_string(), error))?;
    let core = Core::new(settings.name.clone(), memory);
    let (copied, _) = watch::channel((0, 0));
    let mut inner = Inner { core, disk, link: None, links: 0, told: None };
    inner.tell();
    let server = Arc::new(Server { inner: Mutex::new(inner), copied, settings });
    tokio::spawn(link::dial(Arc::clone(&server)));
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return Ok(()) };
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    let _ended_by_the_other_end = converse(&server, stream).await;
                    drop(permit);
                });
            }
            // Most likely no descriptors; the ones in use end some time.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// What all tasks of a server share.
#[derive(Debug)]
pub(super) struct Server {
    inner: Mutex<Inner>,
    /// How many copies the peer confirmed, on which link; link 0 is none.
    pub(super) copied: watch::Sender<(u64, u64)>,
    pub(super) settings: ServerSettings,
}

/// The data, and the way to the peer.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) core: Core,
    disk: Disk,
    pub(super) link: Option<Peering>,
    links: u64,
    /// What its log said last.
    told: Option<Standing>,
}

/// The connection to the peer as the rest of the server sees it.
#[derive(Debug)]
pub(super) struct Peering {
    id: u64,
    pub(super) bond: Bond,
    /// This server is filling the other.
    pub(super) filling: bool,
    queue: mpsc::Sender<Line>,
    copies: u64,
}

impl Peering {
    /// Queues a line for the peer. `false`: too many wait already.
    pub(super) fn send(&mut self, line: Line) -> bool {
        self.copies += u64::from(matches!(line, Line::Copy(..)));
        self.queue.try_send(line).is_ok()
    }
}

impl Server {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes this connection the one to the peer. `None` if this server's term is no longer the one the peer was told.
    pub(super) fn meet(&self, told: u64, peer: u64) -> Option<(u64, Bond, mpsc::Receiver<Line>)> {
        let mut inner = self.lock();
        if inner.core.term() != told {
            return None;
        }
        let bond = inner.core.met(peer, self.settings.peer.is_some());
        inner.tell();
        inner.links += 1;
        let id = inner.links;
        let (queue, lines) = mpsc::channel(QUEUE);
        inner.link = Some(Peering { id, bond, filling: false, queue, copies: 0 });
        // Whoever waits for the link before this one need not wait any more.
        self.copied.send_replace((id, 0));
        Some((id, bond, lines))
    }

    /// The connection is no longer the one to the peer.
    pub(super) fn part(&self, id: u64) {
        let mut inner = self.lock();
        if inner.link.as_ref().is_some_and(|link| link.id == id) {
            inner.link = None;
            inner.core.parted();
            inner.tell();
            self.copied.send_replace((0, 0));
        }
    }

    /// Keeps a probe's events; returns once they may be acknowledged.
    async fn store(&self, probe: ProbeId, events: &[u64]) -> io::Result<()> {
        let waiting = self.lock().store(probe, events)?;
        let Some((link, copies)) = waiting else { return Ok(()) };
        let mut copied = self.copied.subscribe();
        let settled = copied.wait_for(|(on, count)| *on != link || *count >= copies);
        let confirmed = matches!(timeout(PEER_TIMEOUT, settled).await, Ok(Ok(now)) if now.0 == link);
        if !confirmed {
            self.part(link);
            self.lock().went_on_alone()?;
        }
        Ok(())
    }

    /// Someone asks for a resync: the one that is whole starts it, the one that is stale asks the other.
    pub(super) fn resync(&self) -> Line {
        let mut inner = self.lock();
        let Some(link) = &mut inner.link else { return Line::No("the peer is not there".into()) };
        match link.bond {
            Bond::Equal => Line::No("neither server is stale".into()),
            _ if link.filling => Line::No("it is under way".into()),
            _ => match link.send(Line::Resync) {
                true => Line::Ok,
                false => Line::No("the peer does not keep up".into()),
            },
        }
    }
}

impl Inner {
    /// Stores events; `Some((link, copies))` if that many copies on that link must be confirmed first.
    fn store(&mut self, probe: ProbeId, events: &[u64]) -> io::Result<Option<(u64, u64)>> {
        for seq in events {
            self.core.event(probe, *seq).map_err(io::Error::other)?;
            self.disk.event(probe, *seq, *seq);
        }
        self.flush()?;
        if let Some(link) = &mut self.link
            && (link.bond == Bond::Equal || link.filling)
        {
            if events.iter().all(|seq| link.send(Line::Copy(probe, *seq))) {
                return Ok((link.bond == Bond::Equal).then_some((link.id, link.copies)));
            }
            self.link = None;
            self.core.parted();
            self.tell();
        }
        self.went_on_alone()?;
        Ok(None)
    }

    fn went_on_alone(&mut self) -> io::Result<()> {
        if self.core.went_on_alone() { self.rewrite() } else { Ok(()) }
    }

    /// Keeps what the peer copied, without flushing.
    pub(super) fn copied(&mut self, probe: ProbeId, seq: u64) -> io::Result<()> {
        self.core.copied(probe, seq).map_err(io::Error::other)?;
        if self.core.standing() != Standing::Resyncing {
            self.disk.event(probe, seq, seq);
        }
        Ok(())
    }

    /// Writes what was kept.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.disk.flush()? { self.rewrite() } else { Ok(()) }
    }

    /// Writes everything anew.
    pub(super) fn rewrite(&mut self) -> io::Result<()> {
        self.tell();
        self.disk.rewrite(&self.core.memory())
    }

    /// Logs what the data is worth, when that changed.
    fn tell(&mut self) {
        let Status { name, standing, events, .. } = self.core.status();
        if self.told.replace(standing) != Some(standing) {
            anstream::println!("{name} is {standing}, with {events} events");
        }
    }
}

/// One connection: what its first line says it is.
async fn converse(server: &Arc<Server>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut lines = Lines::new(read);
    while let Some(line) = lines.next().await? {
        match line {
            Line::Probe(probe) => {
                let (name, standing) = {
                    let inner = server.lock();
                    (inner.core.name().to_owned(), inner.core.standing())
                };
                say(&mut write, &Line::Hello(name, standing)).await?;
                return take_events(server, probe, lines, write).await;
            }
            Line::Peer(name, term) => return link::answer(server, (&name, term), lines, write).await,
            Line::StatusPlease => {
                let status = server.lock().core.status();
                say(&mut write, &Line::Status(status)).await?;
            }
            Line::Resync => say(&mut write, &server.resync()).await?,
            Line::Dump => {
                let mut dump = String::new();
                {
                    let inner = server.lock();
                    for (probe, first, last) in inner.core.store().iter() {
                        let _never_fails = writeln!(dump, "{}", Line::Held(probe, first, last));
                    }
                    let _never_fails = writeln!(dump, "{}", Line::Done(inner.core.store().rows()));
                }
                write.write_all(dump.as_bytes()).await?;
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}

async fn take_events(
    server: &Server,
    probe: ProbeId,
    mut lines: Lines<tokio::net::tcp::OwnedReadHalf>,
    mut write: OwnedWriteHalf,
) -> io::Result<()> {
    let (mut events, mut answer) = (Vec::with_capacity(BATCH), String::new());
    while let Some(line) = lines.next().await? {
        let Line::Event(seq) = line else { return Ok(()) };
        events.push(seq);
        if lines.more() && events.len() < BATCH {
            continue;
        }
        server.store(probe, &events).await?;
        for seq in events.drain(..) {
            let _never_fails = writeln!(answer, "{}", Line::Stored(seq));
        }
        write.write_all(answer.as_bytes()).await?;
        answer.clear();
    }
    Ok(())
}

/// Writes one line.
pub(super) async fn say(write: &mut OwnedWriteHalf, line: &Line) -> io::Result<()> {
    write.write_all(format!("{line}\n").as_bytes()).await
}
