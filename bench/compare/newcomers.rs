//! Clients that connect, ask, are answered and go, again and again: what a newcomer feels at every moment.

use crate::harness::wire::{Ask, FRAME, Hello, Kind};
use anyhow::ensure;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, Instant},
};

/// Newcomers at a time, and how long each rests between two tries.
const COUNT: usize = 4;
const REST: Duration = Duration::from_millis(2);
/// After this long a newcomer gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Threads of them.
pub(crate) struct Newcomers {
    answers: mpsc::Receiver<(Instant, Option<(Instant, Hello)>)>,
    stop: Arc<AtomicBool>,
}

impl Newcomers {
    /// They begin to come.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let (tell, answers) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..COUNT {
            let (tell, stop) = (tell.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Relaxed) && tell.send((Instant::now(), ask(target, PATIENCE).ok())).is_ok() {
                    std::thread::sleep(REST);
                }
            });
        }
        Self { answers, stop }
    }

    /// How long after `since` a newcomer was first answered as `wanted`, and how many were turned away until then.
    pub(crate) fn first(
        &self,
        since: Instant,
        limit: Duration,
        wanted: impl Fn(Hello) -> bool,
    ) -> (Option<Duration>, usize) {
        let mut turned_away = 0;
        while since.elapsed() < limit {
            let Ok((came, answer)) = self.answers.recv_timeout(limit.saturating_sub(since.elapsed())) else { break };
            match answer {
                Some((answered, hello)) if answered > since && wanted(hello) => {
                    return (Some(answered.duration_since(since)), turned_away);
                }
                Some(_) => {}
                None => turned_away += usize::from(came > since),
            }
        }
        (None, turned_away)
    }
}

impl Drop for Newcomers {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// Connects, asks, waits `patience` to be answered, closes: who answered, and when?
///
/// # Errors
/// Nobody did, or the answer was for another.
pub(crate) fn ask(target: SocketAddr, patience: Duration) -> anyhow::Result<(Instant, Hello)> {
    let mut stream = TcpStream::connect(target)?;
    stream.set_read_timeout(Some(patience))?;
    let id = u64::from(stream.local_addr()?.port());
    stream.write_all(&Ask { kind: Kind::Echo, id }.encode())?;
    let mut frame = [0; FRAME];
    stream.read_exact(&mut frame)?;
    let hello = Hello::decode(&frame)?;
    ensure!(hello.id == id, "the answer was for another");
    Ok((Instant::now(), hello))
}
