//! Where the two halves meet. `data` and `control` never import each other; what passes between them is listed here,
//! and `app` makes the ends meet.
//!
//! ```text
//!            control ── watch<Arc<RouteTable>> ──────────▶ every worker        (level-triggered, last one wins)
//!            control ◀─ mpsc<Outcome>, bounded ─────────── every worker        (drops and counts when full)
//!            control ◀─ watch<Progress>, one a worker ──── that worker         (never drops: it is a level, not an event)
//!   admin, metrics ──── mpsc<SessionQuery> ──────────────▶ every worker        (bounded; answers are bounded too)
//!   admin, metrics ◀─── Arc<WorkerStats>, atomics ──────── that worker         (read without disturbing it)
//! ```

use super::{
    EndReason, PairName, RefuseReason, RouteName, Side, UpstreamName, durations::Durations, tls::TlsFailure,
    view::SessionView,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::sync::{mpsc, oneshot, watch};

/// Passive evidence about an upstream. It starts checks and never fails a server over by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The pair.
    pub pair: PairName,
    /// The upstream concerned.
    pub upstream: UpstreamName,
    /// What was seen.
    pub evidence: Evidence,
}

/// What a session or a dial showed about its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// A dial was answered with RST or "unreachable", or its TLS handshake failed.
    DialRefused,
    /// A dial was not answered before its deadline.
    DialTimedOut,
    /// The upstream ended a session with FIN before the client did.
    Ended,
    /// The upstream reset a session, or stopped acknowledging.
    Reset,
}

/// How far one worker has come with the current order of each pair. A level: only the newest value counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The version of the table this worker obeys.
    pub table: u64,
    /// Each pair for which the worker saw an order.
    pub pairs: BTreeMap<PairName, PairProgress>,
}

/// One worker's progress with one pair's order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PairProgress {
    /// The order's id.
    pub order: u64,
    /// Condemned sessions and dials still here. 0 confirms that the worker has left the old side.
    pub left: u64,
    /// Sessions the order spared because the client is exempt, still here on the side left.
    pub exempt: u64,
}

/// A question to a worker about its sessions.
#[derive(Debug)]
pub struct SessionQuery {
    /// Only this route's.
    pub route: Option<RouteName>,
    /// At most this many, oldest first.
    pub limit: usize,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Vec<SessionView>>,
}

/// One worker's ends.
#[derive(Debug)]
pub struct WorkerPorts {
    /// The table to obey.
    pub table: watch::Receiver<Arc<super::table::RouteTable>>,
    /// Passive evidence; `try_send` and count what did not fit in [`WorkerStats::outcomes_dropped`].
    pub outcomes: mpsc::Sender<Outcome>,
    /// Confirmations.
    pub progress: watch::Sender<Progress>,
    /// Questions about sessions.
    pub queries: mpsc::Receiver<SessionQuery>,
    /// Its counters.
    pub stats: Arc<WorkerStats>,
}

/// One worker's counters. Written by that worker only, with plain stores; read by whoever wants to know.
#[derive(Debug, Default)]
pub struct WorkerStats {
    /// Outcomes that did not fit into the channel.
    pub outcomes_dropped: Counter,
    /// Times accepting was paused for want of descriptors.
    pub accept_pauses: Counter,
    /// Clients handed to another worker so that sessions spread evenly.
    pub handed_over: Counter,
    /// TLS handshakes with clients that failed, by [`TlsFailure`] in the order of [`TlsFailure::ALL`].
    pub client_handshakes_failed: [Counter; TlsFailure::ALL.len()],
    /// TLS handshakes with upstreams that failed, likewise.
    pub upstream_handshakes_failed: [Counter; TlsFailure::ALL.len()],
    routes: Mutex<BTreeMap<(RouteName, PairName, UpstreamName), Arc<FlowStats>>>,
    doors: Mutex<BTreeMap<(RouteName, PairName), Arc<DoorStats>>>,
}

impl WorkerStats {
    /// The counters of the sessions from `route` to `upstream`, made at the first call. A worker keeps the handle: the
    /// lock is taken once per flow, never per session or byte.
    pub fn flow(&self, route: &RouteName, pair: &PairName, upstream: &UpstreamName, side: Side) -> Arc<FlowStats> {
        let mut flows = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (route.clone(), pair.clone(), upstream.clone());
        Arc::clone(flows.entry(key).or_insert_with(|| {
            Arc::new(FlowStats {
                route: route.clone(),
                pair: pair.clone(),
                upstream: upstream.clone(),
                side,
                sessions: Counter::default(),
                sessions_total: Counter::default(),
                connect: Durations::default(),
                ends: Default::default(),
                bytes_to_upstream: Counter::default(),
                bytes_to_client: Counter::default(),
            })
        }))
    }

    /// The counters at the door of `route`, made at the first call.
    pub fn door(&self, route: &RouteName, pair: &PairName) -> Arc<DoorStats> {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (route.clone(), pair.clone());
        Arc::clone(doors.entry(key).or_insert_with(|| {
            Arc::new(DoorStats {
                route: route.clone(),
                pair: pair.clone(),
                held: Counter::default(),
                refused: Default::default(),
            })
        }))
    }

    /// All flows there ever were.
    pub fn flows(&self) -> Vec<Arc<FlowStats>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// All doors there ever were.
    pub fn doors(&self) -> Vec<Arc<DoorStats>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Counters of one worker's sessions from one route to one upstream.
#[derive(Debug)]
pub struct FlowStats {
    /// The route.
    pub route: RouteName,
    /// Its pair.
    pub pair: PairName,
    /// The upstream.
    pub upstream: UpstreamName,
    /// The upstream's side.
    pub side: Side,
    /// Sessions now.
    pub sessions: Counter,
    /// Sessions ever.
    pub sessions_total: Counter,
    /// How long dials took that led to a session, retries included.
    pub connect: Durations,
    /// Ends, by [`EndReason`] in the order of [`EndReason::ALL`].
    pub ends: [Counter; EndReason::ALL.len()],
    /// Bytes from clients, written to the upstream.
    pub bytes_to_upstream: Counter,
    /// Bytes from the upstream, written to clients.
    pub bytes_to_client: Counter,
}

/// Counters at the door of one route, on one worker.
#[derive(Debug)]
pub struct DoorStats {
    /// The route.
    pub route: RouteName,
    /// Its pair.
    pub pair: PairName,
    /// Clients held now.
    pub held: Counter,
    /// Clients refused, by [`RefuseReason`] in the order of [`RefuseReason::ALL`].
    pub refused: [Counter; RefuseReason::ALL.len()],
}

/// A number with one writer: a plain load and store, no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning worker may.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes `n` away. Only the owning worker may.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// Reads it; anybody may.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The workers as seen from outside: their counters, and a way to ask for their sessions.
#[derive(Debug, Clone)]
pub struct Workers {
    /// Each worker's counters, in the workers' order.
    pub stats: Arc<[Arc<WorkerStats>]>,
    /// Each worker's inbox for questions.
    pub queries: Arc<[mpsc::Sender<SessionQuery>]>,
}

impl Workers {
    /// The oldest `limit` sessions, of one route or of all. A worker that does not answer is left out.
    pub async fn sessions(&self, route: Option<&RouteName>, limit: usize) -> Vec<SessionView> {
        let mut asked = Vec::new();
        for inbox in self.queries.iter() {
            let (reply, answer) = oneshot::channel();
            if inbox.try_send(SessionQuery { route: route.cloned(), limit, reply }).is_ok() {
                asked.push(answer);
            }
        }
        let mut sessions = Vec::new();
        for answer in asked {
            sessions.extend(answer.await.unwrap_or_default());
        }
        sessions.sort_by_key(|session| std::cmp::Reverse(session.age));
        sessions.truncate(limit);
        sessions
    }
}
