//! A fleet of probes that send numbered events through failovers, and the reckoning afterwards: what was acknowledged is
//! in a store, nothing is there more often than it was sent, and nobody was served by a server that should not serve.

mod probe;

use self::probe::Probe;
use super::{
    args::Fleet,
    meter::Meter,
    reactor::Reactor,
    report::{self, Quantiles, Report},
    store::Union,
    wire::{Hello, ServerName},
};
use hdrhistogram::Histogram;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How often due events and due tries are looked for.
const TICK: Duration = Duration::from_millis(2);
/// How long unanswered events are waited for after the last was sent.
const GRACE: Duration = Duration::from_secs(15);

/// Runs it.
pub(crate) fn run(args: &Fleet) -> anyhow::Result<Report> {
    let mut probes = (0..u64::from(args.probes)).map(|id| Probe::new(id, args)).collect::<Vec<_>>();
    let mut reactor = Reactor::new()?;
    let mut meter = Meter::start(&args.target)?;
    let mut ledger = Ledger::new()?;
    let mut ready = Vec::new();
    let mut grace = None::<Instant>;
    loop {
        let now = Instant::now();
        if !meter.goes_on(now)? {
            let unanswered = probes.iter().map(Probe::unanswered).sum::<u64>();
            if unanswered == 0 || now > *grace.get_or_insert(now + GRACE) {
                break;
            }
        }
        for probe in &mut probes {
            probe.tick(now, grace.is_none(), &reactor, &mut ledger);
        }
        reactor.wait(now + TICK, &mut ready)?;
        for event in &ready {
            probes[event.token].serve(&reactor, &mut ledger, &mut meter);
        }
    }
    let mut report = meter.finish("fleet")?;
    report.misrouted += ledger.misrouted;
    report.fleet = Some(ledger.settle(&probes, args)?);
    Ok(report)
}

/// What the fleet saw.
struct Ledger {
    start: Instant,
    counts: report::Fleet,
    misrouted: u64,
    gaps: Histogram<u64>,
    /// When each server last began to serve, and the one that did so last.
    serving_since: BTreeMap<ServerName, Instant>,
    serving: Option<ServerName>,
}

impl Ledger {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            start: Instant::now(),
            counts: report::Fleet::default(),
            misrouted: 0,
            gaps: Histogram::new_with_bounds(1, 3_600_000_000_000, 3)?,
            serving_since: BTreeMap::new(),
            serving: None,
        })
    }

    /// A session that was dialled at `dialled` is served by `hello`.
    fn greeted(&mut self, hello: Hello, dialled: Instant) {
        // A server with stale data must get nobody.
        self.misrouted += u64::from(hello.stale);
        if self.serving == Some(hello.name) {
            return;
        }
        // A greeting that was under way when another server took over is no turn of its own.
        if self.serving.and_then(|name| self.serving_since.get(&name)).is_some_and(|since| dialled < *since) {
            return;
        }
        self.serving = Some(hello.name);
        self.serving_since.insert(hello.name, Instant::now());
        let stale = if hello.stale { " (stale)" } else { "" };
        self.counts.turns.push((self.start.elapsed().as_secs_f64(), format!("{} serves{stale}", hello.name)));
    }

    /// An event sent at `sent` was acknowledged by `server`.
    fn acknowledged(&mut self, server: ServerName, sent: Instant) {
        self.counts.acknowledged += 1;
        let since = self.serving.and_then(|name| self.serving_since.get(&name));
        self.counts.split += u64::from(self.serving != Some(server) && since.is_some_and(|since| sent > *since));
    }

    fn settle(mut self, probes: &[Probe], args: &Fleet) -> anyhow::Result<report::Fleet> {
        self.counts.unanswered = probes.iter().map(Probe::unanswered).sum();
        self.counts.gap = (!self.gaps.is_empty()).then(|| Quantiles::of(&self.gaps));
        if !args.store.is_empty() {
            let union = Union::read(&args.store)?;
            self.counts.stored = union.len();
            self.counts.duplicated = union.duplicates();
            self.counts.lost = probes.iter().map(|probe| probe.lost(&union)).sum();
        }
        Ok(self.counts)
    }
}
