//! The gateway between the two servers: one connection, on which each copies to the other what it stores, and the one that
//! is whole fills the one that is stale.

use super::{
    core::Bond,
    protocol::{Line, Lines, ProbeId},
    server::{Inner, Server, say},
    store::Store,
};
use std::{collections::VecDeque, fmt::Write as _, io, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout},
};

/// Between two portions of a resync.
const PORTION_EVERY: Duration = Duration::from_millis(50);
/// For dialling the peer and for its first line.
const HANDSHAKE: Duration = Duration::from_secs(2);
/// Between two attempts to dial the peer.
const REDIAL: Duration = Duration::from_millis(100);
/// Queued lines that are written together.
const TOGETHER: usize = 256;

/// Keeps a connection to the peer, if this server is the one that dials.
pub(super) async fn dial(server: Arc<Server>) {
    let Some(peer) = server.settings.peer.clone() else { return };
    loop {
        if let Ok(Ok(stream)) = timeout(HANDSHAKE, TcpStream::connect(&peer)).await {
            let _ended_by_the_other_end = introduce(&server, stream).await;
        }
        sleep(REDIAL).await;
    }
}

/// The dialling end: says its term, hears the peer's.
async fn introduce(server: &Arc<Server>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut lines = Lines::new(read);
    let told = greet(server, &mut write).await?;
    match timeout(HANDSHAKE, lines.next()).await?? {
        Some(Line::Peer(_, term)) => run(server, told, term, lines, write).await,
        _ => Ok(()),
    }
}

/// The answering end: has heard the peer's name and term, says its own.
pub(super) async fn answer(
    server: &Arc<Server>,
    (_name, term): (&str, u64),
    lines: Lines<OwnedReadHalf>,
    mut write: OwnedWriteHalf,
) -> io::Result<()> {
    let told = greet(server, &mut write).await?;
    run(server, told, term, lines, write).await
}

async fn greet(server: &Server, write: &mut OwnedWriteHalf) -> io::Result<u64> {
    let (name, term) = {
        let inner = server.lock();
        (inner.core.name().to_owned(), inner.core.term())
    };
    say(write, &Line::Peer(name, term)).await?;
    Ok(term)
}

/// Both ends from here on.
async fn run(
    server: &Arc<Server>,
    told: u64,
    term: u64,
    lines: Lines<OwnedReadHalf>,
    write: OwnedWriteHalf,
) -> io::Result<()> {
    let Some((id, bond, queue)) = server.meet(told, term) else { return Ok(()) };
    let link = Link { server: Arc::clone(server), id, lines, write, queue, fill: None, copies: 0 };
    let ended = link.relay(bond).await;
    server.part(id);
    ended
}

struct Link {
    server: Arc<Server>,
    id: u64,
    lines: Lines<OwnedReadHalf>,
    write: OwnedWriteHalf,
    queue: mpsc::Receiver<Line>,
    fill: Option<Fill>,
    /// Copies of the peer's that are stored here.
    copies: u64,
}

impl Link {
    async fn relay(mut self, bond: Bond) -> io::Result<()> {
        let mut portions = interval(PORTION_EVERY);
        portions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let wish = self.server.settings.resync_after.filter(|_| bond == Bond::Behind);
        let mut wish = wish.map(|after| Instant::now() + after);
        loop {
            let wish_at = wish.unwrap_or_else(Instant::now);
            tokio::select! {
                line = self.lines.next() => match line? {
                    Some(line) => self.heard(line).await?,
                    None => return Ok(()),
                },
                line = self.queue.recv() => match line {
                    Some(line) => self.send(line).await?,
                    // Another connection took this one's place.
                    None => return Ok(()),
                },
                _ = portions.tick(), if self.fill.is_some() => self.portion().await?,
                () = sleep_until(wish_at), if wish.is_some() => {
                    wish = None;
                    say(&mut self.write, &Line::Resync).await?;
                }
            }
        }
    }

    /// Stores what the peer says, all that is here of it, and confirms it.
    async fn heard(&mut self, first: Line) -> io::Result<()> {
        let before = self.copies;
        let mut line = first;
        loop {
            self.obey(line).await?;
            if !self.lines.more() {
                break;
            }
            match self.lines.next().await? {
                Some(next) => line = next,
                None => break,
            }
        }
        self.server.lock().flush()?;
        if self.copies > before {
            say(&mut self.write, &Line::Copied(self.copies)).await?;
        }
        Ok(())
    }

    async fn obey(&mut self, line: Line) -> io::Result<()> {
        match line {
            Line::Copy(probe, seq) => {
                self.copies += 1;
                self.server.lock().copied(probe, seq)
            }
            Line::Copied(count) => {
                self.server.copied.send_replace((self.id, count));
                Ok(())
            }
            Line::Fill(probe, first, last) => {
                self.server.lock().core.filled(probe, first, last).map_err(io::Error::other)
            }
            Line::Begin(total) => {
                let mut inner = self.server.lock();
                inner.core.begin(total);
                inner.rewrite()
            }
            Line::End(term) => {
                {
                    let mut inner = self.server.lock();
                    inner.core.end(term);
                    inner.rewrite()?;
                    set_equal(&mut inner);
                }
                if let Some(signal) = self.server.settings.signal.clone() {
                    tokio::spawn(signal.send());
                }
                say(&mut self.write, &Line::Whole).await
            }
            Line::Resync => self.start_filling().await,
            // The end of what `start_filling` began; the peer counts as equal since `End` was queued.
            Line::Whole => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    }

    /// Writes what is queued; a queued `Resync` is an order to this end if it is the whole one.
    async fn send(&mut self, first: Line) -> io::Result<()> {
        let mut lines = vec![first];
        while lines.len() < TOGETHER
            && let Ok(next) = self.queue.try_recv()
        {
            lines.push(next);
        }
        let mut text = String::new();
        for line in lines {
            let ahead = self.server.lock().link.as_ref().is_some_and(|link| link.bond == Bond::Ahead);
            if line == Line::Resync && ahead {
                self.start_filling().await?;
            } else {
                let _never_fails = writeln!(text, "{line}");
            }
        }
        self.write.write_all(text.as_bytes()).await
    }

    /// Tells the stale peer to delete what it has. Events stored from now on are copied to it at once; what was stored before
    /// follows in portions.
    async fn start_filling(&mut self) -> io::Result<()> {
        let fill = {
            let mut inner = self.server.lock();
            let snapshot = inner.core.store().clone();
            match &mut inner.link {
                Some(link) if link.bond == Bond::Ahead && !link.filling => link.filling = true,
                _ => return Ok(()),
            }
            Fill::new(&snapshot, self.server.settings.resync_time)
        };
        say(&mut self.write, &Line::Begin(fill.total)).await?;
        self.fill = Some(fill);
        Ok(())
    }

    async fn portion(&mut self) -> io::Result<()> {
        let Some(fill) = &mut self.fill else { return Ok(()) };
        let mut text = String::new();
        for (probe, first, last) in fill.take() {
            let _never_fails = writeln!(text, "{}", Line::Fill(probe, first, last));
        }
        self.write.write_all(text.as_bytes()).await?;
        if fill.is_done() {
            self.fill = None;
            self.finish_filling()?;
        }
        Ok(())
    }

    /// Ends the resync in the queue, behind the copies of all that was acknowledged without the peer; what comes later is
    /// acknowledged only once the peer has it.
    fn finish_filling(&self) -> io::Result<()> {
        let mut inner = self.server.lock();
        let term = inner.core.term();
        let Some(link) = &mut inner.link else { return Ok(()) };
        if !link.send(Line::End(term)) {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        inner.core.filled_peer();
        set_equal(&mut inner);
        inner.rewrite()
    }
}

fn set_equal(inner: &mut Inner) {
    if let Some(link) = &mut inner.link {
        link.bond = Bond::Equal;
        link.filling = false;
    }
}

/// What is still to be copied in a resync, in portions that make it last as long as it should.
struct Fill {
    left: VecDeque<(ProbeId, u64, u64)>,
    total: u64,
    portion: u64,
}

impl Fill {
    fn new(store: &Store, duration: Duration) -> Self {
        let portions = (duration.as_millis() / PORTION_EVERY.as_millis()).max(1);
        let portion = store.rows().div_ceil(u64::try_from(portions).unwrap_or(u64::MAX)).max(1);
        Self { left: store.iter().collect(), total: store.rows(), portion }
    }

    fn take(&mut self) -> Vec<(ProbeId, u64, u64)> {
        let (mut room, mut taken) = (self.portion, Vec::new());
        while let Some((probe, first, last)) = self.left.pop_front() {
            let until = last.min(first.saturating_add(room - 1));
            taken.push((probe, first, until));
            if until < last {
                self.left.push_front((probe, until + 1, last));
            }
            room -= until - first + 1;
            if room == 0 {
                break;
            }
        }
        taken
    }

    fn is_done(&self) -> bool {
        self.left.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resync_copies_everything_once_in_about_as_many_portions_as_asked() {
        let mut store = Store::default();
        for probe in 1..=7 {
            store.insert(ProbeId(probe), 1, 100 * probe).unwrap();
        }
        let mut fill = Fill::new(&store, Duration::from_secs(4));
        let (mut copy, mut portions) = (Store::default(), 0);
        while !fill.is_done() {
            for (probe, first, last) in fill.take() {
                assert_eq!(copy.insert(probe, first, last), Ok(last - first + 1), "nothing is copied twice");
            }
            portions += 1;
        }
        assert_eq!(copy, store);
        assert_eq!(portions, 80);
    }

    #[test]
    fn an_empty_store_is_copied_at_once() {
        let mut fill = Fill::new(&Store::default(), Duration::from_secs(4));
        assert!(fill.take().is_empty());
        assert!(fill.is_done());
    }
}
