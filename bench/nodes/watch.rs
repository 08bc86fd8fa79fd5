//! Who holds the shared address, looked at a thousand times a second on both hosts.

use crate::{lab::Lab, rig::SHARED};
use std::{
    io::ErrorKind,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// From one look to the next.
const EVERY: Duration = Duration::from_millis(1);
/// The hosts of the nodes.
const HOSTS: [&str; 2] = ["a", "b"];

/// Threads that look.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    threads: [JoinHandle<Vec<Look>>; 2],
}

/// A host has the address from this moment on, or no longer.
type Look = (Instant, bool);

/// What they saw, of each host.
pub(crate) struct Seen([Vec<Look>; 2]);

impl Watch {
    /// They begin to look.
    pub(crate) fn start(lab: &Lab) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = HOSTS.map(|host| {
            let stop = Arc::clone(&stop);
            // A thread has the network of the thread that started it.
            lab.on(host, move || std::thread::spawn(move || look(&stop)))
        });
        Self { stop, threads }
    }

    /// They stop.
    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Relaxed);
        // A thread that panicked has said so.
        Seen(self.threads.map(|thread| thread.join().unwrap_or_default()))
    }
}

fn look(stop: &AtomicBool) -> Vec<Look> {
    let mut seen = Vec::<Look>::new();
    while !stop.load(Relaxed) {
        // Only an address of this very host can be bound to.
        let bound = UdpSocket::bind((SHARED, 0));
        let has = !bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable);
        if seen.last().is_none_or(|(_, before)| *before != has) {
            seen.push((Instant::now(), has));
        }
        std::thread::sleep(EVERY);
    }
    seen
}

impl Seen {
    /// For how long both had it between two moments.
    pub(crate) fn both(&self, from: Instant, until: Instant) -> Duration {
        let [a, b] = &self.0;
        let mut moments: Vec<Instant> = a.iter().chain(b).map(|(at, _)| *at).chain([from, until]).collect();
        moments.retain(|at| (from..=until).contains(at));
        moments.sort();
        let spans = moments.windows(2).filter(|span| has(a, span[0]) && has(b, span[0]));
        spans.map(|span| span[1] - span[0]).sum()
    }

    /// Who had it at this moment.
    pub(crate) fn holders(&self, at: Instant) -> Vec<&'static str> {
        HOSTS.into_iter().zip(&self.0).filter(|(_, seen)| has(seen, at)).map(|(host, _)| host).collect()
    }

    /// Has the second node had it at any time?
    pub(crate) fn moved(&self) -> bool {
        self.0[1].iter().any(|(_, has)| *has)
    }
}

fn has(seen: &[Look], at: Instant) -> bool {
    seen.iter().rev().find(|(since, _)| *since <= at).is_some_and(|(_, has)| *has)
}
