//! Copies of seats, as who holds them gives them to the others.

use super::{Done, Group};
use crate::{
    control::{
        clock::wall_now,
        journal::Receipt,
        seats::SeatOrder,
        sync::{self, Copy, Pushed, Verdict},
    },
    decide::{effect::PairRecord, seat::input::Input},
    model::{Epoch, NodeName, PairName, Time, causes::chain, view::group::PulledView},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;

/// A change of a pair's side waits so long for the others' acknowledgement, and is then flagged instead.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(500);
/// What the disk did not take is tried again after this long.
const WRITE_AGAIN: Duration = Duration::from_secs(1);
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
    /// What each node has of each seat that is held here, and since when.
    pub(super) pulled_by: BTreeMap<(NodeName, NodeName), Has>,
    /// Seats and nodes that must pull them before they can be pushed to.
    behind: BTreeMap<(NodeName, NodeName), Time>,
    /// What each node could not take of each seat that is held here.
    pub(super) refused: BTreeMap<(NodeName, NodeName), Refused>,
    /// The newest record of each pair that is still to be given to the others, and who waits for that.
    waiting: BTreeMap<(NodeName, PairName), (PairRecord, Vec<Receipt>)>,
    pushing: bool,
    /// The disk did not take what is known: it is tried again then.
    write_at: Option<Time>,
}

impl Copies {
    /// The seat is held here no more: who has copied it is the next holder's to know.
    pub(super) fn forget_seat(&mut self, seat: &NodeName) {
        self.keep(|(of, _)| of != seat);
    }

    /// A node is a member no more.
    pub(super) fn forget(&mut self, node: &NodeName) {
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
    /// Somebody took a whole copy from here, or could not.
    pub(super) fn judged(&mut self, node: NodeName, verdict: Verdict) {
        let Verdict { seat, order, refused } = verdict;
        if !self.served().contains(&seat) || !self.machine.has_use_for(&node, &seat) {
            return;
        }
        let newest = self.arranger.known().get(&seat).map_or(order, Copy::order);
        if order > newest {
            // Nobody has what was never written.
            return;
        }
        let (key, at, now) = ((seat, node), wall_now(), self.clock.now());
        match refused {
            None => {
                // What was pulled may be from before the last change.
                if order == newest {
                    self.copies.behind.remove(&key);
                } else {
                    self.copies.behind.insert(key.clone(), now);
                }
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
        let (newest, receipts) =
            self.copies.waiting.entry((seat, pair)).or_insert_with(|| (record.clone(), Vec::new()));
        *newest = record;
        receipts.push(receipt);
        self.push_what_waits();
    }

    /// Gives what waits to all nodes that are there: one batch at a time.
    pub(super) fn push_what_waits(&mut self) {
        if self.copies.pushing || self.copies.waiting.is_empty() {
            return self.poke_who_lags();
        }
        self.copies.pushing = true;
        let (mut by_seat, mut receipts) = (BTreeMap::<NodeName, Batch>::new(), Vec::new());
        for ((seat, pair), (record, given)) in std::mem::take(&mut self.copies.waiting) {
            receipts.extend(given.into_iter().map(|receipt| (pair.clone(), receipt)));
            by_seat.entry(seat).or_default().1.push((pair, record));
        }
        for (seat, (peers, _)) in &mut by_seat {
            *peers = self.whom_to_push(seat);
        }
        let (links, arranger) = (Arc::clone(&self.links), self.arranger.clone());
        self.tasks.spawn(async move {
            let (mut results, mut seats) = (Vec::new(), BTreeMap::new());
            for (seat, (peers, records)) in by_seat {
                let (keeper, name) = (arranger.clone(), seat.clone());
                let kept = tokio::task::spawn_blocking(move || keeper.store().keep_records(&name, &records)).await;
                let Ok(Some(update)) = kept else { continue };
                seats.insert(seat.clone(), (update.epoch, update.serial));
                let mut pushes = JoinSet::new();
                for peer in peers {
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

    /// Puts on this node's own disk what is in force here. The others have it by then, or know that they lack it.
    pub(super) fn write_down(&mut self) {
        self.copies.write_at = None;
        let arranger = self.arranger.clone();
        self.tasks.spawn(async move {
            let written = tokio::task::spawn_blocking(move || arranger.store().write_down()).await;
            written.map_or(Done::Nothing, |written| Done::WrittenDown(written.map_err(|error| chain(&error))))
        });
    }

    pub(super) fn written_down(&mut self, written: Result<(), String>) {
        if written.is_err() {
            self.copies.write_at = Some(self.clock.now() + WRITE_AGAIN);
        }
        if self.seats_stored(written) {
            let arranger = self.arranger.clone();
            self.tasks.spawn_blocking(move || {
                arranger.remember_import();
                Done::Nothing
            });
        }
    }

    /// Tries again what the disk did not take.
    pub(super) fn write_down_what_is_due(&mut self) {
        if self.copies.write_at.is_some_and(|at| self.clock.now() >= at) {
            self.write_down();
        }
    }

    pub(super) fn pushed(
        &mut self,
        receipts: Vec<(PairName, Receipt)>,
        results: Vec<(NodeName, NodeName, bool)>,
        seats: &BTreeMap<NodeName, (Epoch, u64)>,
    ) {
        self.copies.pushing = false;
        self.replicated(receipts);
        self.write_down();
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
