//! `failback status`: the node at a glance, what needs an operator last, where the eye ends.

use super::{
    BAD, BOLD, CARE, DIM, GOOD, PLAIN, group, styled,
    table::{Cell, Table},
    words,
    wrap::{short, wrap},
};
use crate::model::{
    plain::plain,
    view::{HealthName, MigrationView, PairStateName, PairView, RouteView, StatusView},
};
use anstyle::Style;
use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

/// A server's note is cut after so many columns: the lines below the tables and `why` have the whole of it.
const NOTE: usize = 40;

/// The whole page; times are told as seen from `now`, notes are wrapped for a window `width` columns wide. `reasons` are why the node is
/// not fit for its place in its group.
pub(in crate::cli) fn page(view: &StatusView, reasons: &[String], now: SystemTime, width: Option<usize>) -> String {
    let up = Duration::try_from_secs_f64(view.uptime_seconds).unwrap_or_default();
    let about = format!("  failback {}, up {}", plain(&view.version), words::span(up));
    let mut page = format!("{}{}\n", styled(&plain(&view.node), BOLD), styled(&about, DIM));
    let group = view.group.as_ref().map(|its| group::part(its, now));
    let tables = [pairs(&view.pairs, now), upstreams(&view.pairs, now), routes(&view.routes)];
    for part in group.into_iter().chain(tables) {
        page.push('\n');
        page.push_str(&part);
    }
    let mut notes: Vec<Note> = view.pairs.iter().flat_map(notes).collect();
    // The pairs' blockers are among the warnings, and the group's warnings among the reasons.
    let mut told: BTreeSet<String> = notes.iter().map(|(_, text, _)| text.clone()).collect();
    let of_group = view.group.iter().flat_map(|group| &group.warnings);
    let more = view.warnings.iter().chain(reasons).chain(of_group).filter(|warning| told.insert((*warning).clone()));
    notes.extend(more.map(|warning| ("!", warning.clone(), BAD)));
    if !notes.is_empty() {
        page.push('\n');
    }
    for (mark, text, style) in notes {
        page.push_str(&format!("{} {}\n", styled(mark, style), wrap(&plain(&text), width, 2)));
    }
    page
}

fn pairs(pairs: &[PairView], now: SystemTime) -> String {
    let mut table = Table::new(&["PAIR", "STATE", "SIDE", "UPSTREAM", "EPOCH", "SINCE", "PRIMARY", "BACKUP", "HELD"]);
    for pair in pairs {
        let style = style_of(pair);
        table.row(vec![
            Cell::new(&*pair.pair).style(BOLD),
            Cell::new(state(pair)).style(style),
            Cell::new(pair.active_side.as_str()).style(style),
            Cell::new(&*pair.active_upstream),
            Cell::number(pair.epoch),
            Cell::new(words::ago(&pair.since, now)),
            Cell::number(pair.sessions.primary),
            Cell::number(pair.sessions.backup),
            Cell::number(pair.held).style(if pair.held > 0 { CARE } else { PLAIN }),
        ]);
    }
    table.render()
}

/// The state with what an operator (or the flap budget) put on top of it.
pub(super) fn state(pair: &PairView) -> String {
    let watched = pair.watched_for.is_some();
    let on_top = [(watched, "standby"), (pair.frozen, "frozen"), (pair.pinned, "pinned"), (pair.latched, "latched")];
    let mut text = pair.state.as_str().to_owned();
    for (_, word) in on_top.iter().filter(|(holds, _)| *holds) {
        text.push_str(", ");
        text.push_str(word);
    }
    text
}

/// A pair that is only watched here is nobody's concern here.
pub(super) fn style_of(pair: &PairView) -> Style {
    if pair.watched_for.is_some() { DIM } else { state_style(pair.state) }
}

fn state_style(state: PairStateName) -> Style {
    match state {
        PairStateName::OnPrimary => GOOD,
        PairStateName::OnBackup | PairStateName::Resynced | PairStateName::Returning => CARE,
        PairStateName::NoServer => BAD,
    }
}

fn upstreams(pairs: &[PairView], now: SystemTime) -> String {
    let mut table = Table::new(&["PAIR", "UPSTREAM", "ROLE", "HEALTH", "SINCE", "CHECK", "ADDRESS", "NOTE"]);
    for (pair, upstream) in pairs.iter().flat_map(|pair| pair.upstreams.iter().map(move |upstream| (pair, upstream))) {
        let note = match (&upstream.last_failure, &upstream.note) {
            (Some(failure), _) if upstream.health != HealthName::Up => failure.as_str(),
            (_, Some(note)) => note,
            _ => "",
        };
        table.row(vec![
            Cell::new(&*pair.pair),
            Cell::new(&*upstream.name),
            Cell::new(upstream.role.as_str()),
            Cell::new(upstream.health.as_str()).style(health_style(upstream.health)),
            Cell::new(words::ago(&upstream.since, now)),
            Cell::number(upstream.last_check_seconds.map(words::took).unwrap_or_default()),
            Cell::new(address(&upstream.address, &upstream.resolved)),
            Cell::new(short(note, NOTE)),
        ]);
    }
    table.render()
}

/// The address as configured, and what it was resolved to, if that says more.
fn address(configured: &str, resolved: &[String]) -> String {
    match resolved {
        [] => format!("{configured} (not resolved)"),
        [one] if one == configured => configured.into(),
        many => format!("{configured} ({})", many.join(", ")),
    }
}

fn routes(routes: &[RouteView]) -> String {
    let mut table = Table::new(&["ROUTE", "PAIR", "LISTEN", "SESSIONS", "MAX"]);
    for route in routes {
        table.row(vec![
            Cell::new(&*route.route),
            Cell::new(&*route.pair),
            Cell::new(route.listen.join(", ")),
            Cell::number(route.sessions),
            Cell::number(route.max_sessions),
        ]);
    }
    table.render()
}

/// A mark, the text after it, and the mark's style.
type Note = (&'static str, String, Style);

fn notes(pair: &PairView) -> Vec<Note> {
    let name = &pair.pair;
    let migration =
        pair.migration.iter().map(|migration| ("→", format!("{name}: {}", moving(migration, pair.held)), CARE));
    let style = match pair.state {
        _ if pair.watched_for.is_some() => DIM,
        PairStateName::NoServer => BAD,
        _ => CARE,
    };
    let whose = if pair.watched_for.is_some() { ", were it served here" } else { "" };
    let blockers = pair.blockers.iter().map(|blocker| ("!", format!("{name}{whose}: {blocker}"), style));
    migration.chain(blockers).collect()
}

/// A migration in words, while `held` clients wait.
pub(super) fn moving(migration: &MigrationView, held: u64) -> String {
    let left = format!("{} of {} left", migration.remaining, words::count(migration.total, "session"));
    let mut text = match migration.admitting {
        true => format!("old side closed; admitting: {held} wait"),
        false => format!("moving sessions off the {}: {left}", migration.from),
    };
    match migration.pace {
        0 => {}
        pace => text.push_str(&format!(", {pace} a second")),
    }
    if migration.paused {
        text.push_str(", paused");
    } else if let Some(eta) = migration.eta_seconds.and_then(|eta| Duration::try_from_secs_f64(eta.ceil()).ok()) {
        text.push_str(&format!(", done in {}", words::span(eta)));
    }
    match migration.exempt {
        0 => text,
        exempt => text + &format!("; {exempt} exempt stay"),
    }
}

pub(super) fn health_style(health: HealthName) -> Style {
    match health {
        HealthName::Unknown => DIM,
        HealthName::Up => GOOD,
        HealthName::Down => BAD,
    }
}
