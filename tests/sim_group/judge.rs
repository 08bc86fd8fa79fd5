//! What must hold after every step, whatever happens. The first rule that is broken ends the run.

use crate::{
    chain::Chain,
    world::{NAMES, World},
};
use failback::{
    decide::seat::effect::NodeRecord,
    model::{Epoch, NodeName, Time, seat::SeatReason},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

#[derive(Default)]
pub(crate) struct Judge {
    /// The rule that was broken.
    pub(crate) broken: Option<String>,
    /// Every seat is served by its own node again.
    pub(crate) satisfied: bool,
    /// Seats that were taken by force: what that loses is the operator's decision.
    pub(crate) forced: BTreeSet<NodeName>,
    /// Under which epochs seats were granted.
    pub(crate) granted: BTreeSet<(NodeName, Epoch)>,
    /// Two serve one seat, and the one with the lower epoch can hear the other, since.
    both: BTreeMap<(NodeName, usize, usize), Time>,
    /// Who served under each epoch.
    tenures: BTreeMap<(NodeName, Epoch), usize>,
    /// When each node last began to serve each seat.
    began: BTreeMap<(NodeName, usize), Time>,
    /// When a cut was made or mended last.
    rewired: Time,
    /// Edits that every node has acknowledged.
    acknowledged: BTreeMap<NodeName, BTreeSet<u64>>,
    /// What the holder with the highest epoch had when it was last seen serving.
    written: BTreeMap<NodeName, (Epoch, Vec<u64>)>,
    /// The highest epoch each node had on its disk or was about to.
    stored: BTreeMap<(usize, NodeName), Epoch>,
}

impl World {
    pub(crate) fn require(&mut self, holds: bool, rule: &str) {
        if !holds && self.judge.broken.is_none() {
            self.log(|| format!("BROKEN: {rule}"));
            self.judge.broken = Some(format!("at {:?}: {rule}", self.now));
        }
    }

    /// After every step.
    pub(crate) fn judge_all(&mut self) {
        for name in &NAMES[..self.primaries] {
            self.judge_holders(&(*name).into());
        }
        let Some(calm) = self.calm else { return };
        let whole = (0..self.primaries).all(|home| {
            let serves = |node: &usize| self.nodes[*node].accepts.contains_key(NAMES[home]);
            serves(&home) && (0..self.nodes.len()).filter(serves).count() == 1
        });
        let span = self.now.since(calm);
        self.judge.satisfied = whole && span > Duration::from_secs(8) && self.nodes.iter().all(|node| node.may_change);
        self.require(span < Duration::from_secs(90), "every seat is served by its own node again after the last fault");
    }

    /// Two that serve one seat: no longer than two heartbeats once the lower one can hear the higher one.
    fn judge_holders(&mut self, seat: &NodeName) {
        let lifetime = self.spec.lifetime;
        let bound = self.spec.heartbeat * 2 + Duration::from_millis(150);
        for high in 0..self.nodes.len() {
            for low in 0..self.nodes.len() {
                let awake = |node: usize| {
                    let node = &self.nodes[node];
                    !node.is_frozen(self.now) && node.owns(seat, self.now, lifetime)
                };
                let key = (seat.clone(), high, low);
                let rank = |node: usize| (self.nodes[node].accepts.get(seat), node);
                if high == low || !awake(high) || !awake(low) || rank(high) < rank(low) || !self.hears(low, high) {
                    self.judge.both.remove(&key);
                    continue;
                }
                let since = *self.judge.both.entry(key).or_insert(self.now);
                self.require(self.now.since(since) <= bound, "two serve one seat while the lower hears the higher");
            }
        }
    }

    /// After everything a node did.
    pub(crate) fn judge_node(&mut self, number: usize) {
        let node = &self.nodes[number];
        let Some(machine) = &node.machine else { return };
        let agree = machine.seats().all(|(name, status)| {
            let accepts = node.accepts.get(name).copied();
            accepts == status.serving.then_some(status.epoch)
        });
        let isolated = node.isolated.is_some_and(|since| self.now.since(since) > Duration::from_secs(4));
        let frozen_lately = self.now.since(node.frozen.1) < Duration::from_secs(4);
        let silent = !isolated || frozen_lately || !node.may_change;
        self.require(agree, "clients are accepted under the highest epoch that is known, and no other");
        self.require(silent, "a node that is alone and reaches no witness changes no pair's side");
        for (seat, epoch) in self.nodes[number].accepts.clone() {
            let chain = self.nodes[number].chains.get(&seat).cloned().unwrap_or_default().edits;
            let written = self.judge.written.entry(seat).or_default();
            if epoch >= written.0 {
                *written = (epoch, chain);
            }
        }
    }

    pub(crate) fn judge_serve(&mut self, number: usize, seat: &NodeName, epoch: Epoch) {
        let node = &self.nodes[number];
        let stored = node.disk.as_ref().and_then(|disk| disk.seats.iter().find(|stored| stored.seat == *seat));
        let durable = stored.is_some_and(|stored| stored.epoch == epoch && stored.holder.as_ref() == Some(&node.name));
        self.require(durable, "an epoch is on the disk before it is acted on");
        self.judge_entry(number, seat);
        let first = *self.judge.tenures.entry((seat.clone(), epoch)).or_insert(number);
        // Who can't know all others can't keep its turn: then the greater name wins.
        self.require(first == number || self.strangers, "two nodes never hold one seat under the same epoch");
    }

    /// Who begins to serve must have shown that nobody else does: not while it is cut off, nor beside an owner it could see.
    fn judge_entry(&mut self, number: usize, seat: &NodeName) {
        let (now, long) = (self.now, Duration::from_millis(1500));
        if self.judge.forced.contains(seat) || self.nodes[number].accepts.contains_key(seat) {
            return;
        }
        let cut_off = self.nodes[number].isolated.is_some_and(|since| now.since(since) > Duration::from_secs(6));
        self.require(!cut_off, "a node that is cut off does not begin to serve");
        let settled = now.since(self.judge.rewired) > long;
        let seen = (0..self.nodes.len()).any(|other| {
            let both = self.segment(number, other) && self.segment(other, number);
            let since = self.judge.began.get(&(seat.clone(), other)).copied().unwrap_or(now);
            let awake = now.since(self.nodes[other].frozen.1) > long && !self.nodes[other].is_frozen(now);
            let owns = self.nodes[other].accepts.contains_key(seat) && now.since(since) > long && awake;
            other != number && both && owns
        });
        self.require(!(settled && seen), "nobody begins to serve beside an owner of the address that it could see");
        self.judge.began.insert((seat.clone(), number), now);
    }

    pub(crate) fn judge_served(&mut self, number: usize, seat: &NodeName, epoch: Epoch, reason: SeatReason) {
        if self.judge.forced.contains(seat) {
            return;
        }
        let chain = self.nodes[number].chains.get(seat).cloned().unwrap_or_default().edits;
        let known = self.judge.acknowledged.get(seat).cloned().unwrap_or_default();
        // Nor is a pair's side, which is so one across nodes (X4).
        self.require(known.iter().all(|edit| chain.contains(edit)), "no acknowledged revision is lost");
        let handed_over = matches!(reason, SeatReason::Reversed | SeatReason::Replaced | SeatReason::HolderUnable);
        if handed_over && self.judge.granted.contains(&(seat.clone(), epoch)) {
            let (_, written) = self.judge.written.get(seat).cloned().unwrap_or_default();
            let kept = written.iter().all(|edit| chain.contains(edit));
            self.require(kept, "a hand-over keeps all that the holder wrote");
        }
    }

    /// Who takes over by itself has what others have, as far as it could hear of it in time.
    fn judge_copies(&mut self, number: usize, seat: &NodeName) {
        let long = Duration::from_millis(1500);
        let lately = |since: Time| self.now.since(since) < long;
        let revision = |node: usize| self.nodes[node].chains.get(seat).map_or(0, Chain::revision);
        let newer = |other: &usize| {
            let node = &self.nodes[*other];
            let awake = node.machine.is_some() && !lately(node.started) && !lately(node.frozen.1);
            let settled = node.chains.get(seat).is_some_and(|chain| !lately(chain.since));
            awake && settled && *other >= self.primaries && revision(*other) > revision(number)
        };
        let hears = |other: &usize| self.hears(number, *other) && !lately(self.judge.rewired);
        let newer = (0..self.nodes.len()).any(|other| other != number && newer(&other) && hears(&other));
        self.require(!newer, "nobody takes over while it hears a node with a newer copy");
    }

    /// A record is on its way to the disk.
    pub(crate) fn judge_record(&mut self, number: usize, record: &NodeRecord) {
        for stored in &record.seats {
            let key = (number, stored.seat.clone());
            let before = self.judge.stored.get(&key).copied().unwrap_or_default();
            let old = self.nodes[number].disk.as_ref();
            let on_disk = old.and_then(|disk| disk.seats.iter().find(|old| old.seat == stored.seat));
            let durable = on_disk.map_or(Epoch(0), |old| old.epoch);
            self.require(stored.epoch >= durable, "an epoch never falls");
            let takes =
                stored.holder.as_ref() == Some(&self.nodes[number].name) && stored.epoch > before && before.0 > 0;
            let isolated =
                self.nodes[number].isolated.is_some_and(|since| self.now.since(since) > Duration::from_secs(4));
            let awake = self.now.since(self.nodes[number].frozen.1) > Duration::from_secs(4);
            let ordered = stored.reason == SeatReason::OperatorForce;
            self.require(!(takes && isolated && awake && !ordered), "an isolated node changes nothing");
            if takes && matches!(stored.reason, SeatReason::HolderSilent | SeatReason::HolderUnable) {
                self.judge_copies(number, &stored.seat);
            }
            self.judge.stored.insert(key, before.max(stored.epoch));
        }
    }

    /// An edit that every node has is acknowledged as replicated.
    pub(crate) fn judge_acknowledged(&mut self, seat: &NodeName) {
        let chains: Vec<BTreeSet<u64>> = self
            .nodes
            .iter()
            .map(|node| node.chains.get(seat).into_iter().flat_map(|chain| &chain.edits).copied().collect())
            .collect();
        let common = chains.iter().skip(1).fold(chains[0].clone(), |common, chain| &common & chain);
        self.judge.acknowledged.entry(seat.clone()).or_default().extend(common);
    }

    pub(crate) fn watch_isolation(&mut self) {
        self.judge.rewired = self.now;
        for number in 0..self.nodes.len() {
            let alone = (0..self.nodes.len()).all(|other| !self.hears(number, other)) && self.witness_cut[number];
            let since = self.nodes[number].isolated.unwrap_or(self.now);
            self.nodes[number].isolated = alone.then_some(since);
        }
    }
}
