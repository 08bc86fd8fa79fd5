//! Clients that come one after the other, whether or not those before them have been served: each connects, asks, is
//! answered and goes. What a newcomer feels at every moment.

use crate::harness::{
    client::Reach,
    wire::{Ask, FRAME, Hello, Kind},
};
use anyhow::ensure;
use std::{
    io::{Read, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, Instant},
};

/// One comes this often.
const EVERY: Duration = Duration::from_millis(5);
/// What a newcomer's thread needs.
const STACK: usize = 64 * 1024;
/// After this long a newcomer gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A thread that sends them, and what they say.
pub(crate) struct Newcomers {
    answers: mpsc::Receiver<(Instant, Option<(Instant, Hello)>)>,
    stop: Arc<AtomicBool>,
}

impl Newcomers {
    /// They begin to come.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let (tell, answers) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !stopped.load(Relaxed) {
                let tell = tell.clone();
                let newcomer = move || {
                    let came = Instant::now();
                    // When nobody wants to know any more, it doesn't matter.
                    let _nobody = tell.send((came, ask(&Reach { target, tls: None }, PATIENCE).ok()));
                };
                // A machine that has no thread left has enough newcomers waiting.
                let _none_left = std::thread::Builder::new().stack_size(STACK).spawn(newcomer);
                std::thread::sleep(EVERY);
            }
        });
        Self { answers, stop }
    }

    /// How long after `since` one who came after it was first answered as `wanted`, and how many of those who came after it
    /// were turned away until then.
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
                Some((answered, hello)) if came > since && wanted(hello) => {
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
pub(crate) fn ask(reach: &Reach, patience: Duration) -> anyhow::Result<(Instant, Hello)> {
    let mut stream = reach.connect(patience)?;
    let id = u64::from(stream.socket().local_addr()?.port());
    stream.write_all(&Ask { kind: Kind::Echo, id }.encode())?;
    let mut frame = [0; FRAME];
    stream.read_exact(&mut frame)?;
    let hello = Hello::decode(&frame)?;
    ensure!(hello.id == id, "the answer was for another");
    Ok((Instant::now(), hello))
}
