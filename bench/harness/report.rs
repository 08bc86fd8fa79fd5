//! What a run found out, as JSON and as a table.

use comfy_table::{CellAlignment, Table};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// One run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The mode's name.
    pub(crate) mode: Cow<'static, str>,
    /// Where the load went.
    pub(crate) target: String,
    /// How long was measured.
    pub(crate) seconds: f64,
    /// Operations answered: messages, connections, events.
    pub(crate) operations: u64,
    /// The same per second.
    pub(crate) operations_per_second: f64,
    /// Bulk bytes.
    pub(crate) bytes: u64,
    /// The same per second.
    pub(crate) bytes_per_second: f64,
    /// Operations that failed.
    pub(crate) errors: u64,
    /// Answers that belonged to another session, or came from a server that should not serve.
    pub(crate) misrouted: u64,
    /// The client end's own share of one core; near 1, it was the bottleneck.
    pub(crate) client_busy: f64,
    /// From an operation's start (closed loop) or due time (open loop) to its answer.
    pub(crate) latency: Option<Quantiles>,
    /// What the proxy used.
    pub(crate) proxy: Option<Proxy>,
    /// Idle crowd only.
    pub(crate) idle: Option<Idle>,
    /// Fleet only.
    pub(crate) fleet: Option<Fleet>,
}

/// Quantiles of a duration, in microseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    /// Median.
    pub(crate) p50_us: f64,
    /// 99 %.
    pub(crate) p99_us: f64,
    /// 99.9 %.
    pub(crate) p999_us: f64,
    /// The longest.
    pub(crate) max_us: f64,
}

/// What the proxy used while it was measured.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Proxy {
    /// Cores' worth of CPU time.
    pub(crate) busy: f64,
    /// CPU time per operation, in nanoseconds.
    pub(crate) cpu_ns_per_operation: Option<f64>,
    /// CPU time per KiB of bulk, in nanoseconds.
    pub(crate) cpu_ns_per_kib: Option<f64>,
    /// Resident memory at the end.
    pub(crate) rss_kib: u64,
    /// Proportional resident memory at the end.
    pub(crate) pss_kib: u64,
    /// Open descriptors at the end.
    pub(crate) descriptors: u64,
}

/// What an idle session costs the proxy.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Idle {
    /// Sessions held.
    pub(crate) sessions: u64,
    /// Resident memory each.
    pub(crate) rss_bytes_each: f64,
    /// Proportional resident memory each.
    pub(crate) pss_bytes_each: f64,
    /// Descriptors each.
    pub(crate) descriptors_each: f64,
}

/// What became of a fleet's events.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Fleet {
    /// Events sent for the first time.
    pub(crate) sent: u64,
    /// Events sent once more on a new connection.
    pub(crate) resent: u64,
    /// Events acknowledged.
    pub(crate) acknowledged: u64,
    /// Events that no server acknowledged before the end.
    pub(crate) unanswered: u64,
    /// Events the stores hold.
    pub(crate) stored: u64,
    /// Acknowledged, and in no store.
    pub(crate) lost: u64,
    /// In the stores more often than sent.
    pub(crate) duplicated: u64,
    /// Sent to a server after another had taken over.
    pub(crate) split: u64,
    /// Sessions that ended under a probe.
    pub(crate) cuts: u64,
    /// Tries to connect that were refused or ended without a Hello.
    pub(crate) refusals: u64,
    /// How long probes were without an answer around each cut.
    pub(crate) gap: Option<Quantiles>,
    /// Who began to serve when, in seconds from the start.
    pub(crate) turns: Vec<(f64, String)>,
}

impl Quantiles {
    /// Of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self { p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), max_us: histogram.max() as f64 / 1e3 }
    }
}

impl Report {
    /// A table for people.
    pub(crate) fn table(&self) -> String {
        let mut rows = Rows::default();
        rows.add("measured", format!("{:.2} s", self.seconds));
        rows.add("operations", self.operations.to_string());
        rows.add("operations/s", format!("{:.0}", self.operations_per_second));
        if self.bytes > 0 {
            rows.add("throughput", format!("{:.0} MiB/s", self.bytes_per_second / 1_048_576.0));
        }
        rows.add("errors", self.errors.to_string());
        rows.add("misrouted", self.misrouted.to_string());
        rows.add("client busy", format!("{:.0} %", self.client_busy * 100.0));
        rows.quantiles("latency", self.latency);
        self.proxy.iter().for_each(|proxy| rows.proxy(proxy));
        self.idle.iter().for_each(|idle| rows.idle(idle));
        self.fleet.iter().for_each(|fleet| rows.fleet(fleet));
        format!("{} to {}\n{}", self.mode, self.target, rows.0)
    }
}

struct Rows(Table);

impl Default for Rows {
    fn default() -> Self {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["", ""]);
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        Self(table)
    }
}

impl Rows {
    fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.add_row([name.to_owned(), value.into()]);
    }

    fn quantiles(&mut self, name: &str, quantiles: Option<Quantiles>) {
        let Some(quantiles) = quantiles else { return };
        let Quantiles { p50_us, p99_us, p999_us, max_us } = quantiles;
        for (which, value) in [("p50", p50_us), ("p99", p99_us), ("p99.9", p999_us), ("max", max_us)] {
            self.add(&format!("{name} {which}"), format!("{value:.0} µs"));
        }
    }

    fn proxy(&mut self, proxy: &Proxy) {
        self.add("proxy busy", format!("{:.0} %", proxy.busy * 100.0));
        if let Some(each) = proxy.cpu_ns_per_operation {
            self.add("proxy CPU/operation", format!("{each:.0} ns"));
        }
        if let Some(each) = proxy.cpu_ns_per_kib {
            self.add("proxy CPU/KiB", format!("{each:.1} ns"));
        }
        self.add("proxy RSS", format!("{} KiB", proxy.rss_kib));
        self.add("proxy PSS", format!("{} KiB", proxy.pss_kib));
        self.add("proxy descriptors", proxy.descriptors.to_string());
    }

    fn idle(&mut self, idle: &Idle) {
        self.add("sessions held", idle.sessions.to_string());
        self.add("RSS/session", format!("{:.0} bytes", idle.rss_bytes_each));
        self.add("PSS/session", format!("{:.0} bytes", idle.pss_bytes_each));
        self.add("descriptors/session", format!("{:.2}", idle.descriptors_each));
    }

    fn fleet(&mut self, fleet: &Fleet) {
        for (name, count) in [
            ("events sent", fleet.sent),
            ("resent", fleet.resent),
            ("acknowledged", fleet.acknowledged),
            ("unanswered", fleet.unanswered),
            ("stored", fleet.stored),
            ("lost", fleet.lost),
            ("duplicated", fleet.duplicated),
            ("split", fleet.split),
            ("cuts", fleet.cuts),
            ("refusals", fleet.refusals),
        ] {
            self.add(name, count.to_string());
        }
        self.quantiles("gap", fleet.gap);
        for (at, server) in &fleet.turns {
            self.add(&format!("at {at:.3} s"), server.clone());
        }
    }
}
