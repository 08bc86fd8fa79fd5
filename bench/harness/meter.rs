//! The measuring of one run: warm-up, then a span in which operations, latencies and the proxy's CPU time are counted.

use super::{
    args::Target,
    process::Usage,
    report::{Proxy, Quantiles, Report},
};
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// Counts what happens between the end of the warm-up and the end of the run.
pub(crate) struct Meter {
    target: Target,
    from: Instant,
    until: Instant,
    begun: Option<Begun>,
    latency: Histogram<u64>,
    operations: u64,
    bytes: u64,
    errors: u64,
    misrouted: u64,
}

struct Begun {
    at: Instant,
    own_cpu: Duration,
    proxy: Option<Usage>,
}

impl Meter {
    /// The warm-up begins now.
    pub(crate) fn start(target: &Target) -> anyhow::Result<Self> {
        let from = Instant::now() + Duration::from_secs_f64(target.warmup);
        Ok(Self {
            target: target.clone(),
            from,
            until: from + Duration::from_secs_f64(target.seconds),
            begun: None,
            // Up to an hour, three digits, in nanoseconds.
            latency: Histogram::new_with_bounds(1, 3_600_000_000_000, 3)?,
            operations: 0,
            bytes: 0,
            errors: 0,
            misrouted: 0,
        })
    }

    /// To be called before every wait; `false`: the run is over.
    pub(crate) fn goes_on(&mut self, now: Instant) -> anyhow::Result<bool> {
        if self.begun.is_none() && now >= self.from {
            let proxy = self.usage()?;
            self.begun = Some(Begun { at: Instant::now(), own_cpu: own_cpu(), proxy });
        }
        Ok(now < self.until)
    }

    /// When the next wait must be over.
    pub(crate) fn deadline(&self) -> Instant {
        if self.begun.is_none() { self.from } else { self.until }
    }

    /// One operation was answered.
    pub(crate) fn operation(&mut self, latency: Duration) {
        if self.begun.is_some() {
            self.operations += 1;
            self.latency.saturating_record(latency.as_nanos() as u64);
        }
    }

    /// So many bytes went through.
    pub(crate) fn bytes(&mut self, count: usize) {
        if self.begun.is_some() {
            self.bytes += count as u64;
        }
    }

    /// An operation failed. Errors of the warm-up count too: there should be none at all.
    pub(crate) fn error(&mut self) {
        self.errors += 1;
    }

    /// An answer was not what this session asked for.
    pub(crate) fn misrouted(&mut self) {
        self.misrouted += 1;
    }

    /// The run's report, without what only its mode knows.
    pub(crate) fn finish(self, mode: &'static str) -> anyhow::Result<Report> {
        let mut report = Report { mode: mode.into(), target: self.target.target.to_string(), ..Report::default() };
        report.errors = self.errors;
        report.misrouted = self.misrouted;
        let Some(begun) = &self.begun else { return Ok(report) };
        let after = self.usage()?;
        let elapsed = begun.at.elapsed().as_secs_f64();
        report.seconds = elapsed;
        report.operations = self.operations;
        report.operations_per_second = self.operations as f64 / elapsed;
        report.bytes = self.bytes;
        report.bytes_per_second = self.bytes as f64 / elapsed;
        report.client_busy = (own_cpu() - begun.own_cpu).as_secs_f64() / elapsed;
        report.latency = (!self.latency.is_empty()).then(|| Quantiles::of(&self.latency));
        report.proxy = begun.proxy.zip(after).map(|(before, after)| {
            let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
            let per = |count: u64| (count > 0).then(|| cpu * 1e9 / count as f64);
            Proxy {
                busy: cpu / elapsed,
                cpu_ns_per_operation: per(self.operations),
                cpu_ns_per_kib: per(self.bytes / 1024),
                rss_kib: after.rss_kib,
                pss_kib: after.pss_kib,
                descriptors: after.descriptors,
            }
        });
        Ok(report)
    }

    fn usage(&self) -> anyhow::Result<Option<Usage>> {
        Ok(if self.target.pid.is_empty() { None } else { Some(Usage::of(&self.target.pid)?) })
    }
}

fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
