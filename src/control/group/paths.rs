//! The two paths between nodes. One is enough, so the loss of one is noticed by nobody until the other is lost, too.

use super::{Group, doubts::Doubt};
use crate::{
    control::peer::beacon,
    decide::suspicion::Path,
    model::{
        NodeName, Time,
        alert::{AlertKey, AlertKind},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const SAID_AFTER: Duration = Duration::from_secs(5);
const ALERT_AFTER: Duration = Duration::from_secs(30);

impl Group {
    /// This node's own connection to a node ended, or could not be had once more.
    pub(super) fn link_lost(&mut self, node: &NodeName, was_up: bool, why: &str) {
        let known = self.links_down.insert(node.clone(), why.to_owned());
        match (was_up, known.is_none()) {
            (true, _) => tracing::info!(%node, why, "the peer link is lost"),
            (false, true) => tracing::info!(%node, why, "there is no peer link yet"),
            (false, false) => tracing::debug!(%node, why, "there is still no peer link"),
        }
    }

    /// Who has died is heard by both paths no more, and that is told as what it is.
    pub(super) fn forget_paths_of_the_silent(&mut self) {
        let now = self.clock.now();
        let mut late: BTreeMap<NodeName, usize> = BTreeMap::new();
        self.machine.late_paths(now).for_each(|(node, _)| *late.entry(node.clone()).or_default() += 1);
        let (heard, both) = (self.heard(), late.into_iter().filter(|(_, paths)| *paths > 1));
        let falling: BTreeSet<NodeName> = both.map(|(node, _)| node).collect();
        let of_silent = |key: &AlertKey| {
            let node = key.about.as_deref().and_then(|about| about.split_once(' '));
            let is_silent = |node: &str| !heard.contains(node) || falling.contains(node);
            key.kind == AlertKind::PathLost && node.is_none_or(|(_, node)| is_silent(node))
        };
        self.forget_doubts(of_silent);
    }

    /// The paths that are lost while the other one is there. A node that is heard by neither is told of elsewhere.
    pub(super) fn lost_paths(&self, now: Time) -> Vec<Doubt> {
        let mut late: BTreeMap<&NodeName, Vec<Path>> = BTreeMap::new();
        self.machine.late_paths(now).for_each(|(node, path)| late.entry(node).or_default().push(path));
        let heard: BTreeSet<NodeName> = self.heard();
        let mut doubts = Vec::new();
        for node in &heard {
            let late = late.get(node).map(Vec::as_slice).unwrap_or_default();
            if late.len() > 1 {
                continue;
            }
            if let Some(why) = self.links_down.get(node) {
                let peers = self.links.peers();
                let peer = peers.borrow().iter().find(|peer| peer.node == *node).map(|peer| peer.address.to_string());
                let at = peer.unwrap_or_default();
                doubts.push(lost(node, "link", format!("the peer link to {node} ({at}, TCP) is down: {why}"), &at));
            }
            match late {
                [Path::PeerLink] if !self.links_down.contains_key(node) => {
                    let at = self.links.address().to_string();
                    let message =
                        format!("{node} is not heard over the peer link: it does not reach this node's {at} (TCP)");
                    doubts.push(lost(node, "link", message, &at));
                }
                [Path::Beacon] if self.spec.shared_address.is_some() => {
                    let at = format!("UDP port {}", beacon::PORT);
                    let message = match self.fitness.own_address() {
                        Some(why) => format!("beacons of {node} are not heard: {why}"),
                        None if self.links.counts().beacons_forged > 0 => format!(
                            "beacons of {node} are not heard, and some come that another key has signed: is the pairing key the same on both \
                             nodes? Its file is read when a node starts"
                        ),
                        None => {
                            format!("beacons of {node} are not heard: is {at} blocked, or has it no shared_address?")
                        }
                    };
                    doubts.push(lost(node, "beacons", message, &at));
                }
                _ => {}
            }
        }
        doubts
    }
}

fn lost(node: &NodeName, path: &str, message: String, at: &str) -> Doubt {
    Doubt {
        key: AlertKey::about(AlertKind::PathLost, Some(format!("{path} {node}"))),
        title: format!("{node} is heard by one path only"),
        message,
        advice: format!(
            "look at the packet filters between the two nodes: {at}; without two paths a fault of one is a takeover"
        ),
        event: "path_lost",
        over: Some(("path_back", format!("{node} is heard by both paths again ({path})"))),
        said_after: SAID_AFTER,
        alert_after: ALERT_AFTER,
    }
}
