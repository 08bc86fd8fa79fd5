//! Which heartbeats are news. A beacon that was recorded and is sent again tells nothing: its run and number are known.

use crate::model::{NodeName, group::HeartbeatPath};
use std::collections::BTreeMap;

/// Paths of nodes that something is known of, at most; more than of all that can be joined with.
const MOST: usize = 256;

/// What was heard last of each node, by each path.
#[derive(Debug, Default)]
pub(super) struct Freshness(BTreeMap<(NodeName, HeartbeatPath), (u64, u64)>);

/// What a heartbeat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was heard before, or comes too late.
    Stale,
    /// It was not.
    New,
    /// Nor was the run of the process that it comes from.
    NewRun,
}

impl Freshness {
    /// What is this heartbeat? `least` is the lowest run of that node's process that can be.
    ///
    /// Over the link nobody but the node itself can speak, so another run is the node's present one, even if its number is
    /// lower because its state was lost; beacons of other runs are stale from then on.
    pub(super) fn hear(&mut self, node: &NodeName, path: HeartbeatPath, now: (u64, u64), least: u64) -> Heard {
        let last = self.0.get(&(node.clone(), path)).copied();
        let another_run = last.is_none_or(|last| now.0 != last.0);
        let news = match (path, last) {
            // One that counts lower than before had its state put back: `decide/suspicion` tells it from one that comes late.
            (HeartbeatPath::Link, Some(_)) => true,
            (HeartbeatPath::Beacon, Some(last)) => now > last,
            (HeartbeatPath::Link, None) => true,
            (HeartbeatPath::Beacon, None) => now.0 >= least,
        };
        if !news {
            return Heard::Stale;
        }
        self.0.insert((node.clone(), path), now);
        if path == HeartbeatPath::Link {
            let beacon = self.0.entry((node.clone(), HeartbeatPath::Beacon)).or_insert((now.0, 0));
            let counts_anew = last.is_some_and(|last| now <= last);
            if beacon.0 != now.0 || counts_anew {
                *beacon = (now.0, 0);
            }
        }
        if another_run { Heard::NewRun } else { Heard::New }
    }

    /// Is this beacon of a node that is not joined with this one news? There is room for some such nodes, and no more.
    pub(super) fn overhear(&mut self, node: &NodeName, now: (u64, u64)) -> bool {
        let known = self.0.contains_key(&(node.clone(), HeartbeatPath::Beacon));
        (known || self.0.len() < MOST) && self.hear(node, HeartbeatPath::Beacon, now, 0) != Heard::Stale
    }

    /// Forgets a node.
    pub(super) fn forget(&mut self, node: &NodeName) {
        self.0.retain(|(known, _), _| known != node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HeartbeatPath::{Beacon, Link};

    #[test]
    fn a_beacon_counts_once_and_never_after_a_later_one() {
        let (mut fresh, node) = (Freshness::default(), NodeName::from("P"));
        let mut hear = |boot, sequence| fresh.hear(&node, Beacon, (boot, sequence), 4);
        assert_eq!(hear(3, 100), Heard::Stale, "of a run that is known to be over");
        assert_eq!(hear(4, 7), Heard::NewRun);
        assert_eq!((hear(4, 7), hear(4, 6), hear(4, 8)), (Heard::Stale, Heard::Stale, Heard::New));
        assert_eq!(hear(5, 1), Heard::NewRun, "the node was started again");
        assert_eq!(hear(4, 9), Heard::Stale);
        assert_eq!(fresh.hear(&"Q".into(), Beacon, (1, 1), 0), Heard::NewRun, "another node");
    }

    #[test]
    fn the_link_says_which_run_is_the_present_one() {
        let (mut fresh, node) = (Freshness::default(), NodeName::from("P"));
        assert_eq!(fresh.hear(&node, Beacon, (9, 50), 0), Heard::NewRun);
        assert_eq!(
            fresh.hear(&node, Link, (2, 1), 0),
            Heard::NewRun,
            "its state was lost: it counts from the beginning"
        );
        assert_eq!(fresh.hear(&node, Link, (2, 1), 0), Heard::New, "or was put back to an earlier one");
        assert_eq!(fresh.hear(&node, Beacon, (2, 2), 0), Heard::New);
        assert_eq!(fresh.hear(&node, Beacon, (2, 2), 0), Heard::Stale);
        // Another machine has its name and the pairing key.
        assert_eq!(fresh.hear(&node, Beacon, (9, 1), 0), Heard::NewRun);
        assert_eq!(fresh.hear(&node, Beacon, (2, 3), 0), Heard::Stale);
        assert_eq!(fresh.hear(&node, Link, (2, 4), 0), Heard::New);
        assert_eq!(fresh.hear(&node, Beacon, (2, 5), 0), Heard::New, "what its link says goes before");
        fresh.forget(&node);
        assert_eq!(fresh.hear(&node, Beacon, (1, 1), 1), Heard::NewRun);
    }
}
