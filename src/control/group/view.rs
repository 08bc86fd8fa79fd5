//! The group as it is shown, and what of it stands as alerts and metrics.

use super::{Group, newest};
use crate::{
    control::{clock::wall_now, seats::SeatOrder, sync::Settings},
    decide::seat::SeatStatus,
    model::{
        NodeName, Time,
        alert::{Alert, AlertKey, AlertKind},
        group::{NodeStateName, Role},
        seat::Suspicion,
        view::group::{GroupView, NodeView, SeatView, SyncResult},
    },
};
use std::{sync::atomic::Ordering::Relaxed, time::Duration};

/// A sync that failed and stays so is worth an alert.
const FAILED_FOR: Duration = Duration::from_secs(30);

impl Group {
    pub(super) fn make_view(&self) -> GroupView {
        let now = self.clock.now();
        let seats: Vec<SeatView> = self.machine.seats().map(|(seat, status)| self.seat_view(seat, status)).collect();
        let mut nodes: Vec<NodeView> = self
            .machine
            .peers(now)
            .map(|(name, suspicion, role, state)| self.peer_view(name, suspicion, role, state))
            .collect();
        nodes.push(NodeView {
            node: self.me.clone(),
            this: true,
            role: self.machine.role(),
            state: self.machine.state(),
            suspicion: None,
            address: self.links.address().to_string(),
            shared_addresses: self.addresses.values().map(|its| its.address.to_string()).collect(),
            fallback_address: self.spec.fallback_address.as_ref().map(|its| its.address.to_string()),
            version: Some(env!("CARGO_PKG_VERSION").into()),
            last_sync: newest(self.copies.pulls.values().cloned()),
        });
        nodes.sort_by(|one, other| one.node.cmp(&other.node));
        let mut warnings: Vec<String> = self.standing.values().map(|alert| alert.title.clone()).collect();
        if !self.machine.may_change_sides() {
            warnings.push("this node hears no other and reaches no witness: no pair changes sides".into());
        }
        if self.arranger.file_behind.load(Relaxed) && self.served().contains(&self.me) {
            warnings.push(self.arranger.behind());
        }
        GroupView {
            key_fingerprint: self.links.fingerprint().to_string(),
            role: self.machine.role(),
            state: self.machine.state(),
            warnings,
            seats,
            nodes,
        }
    }

    /// Settings are read when they changed, not each time they are looked at.
    pub(super) fn learn_names(&mut self) {
        let store = self.arranger.store();
        self.names.retain(|seat, _| store.get(seat).is_some());
        for copy in store.seats() {
            let head = copy.lineage.head();
            if self.names.get(&copy.seat).is_none_or(|(known, _)| known.as_ref() != head) {
                let names = Settings::received(copy.settings.clone()).names();
                self.names.insert(copy.seat.clone(), (head.cloned(), names));
            }
        }
    }

    fn seat_view(&self, seat: &NodeName, status: SeatStatus) -> SeatView {
        let store = self.arranger.store();
        let copy = store.get(seat);
        let (pairs, routes) = self.names.get(seat).map(|(_, names)| names.clone()).unwrap_or_default();
        let address = self.addresses.get(seat).map(|its| its.address).or(copy.and_then(|copy| copy.shared_address));
        SeatView {
            seat: seat.clone(),
            epoch: status.epoch,
            holder: status.holder,
            home: status.home,
            here: status.serving,
            degraded: status.degraded,
            reason: status.reason,
            shared_address: address.map(|address| address.to_string()),
            revision: copy.and_then(|copy| copy.lineage.head()).map(ToString::to_string),
            routes,
            pairs,
            last_sync: (!status.serving).then(|| self.copies.pulls.get(seat).cloned()).flatten(),
            pulled_by: match (status.serving, copy) {
                (true, Some(copy)) => self.pulled_views(seat, copy.order()),
                _ => Vec::new(),
            },
            replicated: !(status.serving && self.is_unreplicated(seat)),
        }
    }

    fn peer_view(&self, name: &NodeName, suspicion: Suspicion, role: Role, state: NodeStateName) -> NodeView {
        let peers = self.links.peers();
        let peer = peers.borrow().iter().find(|peer| peer.node == *name).cloned();
        let about = self.about.get(name);
        let holds = self.machine.seats().any(|(_, status)| status.holder.as_ref() == Some(name));
        let online = holds && state == NodeStateName::Online;
        NodeView {
            node: name.clone(),
            this: false,
            role,
            state,
            suspicion: Some(suspicion),
            address: peer.map(|peer| peer.address.to_string()).unwrap_or_default(),
            shared_addresses: about.filter(|_| online).map(|about| about.shared_addresses.clone()).unwrap_or_default(),
            fallback_address: about.and_then(|about| about.fallback_address.clone()),
            version: about.map(|about| about.version.clone()),
            last_sync: about.and_then(|about| about.last_sync.clone()),
        }
    }

    /// Alerts and metrics.
    pub(super) fn show(&mut self, view: &GroupView) {
        let now = self.clock.now();
        let before = self.standing.clone();
        self.never_pulled(view, now);
        self.failing_syncs(view);
        for seat in view.seats.iter().filter(|seat| seat.here || seat.holder.as_ref() != Some(&self.me)) {
            let about = Some(seat.seat.to_string());
            self.standing.remove(&AlertKey { kind: AlertKind::NotServed, pair: None, about });
        }
        if self.standing != before {
            let _next_look = self.driver.try_send(SeatOrder::Standing(self.standing.values().cloned().collect()));
        }
        self.metrics.group(view);
    }

    /// Nobody pulled for too long (`B7`).
    fn never_pulled(&mut self, view: &GroupView, now: Time) {
        let limit = self.spec.sync.alert_after;
        for seat in view.seats.iter().filter(|seat| seat.here) {
            let key = AlertKey { kind: AlertKind::NotPulled, pair: None, about: Some(seat.seat.to_string()) };
            let since = self.last_pulled(&seat.seat).unwrap_or(self.started);
            if view.nodes.len() > 1 && now.since(since) >= limit {
                let alert = Alert {
                    key: key.clone(),
                    epoch: None,
                    reason: None,
                    since: self.clock.wall(since),
                    title: format!("no backup node has copied seat {}", seat.seat),
                    text: format!(
                        "Nobody has pulled for {} s, so a takeover would go on from what was known then.",
                        now.since(since).as_secs()
                    ),
                    advice: "look at the backup nodes: `failback status` there says why their sync fails".into(),
                };
                self.standing.entry(key).or_insert(alert);
            } else {
                self.standing.remove(&key);
            }
        }
    }

    fn failing_syncs(&mut self, view: &GroupView) {
        for seat in view.seats.iter() {
            let key = AlertKey { kind: AlertKind::SyncFailed, pair: None, about: Some(seat.seat.to_string()) };
            let failed = seat.last_sync.as_ref().filter(|sync| sync.result == SyncResult::Failed);
            match failed {
                Some(sync) if self.clock.now().since(self.started) >= FAILED_FOR => {
                    let alert = Alert {
                        key: key.clone(),
                        epoch: None,
                        reason: None,
                        since: wall_now(),
                        title: format!("seat {} can't be copied", seat.seat),
                        text: format!(
                            "The last pull from {} failed: {}.",
                            sync.from,
                            sync.error.clone().unwrap_or_default()
                        ),
                        advice: "what was copied before is kept; mend the cause, then: failback sync".into(),
                    };
                    self.standing.entry(key).or_insert(alert);
                }
                Some(_) => {}
                None if seat.last_sync.as_ref().is_some_and(|sync| sync.result == SyncResult::Running) => {}
                None => drop(self.standing.remove(&key)),
            }
        }
    }
}
