//! The metrics table: what `GET /metrics` shows.
//!
//! ```text
//!   driver ── PairMetrics::{note, check, state, …} ──▶ Metrics ◀── render() ── /metrics
//!   workers ── WorkerStats, plain atomics ──────────────────────────┘ summed at the scrape
//! ```
//!
//! Nothing is global, so that two nodes can live in one process, and nothing runs in the background. A pair or route that
//! is gone from the configuration is gone from the page: a counter that stands still forever would look like a quiet pair.

mod alerts;
mod flows;
mod group;
mod pair;
mod process;
mod text;

pub use pair::PairMetrics;

use crate::model::{
    PairName, RouteName, alert::AlertResult, ports::Workers, spec::PairSpec, tls::TlsFailure, view::group::GroupView,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use text::{Kind, Page};

/// The `Content-Type` of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One node's metrics. Cloning it gives another handle on the same table.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Table>>);

#[derive(Debug, Clone, Default)]
struct Table {
    pairs: BTreeMap<PairName, Arc<PairMetrics>>,
    routes: BTreeSet<(RouteName, PairName)>,
    requests_refused: [u64; REQUEST_REFUSALS.len()],
    certificates: BTreeMap<String, i64>,
    check_handshakes_failed: [u64; TlsFailure::ALL.len()],
    alerts: BTreeMap<String, alerts::Channel>,
    group: Option<GroupView>,
    peer_dropped: Vec<(&'static str, u64)>,
}

/// Why the API's guard refuses a request: the last words of the problem's type.
const REQUEST_REFUSALS: [&str; 3] = ["unauthorized", "scope", "foreign"];

impl Metrics {
    /// The counters of a pair; made at the first call, fitted to the new servers at the later ones. Call it at start and
    /// whenever the pair's configuration changed.
    pub fn pair(&self, spec: &PairSpec) -> Arc<PairMetrics> {
        let mut table = self.table();
        if let Some(known) = table.pairs.get(&spec.name) {
            known.reconfigure(spec);
            return Arc::clone(known);
        }
        let new = Arc::new(PairMetrics::new(spec));
        table.pairs.insert(spec.name.clone(), Arc::clone(&new));
        new
    }

    /// What is configured now, the routes with their pairs. The others stop reporting.
    pub fn configured(
        &self,
        pairs: impl IntoIterator<Item = PairName>,
        routes: impl IntoIterator<Item = (RouteName, PairName)>,
    ) {
        let pairs: BTreeSet<PairName> = pairs.into_iter().collect();
        let mut table = self.table();
        table.pairs.retain(|name, _| pairs.contains(name));
        table.routes = routes.into_iter().collect();
    }

    /// Counts a request to the API that was refused for want of a right: one of the guard's reasons, others are not counted.
    pub fn request_refused(&self, reason: &str) {
        if let Some(index) = REQUEST_REFUSALS.iter().position(|known| *known == reason) {
            self.table().requests_refused[index] += 1;
        }
    }

    /// When one certificate expires, in seconds since 1970.
    pub fn certificate(&self, name: String, expires: i64) {
        self.table().certificates.insert(name, expires);
    }

    /// Counts a check whose TLS handshake failed.
    pub fn check_handshake_failed(&self, reason: TlsFailure) {
        self.table().check_handshakes_failed[reason as usize] += 1;
    }

    /// When each certificate there is expires, in seconds since 1970.
    pub fn certificates(&self, expiries: BTreeMap<String, i64>) {
        self.table().certificates = expiries;
    }

    /// Counts `count` alerts of a way (`smtp`, `webhook1`, `queue`).
    pub fn alerts(&self, channel: &str, result: AlertResult, count: u64) {
        self.table().alerts.entry(channel.into()).or_default().count(result, count);
    }

    /// How many alerts wait, by way. Ways that are not there any more keep their counts.
    pub fn alerts_pending(&self, waiting: &BTreeMap<String, u64>) {
        let mut table = self.table();
        for name in waiting.keys() {
            table.alerts.entry(name.clone()).or_default();
        }
        for (name, channel) in &mut table.alerts {
            channel.pending = waiting.get(name).copied();
        }
    }

    /// How the group stands.
    pub fn group(&self, view: &GroupView) {
        self.table().group = Some(view.clone());
    }

    /// What was dropped of what other nodes and strangers sent since the start, by reason.
    pub fn peer_dropped(&self, counts: &[(&'static str, u64)]) {
        self.table().peer_dropped = counts.to_vec();
    }

    /// The page in the Prometheus text format. Reads `/proc`: call it where a millisecond of file system may be spent.
    #[must_use]
    pub fn render(&self, workers: &Workers) -> String {
        let table = self.table().clone();
        let mut page = Page::default();
        page.family(Kind::Gauge, "failback_build_info", "1; the labels say what is running.");
        page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        pair::render(&mut page, &table.pairs);
        flows::render(&mut page, workers, &table.routes, &table.pairs);
        flows::render_handshakes(&mut page, workers, &table.check_handshakes_failed);
        page.family(
            Kind::Counter,
            "failback_admin_requests_refused_total",
            "Requests to the API without the right to it.",
        );
        for (reason, count) in REQUEST_REFUSALS.iter().zip(table.requests_refused) {
            page.sample(&[("reason", reason)], count);
        }
        if !table.certificates.is_empty() {
            page.family(
                Kind::Gauge,
                "failback_certificate_expiry_timestamp_seconds",
                "When a certificate expires: ROUTE/FILE, PAIR/FILE or PAIR/UPSTREAM.",
            );
        }
        for (name, expires) in &table.certificates {
            page.sample(&[("name", name)], expires);
        }
        alerts::render(&mut page, &table.alerts);
        table.group.iter().for_each(|group| group::render(&mut page, group, &table.peer_dropped));
        process::render(&mut page);
        page.finish()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
