//! A client that checks: it writes numbers in order through the proxy and keeps the last one that was acknowledged;
//! whatever it reads later must not be older.

use crate::common::redis::{RedisClient, Reply};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Writer and reader at work, each on long-lived connections of its own.
pub(crate) struct Ledger {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The last number whose write was acknowledged.
    acknowledged: AtomicU64,
    stop: AtomicBool,
    /// Writes and reads that went well on each server: primary, backup.
    served: [AtomicU64; 2],
}

impl Ledger {
    /// Starts to write and read through `route`. A write counts as acknowledged on the primary only when its replica has it
    /// (`WAIT`), as long as there is one: what Redis itself loses is not what this is about.
    pub(crate) fn start(route: SocketAddr, primary: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let run = |work: fn(&Shared, SocketAddr, SocketAddr)| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || work(&shared, route, primary))
        };
        Self { threads: vec![run(write), run(read)], shared }
    }

    /// The last acknowledged number.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(SeqCst)
    }

    /// Writes and reads the primary served so far.
    pub(crate) fn on_primary(&self) -> u64 {
        self.shared.served[0].load(SeqCst)
    }

    /// Writes and reads the backup served so far.
    pub(crate) fn on_backup(&self) -> u64 {
        self.shared.served[1].load(SeqCst)
    }

    /// Stops, passing on what writer or reader complained about, and returns the last acknowledged number.
    #[track_caller]
    pub(crate) fn stop(self) -> u64 {
        self.shared.stop.store(true, SeqCst);
        for thread in self.threads {
            thread.join().unwrap_or_else(|complaint| std::panic::resume_unwind(complaint));
        }
        self.shared.acknowledged.load(SeqCst)
    }
}

impl Shared {
    fn running(&self) -> bool {
        !self.stop.load(SeqCst)
    }

    fn count(&self, on_primary: bool) {
        self.served[usize::from(!on_primary)].fetch_add(1, SeqCst);
    }
}

fn write(shared: &Shared, route: SocketAddr, primary: SocketAddr) {
    let mut next = 1;
    while shared.running() {
        let Some((mut session, on_primary)) = connect(route, primary) else { continue };
        while shared.running() {
            let text = next.to_string();
            let key = format!("event:{next}");
            match session.ask(&["MSET", &key, &text, "last", &text]) {
                Ok(Reply::Text(_)) => {}
                // Not promoted yet, or no more: the number was not taken.
                Ok(Reply::Refused(_)) => {
                    std::thread::sleep(Duration::from_millis(5));
                    break;
                }
                Ok(other) => panic!("a write was answered with {other:?}"),
                Err(_) => break,
            }
            if on_primary && !matches!(session.ask(&["WAIT", "1", "1000"]), Ok(Reply::Number(1..))) {
                break;
            }
            shared.acknowledged.store(next, SeqCst);
            shared.count(on_primary);
            next += 1;
        }
        // What was not acknowledged may have been written all the same: the next number is a new one.
        next += 1;
    }
}

fn read(shared: &Shared, route: SocketAddr, primary: SocketAddr) {
    while shared.running() {
        let Some((mut session, on_primary)) = connect(route, primary) else { continue };
        while shared.running() {
            let at_least = shared.acknowledged.load(SeqCst);
            let seen = match session.ask(&["GET", "last"]) {
                Ok(Reply::Text(number)) => number.parse().expect("a number"),
                Ok(Reply::Nothing) => 0,
                _ => break,
            };
            let server = if on_primary { "primary" } else { "backup" };
            assert!(seen >= at_least, "stale: the {server} says {seen}, acknowledged was {at_least}");
            shared.count(on_primary);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn connect(route: SocketAddr, primary: SocketAddr) -> Option<(RedisClient, bool)> {
    let mut session = RedisClient::connect(route).ok()?;
    let server = session.server().ok()?;
    Some((session, server == primary))
}
