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

use super::{PairName, RouteName, UpstreamName, stats::WorkerStats, view::SessionView};
use std::{collections::BTreeMap, sync::Arc};
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
