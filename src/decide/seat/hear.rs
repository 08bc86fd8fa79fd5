//! What a heartbeat says about seats: who holds what, and whether this node has to let go.

use super::{
    NodeMachine,
    effect::Note,
    state::{Peer, Phase, Seat},
};
use crate::{
    decide::suspicion::{Path, Worth},
    model::{
        Epoch, NodeName, Time,
        group::{Claim, Heartbeat, MOST_SEATS, Role},
        seat::{HIGHEST_EPOCH, SeatReason},
    },
};

/// Nodes of other people with the same pairing key, at most.
const MOST_OVERHEARD: usize = 16;
/// Times the silence after which a holder is taken for dead.
const FORGOTTEN: u32 = 10;

impl NodeMachine {
    pub(super) fn heard(&mut self, now: Time, path: Path, heartbeat: Heartbeat) {
        let Heartbeat { node, boot, sequence, role, state, mut claims } = heartbeat;
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if peer.hearing.hear(now, path, boot, sequence) != Worth::News {
            return;
        }
        claims.truncate(MOST_SEATS);
        let owns_another = claims.iter().any(|claim| claim.home.as_ref() == Some(&node));
        (peer.role, peer.state, peer.claims) = (role, state, claims.clone());
        for claim in claims {
            self.learn(now, &node, &claim);
        }
        // Only now: what it says it owns may be a seat that is called by another's name, also before it serves it.
        if role == Role::Primary && !self.seats.contains_key(&node) && !owns_another {
            self.know_seats();
        }
        if owns_another || role == Role::Backup {
            // What was supposed before it said so.
            self.seats.retain(|name, seat| *name != node || seat.epoch > Epoch(0) || seat.phase != Phase::Idle);
        }
    }

    /// Of a node that is no peer only what it says of seats that are known here counts: it must not serve one beside this node.
    pub(super) fn overheard(&mut self, now: Time, heartbeat: Heartbeat) {
        let Heartbeat { node, boot, sequence, role, state, mut claims } = heartbeat;
        claims.retain(|claim| self.seats.contains_key(&claim.seat));
        let full = self.overheard.len() >= MOST_OVERHEARD && !self.overheard.contains_key(&node);
        if self.peers.contains_key(&node) || node == self.me || claims.is_empty() || full {
            return;
        }
        let peer = self.overheard.entry(node.clone()).or_insert_with(|| Peer::new(role, now));
        if peer.hearing.hear(now, Path::Beacon, boot, sequence) != Worth::News {
            return;
        }
        (peer.role, peer.state, peer.claims) = (role, state, claims.clone());
        claims.iter().for_each(|claim| self.learn(now, &node, claim));
    }

    /// Who fell silent long ago is nobody's rival.
    pub(super) fn forget_overheard(&mut self, now: Time) {
        let timeout = self.spec.primary_timeout;
        self.overheard.retain(|_, peer| now.since(peer.hearing.silent_since()) < timeout * FORGOTTEN);
    }

    fn learn(&mut self, now: Time, node: &NodeName, claim: &Claim) {
        let name = &claim.seat;
        if claim.epoch > HIGHEST_EPOCH {
            return;
        }
        if !self.seats.contains_key(name) {
            // One that was never held is none yet.
            if self.seats.len() >= MOST_SEATS || claim.epoch == Epoch(0) {
                return;
            }
            self.seats.insert(name.clone(), Seat::new(name.clone()));
        }
        let me = self.me.clone();
        let Some(seat) = self.seats.get_mut(name) else { return };
        let promised = seat.granted.is_some();
        let mine = seat.holder.as_ref() == Some(&me);
        let above = claim.epoch > seat.epoch;
        // Under equal epochs, which only unequal views of the group allow, the greater name wins.
        let beaten = above || (claim.holds && claim.epoch == seat.epoch && (!mine || promised || *node > me));
        if claim.vacant && claim.epoch == seat.epoch && seat.holder.as_ref() == Some(node) {
            // It was released.
            seat.holder = None;
            self.dirty = true;
            return;
        }
        if claim.yields && claim.epoch == seat.epoch && seat.holder.is_none() {
            // Its short attempt to serve went unheard.
            seat.holder = Some(node.clone());
            self.dirty = true;
            return;
        }
        if !beaten {
            return self.note_rival(now, node, claim);
        }
        let holder = claim.holds.then(|| node.clone());
        let home = claim.home.clone().unwrap_or_else(|| name.clone());
        if claim.holds && seat.home != home {
            let was_mine = seat.home == me;
            seat.home = home;
            self.dirty = true;
            if was_mine {
                self.gave_home_away();
            }
        }
        let Some(seat) = self.seats.get_mut(name) else { return };
        if !above && seat.holder == holder {
            return;
        }
        if claim.holds && mine && seat.is_serving() {
            seat.conflict = Some(node.clone());
            self.note_conflict(node, claim, true);
        }
        let Some(seat) = self.seats.get_mut(name) else { return };
        // A promise to another stays a promise until somebody is heard to hold the seat.
        let waits = mine && promised && !claim.holds;
        seat.epoch = claim.epoch;
        if !waits {
            seat.holder = holder;
            seat.granted = None;
            seat.reason = SeatReason::Superseded;
        }
        self.dirty = true;
        match seat.phase {
            Phase::Serving | Phase::Promising { serving: true, .. } => self.let_go(name, SeatReason::Superseded, None),
            Phase::Entering(_) | Phase::Promising { .. } => seat.phase = Phase::Idle,
            Phase::Leaving(Some(_)) => seat.phase = Phase::Leaving(None),
            Phase::Leaving(None) | Phase::Idle => {}
        }
    }

    /// A node that holds it under a lower epoch, while we serve it, has to hear us; the neighbours may be mistaken until then.
    fn note_rival(&mut self, now: Time, node: &NodeName, claim: &Claim) {
        let Some(seat) = self.seats.get_mut(&claim.seat).filter(|seat| seat.is_serving()) else { return };
        let was = seat.conflict.as_ref() == Some(node);
        if claim.holds && !was {
            seat.conflict = Some(node.clone());
            self.note_conflict(node, claim, false);
            self.announce(now, &claim.seat);
        } else if !claim.holds && was {
            seat.conflict = None;
            self.announce(now, &claim.seat);
        }
    }

    fn note_conflict(&mut self, node: &NodeName, claim: &Claim, lets_go: bool) {
        let (seat, epoch) = (claim.seat.clone(), claim.epoch);
        self.note(Note::Conflict { seat, other: node.clone(), epoch, lets_go });
    }
}
