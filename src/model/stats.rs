//! What the workers count. Each number has one writer, the worker that owns it, and any number of readers.

use super::{EndReason, PairName, RefuseReason, RouteName, Side, UpstreamName, durations::Durations, tls::TlsFailure};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

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
    flows: Mutex<BTreeMap<(RouteName, PairName, UpstreamName), Arc<FlowStats>>>,
    doors: Mutex<BTreeMap<(RouteName, PairName), Arc<DoorStats>>>,
}

impl WorkerStats {
    /// The counters of the sessions from `route` to `upstream`, made at the first call. A worker keeps the handle: the
    /// lock is taken once per flow, never per session or byte.
    pub fn flow(&self, route: &RouteName, pair: &PairName, upstream: &UpstreamName, side: Side) -> Arc<FlowStats> {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Drops what counts no more: flows and doors of routes that are not `configured`, once the worker has let go of them.
    /// While a route exists it keeps even those of servers that are gone, so that its sums never fall.
    pub fn retain(&self, configured: impl Fn(&RouteName, &PairName) -> bool) {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        flows.retain(|(route, pair, _), flow| configured(route, pair) || Arc::strong_count(flow) > 1);
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.retain(|(route, pair), door| configured(route, pair) || Arc::strong_count(door) > 1);
    }

    /// All flows since the start, but for those that [`Self::retain`] dropped.
    pub fn flows(&self) -> Vec<Arc<FlowStats>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// All doors, likewise.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_or_still_counted_with_is_kept() {
        let stats = WorkerStats::default();
        let flow = |route: &str| stats.flow(&route.into(), &"AGG_V".into(), &"AGG_P".into(), Side::Primary);
        drop((flow("kept"), flow("gone"), stats.door(&"gone".into(), &"AGG_V".into())));
        let held = flow("leaving");
        stats.retain(|route, _| **route == *"kept");
        let names: Vec<String> = stats.flows().iter().map(|flow| flow.route.to_string()).collect();
        assert_eq!((names, stats.doors().len()), (vec!["kept".into(), "leaving".into()], 0));
        drop(held);
        stats.retain(|route, _| **route == *"kept");
        assert_eq!(stats.flows().len(), 1);
    }
}
