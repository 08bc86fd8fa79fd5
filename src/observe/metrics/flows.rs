//! What the workers count, summed when somebody asks: a scrape reads plain numbers and disturbs no session.

use super::{
    PairMetrics,
    text::{Kind, Page},
};
use crate::model::{
    EndReason, PairName, RefuseReason, RouteName, Side, UpstreamName,
    durations::DurationsSnapshot,
    ports::Workers,
    stats::{Counter, WorkerStats},
    tls::TlsFailure,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// All workers' numbers together.
#[derive(Debug, Default)]
struct Sums {
    sessions: BTreeMap<(RouteName, PairName, Side), u64>,
    sessions_total: BTreeMap<(RouteName, PairName, UpstreamName), u64>,
    connect: BTreeMap<(PairName, UpstreamName), DurationsSnapshot>,
    routes: BTreeMap<RouteName, RouteSums>,
    held: BTreeMap<PairName, u64>,
}

#[derive(Debug, Default)]
struct RouteSums {
    ends: [u64; EndReason::ALL.len()],
    refused: [u64; RefuseReason::ALL.len()],
    to_upstream: u64,
    to_client: u64,
}

/// The workers' families. A route or pair that is not configured any more is left out once its last session ended.
pub(super) fn render(
    page: &mut Page,
    workers: &Workers,
    routes: &BTreeSet<(RouteName, PairName)>,
    pairs: &BTreeMap<PairName, Arc<PairMetrics>>,
) {
    let sums = sum(workers, routes, pairs);
    render_sessions(page, &sums);
    render_routes(page, &sums);
    render_workers(page, workers);
}

fn sum(
    workers: &Workers,
    routes: &BTreeSet<(RouteName, PairName)>,
    pairs: &BTreeMap<PairName, Arc<PairMetrics>>,
) -> Sums {
    let mut sums = Sums::default();
    // What is configured reports from the start, as zero: an alert on a rate must not miss the first increment.
    for (route, pair) in routes {
        for side in [Side::Primary, Side::Backup] {
            sums.sessions.insert((route.clone(), pair.clone(), side), 0);
        }
        sums.routes.entry(route.clone()).or_default();
        sums.held.entry(pair.clone()).or_default();
        for upstream in pairs.get(pair).map(|pair| pair.serving()).unwrap_or_default() {
            sums.connect.entry((pair.clone(), upstream.clone())).or_default();
            sums.sessions_total.insert((route.clone(), pair.clone(), upstream), 0);
        }
    }
    for worker in workers.stats.iter() {
        sums.add(worker, routes);
    }
    sums
}

impl Sums {
    fn add(&mut self, worker: &WorkerStats, routes: &BTreeSet<(RouteName, PairName)>) {
        for flow in worker.flows() {
            let sessions = flow.sessions.get();
            if sessions == 0 && !routes.contains(&(flow.route.clone(), flow.pair.clone())) {
                continue;
            }
            *self.sessions.entry((flow.route.clone(), flow.pair.clone(), flow.side)).or_default() += sessions;
            let key = (flow.route.clone(), flow.pair.clone(), flow.upstream.clone());
            *self.sessions_total.entry(key).or_default() += flow.sessions_total.get();
            let connect = self.connect.entry((flow.pair.clone(), flow.upstream.clone())).or_default();
            connect.merge(&flow.connect.snapshot());
            let route = self.routes.entry(flow.route.clone()).or_default();
            add_all(&mut route.ends, &flow.ends);
            route.to_upstream += flow.bytes_to_upstream.get();
            route.to_client += flow.bytes_to_client.get();
        }
        for door in worker.doors() {
            let held = door.held.get();
            if held == 0 && !routes.contains(&(door.route.clone(), door.pair.clone())) {
                continue;
            }
            *self.held.entry(door.pair.clone()).or_default() += held;
            add_all(&mut self.routes.entry(door.route.clone()).or_default().refused, &door.refused);
        }
    }
}

fn add_all(to: &mut [u64], from: &[Counter]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from.get();
    }
}

fn render_sessions(page: &mut Page, sums: &Sums) {
    page.family(Kind::Gauge, "failback_sessions", "Sessions now.");
    for ((route, pair, side), count) in &sums.sessions {
        page.sample(&[("route", route), ("pair", pair), ("side", side.as_str())], count);
    }
    page.family(Kind::Counter, "failback_sessions_total", "Sessions that reached an upstream.");
    for ((route, pair, upstream), count) in &sums.sessions_total {
        page.sample(&[("route", route), ("pair", pair), ("upstream", upstream)], count);
    }
    page.family(
        Kind::Histogram,
        "failback_connect_duration_seconds",
        "How long dials took that led to a session, retries included.",
    );
    for ((pair, upstream), seen) in &sums.connect {
        page.histogram(&[("pair", pair), ("upstream", upstream)], seen);
    }
    page.family(Kind::Gauge, "failback_held_clients", "Clients that wait for a usable side.");
    for (pair, count) in &sums.held {
        page.sample(&[("pair", pair)], count);
    }
}

fn render_routes(page: &mut Page, sums: &Sums) {
    page.family(Kind::Counter, "failback_session_ends_total", "Sessions that ended, by reason.");
    for (route, of) in &sums.routes {
        for (reason, count) in EndReason::ALL.iter().zip(of.ends) {
            page.sample(&[("route", route), ("reason", reason.as_str())], count);
        }
    }
    page.family(
        Kind::Counter,
        "failback_refused_clients_total",
        "Clients turned away before they had an upstream, by reason.",
    );
    for (route, of) in &sums.routes {
        for (reason, count) in RefuseReason::ALL.iter().zip(of.refused) {
            page.sample(&[("route", route), ("reason", reason.as_str())], count);
        }
    }
    page.family(Kind::Counter, "failback_bytes_total", "Bytes relayed.");
    for (route, of) in &sums.routes {
        page.sample(&[("route", route), ("direction", "to_upstream")], of.to_upstream);
        page.sample(&[("route", route), ("direction", "to_client")], of.to_client);
    }
}

fn render_workers(page: &mut Page, workers: &Workers) {
    let total = |of: fn(&WorkerStats) -> &Counter| workers.stats.iter().map(|worker| of(worker).get()).sum::<u64>();
    let mut single = |name, help, of| page.single(Kind::Counter, name, help, total(of));
    single("failback_accept_pauses_total", "Times accepting was paused for want of descriptors.", |w| &w.accept_pauses);
    single(
        "failback_handed_over_clients_total",
        "Clients handed to another worker so that sessions spread evenly.",
        |w| &w.handed_over,
    );
    single("failback_outcomes_dropped_total", "Passive evidence that found the control plane's inbox full.", |w| {
        &w.outcomes_dropped
    });
}

/// Handshakes that failed; those of checks are the upstreams' as well as those of sessions.
pub(super) fn render_handshakes(page: &mut Page, workers: &Workers, of_checks: &[u64]) {
    page.family(
        Kind::Counter,
        "failback_tls_handshake_failures_total",
        "TLS handshakes that failed, by the other end; health checks' too.",
    );
    for (at, (reason, of_checks)) in TlsFailure::ALL.iter().zip(of_checks).enumerate() {
        let client = |worker: &WorkerStats| worker.client_handshakes_failed[at].get();
        let upstream = |worker: &WorkerStats| worker.upstream_handshakes_failed[at].get();
        let sum = |of: &dyn Fn(&WorkerStats) -> u64| workers.stats.iter().map(|worker| of(worker)).sum::<u64>();
        page.sample(&[("peer", "client"), ("reason", reason.as_str())], sum(&client));
        page.sample(&[("peer", "upstream"), ("reason", reason.as_str())], sum(&upstream) + of_checks);
    }
}
