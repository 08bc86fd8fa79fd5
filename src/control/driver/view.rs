//! What the API shows.

use super::Driver;
use crate::{
    decide::status::UpstreamStatus,
    model::{
        PairName, RouteName, Side, Time,
        view::{HealthName, PairStateName, PairView, RouteView, SideCounts, StatusView, UpstreamRole, UpstreamView},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// A record that takes longer to store is worth a warning.
pub(super) const SLOW_JOURNAL: Duration = Duration::from_secs(1);

/// What the workers count.
#[derive(Debug, Default)]
struct Counts {
    sessions: BTreeMap<PairName, SideCounts>,
    by_route: BTreeMap<RouteName, u64>,
    held: BTreeMap<PairName, u64>,
}

impl Driver {
    pub(super) fn status_view(&self) -> StatusView {
        let counts = self.counts();
        let pairs: Vec<PairView> = self.pairs.keys().filter_map(|name| self.view(name, &counts)).collect();
        StatusView {
            node: self.config.node.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: (self.clock.now().since_start().as_secs_f64() * 1e3).round() / 1e3,
            config_loaded_at: self.loaded_at.clone(),
            warnings: self.warnings(&pairs),
            routes: self.route_views(&counts),
            pairs,
            group: None,
        }
    }

    pub(super) fn pair_view(&self, name: &PairName) -> Option<PairView> {
        self.view(name, &self.counts())
    }

    fn view(&self, name: &PairName, counts: &Counts) -> Option<PairView> {
        let pair = self.pairs.get(name)?;
        let status = pair.machine.status(self.clock.now());
        let wall = |time: Time| self.clock.wall(time);
        Some(PairView {
            pair: name.clone(),
            active_side: status.active_side,
            active_upstream: status.active_upstream,
            state: status.state,
            epoch: status.epoch,
            since: wall(status.since),
            reason: status.reason,
            blockers: status.blockers,
            frozen: status.frozen,
            pinned: status.pinned,
            latched: status.latched,
            resynced_since: status.resynced_since.map(wall),
            upstreams: status.upstreams.into_iter().map(|upstream| self.upstream_view(upstream)).collect(),
            sessions: counts.sessions.get(name).cloned().unwrap_or_default(),
            held: counts.held.get(name).copied().unwrap_or(0),
            migration: status.migration.filter(|_| status.counted),
            watched_for: self.watched_for(name),
        })
    }

    fn upstream_view(&self, status: UpstreamStatus) -> UpstreamView {
        UpstreamView {
            name: status.name,
            role: status.role,
            address: status.address.to_string(),
            resolved: status.resolved.iter().map(ToString::to_string).collect(),
            health: status.health,
            since: self.clock.wall(status.since),
            last_failure: status.last_failure,
            last_check_seconds: status.last_check.map(|took| took.as_secs_f64()),
            admissible: status.admissible,
            note: status.note,
        }
    }

    /// What the workers count, summed in one go however many pairs there are.
    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for flow in self.workers.stats.iter().flat_map(|worker| worker.flows()) {
            let sessions = flow.sessions.get();
            let of_pair = counts.sessions.entry(flow.pair.clone()).or_default();
            match flow.side {
                Side::Primary => of_pair.primary += sessions,
                Side::Backup => of_pair.backup += sessions,
            }
            *counts.by_route.entry(flow.route.clone()).or_default() += sessions;
        }
        for door in self.workers.stats.iter().flat_map(|worker| worker.doors()) {
            *counts.held.entry(door.pair.clone()).or_default() += door.held.get();
        }
        counts
    }

    fn route_views(&self, counts: &Counts) -> Vec<RouteView> {
        let view = |route: &crate::config::RouteConfig| {
            let listening = route.listen.iter().filter_map(|address| self.listeners.get(address));
            RouteView {
                route: route.name.clone(),
                pair: route.pair.clone(),
                listen: listening.map(|set| set.address.to_string()).collect(),
                sessions: counts.by_route.get(&route.name).copied().unwrap_or(0),
                max_sessions: route.max_sessions,
            }
        };
        self.config.routes.values().map(view).collect()
    }

    fn warnings(&self, pairs: &[PairView]) -> Vec<String> {
        let mut warnings: Vec<String> = self.journal_trouble.iter().cloned().collect();
        let links =
            self.pairs.iter().filter_map(|(name, pair)| Some(format!("{name}: {}", pair.link_trouble.as_ref()?)));
        warnings.extend(links);
        warnings.extend(self.tls.warnings(self.config.alerts.certificate_expires_within));
        warnings.extend(self.alerts.warnings());
        // Without a place: a node of a group runs more than its file.
        warnings.extend(self.config.warnings.iter().map(|doubt| format!("{}: {}", doubt.key, doubt.reason)));
        if let Some(waiting) = self.longest_write(self.clock.now()).filter(|waiting| *waiting > SLOW_JOURNAL) {
            warnings.push(format!(
                "the disk has not stored a record for {} s; no pair can change sides",
                waiting.as_secs()
            ));
        }
        pairs.iter().for_each(|pair| pair_warnings(pair, &mut warnings));
        warnings
    }

    /// How long the record that waits longest for the disk has waited.
    pub(super) fn longest_write(&self, now: Time) -> Option<Duration> {
        self.pairs.values().flat_map(|pair| pair.writing.values()).map(|(since, _)| now.since(*since)).max()
    }
}

/// What the pair's blockers don't say, then the blockers.
fn pair_warnings(view: &PairView, warnings: &mut Vec<String>) {
    let pair = &view.pair;
    let active = view.upstreams.iter().find(|its| its.name == view.active_upstream);
    let lost = active.filter(|its| its.resolved.is_empty());
    if view.state == PairStateName::NoServer {
        warnings.push(format!("{pair}: nobody is served: {}", view.reason.words()));
    } else if let Some(lost) = lost {
        warnings.push(format!("{pair}: nobody is served: no address is known for {} ({})", lost.name, lost.address));
    } else if view.active_side == Side::Backup
        && let Some(primary) = view.upstreams.iter().find(|its| its.role == UpstreamRole::Primary)
    {
        warnings.push(away(view, primary));
    }
    let serving = view.state != PairStateName::NoServer && active.is_some_and(is_usable);
    for upstream in view.upstreams.iter().filter(|its| its.health == HealthName::Down && !is_told(view, its, serving)) {
        let why = upstream.last_failure.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
        warnings.push(format!("{pair}: {} is down{why}", upstream.name));
    }
    if view.active_side == Side::Primary && serving {
        let marks = [
            (view.latched, "latched by its flap budget"),
            (view.frozen, "frozen"),
            (view.pinned, "pinned by a switch"),
        ];
        warnings.extend(marks.iter().filter(|(set, _)| *set).map(|(_, mark)| format!("{pair}: {mark}")));
    }
    warnings.extend(view.blockers.iter().map(|blocker| format!("{pair}: {blocker}")));
}

fn is_usable(upstream: &UpstreamView) -> bool {
    upstream.health != HealthName::Down && !upstream.resolved.is_empty()
}

/// Do the blockers say that this server is down?
fn is_told(view: &PairView, upstream: &UpstreamView, serving: bool) -> bool {
    let mut backups = view.upstreams.iter().filter(|its| its.role == UpstreamRole::Backup);
    match upstream.role {
        _ if upstream.name == view.active_upstream => true,
        UpstreamRole::Primary | UpstreamRole::Elsewhere => view.active_side == Side::Backup,
        // Of backups they speak when none could stand in.
        UpstreamRole::Backup if view.active_side == Side::Backup => false,
        UpstreamRole::Backup => {
            !serving || (view.state == PairStateName::OnPrimary && backups.all(|its| !its.admissible))
        }
    }
}

/// A pair on its backup. A primary that has been healthy for long may be a signal that was lost (`N7`).
fn away(view: &PairView, primary: &UpstreamView) -> String {
    let how = if view.pinned { "switched" } else { "failed over" };
    let health = match primary.health {
        HealthName::Up => format!("; primary {} healthy since {}", primary.name, primary.since),
        HealthName::Down | HealthName::Unknown => String::new(),
    };
    let signal = if view.resynced_since.is_some() { ", resynchronised" } else { "" };
    format!("{}: {how} to {}{health}{signal}", view.pair, view.active_upstream)
}
