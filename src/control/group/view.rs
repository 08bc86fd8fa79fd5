//! The group as it is shown.

use super::{Group, newest, standing::not_served};
use crate::{
    control::sync::Settings,
    decide::seat::SeatStatus,
    model::{
        NodeName,
        alert::{AlertKey, AlertKind},
        group::{NodeStateName, Role},
        seat::Suspicion,
        view::group::{GroupView, NodeView, SeatView},
    },
};
use std::sync::atomic::Ordering::Relaxed;

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
            last_sync: newest(self.pulls.last.values().cloned()),
        });
        nodes.sort_by(|one, other| one.node.cmp(&other.node));
        // Whom the copies that fail are told by: a line of their own, or the seat's row.
        let said = |key: &AlertKey| key.kind == AlertKind::SyncFailed || self.doubts.said(key).is_some();
        let standing = self.standing.values().filter(|alert| !said(&alert.key)).map(|alert| alert.title.clone());
        let mut warnings: Vec<String> = self.doubts.lines().chain(standing).collect();
        warnings.extend(self.what_to_order(now));
        let heard = self.heard();
        let elsewhere = self.about.iter().filter(|(node, _)| heard.contains(*node));
        warnings.extend(elsewhere.flat_map(|(_, about)| about.unfit.clone()));
        let ours = env!("CARGO_PKG_VERSION");
        let others = self.about.iter().filter(|(_, about)| about.version != ours);
        warnings.extend(others.map(|(node, about)| {
            format!(
                "{node} runs version {}, this node {ours}: all nodes of a group have to run the same",
                about.version
            )
        }));
        warnings.extend(self.refusals().map(|(_, words)| words));
        warnings.extend(self.machine.rivals().map(|(seat, other)| {
            format!("{other} serves seat {seat} too, under a lower epoch, as long as it does not hear this node")
        }));
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
        let known = self.arranger.known();
        self.names.retain(|seat, _| known.contains_key(seat));
        for copy in known.values() {
            let head = copy.lineage.head();
            if self.names.get(&copy.seat).is_none_or(|(known, _)| known.as_ref() != head) {
                let names = Settings::received(copy.settings.clone()).names();
                self.names.insert(copy.seat.clone(), (head.cloned(), names));
            }
        }
    }

    fn seat_view(&self, seat: &NodeName, status: SeatStatus) -> SeatView {
        let known = self.arranger.known();
        let copy = known.get(seat);
        let (pairs, routes) = self.names.get(seat).map(|(_, names)| names.clone()).unwrap_or_default();
        let address = self.addresses.get(seat).map(|its| its.address).or(copy.and_then(|copy| copy.shared_address));
        SeatView {
            seat: seat.clone(),
            epoch: status.epoch,
            holder: status.holder,
            home: status.home,
            here: status.serving,
            degraded: status.degraded,
            auto_off: status.degraded || (self.machine.role() == Role::Backup && !self.spec.takeover.auto),
            reason: status.reason,
            shared_address: address.map(|address| address.to_string()),
            revision: copy.and_then(|copy| copy.lineage.head()).map(ToString::to_string),
            routes,
            pairs,
            last_sync: (!status.serving).then(|| self.pulls.last.get(seat).cloned()).flatten(),
            pulled_by: match (status.serving, copy) {
                (true, Some(copy)) => self.pulled_views(seat, copy.order()),
                _ => Vec::new(),
            },
            replicated: !(status.serving && self.is_unreplicated(seat)),
            not_served: self.doubts.said(&not_served(seat)).map(ToOwned::to_owned),
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
}
