//! Clients that never rest: one that connects anew for every line, one that keeps its session as long as it lasts. What they
//! sent, who answered and when is reckoned up at the end.

use crate::{common::client::Client, lab::Lab, rig::route};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long one client waits for anything.
const PATIENCE: Duration = Duration::from_millis(300);
/// From one line to the next.
const PACE: Duration = Duration::from_millis(20);

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) server: String,
    pub(crate) sent: Instant,
    pub(crate) came: Instant,
}

/// Clients at work.
pub(crate) struct Fleet {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Ledger>>,
}

/// What clients saw, by the time they saw it.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) answers: Vec<Answer>,
    pub(crate) sent: usize,
}

impl Fleet {
    /// Sends them out from the host `client`.
    pub(crate) fn start(lab: &Lab) -> Self {
        Self::start_at(lab, route())
    }

    /// The same to another route.
    pub(crate) fn start_at(lab: &Lab, route: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        // A thread has the network of the thread that started it.
        let client = |keeps| {
            let stop = Arc::clone(&stop);
            lab.on("client", move || std::thread::spawn(move || life(route, keeps, &stop)))
        };
        let clients = [false, true].map(client).into();
        Self { stop, clients }
    }

    /// Calls them back.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Ledger {
        self.stop.store(true, Relaxed);
        let mut all = Ledger::default();
        for client in self.clients.drain(..) {
            let Ledger { answers, sent } = client.join().expect("a client does not panic");
            all.sent += sent;
            all.answers.extend(answers);
        }
        all.answers.sort_by_key(|answer| answer.came);
        all
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

impl Ledger {
    /// The first answer to what was sent after `fault`.
    #[track_caller]
    pub(crate) fn first_after(&self, fault: Instant) -> Duration {
        let first = self.answers.iter().find(|answer| answer.sent > fault);
        first.map(|answer| answer.came - fault).expect("somebody was answered after the fault")
    }

    /// The longest time without any answer.
    pub(crate) fn gap(&self) -> Duration {
        let between = self.answers.windows(2).map(|two| two[1].came - two[0].came);
        between.max().unwrap_or_default()
    }

    /// The servers in the order of their turns. What was on its way when the other began is no turn of its own.
    pub(crate) fn turns(&self) -> Vec<&str> {
        let mut turns: Vec<&str> = Vec::new();
        let mut since = None;
        for answer in &self.answers {
            let under_way = since.is_some_and(|since| answer.sent < since);
            if turns.last() != Some(&answer.server.as_str()) && !under_way {
                turns.push(&answer.server);
                since = Some(answer.came);
            }
        }
        turns
    }
}

fn life(route: SocketAddr, keeps: bool, stop: &AtomicBool) -> Ledger {
    let mut ledger = Ledger::default();
    let mut session = None;
    while !stop.load(Relaxed) {
        let begun = Instant::now();
        let client = session.take().map_or_else(|| Client::connect_within(PATIENCE, route), Ok);
        if let Ok(mut client) = client {
            let sent = Instant::now();
            ledger.sent += 1;
            // A session that answered too late would answer the wrong line next.
            if let Ok(line) = client.ask(&format!("{}", ledger.sent)) {
                let (server, number) = line.split_once(':').expect("servers say their name");
                assert_eq!(number, ledger.sent.to_string(), "the answer to another line");
                ledger.answers.push(Answer { server: server.into(), sent, came: Instant::now() });
                session = keeps.then_some(client);
            }
        }
        std::thread::sleep(PACE.saturating_sub(begun.elapsed()));
    }
    ledger
}
