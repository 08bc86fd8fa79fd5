//! `failback why PAIR` (`X5`): side, since when, why, what blocks the failback, sessions per side.

use super::{
    BOLD, DIM,
    status::{health_style, moving, style_of},
    styled, words,
    wrap::wrap,
};
use crate::model::{
    plain::plain,
    view::{HealthName, PairStateName, PairView, UpstreamView, group::SeatView},
};
use std::time::SystemTime;

/// The explanation; times are told as seen from `now`, blockers are wrapped for a window `width` columns wide. `its` is
/// the pair's seat, if it is one's.
pub(in crate::cli) fn page(pair: &PairView, its: Option<&SeatView>, now: SystemTime, width: Option<usize>) -> String {
    let mut lines = vec![styled(&place(pair), style_of(pair))];
    if let Some(seat) = &pair.watched_for {
        lines.push(standby(seat, its));
    } else if let Some(its) = its.filter(|its| its.degraded && its.here) {
        let (seat, home) = (plain(&its.seat), plain(&its.home));
        lines.push(format!("Its seat, {seat}, is served here for {home}: nobody stands by until it is given back or made this node's own."));
    }
    lines.push(format!("Since {} ({}): {}.", plain(&pair.since), words::ago(&pair.since, now), pair.reason.words()));
    lines.extend(on_top(pair));
    if let Some(migration) = &pair.migration {
        lines.push(format!("Migration: {}.", moving(migration, pair.held)));
    }
    lines.push(String::new());
    let not_served = its.is_some_and(|its| its.not_served.is_some());
    if !not_served || !pair.blockers.is_empty() {
        lines.extend(blockers(pair, width));
        lines.push(String::new());
    }
    let held = if pair.held > 0 { format!("; {} held", words::count(pair.held, "client")) } else { String::new() };
    lines.push(format!(
        "Sessions: {} on the primary, {} on a backup{held}.",
        pair.sessions.primary, pair.sessions.backup
    ));
    lines.push("Servers:".into());
    lines.extend(pair.upstreams.iter().map(|upstream| server(upstream, now)));
    lines.join("\n") + "\n"
}

fn place(pair: &PairView) -> String {
    let (name, side, upstream, epoch) = (plain(&pair.pair), pair.active_side, plain(&pair.active_upstream), pair.epoch);
    match pair.state {
        PairStateName::OnPrimary => format!("{name} is on its primary, {upstream} (epoch {epoch})."),
        PairStateName::OnBackup => format!("{name} is on a backup, {upstream} (epoch {epoch})."),
        PairStateName::Resynced => {
            format!("{name} is on a backup, {upstream}, and its primary is resynchronised (epoch {epoch}).")
        }
        PairStateName::Returning => format!("{name} is returning to its primary, {upstream} (epoch {epoch})."),
        PairStateName::NoServer => {
            let what = match pair.watched_for {
                Some(_) => format!("No server of {name} is usable from here"),
                None => format!("{name} has no usable server; clients wait"),
            };
            format!("{what}. It is the turn of its {side}, {upstream} (epoch {epoch}).")
        }
    }
}

/// Who has to be asked about a pair that is served elsewhere.
fn standby(seat: &str, its: Option<&SeatView>) -> String {
    let seat = plain(seat);
    if let Some(why) = its.and_then(|its| its.not_served.as_deref()) {
        return format!("As far as is known here nobody is served: {}.", plain(why));
    }
    match its.and_then(|its| its.holder.as_deref()).map(plain) {
        Some(holder) => format!("It is only watched here; seat {seat} is held by {holder}: ask there."),
        None => format!("It is only watched here; nobody is known to hold seat {seat}."),
    }
}

fn on_top(pair: &PairView) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(since) = &pair.resynced_since {
        lines.push(format!("A valid resync signal arrived at {}.", plain(since)));
    }
    if pair.frozen {
        lines.push(format!(
            "It is frozen: no automatic change of side until `failback unfreeze {}`.",
            plain(&pair.pair)
        ));
    }
    if pair.pinned {
        lines.push(format!(
            "An operator chose this side; it stays until `failback switch {} --auto`.",
            plain(&pair.pair)
        ));
    }
    if pair.latched {
        lines.push(format!(
            "Its flap budget is spent; it stays on its backup until `failback switch {} --auto`.",
            plain(&pair.pair)
        ));
    }
    lines
}

fn blockers(pair: &PairView, width: Option<usize>) -> Vec<String> {
    let title = match (pair.state, pair.blockers.is_empty()) {
        (PairStateName::OnPrimary, true) => return vec!["Nothing is in its way: it is where it should be.".into()],
        (_, true) => return vec!["Nothing keeps it from its primary.".into()],
        (PairStateName::OnPrimary, false) => "What an operator should know:",
        (PairStateName::NoServer, false) => "What keeps it from serving:",
        (_, false) => "What keeps it from its primary:",
    };
    let numbered = pair
        .blockers
        .iter()
        .enumerate()
        .map(|(index, blocker)| format!("  {}. {}", index + 1, wrap(&plain(blocker), width, 5)));
    std::iter::once(styled(title, BOLD)).chain(numbered).collect()
}

fn server(upstream: &UpstreamView, now: SystemTime) -> String {
    let is = styled(upstream.health.as_str(), health_style(upstream.health));
    let mut line = format!("  {} ({}) has been {is} ", plain(&upstream.name), upstream.role.as_str());
    line.push_str(&styled(&words::lasting(&upstream.since, now), DIM));
    if let Some(failure) = upstream.last_failure.as_ref().filter(|_| upstream.health != HealthName::Up) {
        line.push_str(&format!(": {}", plain(failure)));
    }
    if let Some(note) = &upstream.note {
        line.push_str(&format!("; {}", plain(note)));
    }
    line
}
