//! What the driver counts about one pair.

use super::text::{Kind, Page};
use crate::{
    decide::{effect::Note, input::CheckResult},
    model::{
        Epoch, PairName, Side, TransitionReason, UpstreamName,
        durations::Durations,
        spec::PairSpec,
        stats::Counter,
        view::{HealthName, PairStateName},
    },
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// The counters of one pair. Written by the driver's task only; read by every scrape.
#[derive(Debug)]
pub struct PairMetrics {
    now: Mutex<Now>,
    upstreams: Mutex<BTreeMap<UpstreamName, Arc<UpstreamMetrics>>>,
    failovers: [Counter; TransitionReason::ALL.len()],
    failbacks: [Counter; TransitionReason::ALL.len()],
    signals: [Counter; SIGNAL_RESULTS.len()],
    not_stored: Counter,
}

#[derive(Debug, Clone, Copy, Default)]
struct Now {
    place: Option<(Option<PairStateName>, Side, Epoch)>,
    migration_remaining: u64,
}

#[derive(Debug)]
struct UpstreamMetrics {
    /// `None`: `elsewhere`, which is checked and never serves.
    side: Option<Side>,
    up: AtomicBool,
    checks: [Counter; CHECK_RESULTS.len()],
    durations: Durations,
}

/// What a signal's verdict can be ([`crate::decide::effect::Verdict::as_str`]).
const SIGNAL_RESULTS: [&str; 10] = [
    "accepted",
    "repeated",
    "not_failed_over",
    "primary_down",
    "wrong_epoch",
    "no_such_side",
    "busy",
    "overtaken",
    "same_server",
    "not_stored",
];
const CHECK_RESULTS: [&str; 6] = ["passed", "refused", "timed_out", "wrong", "local", "unresolved"];

/// Changes of upstream that nobody ordered and that leave what failed.
const FAILOVERS: [TransitionReason; 4] = [
    TransitionReason::UpstreamRefused,
    TransitionReason::UpstreamSilent,
    TransitionReason::UpstreamWrong,
    TransitionReason::BackupAdmitted,
];
/// The ways back to a primary.
const FAILBACKS: [TransitionReason; 4] = [
    TransitionReason::PrimaryResynced,
    TransitionReason::PrimaryPolled,
    TransitionReason::OperatorSwitch,
    TransitionReason::UpstreamReturned,
];

impl PairMetrics {
    pub(super) fn new(spec: &PairSpec) -> Self {
        let pair = Self {
            now: Mutex::default(),
            upstreams: Mutex::default(),
            failovers: Default::default(),
            failbacks: Default::default(),
            signals: Default::default(),
            not_stored: Counter::default(),
        };
        pair.reconfigure(spec);
        pair
    }

    /// Servers that are no longer there stop reporting; those that stay keep their counts.
    pub(super) fn reconfigure(&self, spec: &PairSpec) {
        let mut upstreams = self.upstreams();
        let mut before = std::mem::take(&mut *upstreams);
        for upstream in spec.checked() {
            let side = spec.side_of(&upstream.name);
            let kept = before.remove(&upstream.name).filter(|kept| kept.side == side);
            upstreams.insert(upstream.name.clone(), kept.unwrap_or_else(|| Arc::new(UpstreamMetrics::new(side))));
        }
    }

    /// Where the pair stands: at its start, and after anything that is no [`Note::Transition`]. No state: it is only watched here.
    pub fn state(&self, state: Option<PairStateName>, side: Side, epoch: Epoch) {
        self.now().place = Some((state, side, epoch));
    }

    /// Sessions still to be moved; 0 when no migration is under way.
    pub fn migration_remaining(&self, sessions: u64) {
        self.now().migration_remaining = sessions;
    }

    /// What an upstream's checks say now.
    pub fn health(&self, upstream: &UpstreamName, health: HealthName) {
        if let Some(of) = self.upstreams().get(upstream) {
            of.up.store(health == HealthName::Up, Relaxed);
        }
    }

    /// Counts a check that ended.
    pub fn check(&self, upstream: &UpstreamName, result: &CheckResult) {
        let Some(of) = self.upstreams().get(upstream).cloned() else { return };
        of.checks[check_index(result)].add(1);
        if let CheckResult::Passed { took } = result {
            of.durations.record(*took);
        }
    }

    /// Counts whatever a note is worth. The driver passes every one.
    pub fn note(&self, note: &Note) {
        match note {
            Note::Transition { to, from_upstream, to_upstream, epoch, reason, .. } => {
                let side = self.upstreams().get(to_upstream).and_then(|upstream| upstream.side);
                if let Some(side) = side {
                    self.state(Some(*to), side, *epoch);
                }
                if from_upstream != to_upstream {
                    self.count_change(side, *reason);
                }
            }
            Note::Signal { verdict, .. } => {
                let index = SIGNAL_RESULTS.iter().position(|result| *result == verdict.as_str());
                debug_assert!(index.is_some(), "a signal's result that no counter has: {verdict:?}");
                if let Some(index) = index {
                    self.signals[index].add(1);
                }
            }
            Note::Health { .. }
            | Note::Order { .. }
            | Note::Latched { .. }
            | Note::Migration(_)
            | Note::SignalLost(_)
            | Note::Identity(_)
            | Note::Gap(_)
            | Note::Outnumbered(_)
            | Note::NotStored => {}
        }
    }

    /// A record could not be stored, for the first time or again.
    pub fn not_stored(&self) {
        self.not_stored.add(1);
    }

    fn count_change(&self, to: Option<Side>, reason: TransitionReason) {
        match to {
            Some(Side::Backup) if FAILOVERS.contains(&reason) => self.failovers[reason as usize].add(1),
            Some(Side::Primary) if FAILBACKS.contains(&reason) => self.failbacks[reason as usize].add(1),
            _ => {}
        }
    }

    /// The servers clients can be on.
    pub(super) fn serving(&self) -> Vec<UpstreamName> {
        self.upstreams().iter().filter(|(_, of)| of.side.is_some()).map(|(name, _)| name.clone()).collect()
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn upstreams(&self) -> MutexGuard<'_, BTreeMap<UpstreamName, Arc<UpstreamMetrics>>> {
        self.upstreams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UpstreamMetrics {
    fn new(side: Option<Side>) -> Self {
        Self { side, up: AtomicBool::new(false), checks: Default::default(), durations: Durations::default() }
    }
}

fn check_index(result: &CheckResult) -> usize {
    match result {
        CheckResult::Passed { .. } => 0,
        CheckResult::Refused => 1,
        CheckResult::TimedOut => 2,
        CheckResult::Wrong(_) => 3,
        CheckResult::Local(_) => 4,
        CheckResult::Unresolved(_) => 5,
    }
}

/// All pairs' families.
pub(super) fn render(page: &mut Page, pairs: &BTreeMap<PairName, Arc<PairMetrics>>) {
    render_places(page, pairs);
    render_changes(page, pairs);
    render_upstreams(page, pairs);
}

fn render_places(page: &mut Page, pairs: &BTreeMap<PairName, Arc<PairMetrics>>) {
    let places: Vec<_> = pairs.iter().map(|(name, pair)| (name, *pair.now())).collect();
    let known = || places.iter().filter_map(|(name, now)| now.place.map(|place| (name, place)));
    page.family(
        Kind::Gauge,
        "failback_pair_state",
        "1 for the state the pair is in, 0 for the others; all are 0 where it is only watched.",
    );
    for (name, (state, ..)) in known() {
        for one in PairStateName::ALL {
            page.sample(&[("pair", name), ("state", one.as_str())], u8::from(Some(*one) == state));
        }
    }
    page.family(Kind::Gauge, "failback_pair_active_side", "1 for the side clients are routed to, 0 for the other.");
    for (name, (_, side, _)) in known() {
        for one in [Side::Primary, Side::Backup] {
            page.sample(&[("pair", name), ("side", one.as_str())], u8::from(one == side));
        }
    }
    page.family(Kind::Gauge, "failback_pair_epoch", "The pair's epoch: raised by every change of the active upstream.");
    for (name, (_, _, epoch)) in known() {
        page.sample(&[("pair", name)], epoch);
    }
    page.family(Kind::Gauge, "failback_migration_remaining_sessions", "Sessions a migration still has to move.");
    for (name, now) in &places {
        page.sample(&[("pair", name)], now.migration_remaining);
    }
}

fn render_changes(page: &mut Page, pairs: &BTreeMap<PairName, Arc<PairMetrics>>) {
    page.family(Kind::Counter, "failback_failovers_total", "Automatic changes to a backup.");
    for (name, pair) in pairs {
        changes(page, name, &pair.failovers, &FAILOVERS);
    }
    page.family(Kind::Counter, "failback_failbacks_total", "Changes back to the primary.");
    for (name, pair) in pairs {
        changes(page, name, &pair.failbacks, &FAILBACKS);
    }
    page.family(Kind::Counter, "failback_resync_signals_total", "Resync signals, by what became of them.");
    for (name, pair) in pairs {
        for (result, count) in SIGNAL_RESULTS.iter().zip(&pair.signals) {
            page.sample(&[("pair", name), ("result", result)], count.get());
        }
    }
    page.family(Kind::Counter, "failback_state_write_failures_total", "Times a pair's state could not be stored.");
    for (name, pair) in pairs {
        page.sample(&[("pair", name)], pair.not_stored.get());
    }
}

fn changes(page: &mut Page, pair: &str, counts: &[Counter], reasons: &[TransitionReason]) {
    for reason in reasons {
        page.sample(&[("pair", pair), ("reason", reason.as_str())], counts[*reason as usize].get());
    }
}

fn render_upstreams(page: &mut Page, pairs: &BTreeMap<PairName, Arc<PairMetrics>>) {
    let upstreams: Vec<_> = pairs
        .iter()
        .flat_map(|(pair, metrics)| {
            let of_pair: Vec<_> = metrics.upstreams().iter().map(|(name, of)| (name.clone(), Arc::clone(of))).collect();
            of_pair.into_iter().map(move |(name, of)| (pair, name, of))
        })
        .collect();
    page.family(Kind::Gauge, "failback_upstream_up", "1 if the upstream passes its checks.");
    for (pair, name, of) in &upstreams {
        page.sample(&[("pair", pair), ("upstream", name)], u8::from(of.up.load(Relaxed)));
    }
    page.family(Kind::Counter, "failback_health_checks_total", "Health checks that ended, by result.");
    for (pair, name, of) in &upstreams {
        for (result, count) in CHECK_RESULTS.iter().zip(&of.checks) {
            page.sample(&[("pair", pair), ("upstream", name), ("result", result)], count.get());
        }
    }
    page.family(Kind::Histogram, "failback_health_check_duration_seconds", "How long passed health checks took.");
    for (pair, name, of) in &upstreams {
        page.histogram(&[("pair", pair), ("upstream", name)], &of.durations.snapshot());
    }
}
