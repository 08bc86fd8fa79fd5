//! The group within `failback status`: this node's place in it, the seats, the members (`G4`, `G11`).

use super::{
    BOLD, CARE, PLAIN, styled,
    table::{Cell, Table},
    words,
};
use crate::model::{
    group::NodeStateName,
    plain::plain,
    seat::Suspicion,
    view::group::{GroupView, PulledView, SeatView, SyncResult, SyncView},
};
use anstyle::Style;
use std::time::SystemTime;

/// The part of the page; times are told as seen from `now`. Rows that need somebody are yellow.
pub(super) fn part(group: &GroupView, now: SystemTime) -> String {
    let state = styled(group.state.as_str(), if serves_its_purpose(group.state) { PLAIN } else { CARE });
    let place = format!("{} node, {state}; key {}\n", group.role, plain(&group.key_fingerprint));
    [place, seats(&group.seats, now), nodes(group, now)].join("\n")
}

fn seats(seats: &[SeatView], now: SystemTime) -> String {
    let mut table = Table::new(&["SEAT", "EPOCH", "HOLDER", "", "ADDRESS", "REVISION", "LAST SYNC"]);
    for seat in seats {
        let refused = seat.pulled_by.iter().any(|pull| pull.error.is_some());
        let synced = !refused && !failed(seat.last_sync.as_ref());
        let care = seat.degraded || seat.holder.is_none() || !seat.replicated || !synced || seat.not_served.is_some();
        row(
            &mut table,
            care,
            &[
                Text(&seat.seat),
                Number(seat.epoch.to_string()),
                Text(seat.holder.as_deref().unwrap_or("nobody known")),
                Own(marks(seat)),
                Text(seat.shared_address.as_deref().unwrap_or("-")),
                Text(seat.revision.as_deref().unwrap_or("-")),
                Own(if seat.pulled_by.is_empty() {
                    sync(seat.last_sync.as_ref(), now)
                } else {
                    pulled(&seat.pulled_by, now)
                }),
            ],
        );
    }
    table.render()
}

/// Who copied what is held here.
fn pulled(by: &[PulledView], now: SystemTime) -> String {
    let one = |pull: &PulledView| {
        let when = words::ago(&pull.at, now);
        match &pull.error {
            None if pull.synchronized => format!("{when} by {}", pull.node),
            None => format!("{when} by {}, which lags", pull.node),
            Some(error) => format!("FAILED {when} by {}: {error}", pull.node),
        }
    };
    by.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What there is to say of who holds the seat.
fn marks(seat: &SeatView) -> String {
    let holds = [
        (seat.here, "here"),
        (seat.degraded, "degraded"),
        (seat.auto_off, "auto off"),
        (!seat.replicated, "not replicated"),
        (seat.not_served.is_some(), "not served"),
    ];
    let marks: Vec<&str> = holds.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect();
    marks.join(", ")
}

fn nodes(group: &GroupView, now: SystemTime) -> String {
    let mut table = Table::new(&["NODE", "ROLE", "STATE", "HEARD", "ADDRESS", "SERVES ON", "FALLBACK", "LAST SYNC"]);
    for node in &group.nodes {
        // Who stands in for another does what it should, and yet somebody has to do something about it (`G4`).
        let stands_in = group.seats.iter().any(|seat| seat.degraded && seat.holder.as_ref() == Some(&node.node));
        let silent = matches!(node.suspicion, Some(Suspicion::Yellow | Suspicion::Red));
        let care = silent || stands_in || !serves_its_purpose(node.state) || failed(node.last_sync.as_ref());
        row(
            &mut table,
            care,
            &[
                Text(&node.node),
                Text(node.role.as_str()),
                Text(node.state.as_str()),
                Text(node.suspicion.map_or("this node", Suspicion::as_str)),
                Text(&node.address),
                Own(if node.shared_addresses.is_empty() { "-".into() } else { node.shared_addresses.join(", ") }),
                Text(node.fallback_address.as_deref().unwrap_or("-")),
                Own(sync(node.last_sync.as_ref(), now)),
            ],
        );
    }
    table.render()
}

use Field::{Number, Own, Text};

enum Field<'a> {
    Text(&'a str),
    Own(String),
    Number(String),
}

/// Adds a row, all of it yellow if somebody should `care`; its first field is the name.
fn row(table: &mut Table, care: bool, fields: &[Field<'_>]) {
    let style = |first: bool| -> Style {
        match (care, first) {
            (true, true) => CARE.bold(),
            (true, false) => CARE,
            (false, true) => BOLD,
            (false, false) => PLAIN,
        }
    };
    let cell = |(index, field): (usize, &Field<'_>)| {
        let cell = match field {
            Text(text) => Cell::new(text),
            Own(text) => Cell::new(text),
            Number(text) => Cell::number(text),
        };
        cell.style(style(index == 0))
    };
    table.row(fields.iter().enumerate().map(cell).collect());
}

fn serves_its_purpose(state: NodeStateName) -> bool {
    matches!(state, NodeStateName::Online | NodeStateName::Standby)
}

fn failed(sync: Option<&SyncView>) -> bool {
    sync.is_some_and(|sync| sync.result == SyncResult::Failed)
}

fn sync(sync: Option<&SyncView>, now: SystemTime) -> String {
    let Some(sync) = sync else { return "-".into() };
    let when = words::ago(&sync.at, now);
    match (sync.result, &sync.error) {
        (SyncResult::Running, _) => format!("running, from {}", sync.from),
        (SyncResult::Done, _) => format!("{when} from {}", sync.from),
        (SyncResult::Failed, None) => format!("FAILED {when} from {}", sync.from),
        (SyncResult::Failed, Some(error)) => format!("FAILED {when} from {}: {error}", sync.from),
    }
}
