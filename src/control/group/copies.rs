//! Copies of seats: pulled by who does not hold them, pushed by who does.

use super::{Done, Group};
use crate::{
    control::{
        clock::wall_now,
        journal::Receipt,
        seats::SeatOrder,
        sync::{self, Copy, Pushed, Verdict},
    },
    decide::{effect::PairRecord, seat::input::Input},
    model::{
        Epoch, NodeName, PairName, Time,
        causes::chain,
        view::group::{PulledView, SyncResult, SyncView},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;

/// A change of a pair's side waits so long for the others' acknowledgement, and is then flagged instead.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(500);
/// Records that wait for the push under way at most.
const WAITING: usize = 4096;
/// After a pull that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two pokes of a node that lags.
const POKE_EVERY: Duration = Duration::from_secs(2);

/// To whom records of a seat go, and the records.
type Batch = (Vec<NodeName>, Vec<(PairName, PairRecord)>);

/// What a node has of a seat, and since when.
#[derive(Debug)]
pub(super) struct Has {
    at: String,
    time: Time,
    order: (Epoch, u64),
}

/// A copy that a node could not take, and since when that is so.
#[derive(Debug)]
pub(super) struct Refused {
    at: String,
    pub(super) since: Time,
    pub(super) why: String,
}

/// How copies stand.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// The last pull of each seat by this node.
    pub(super) pulls: BTreeMap<NodeName, SyncView>,
    due: BTreeMap<NodeName, Time>,
    pulling: BTreeSet<NodeName>,
    /// What each node has of each seat that is held here, and since when.
    pub(super) pulled_by: BTreeMap<(NodeName, NodeName), Has>,
    /// Seats and nodes that must pull them before they can be pushed to.
    behind: BTreeMap<(NodeName, NodeName), Time>,
    /// What each node could not take of each seat that is held here.
    pub(super) refused: BTreeMap<(NodeName, NodeName), Refused>,
    waiting: Vec<(NodeName, PairName, PairRecord, Receipt)>,
    pushing: bool,
}

impl Copies {
    /// The seat is held here no more: who has copied it is the next holder's to know.
    pub(super) fn forget_seat(&mut self, seat: &NodeName) {
        self.keep(|(of, _)| of != seat);
    }

    /// A node is a member no more.
    pub(super) fn forget(&mut self, node: &NodeName) {
        self.pulls.retain(|_, pull| pull.from != *node);
        self.keep(|(_, of)| of != node);
    }

    /// What is known of seats and nodes, as far as these are kept.
    fn keep(&mut self, is_kept: impl Fn(&(NodeName, NodeName)) -> bool) {
        self.pulled_by.retain(|key, _| is_kept(key));
        self.behind.retain(|key, _| is_kept(key));
        self.refused.retain(|key, _| is_kept(key));
    }
}

impl Group {
    /// Pulls what is held elsewhere and was not pulled for long enough, or never.
    pub(super) fn pull_what_is_due(&mut self) {
        let (now, every) = (self.clock.now(), self.spec.sync.interval);
        let heard = self.heard();
        let elsewhere: Vec<_> = self
            .machine
            .seats()
            // What is only supposed, because nobody was heard yet, is no seat that could be pulled.
            .filter(|(seat, status)| {
                !status.serving && status.epoch > Epoch(0) && self.machine.has_use_for(&self.me, seat)
            })
            .filter_map(|(seat, status)| Some((seat.clone(), status.holder.filter(|holder| heard.contains(holder))?)))
            .collect();
        for (seat, from) in elsewhere {
            let never = !self.arranger.known().contains_key(&seat) && !self.copies.pulls.contains_key(&seat);
            let due = self.copies.due.get(&seat).is_none_or(|at| now >= *at);
            if due && (never || !every.is_zero() || self.copies.due.contains_key(&seat)) {
                self.pull(seat, from);
            }
        }
    }

    pub(super) fn pull(&mut self, seat: NodeName, from: NodeName) {
        if !self.copies.pulling.insert(seat.clone()) {
            return;
        }
        let running =
            SyncView { result: SyncResult::Running, at: wall_now(), from: from.clone(), revision: None, error: None };
        self.copies.pulls.insert(seat.clone(), running);
        let (links, arranger) = (Arc::clone(&self.links), self.arranger.clone());
        self.tasks.spawn(async move {
            let (order, result) = match sync::pull(&links, &from, &seat).await {
                Ok(copy) => (Some(copy.order()), arranger.take(copy).await),
                Err(error) => (None, Err(chain(&error))),
            };
            Done::Pulled { seat, from, order, result }
        });
    }

    pub(super) fn pulled(
        &mut self,
        seat: NodeName,
        from: NodeName,
        order: Option<(Epoch, u64)>,
        result: Result<(u64, String), String>,
    ) {
        self.copies.pulling.remove(&seat);
        if let Some(order) = order {
            let verdict = Verdict { seat: seat.clone(), order, refused: result.as_ref().err().cloned() };
            let (links, from) = (Arc::clone(&self.links), from.clone());
            self.tasks.spawn(async move {
                if let Err(error) = sync::pulled(&links, &from, &verdict).await {
                    tracing::debug!(%from, %error, "who was pulled from could not be told what became of it");
                }
                Done::Nothing
            });
        }
        let now = self.clock.now();
        let mut view = SyncView { result: SyncResult::Done, at: wall_now(), from, revision: None, error: None };
        let before = self.copies.pulls.get(&seat).and_then(|pull| pull.error.clone());
        let interval = self.spec.sync.interval;
        match result {
            Ok((revision, name)) => {
                view.revision = Some(name);
                match interval.is_zero() {
                    true => drop(self.copies.due.remove(&seat)),
                    false => drop(self.copies.due.insert(seat.clone(), now + interval)),
                }
                self.copies.pulls.insert(seat.clone(), view);
                self.input(Input::Synced { seat, revision });
            }
            Err(why) => {
                if before.as_ref() != Some(&why) {
                    self.event(
                        "sync_failed",
                        true,
                        format!("seat {seat} could not be copied from {}: {why}", view.from),
                    );
                }
                (view.result, view.error) = (SyncResult::Failed, Some(why));
                self.copies.due.insert(seat.clone(), now + AGAIN);
                self.copies.pulls.insert(seat.clone(), view);
                self.input(Input::SyncFailed(seat));
            }
        }
    }

    /// Pull it at the next look.
    pub(super) fn pull_soon(&mut self, seat: NodeName) {
        self.copies.due.insert(seat, self.clock.now());
    }

    /// Somebody took a whole copy from here, or could not.
    pub(super) fn judged(&mut self, node: NodeName, verdict: Verdict) {
        let Verdict { seat, order, refused } = verdict;
        if !self.served().contains(&seat) || !self.machine.has_use_for(&node, &seat) {
            return;
        }
        let (key, at, now) = ((seat, node), wall_now(), self.clock.now());
        match refused {
            None => {
                self.copies.behind.remove(&key);
                self.copies.refused.remove(&key);
                self.copies.pulled_by.insert(key, Has { at, time: now, order });
            }
            Some(why) => {
                let why = sync::others_words(&why);
                let since = self.copies.refused.get(&key).map_or(now, |known| known.since);
                self.copies.refused.insert(key, Refused { at, since, why });
            }
        }
        self.changed = true;
        self.answer_joins();
    }

    pub(super) fn replicate(&mut self, seat: NodeName, pair: PairName, record: PairRecord, receipt: Receipt) {
        if self.copies.waiting.len() >= WAITING {
            return self.replicated(vec![(pair, receipt)]);
        }
        self.copies.waiting.push((seat, pair, record, receipt));
        self.push_what_waits();
    }

    /// Writes down what waits, and gives it to all nodes that are there: one batch at a time.
    pub(super) fn push_what_waits(&mut self) {
        if self.copies.pushing || self.copies.waiting.is_empty() {
            return self.poke_who_lags();
        }
        self.copies.pushing = true;
        let batch = std::mem::take(&mut self.copies.waiting);
        let mut by_seat: BTreeMap<NodeName, Batch> = BTreeMap::new();
        let receipts = batch.iter().map(|(_, pair, _, receipt)| (pair.clone(), *receipt)).collect();
        for (seat, pair, record, _) in batch {
            by_seat.entry(seat).or_default().1.push((pair, record));
        }
        for (seat, (peers, _)) in &mut by_seat {
            *peers = self.whom_to_push(seat);
        }
        let (links, arranger) = (Arc::clone(&self.links), self.arranger.clone());
        self.tasks.spawn(async move {
            let (mut results, mut seats) = (Vec::new(), BTreeMap::new());
            for (seat, (peers, records)) in by_seat {
                let writer = arranger.clone();
                let name = seat.clone();
                let written = tokio::task::spawn_blocking(move || writer.store().write_records(&name, &records)).await;
                let update = match written {
                    Ok(Ok(Some(update))) => update,
                    Ok(Ok(None)) => continue,
                    Ok(Err(error)) => {
                        tracing::error!(%seat, error = %chain(&error), "a record could not be written down for the others");
                        results.extend(peers.iter().map(|peer| (seat.clone(), peer.clone(), false)));
                        continue;
                    }
                    Err(_) => continue,
                };
                seats.insert(seat.clone(), (update.epoch, update.serial));
                let mut pushes = JoinSet::new();
                for peer in peers.iter().cloned() {
                    let (links, update, seat) = (Arc::clone(&links), update.clone(), seat.clone());
                    pushes.spawn(async move {
                        let pushed = sync::push(&links, &peer, &update, ACKNOWLEDGED_WITHIN).await;
                        (seat, peer, matches!(pushed, Ok(Pushed::Taken)))
                    });
                }
                results.extend(pushes.join_all().await);
            }
            Done::Pushed { receipts, results, seats }
        });
    }

    pub(super) fn pushed(
        &mut self,
        receipts: Vec<(PairName, Receipt)>,
        results: Vec<(NodeName, NodeName, bool)>,
        seats: &BTreeMap<NodeName, (Epoch, u64)>,
    ) {
        self.copies.pushing = false;
        let now = self.clock.now();
        let was = self.copies.behind.len();
        for (seat, node, taken) in results {
            if let Some(order) = seats.get(&seat).filter(|_| taken) {
                self.copies.pulled_by.insert((seat, node), Has { at: wall_now(), time: now, order: *order });
            } else {
                self.copies.behind.insert((seat, node), now);
            }
        }
        if self.copies.behind.len() > was {
            let who = self.copies.behind.keys().map(|(_, node)| &**node).collect::<BTreeSet<&str>>();
            let who: Vec<&str> = who.into_iter().collect();
            self.event("unreplicated", true, format!("a change was not acknowledged by {}", who.join(", ")));
        }
        self.replicated(receipts);
        self.push_what_waits();
    }

    fn replicated(&mut self, receipts: Vec<(PairName, Receipt)>) {
        let driver = self.driver.clone();
        self.tasks.spawn(async move {
            for (pair, receipt) in receipts {
                let _stopping = driver.send(SeatOrder::Replicated(pair, receipt)).await;
            }
            Done::Nothing
        });
    }

    /// The nodes that are there and have a use for the seat's records. Who has nothing yet has to pull the whole first.
    fn whom_to_push(&mut self, seat: &NodeName) -> Vec<NodeName> {
        let key = |node: &NodeName| (seat.clone(), node.clone());
        let wanted = self.there_for(seat).into_iter().filter(|node| !self.copies.behind.contains_key(&key(node)));
        let (peers, empty): (Vec<_>, Vec<_>) = wanted.partition(|node| self.copies.pulled_by.contains_key(&key(node)));
        let at = self.clock.now() + POKE_EVERY;
        self.copies.behind.extend(empty.into_iter().map(|node| (key(&node), at)));
        peers
    }

    /// The other nodes that are there and have a use for the seat.
    fn there_for(&self, seat: &NodeName) -> Vec<NodeName> {
        self.heard().into_iter().filter(|node| self.machine.has_use_for(node, seat)).collect()
    }

    fn poke_who_lags(&mut self) {
        let now = self.clock.now();
        let lag: Vec<_> =
            self.copies.behind.iter().filter(|(_, at)| now >= **at).map(|(which, _)| which.clone()).collect();
        for (seat, node) in lag {
            self.poke(&seat, std::slice::from_ref(&node));
            self.copies.behind.insert((seat, node), now + POKE_EVERY);
        }
    }

    /// Has a node that is there missed something of this seat?
    pub(super) fn is_unreplicated(&self, seat: &NodeName) -> bool {
        self.there_for(seat).into_iter().any(|node| self.copies.behind.contains_key(&(seat.clone(), node)))
    }

    /// Tells nodes that there is something to pull of a seat that is held here, if they have a use for it.
    pub(super) fn poke(&mut self, seat: &NodeName, nodes: &[NodeName]) {
        let held = self.machine.seats().any(|(name, status)| name == seat && status.serving);
        for node in nodes.iter().filter(|node| held && self.machine.has_use_for(node, seat)) {
            let (links, node, seat) = (Arc::clone(&self.links), node.clone(), seat.clone());
            self.tasks.spawn(async move {
                if let Err(error) = sync::poke(&links, &node, &seat).await {
                    tracing::debug!(%node, %error, "a node could not be told that something changed");
                }
                Done::Nothing
            });
        }
    }

    /// What a seat's copy that was just written is called from now on.
    pub(super) fn was_written(&mut self, seat: &NodeName) {
        let revision = self.arranger.known().get(seat).map(Copy::revision_number);
        if let Some(revision) = revision {
            self.input(Input::Synced { seat: seat.clone(), revision });
        }
        self.poke(seat, &self.others());
    }

    pub(super) fn pulled_views(&self, seat: &NodeName, order: (Epoch, u64)) -> Vec<PulledView> {
        let refused = self.copies.refused.iter().filter(|((of, _), _)| of == seat);
        let error = |((_, node), refused): (&(NodeName, NodeName), &Refused)| {
            let (node, at, error) = (node.clone(), refused.at.clone(), Some(refused.why.clone()));
            PulledView { node, at, synchronized: false, error }
        };
        let taken =
            self.copies.pulled_by.iter().filter(|(key, _)| key.0 == *seat && !self.copies.refused.contains_key(key));
        let view = |((_, node), has): (&(NodeName, NodeName), &Has)| PulledView {
            node: node.clone(),
            at: has.at.clone(),
            synchronized: has.order >= order,
            error: None,
        };
        taken.map(view).chain(refused.map(error)).collect()
    }

    /// When the seat was pulled last by anybody (`B7`).
    pub(super) fn last_pulled(&self, seat: &NodeName) -> Option<Time> {
        self.copies.pulled_by.iter().filter(|((of, _), _)| of == seat).map(|(_, has)| has.time).max()
    }
}
