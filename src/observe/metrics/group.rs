//! What is shown of a group.

use super::text::{Kind, Page};
use crate::model::{
    group::NodeStateName,
    view::group::{GroupView, SyncResult},
};

/// The families, if the node is in a group.
pub(super) fn render(page: &mut Page, group: &GroupView, dropped: &[(&str, u64)]) {
    page.family(Kind::Gauge, "failback_node_state", "1 for the state a node is in, as this node sees it.");
    for node in &group.nodes {
        for state in NodeStateName::ALL {
            page.sample(&[("node", &node.node), ("state", state.as_str())], u8::from(node.state == *state));
        }
    }
    page.family(Kind::Gauge, "failback_seat_epoch", "The highest epoch of a seat that is known.");
    for seat in &group.seats {
        page.sample(&[("seat", &seat.seat)], seat.epoch.0);
    }
    let syncs = group.seats.iter().filter_map(|seat| seat.last_sync.as_ref());
    let done: Vec<_> = syncs.filter(|sync| sync.result == SyncResult::Done).collect();
    if !done.is_empty() {
        let help = "When this node last copied a seat from that one.";
        page.family(Kind::Gauge, "failback_sync_last_success_timestamp_seconds", help);
    }
    for sync in done {
        if let Ok(at) = humantime::parse_rfc3339(&sync.at)
            && let Ok(since) = at.duration_since(std::time::UNIX_EPOCH)
        {
            page.sample(&[("node", &sync.from)], since.as_secs_f64());
        }
    }
    let revisions: Vec<_> =
        group.seats.iter().filter_map(|seat| Some((seat, number(seat.revision.as_deref()?)?))).collect();
    if !revisions.is_empty() {
        let help = "The first 48 bits of the revision of a seat's settings: alike on nodes that are in step.";
        page.family(Kind::Gauge, "failback_config_revision", help);
    }
    for (seat, revision) in revisions {
        page.sample(&[("seat", &seat.seat)], revision);
    }
    page.family(
        Kind::Counter,
        "failback_peer_dropped_total",
        "What was not taken of beacons, connections and questions of other nodes and of strangers, by reason.",
    );
    for (reason, count) in dropped {
        page.sample(&[("reason", reason)], count);
    }
}

/// Twelve hexadecimal digits, which a double holds exactly.
fn number(revision: &str) -> Option<u64> {
    u64::from_str_radix(revision, 16).ok()
}
