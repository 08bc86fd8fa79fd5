//! Who has which copy of a seat, and who could serve it: of several backup nodes the fittest goes first, and none with an older copy while a
//! newer one is to be had.

use super::{NodeMachine, Peer, state::Seat};
use crate::model::{
    NodeName, Time,
    group::{Claim, Role},
};
use std::cmp::Reverse;

/// What a holder's copy grew from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grown {
    /// The revision it had when it took the seat.
    from: u64,
    /// The first one that it wrote itself.
    first: Option<u64>,
}

impl Grown {
    pub(super) fn new(from: u64) -> Self {
        Self { from, first: None }
    }

    /// Was this revision made by a holder before this one, who did not have it?
    fn lacks(self, copy: u64) -> bool {
        copy > self.from && self.first.is_some_and(|first| copy < first)
    }
}

impl NodeMachine {
    /// The revision of the seat that is here; 0 if none is.
    pub(super) fn revision_of(&self, seat: &NodeName) -> u64 {
        self.synced.get(seat).copied().unwrap_or(0)
    }

    /// Would it take the seat if its holder fell silent, and is nothing known that it would fail by?
    pub(super) fn is_fit(&self, seat: &NodeName) -> bool {
        self.held_back(seat).is_none() && self.is_able(seat)
    }

    /// Is nothing known that it would fail by to serve the seat?
    pub(super) fn is_able(&self, seat: &NodeName) -> bool {
        self.retry_at.is_none() && !self.unfit.contains(seat)
    }

    /// The node that is heard and has a newer copy of the seat, and a use for it: this one would take clients to servers that their pairs have
    /// left, and undo what the other has.
    #[must_use]
    pub fn newer_copy(&self, now: Time, seat: &NodeName) -> Option<&NodeName> {
        self.newest_beyond(seat, self.candidates(now, seat))
    }

    /// The same, of the members: they can be asked for it.
    #[must_use]
    pub fn newer_of_members(&self, now: Time, seat: &NodeName) -> Option<&NodeName> {
        self.newest_beyond(seat, self.candidates(now, seat).filter(|(node, _)| self.peers.contains_key(*node)))
    }

    fn newest_beyond<'a>(
        &self,
        seat: &NodeName,
        nodes: impl Iterator<Item = (&'a NodeName, &'a Claim)>,
    ) -> Option<&'a NodeName> {
        let here = self.revision_of(seat);
        nodes.filter(|(_, claim)| claim.copy > here).max_by_key(|(_, claim)| claim.copy).map(|(node, _)| node)
    }

    /// Where this node could not serve the seat: the one that is heard and could, and whether it has no older copy, so that it will.
    #[must_use]
    pub fn fitter(&self, now: Time, seat: &NodeName) -> Option<(&NodeName, bool)> {
        let here = self.revision_of(seat);
        let fit = self.candidates(now, seat).filter(|(_, claim)| claim.fit);
        let best = fit.max_by_key(|(_, claim)| claim.copy).filter(|_| !self.is_fit(seat));
        best.map(|(node, claim)| (node, claim.copy >= here))
    }

    /// How many go before this one: those that are fit, those with a newer copy, those with the lesser name.
    pub(super) fn ahead(&self, now: Time, seat: &NodeName) -> usize {
        let here = (!self.is_fit(seat), Reverse(self.revision_of(seat)), &self.me);
        self.candidates(now, seat).filter(|(node, claim)| (!claim.fit, Reverse(claim.copy), *node) < here).count()
    }

    /// The nodes that are not silent and may serve the seat, each with what it says of it.
    pub(super) fn candidates(&self, now: Time, seat: &NodeName) -> impl Iterator<Item = (&NodeName, &Claim)> {
        let may = move |name: &NodeName, peer: &Peer| {
            peer.role == Role::Backup || self.seats.get(seat).is_some_and(|seat| seat.home == *name)
        };
        self.neighbours()
            .filter(move |(name, peer)| may(name, peer) && !self.is_quiet(now, peer))
            .filter_map(|(name, peer)| Some((name, peer.claim(seat)?)))
    }

    /// All that are heard, or were.
    pub(super) fn neighbours(&self) -> impl Iterator<Item = (&NodeName, &Peer)> {
        self.peers.iter().chain(&self.overheard)
    }

    /// Is this node heard, joined with this one or not?
    #[must_use]
    pub fn is_heard(&self, now: Time, node: &NodeName) -> bool {
        self.neighbours().any(|(name, peer)| name == node && !self.is_quiet(now, peer))
    }

    /// This node has this revision now.
    pub(super) fn has_revision(&mut self, name: &NodeName, revision: u64) {
        self.synced.insert(name.clone(), revision);
        if let Some(seat) = self.seats.get_mut(name).filter(|seat| seat.is_serving()) {
            seat.grown.first.get_or_insert(revision);
        }
    }

    /// Notices who had something newer than what a seat is served with here; until that node has what is served.
    pub(super) fn watch_copies(&mut self) {
        let neighbours = self.peers.iter().chain(&self.overheard);
        for (name, seat) in self.seats.iter_mut().filter(|(_, seat)| seat.is_serving()) {
            let Seat { grown, lacks, .. } = seat;
            for (node, peer) in neighbours.clone() {
                let Some(claim) = peer.claim(name) else { continue };
                if grown.lacks(claim.copy) {
                    *lacks = Some(node.clone());
                } else if grown.first.is_some_and(|first| claim.copy >= first) {
                    lacks.take_if(|lacking| lacking == node);
                }
            }
        }
    }
}
