//! Copies of seats, pulled by who does not hold them.

use super::{Done, Group, arrange::Arranger};
use crate::{
    control::{
        clock::wall_now,
        peer::PeerLinks,
        sync::{self, Copy, GivenUp, Verdict},
    },
    decide::seat::input::Input,
    model::{
        Epoch, NodeName, Time,
        causes::chain,
        view::group::{SyncResult, SyncView},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// After a pull that failed.
const AGAIN: Duration = Duration::from_secs(5);

/// How they stand.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    /// The last of each seat.
    pub(super) last: BTreeMap<NodeName, SyncView>,
    due: BTreeMap<NodeName, Time>,
    running: BTreeSet<NodeName>,
}

impl Pulls {
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

    pub(super) fn pull(&mut self, seat: NodeName, from: NodeName) {
        if !self.pulls.running.insert(seat.clone()) {
            return;
        }
        let running =
            SyncView { result: SyncResult::Running, at: wall_now(), from: from.clone(), revision: None, error: None };
        self.pulls.last.insert(seat.clone(), running);
        let (links, arranger) = (Arc::clone(&self.links), self.arranger.clone());
        self.tasks.spawn(async move {
            let (order, result) = match sync::pull(&links, &from, &seat).await {
                Ok(copy) => (Some(copy.order()), take(&links, &from, &arranger, copy).await),
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
        self.pulls.running.remove(&seat);
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
        let before = self.pulls.last.get(&seat).and_then(|pull| pull.error.clone());
        let interval = self.spec.sync.interval;
        match result {
            Ok((revision, name)) => {
                view.revision = Some(name);
                match interval.is_zero() {
                    true => drop(self.pulls.due.remove(&seat)),
                    false => drop(self.pulls.due.insert(seat.clone(), now + interval)),
                }
                self.pulls.last.insert(seat.clone(), view);
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
                self.pulls.due.insert(seat.clone(), now + AGAIN);
                self.pulls.last.insert(seat.clone(), view);
                self.input(Input::SyncFailed(seat));
            }
        }
    }

    /// Pull it at the next look.
    pub(super) fn pull_soon(&mut self, seat: NodeName) {
        self.pulls.due.insert(seat, self.clock.now());
    }
}

/// Takes a copy. Whoever wrote it learns first which epochs of pairs are given up for it, as it must not use them again.
async fn take(links: &PeerLinks, from: &NodeName, arranger: &Arranger, copy: Copy) -> Result<(u64, String), String> {
    let known = arranger.known();
    let given_up = known.get(&copy.seat).into_iter().flat_map(|known| copy.gives_up(known));
    let epochs: BTreeMap<_, _> = given_up.map(|(pair, old, _)| (pair.clone(), old.epoch)).collect();
    if !epochs.is_empty() {
        let given_up = GivenUp { seat: copy.seat.clone(), epochs };
        sync::give_up(links, from, &given_up).await.map_err(|error| chain(&error))?;
    }
    arranger.take(copy).await
}
