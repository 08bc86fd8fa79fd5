//! The probes together, and the audit of what became of their events.

use super::{
    ask::Dump,
    probe::{Probe, Tally},
    protocol::ProbeId,
};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};

/// Some probes that run until this is dropped.
#[derive(Debug)]
pub(super) struct Fleet {
    probes: Vec<Probe>,
    producing: watch::Sender<bool>,
}

/// What became of the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Events that happened at the probes and were sent.
    pub(super) sent: u64,
    /// Events of the fleet that the server holds.
    pub(super) stored: u64,
    /// Events that were acknowledged and that the server does not hold.
    pub(super) lost: u64,
    /// Rows beyond one for each event.
    pub(super) duplicated: u64,
}

impl Fleet {
    /// Starts `size` probes, numbered from `first`, each sending an event every `pace` to `target`.
    pub(super) fn start(first: u64, size: u64, target: &str, pace: Duration) -> Self {
        let (producing, receiver) = watch::channel(true);
        let probe = |id| Probe::start(ProbeId(id), target.to_owned(), pace, receiver.clone());
        Self { probes: (first..first + size).map(probe).collect(), producing }
    }

    /// How many probes there are.
    pub(super) fn size(&self) -> u64 {
        self.probes.len() as u64
    }

    /// Lets events happen, or not.
    pub(super) fn produce(&self, yes: bool) {
        self.producing.send_replace(yes);
    }

    /// Every probe's own view.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        self.probes.iter().map(Probe::tally).collect()
    }

    /// One sum over all probes.
    pub(super) fn sum(&self, of: impl Fn(&Tally) -> u64) -> u64 {
        self.tallies().iter().map(of).sum()
    }

    /// How many probes talk to that server now.
    pub(super) fn on(&self, server: &str) -> u64 {
        self.sum(|tally| u64::from(tally.server.as_deref() == Some(server)))
    }

    /// How many probes wait: neither server answers them.
    pub(super) fn waiting(&self) -> u64 {
        self.sum(|tally| u64::from(tally.server.is_none()))
    }

    /// Has everything that happened been acknowledged?
    pub(super) fn is_settled(&self) -> bool {
        self.tallies().iter().all(|tally| tally.acknowledged == tally.produced)
    }

    /// How long after `start` each probe was greeted by the server it talks to now, sorted.
    pub(super) fn greeted_after(&self, start: Instant) -> Vec<Duration> {
        let greeted = self.tallies().into_iter().filter_map(|tally| tally.greeted);
        let mut after: Vec<Duration> = greeted.map(|at| at.saturating_duration_since(start)).collect();
        after.sort_unstable();
        after
    }

    /// What each probe got acknowledged so far: take it before the dump it is compared with.
    pub(super) fn promises(&self) -> Vec<(ProbeId, Tally)> {
        self.probes.iter().map(|probe| (probe.id, probe.tally())).collect()
    }
}

/// Compares what was acknowledged with what is held.
pub(super) fn audit(promises: &[(ProbeId, Tally)], held: &Dump) -> Count {
    let mut count = Count { duplicated: held.rows.saturating_sub(held.events()), ..Count::default() };
    for (probe, tally) in promises {
        let kept = held.count(*probe, 1, tally.acknowledged);
        count.sent += tally.produced;
        count.stored += held.count(*probe, 1, u64::MAX);
        count.lost += tally.acknowledged - kept;
    }
    count
}

impl Count {
    /// Is it what it should be once everything is settled?
    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.stored == self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promised(produced: u64, acknowledged: u64) -> [(ProbeId, Tally); 1] {
        [(ProbeId(7), Tally { produced, acknowledged, ..Tally::default() })]
    }

    fn held(ranges: &[(u64, u64)], rows: u64) -> Dump {
        let mut dump = Dump::default();
        dump.rows = rows;
        for (first, last) in ranges {
            dump.add(ProbeId(7), *first, *last);
        }
        dump
    }

    #[test]
    fn what_was_acknowledged_and_is_not_held_is_lost() {
        let count = audit(&promised(10, 9), &held(&[(1, 3), (5, 8)], 7));
        assert_eq!(count, Count { sent: 10, stored: 7, lost: 2, duplicated: 0 });
    }

    #[test]
    fn what_is_held_but_not_yet_acknowledged_is_not_lost() {
        let count = audit(&promised(10, 9), &held(&[(1, 10)], 10));
        assert_eq!(count, Count { sent: 10, stored: 10, lost: 0, duplicated: 0 });
    }

    #[test]
    fn more_rows_than_events_are_duplicates() {
        assert_eq!(audit(&promised(3, 3), &held(&[(1, 3)], 5)).duplicated, 2);
    }
}
