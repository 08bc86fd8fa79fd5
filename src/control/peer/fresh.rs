//! Which beacons are news. One that was recorded and is sent again tells nothing: its run and number are known. Over the link nobody but the
//! node itself can speak, so what comes by it always counts here, and `decide/suspicion` tells what is late from what is new.

use crate::model::NodeName;
use std::collections::BTreeMap;

/// Nodes that something is known of, at most; more than all that can be joined with.
const MOST: usize = 128;

/// A run of a node's process, and the number of a heartbeat in it.
type Number = (u64, u64);

/// What was heard last of each node.
#[derive(Debug, Default)]
pub(super) struct Freshness(BTreeMap<NodeName, Last>);

#[derive(Debug, Default)]
struct Last {
    link: Option<Number>,
    beacon: Option<Number>,
}

impl Freshness {
    /// The node spoke over its link. Another run than before is its present one, even if its number is lower because its state was lost;
    /// beacons of other runs are stale from then on. So are those of before where it counts anew within the run: its state was put back.
    pub(super) fn hear_link(&mut self, node: &NodeName, now: Number) {
        let known = self.0.entry(node.clone()).or_default();
        let counts_anew = known.link.replace(now).is_some_and(|last| now <= last);
        if counts_anew || known.beacon.is_none_or(|beacon| beacon.0 != now.0) {
            known.beacon = Some((now.0, 0));
        }
    }

    /// Is this beacon of a node that is joined with this one news? `least` is the lowest run of that node's process that can be.
    pub(super) fn hear_beacon(&mut self, node: &NodeName, now: Number, least: u64) -> bool {
        let last = &mut self.0.entry(node.clone()).or_default().beacon;
        let news = last.map_or(now.0 >= least, |last| now > last);
        if news {
            *last = Some(now);
        }
        news
    }

    /// Is this beacon of a node that is not joined with this one news? There is room for some such nodes, and no more.
    pub(super) fn overhear(&mut self, node: &NodeName, now: Number) -> bool {
        (self.0.contains_key(node) || self.0.len() < MOST) && self.hear_beacon(node, now, 0)
    }

    /// Forgets a node.
    pub(super) fn forget(&mut self, node: &NodeName) {
        self.0.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beacon_counts_once_and_never_after_a_later_one() {
        let (mut fresh, node) = (Freshness::default(), NodeName::from("P"));
        let mut hear = |boot, sequence| fresh.hear_beacon(&node, (boot, sequence), 4);
        assert!(!hear(3, 100), "of a run that is known to be over");
        assert!(hear(4, 7));
        assert_eq!((hear(4, 7), hear(4, 6), hear(4, 8)), (false, false, true));
        assert!(hear(5, 1), "the node was started again");
        assert!(!hear(4, 9));
        assert!(fresh.hear_beacon(&"Q".into(), (1, 1), 0), "another node");
    }

    #[test]
    fn the_link_says_which_run_is_the_present_one() {
        let (mut fresh, node) = (Freshness::default(), NodeName::from("P"));
        assert!(fresh.hear_beacon(&node, (9, 50), 0));
        // Its state was lost: it counts from the beginning.
        fresh.hear_link(&node, (2, 1));
        assert!(fresh.hear_beacon(&node, (2, 2), 0));
        assert!(!fresh.hear_beacon(&node, (2, 2), 0));
        // Its state was put back: it counts anew within the run.
        fresh.hear_link(&node, (2, 1));
        assert!(fresh.hear_beacon(&node, (2, 2), 0));
        // Another machine has its name and the pairing key; what its link says goes before.
        assert!(fresh.hear_beacon(&node, (9, 1), 0));
        assert!(!fresh.hear_beacon(&node, (2, 3), 0));
        fresh.hear_link(&node, (2, 4));
        assert!(fresh.hear_beacon(&node, (2, 5), 0));
        fresh.forget(&node);
        assert!(fresh.hear_beacon(&node, (1, 1), 1));
    }

    #[test]
    fn there_is_room_for_so_many_nodes_that_are_not_joined_and_no_more() {
        let mut fresh = Freshness::default();
        let heard = (0..1000).filter(|number| fresh.overhear(&format!("N{number}").as_str().into(), (1, 1))).count();
        assert_eq!(heard, MOST);
        assert!(fresh.overhear(&"N0".into(), (1, 2)), "who is known already");
    }
}
