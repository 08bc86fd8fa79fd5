//! Is a node fit for its place in the group (`B13`)? Pure: a view in, what stands against it out.

use crate::model::{
    NodeName,
    group::{NodeStateName, Role},
    seat::Suspicion,
    view::group::{BackupView, GroupView, NodeView, SeatView, SyncResult},
};

/// What stands against the node that sees `group` so, in words, most important first; empty when all is well.
pub(super) fn reasons(group: &GroupView) -> Vec<String> {
    let mut reasons = Vec::new();
    match group.state {
        NodeStateName::Offline if holds_something(group) => {
            reasons.push("this node is offline: it does not serve what it holds".into());
        }
        NodeStateName::Offline => reasons.push("this node is offline: it must not serve".into()),
        NodeStateName::Unknown => reasons.push("this node does not know yet what it may do".into()),
        NodeStateName::Online | NodeStateName::Standby => {}
    }
    let mut others = group.nodes.iter().filter(|node| !node.this).peekable();
    if others.peek().is_none() {
        reasons.push("no other node is in the group".into());
    } else if others.all(|node| node.suspicion == Some(Suspicion::Red)) {
        reasons.push("no other node is heard".into());
    }
    reasons.extend(group.seats.iter().flat_map(|seat| of_seat(seat, group.role)));
    let told: Vec<&String> = group.warnings.iter().filter(|warning| !reasons.contains(warning)).collect();
    reasons.extend(told.into_iter().cloned());
    reasons
}

fn holds_something(group: &GroupView) -> bool {
    let this = group.nodes.iter().find(|node| node.this);
    this.is_some_and(|this| group.seats.iter().any(|seat| seat.holder.as_ref() == Some(&this.node)))
}

fn of_seat(seat: &SeatView, role: Role) -> Vec<String> {
    let name = &seat.seat;
    let mut reasons = Vec::new();
    match &seat.holder {
        None => reasons.push(format!("nobody is known to hold the seat {name}")),
        Some(holder) if seat.degraded => {
            reasons.push(format!("the seat {name} is degraded: {holder} holds it, not its own node {}", seat.home));
        }
        Some(_) => {}
    }
    match &seat.last_sync {
        Some(sync) if sync.result == SyncResult::Failed => {
            let error = sync.error.as_deref().unwrap_or("no reason is known");
            reasons.push(format!("the last sync of the seat {name} from {} failed: {error}", sync.from));
        }
        _ if role == Role::Backup && !seat.here && seat.revision.is_none() => {
            reasons.push(format!("the seat {name} was never synced"));
        }
        _ => {}
    }
    if !seat.replicated {
        reasons.push(format!("not every backup node has the last change of the seat {name}"));
    }
    reasons
}

/// The backup nodes of `node`, and whether each has everything of its seat, as far as is known here. `None`: there is no
/// such node.
pub(super) fn backups(group: &GroupView, node: &NodeName) -> Option<Vec<BackupView>> {
    group.nodes.iter().find(|its| its.node == *node)?;
    let Some(seat) = group.seats.iter().find(|seat| seat.home == *node) else { return Some(vec![]) };
    let backups = group.nodes.iter().filter(|its| its.role == Role::Backup && its.node != *node);
    let view = |its: &NodeView| BackupView { name: its.node.clone(), synchronized: synchronized(seat, its) };
    Some(backups.map(view).collect())
}

/// Who holds the seat knows who pulled it; others know of themselves.
fn synchronized(seat: &SeatView, node: &NodeView) -> bool {
    if seat.holder.as_ref() == Some(&node.node) {
        return true;
    }
    let own = || seat.revision.is_some() && seat.last_sync.as_ref().is_some_and(|sync| sync.result == SyncResult::Done);
    match seat.pulled_by.iter().find(|pulled| pulled.node == node.node) {
        Some(pulled) => pulled.synchronized,
        None => node.this && !seat.here && own(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Epoch,
        seat::SeatReason,
        view::group::{PulledView, SyncView},
    };

    fn node(name: &str, role: Role, this: bool) -> NodeView {
        NodeView {
            node: name.into(),
            this,
            role,
            state: if role == Role::Primary { NodeStateName::Online } else { NodeStateName::Standby },
            suspicion: (!this).then_some(Suspicion::Green),
            address: "10.0.0.2:9902".into(),
            shared_addresses: vec![],
            fallback_address: None,
            version: None,
            last_sync: None,
        }
    }

    /// As the primary node sees it when all is well.
    fn group() -> GroupView {
        let pulled = |synchronized| PulledView {
            node: "B".into(),
            at: "2026-03-01T12:00:00Z".into(),
            synchronized,
            error: None,
        };
        GroupView {
            key_fingerprint: "ab".into(),
            role: Role::Primary,
            state: NodeStateName::Online,
            warnings: vec![],
            seats: vec![SeatView {
                seat: "P".into(),
                epoch: Epoch(3),
                holder: Some("P".into()),
                home: "P".into(),
                here: true,
                degraded: false,
                auto_off: false,
                reason: SeatReason::FirstStart,
                shared_address: None,
                revision: Some("0123456789ab".into()),
                routes: vec![],
                pairs: vec![],
                last_sync: None,
                pulled_by: vec![pulled(true)],
                replicated: true,
                not_served: None,
            }],
            nodes: vec![node("B", Role::Backup, false), node("P", Role::Primary, true)],
        }
    }

    /// The same as the backup node sees it.
    fn from_backup() -> GroupView {
        let mut view = group();
        (view.role, view.state) = (Role::Backup, NodeStateName::Standby);
        view.nodes = vec![node("B", Role::Backup, true), node("P", Role::Primary, false)];
        let seat = &mut view.seats[0];
        (seat.here, seat.pulled_by) = (false, vec![]);
        seat.last_sync = Some(SyncView {
            result: SyncResult::Done,
            at: "2026-03-01T12:00:00Z".into(),
            from: "P".into(),
            revision: seat.revision.clone(),
            error: None,
        });
        view
    }

    #[test]
    fn b13_a_node_in_a_sound_group_is_fit() {
        assert_eq!(reasons(&group()), [""; 0]);
        assert_eq!(reasons(&from_backup()), [""; 0]);
    }

    #[test]
    fn b13_each_trouble_is_a_reason() {
        type Break = fn(&mut GroupView);
        let cases: [(Break, &str); 10] = [
            (|view| view.state = NodeStateName::Offline, "this node is offline: it must not serve"),
            (|view| view.state = NodeStateName::Unknown, "this node does not know yet what it may do"),
            (|view| view.nodes.retain(|node| node.this), "no other node is in the group"),
            (|view| view.nodes[1].suspicion = Some(Suspicion::Red), "no other node is heard"),
            (|view| view.seats[0].holder = None, "nobody is known to hold the seat P"),
            (
                |view| (view.seats[0].degraded, view.seats[0].holder) = (true, Some("B".into())),
                "the seat P is degraded: B holds it, not its own node P",
            ),
            (
                |view| {
                    let sync = view.seats[0].last_sync.as_mut().unwrap();
                    (sync.result, sync.error) = (SyncResult::Failed, Some("the link broke".into()));
                },
                "the last sync of the seat P from P failed: the link broke",
            ),
            (|view| (view.seats[0].last_sync, view.seats[0].revision) = (None, None), "the seat P was never synced"),
            (|view| view.seats[0].replicated = false, "not every backup node has the last change of the seat P"),
            (|view| view.warnings.push("the clock is odd".into()), "the clock is odd"),
        ];
        for (make_worse, reason) in cases {
            let mut view = from_backup();
            make_worse(&mut view);
            assert_eq!(reasons(&view), [reason]);
        }
    }

    #[test]
    fn one_silent_node_of_several_leaves_this_one_fit() {
        let mut view = group();
        view.nodes.push(NodeView { suspicion: Some(Suspicion::Red), ..node("C", Role::Backup, false) });
        assert_eq!(reasons(&view), [""; 0]);
    }

    #[test]
    fn backups_are_in_sync_as_far_as_is_known_here() {
        let of = |view: &GroupView, name: &str| {
            backups(view, &name.into())
                .map(|list| list.into_iter().map(|it| (it.name.to_string(), it.synchronized)).collect())
        };
        let synced = Some(vec![("B".to_owned(), true)]);
        assert_eq!(of(&group(), "P"), synced);
        assert_eq!(of(&from_backup(), "P"), synced);
        assert_eq!(of(&group(), "B"), Some(vec![]), "a backup node has no backups");
        assert_eq!(of(&group(), "X"), None);
        let mut behind = group();
        behind.seats[0].pulled_by[0].synchronized = false;
        assert_eq!(of(&behind, "P"), Some(vec![("B".to_owned(), false)]));
        behind.seats[0].pulled_by.clear();
        assert_eq!(of(&behind, "P"), Some(vec![("B".to_owned(), false)]));
        behind.seats[0].holder = Some("B".into());
        assert_eq!(of(&behind, "P"), synced, "who holds it has all of it");
    }
}
