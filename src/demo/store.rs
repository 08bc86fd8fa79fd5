//! Which events are held: numbers per probe, kept as ranges, so that hours of events cost a few bytes a probe.

use super::protocol::ProbeId;
use std::collections::BTreeMap;

/// More probes than this are refused.
const MOST_PROBES: usize = 10_000;
/// More gaps than this in one probe's numbers are refused.
const MOST_RANGES: usize = 1_000;

/// A set of numbers: sorted, disjoint, never adjacent ranges, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds `first..=last`; how many of them are new.
    pub(super) fn insert(&mut self, first: u64, last: u64) -> u64 {
        if last < first {
            return 0;
        }
        // Everything from `start` to `end` touches the newcomer and melts into it.
        let start = self.0.partition_point(|range| range.1.saturating_add(1) < first);
        let end = self.0.partition_point(|range| range.0 <= last.saturating_add(1));
        let touched = &self.0[start..end];
        let known: u64 = touched.iter().map(|range| overlap(*range, (first, last))).sum();
        let merged = (
            touched.first().map_or(first, |range| range.0.min(first)),
            touched.last().map_or(last, |range| range.1.max(last)),
        );
        self.0.splice(start..end, [merged]);
        last - first + 1 - known
    }

    /// How many of `first..=last` are in the set.
    pub(super) fn count_within(&self, first: u64, last: u64) -> u64 {
        self.0.iter().map(|range| overlap(*range, (first, last))).sum()
    }

    /// How many numbers there are.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// The ranges, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }
}

fn overlap(a: (u64, u64), b: (u64, u64)) -> u64 {
    let (first, last) = (a.0.max(b.0), a.1.min(b.1));
    if first <= last { last - first + 1 } else { 0 }
}

/// Everything a server holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Store {
    probes: BTreeMap<ProbeId, Ranges>,
    rows: u64,
}

/// The store has no room for this probe or this gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store is full")]
pub(super) struct Full;

impl Store {
    /// Keeps events `first..=last` of a probe; how many were new. A known one is recognised and not kept twice.
    ///
    /// # Errors
    /// [`Full`], and nothing is changed.
    pub(super) fn insert(&mut self, probe: ProbeId, first: u64, last: u64) -> Result<u64, Full> {
        if !self.probes.contains_key(&probe) && self.probes.len() == MOST_PROBES {
            return Err(Full);
        }
        let ranges = self.probes.entry(probe).or_default();
        if ranges.0.len() == MOST_RANGES {
            return Err(Full);
        }
        let new = ranges.insert(first, last);
        self.rows += new;
        Ok(new)
    }

    /// How many rows were kept. Counted apart from the ranges, so that the two check each other.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Every range held.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ProbeId, u64, u64)> + '_ {
        self.probes.iter().flat_map(|(probe, ranges)| ranges.iter().map(|(first, last)| (*probe, first, last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_event_sent_twice_is_kept_once() {
        let mut store = Store::default();
        assert_eq!(store.insert(ProbeId(7), 1, 1), Ok(1));
        assert_eq!(store.insert(ProbeId(7), 1, 1), Ok(0));
        assert_eq!(store.insert(ProbeId(8), 1, 1), Ok(1), "another probe's number 1 is another event");
        assert_eq!(store.rows(), 2);
    }

    #[test]
    fn numbers_in_a_row_are_one_range() {
        let mut store = Store::default();
        for seq in [1, 2, 5, 4, 3] {
            store.insert(ProbeId(7), seq, seq).unwrap();
        }
        assert_eq!(store.iter().collect::<Vec<_>>(), [(ProbeId(7), 1, 5)]);
    }

    #[test]
    fn a_stranger_cannot_fill_the_memory() {
        let mut store = Store::default();
        let gaps = (0..=MOST_RANGES as u64).map(|n| store.insert(ProbeId(1), 2 * n, 2 * n)).collect::<Vec<_>>();
        assert_eq!(gaps.last(), Some(&Err(Full)));
        let probes = (0..=MOST_PROBES as u64).map(|n| store.insert(ProbeId(n), 1, 1)).collect::<Vec<_>>();
        assert_eq!(probes.last(), Some(&Err(Full)));
    }

    proptest! {
        #[test]
        fn ranges_behave_like_a_set(inserts in prop::collection::vec((0_u64..60, 0_u64..9), 0..60)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (first, more) in inserts {
                let new = (first..=first + more).filter(|n| set.insert(*n)).count() as u64;
                prop_assert_eq!(ranges.insert(first, first + more), new);
            }
            prop_assert_eq!(ranges.len(), set.len() as u64);
            let listed: Vec<u64> = ranges.iter().flat_map(|(first, last)| first..=last).collect();
            prop_assert_eq!(listed, set.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(ranges.count_within(10, 40), set.range(10..=40).count() as u64);
            let apart = ranges.0.windows(2).all(|two| two[0].1 + 1 < two[1].0);
            prop_assert!(apart, "{:?}", ranges);
        }
    }
}
