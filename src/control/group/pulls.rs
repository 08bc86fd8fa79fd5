//! Copies of seats, pulled by who does not serve them.

use super::{Done, Group, arrange::Arranger};
use crate::{
    control::{
        clock::wall_now,
        peer::PeerLinks,
        sync::{self, Copy, GivenUp, Verdict},
    },
    decide::{effect::PairRecord, seat::input::Input},
    model::{
        Epoch, NodeName, PairName, Time,
        causes::chain,
        view::group::{SyncResult, SyncView},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::sleep;

/// After a pull that failed.
const AGAIN: Duration = Duration::from_secs(5);

/// An epoch is raised, and stored, well within this time; looked at so often at most.
const RAISED_WITHIN: Duration = Duration::from_millis(100);
const RAISED_AFTER: u32 = 20;

/// A pair's record that is given up, and what takes its place.
pub(super) type GivenUpRecord = (PairName, PairRecord, PairRecord);
/// The revision of what was taken, as a number and as it is shown; or why not.
type Taken = Result<(u64, String), String>;

/// How they stand.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    /// The last of each seat.
    pub(super) last: BTreeMap<NodeName, SyncView>,
    /// Why the last of each failed, if it did.
    errors: BTreeMap<NodeName, String>,
    /// Why what came of a seat can't be taken; until something was.
    lacking: BTreeMap<NodeName, String>,
    due: BTreeMap<NodeName, Time>,
    running: BTreeSet<NodeName>,
    /// Seats that were served here while another node served them, too, until what that one has was taken.
    pub(super) served_twice: BTreeSet<NodeName>,
    /// Something changed since the one under way began.
    again: BTreeSet<NodeName>,
}

impl Pulls {
    /// Why what the seat's holder had last could not be taken, if it came and could not.
    pub(super) fn lacking(&self, seat: &NodeName) -> Option<&str> {
        self.lacking.get(seat).map(String::as_str)
    }

    /// Nothing of it is known any more; should it be known again, it is pulled at once.
    pub(super) fn forget_seat(&mut self, seat: &NodeName) {
        self.last.remove(seat);
        self.due.remove(seat);
        self.errors.remove(seat);
        self.again.remove(seat);
        self.served_twice.remove(seat);
        self.no_longer_lacking(seat);
    }

    /// Newer settings were made here.
    pub(super) fn no_longer_lacking(&mut self, seat: &NodeName) {
        self.lacking.remove(seat);
    }

    /// A node is a member no more.
    pub(super) fn forget(&mut self, node: &NodeName) {
        self.last.retain(|_, pull| pull.from != *node);
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
            let never = !self.arranger.known().contains_key(&seat) && !self.pulls.last.contains_key(&seat);
            let due = self.pulls.due.get(&seat).is_none_or(|at| now >= *at);
            if due && (never || !every.is_zero() || self.pulls.due.contains_key(&seat)) {
                self.pull(seat, from);
            }
        }
    }

    /// What is there now, and not only what was there when a pull began that is under way.
    pub(super) fn pull_anew(&mut self, seat: NodeName, from: NodeName) {
        if self.pulls.running.contains(&seat) {
            self.pulls.again.insert(seat);
        } else {
            self.pull(seat, from);
        }
    }

    pub(super) fn pull(&mut self, seat: NodeName, from: NodeName) {
        if !self.pulls.running.insert(seat.clone()) {
            return;
        }
        let running =
            SyncView { result: SyncResult::Running, at: wall_now(), from: from.clone(), revision: None, error: None };
        self.pulls.last.insert(seat.clone(), running);
        let (links, arranger) = (Arc::clone(&self.links), self.arranger.clone());
        let twice = self.pulls.served_twice.contains(&seat);
        self.tasks.spawn(async move {
            let (order, result) = match sync::pull(&links, &from, &seat).await {
                Ok(copy) => {
                    let (copy, taken) = take(&links, &from, &arranger, copy, twice).await;
                    (Some(copy.order()), taken)
                }
                Err(error) => (None, Err(chain(&error))),
            };
            Done::Pulled { seat, from, order, result }
        });
    }

    pub(super) fn pulled(&mut self, seat: NodeName, from: NodeName, order: Option<(Epoch, u64)>, result: Taken) {
        self.pulls.running.remove(&seat);
        if self.pulls.again.remove(&seat) {
            self.pull(seat.clone(), from.clone());
        }
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
        let interval = self.spec.sync.interval;
        match result {
            Ok((revision, name)) => {
                self.pulls.errors.remove(&seat);
                self.pulls.lacking.remove(&seat);
                self.pulls.served_twice.remove(&seat);
                view.revision = Some(name);
                if interval.is_zero() {
                    self.pulls.due.remove(&seat);
                } else {
                    self.pulls.due.insert(seat.clone(), now + interval);
                }
                self.pulls.last.insert(seat.clone(), view);
                self.input(Input::Synced { seat, revision });
            }
            Err(why) => {
                let known = self.arranger.known().get(&seat).map(Copy::order);
                if order > known && !self.served().contains(&seat) {
                    self.pulls.lacking.insert(seat.clone(), why.clone());
                }
                if self.pulls.errors.insert(seat.clone(), why.clone()).as_ref() != Some(&why) {
                    self.event(
                        "sync_failed",
                        true,
                        format!("seat {seat} could not be copied from {}: {why}", view.from),
                    );
                }
                (view.result, view.error) = (SyncResult::Failed, Some(why));
                self.pulls.due.insert(seat.clone(), now + AGAIN);
                self.pulls.last.insert(seat.clone(), view);
                self.input(Input::SyncFailed { seat, came: order.is_some() });
            }
        }
    }

    /// Pull it at the next look.
    pub(super) fn pull_soon(&mut self, seat: NodeName) {
        self.pulls.due.insert(seat, self.clock.now());
    }
}

/// Takes a copy. Epochs of pairs that are given up for it must not be used again: who wrote it is told of them first, and is pulled from
/// until its own are above, so that the copy which is taken says so, too.
async fn take(
    links: &PeerLinks,
    from: &NodeName,
    arranger: &Arranger,
    mut copy: Copy,
    served_twice: bool,
) -> (Copy, Taken) {
    let known = arranger.known().get(&copy.seat).cloned();
    let given_up = |copy: &Copy| -> Vec<GivenUpRecord> {
        let given_up = known.iter().flat_map(|known| copy.gives_up(known));
        given_up.map(|(pair, old, new)| (pair.clone(), old.clone(), new.clone())).collect()
    };
    let mut told = given_up(&copy);
    if served_twice {
        let parted = known.iter().flat_map(|known| copy.parts_from(known));
        let parted = parted.map(|(pair, old, new)| (pair.clone(), old.clone(), new.clone()));
        let news: Vec<_> = parted.filter(|(pair, ..)| told.iter().all(|(known, ..)| known != pair)).collect();
        told.extend(news);
    }
    for _ in 0..RAISED_AFTER {
        let epochs: BTreeMap<_, _> = given_up(&copy).into_iter().map(|(pair, old, _)| (pair, old.epoch)).collect();
        if epochs.is_empty() {
            break;
        }
        let seat = copy.seat.clone();
        let raised = async {
            sync::give_up(links, from, &GivenUp { seat: seat.clone(), epochs }).await?;
            sleep(RAISED_WITHIN).await;
            sync::pull(links, from, &seat).await
        };
        match raised.await {
            Ok(newer) => copy = newer,
            Err(error) => return (copy, Err(chain(&error))),
        }
    }
    // Its holder may have caught up meanwhile with what would have been given up.
    told.retain(|(pair, old, _)| copy.pairs.get(pair).is_none_or(|now| now.upstream != old.upstream));
    let taken = arranger.take(copy.clone(), told).await;
    (copy, taken)
}
