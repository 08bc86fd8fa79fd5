//! A probe: sends numbered events over one long-lived connection, and sends again what was not acknowledged once it is
//! connected anew. The world does not wait for it: events happen while it is cut off, too.

use super::protocol::{Line, Lines, ProbeId, Standing};
use std::{
    collections::VecDeque,
    fmt::Write as _,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, tcp::OwnedWriteHalf},
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};

/// Events that wait to be acknowledged at most; beyond it the probe pauses.
const BACKLOG: usize = 2_000;
/// For dialling.
const CONNECT: Duration = Duration::from_secs(5);
/// Before the first reconnect; doubled with every failure.
const BACKOFF: Duration = Duration::from_millis(5);
/// Longest wait before a reconnect.
const LONGEST_BACKOFF: Duration = Duration::from_millis(250);

/// What a probe knows about itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Events that happened; the last one's number.
    pub(super) produced: u64,
    /// Events acknowledged: all up to this number.
    pub(super) acknowledged: u64,
    /// Events sent more than once.
    pub(super) resent: u64,
    /// The server it talks to.
    pub(super) server: Option<String>,
    /// When that server greeted it.
    pub(super) greeted: Option<Instant>,
    /// Connections ever.
    pub(super) connects: u64,
    /// How often a server greeted it whose data was stale.
    pub(super) misrouted: u64,
}

/// A probe that runs.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    /// Its number.
    pub(super) id: ProbeId,
    tally: Arc<Mutex<Tally>>,
}

impl Probe {
    /// Starts a probe that connects to `target` and sends an event every `pace` while `producing` says so. It ends when
    /// the sender of `producing` is gone.
    pub(super) fn start(id: ProbeId, target: String, pace: Duration, producing: watch::Receiver<bool>) -> Self {
        let probe = Self { id, tally: Arc::default() };
        let run = Run { probe: probe.clone(), target, pace, producing, unacknowledged: VecDeque::new(), sent: 0 };
        tokio::spawn(run.live());
        probe
    }

    /// What it knows now.
    pub(super) fn tally(&self) -> Tally {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Run {
    probe: Probe,
    target: String,
    pace: Duration,
    producing: watch::Receiver<bool>,
    unacknowledged: VecDeque<u64>,
    /// The highest number ever sent.
    sent: u64,
}

impl Run {
    async fn live(mut self) {
        let mut backoff = BACKOFF;
        while self.producing.has_changed().is_ok() {
            let connects = self.probe.lock().connects;
            let _cut = self.connected().await;
            let greeted = {
                let mut tally = self.probe.lock();
                tally.server = None;
                tally.connects > connects
            };
            backoff = if greeted { BACKOFF } else { (backoff * 2).min(LONGEST_BACKOFF) };
            let again = Instant::now() + backoff;
            while Instant::now() < again {
                sleep(self.pace.min(again - Instant::now())).await;
                self.produce();
            }
        }
    }

    /// One connection, from its start to its end.
    async fn connected(&mut self) -> io::Result<()> {
        let stream = timeout(CONNECT, TcpStream::connect(&self.target)).await??;
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        let mut lines = Lines::new(read);
        write.write_all(format!("{}\n", Line::Probe(self.probe.id)).as_bytes()).await?;
        let phase = self.pace.mul_f64((self.probe.id.0 % 16) as f64 / 16.0);
        let mut ticks = interval_at(Instant::now() + phase, self.pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut greeted = false;
        loop {
            tokio::select! {
                line = lines.next() => match line? {
                    Some(Line::Hello(name, standing)) if !greeted => {
                        greeted = true;
                        self.greeted_by(name, standing);
                        self.send_again(&mut write).await?;
                    }
                    Some(Line::Stored(seq)) => self.stored(seq)?,
                    Some(_) => return Err(io::Error::from(io::ErrorKind::InvalidData)),
                    None => return Ok(()),
                },
                _ = ticks.tick() => {
                    if let Some(seq) = self.produce() && greeted {
                        self.sent = seq;
                        write.write_all(format!("{}\n", Line::Event(seq)).as_bytes()).await?;
                    }
                }
                ended = self.producing.changed() => if ended.is_err() {
                    return Ok(());
                },
            }
        }
    }

    /// An event happens, if the probe has room for it; its number.
    fn produce(&mut self) -> Option<u64> {
        if !*self.producing.borrow() || self.unacknowledged.len() >= BACKLOG {
            return None;
        }
        let mut tally = self.probe.lock();
        tally.produced += 1;
        self.unacknowledged.push_back(tally.produced);
        Some(tally.produced)
    }

    fn greeted_by(&self, server: String, standing: Standing) {
        let mut tally = self.probe.lock();
        tally.server = Some(server);
        tally.greeted = Some(Instant::now());
        tally.connects += 1;
        tally.misrouted += u64::from(standing.is_stale());
    }

    /// Sends all that was not acknowledged on an earlier connection.
    async fn send_again(&mut self, write: &mut OwnedWriteHalf) -> io::Result<()> {
        let mut text = String::new();
        for seq in &self.unacknowledged {
            let _never_fails = writeln!(text, "{}", Line::Event(*seq));
        }
        self.probe.lock().resent += self.unacknowledged.iter().filter(|seq| **seq <= self.sent).count() as u64;
        self.sent = self.unacknowledged.back().copied().unwrap_or(self.sent);
        write.write_all(text.as_bytes()).await
    }

    /// The server stored an event. It stores them in the order in which they were sent, so anything else is an error.
    fn stored(&mut self, seq: u64) -> io::Result<()> {
        if self.unacknowledged.pop_front() != Some(seq) {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        self.probe.lock().acknowledged = seq;
        Ok(())
    }
}
