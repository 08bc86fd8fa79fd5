//! Taking in what happened. Conclusions are drawn afterwards, in `settle`.

use super::{
    NodeMachine,
    effect::{Effect, Note},
    input::{Input, Owner},
    state::{Peer, Phase},
};
use crate::model::{NodeName, Time};

impl NodeMachine {
    pub(super) fn take_in(&mut self, now: Time, input: Input) {
        match input {
            Input::Heard { path, heartbeat } => self.heard(now, path, heartbeat),
            Input::Overheard(heartbeat) => self.overheard(now, heartbeat),
            Input::LinkLost(name) => {
                if let Some(peer) = self.peers.get_mut(&name) {
                    peer.hearing.link_lost();
                }
            }
            Input::PeerGone(name) => {
                if let Some(peer) = self.peers.get_mut(&name) {
                    peer.hearing.gone();
                }
            }
            Input::Witnesses(id, answered) => drop(self.witnesses.answered(id, answered)),
            Input::Probed(id, owner) => self.probed(id, owner),
            Input::Persisted(id) => self.persisted(now, id),
            Input::PersistFailed(id) => self.persist_failed(now, id),
            Input::Gap(span) => self.missed(now, span),
            Input::Order { ticket, order } => self.order(now, Some(ticket), order),
            Input::Joined(name, role) => {
                self.overheard.remove(&name);
                self.peers.entry(name).or_insert_with(|| Peer::new(role, now)).role = role;
                self.know_seats();
                self.dirty = true;
            }
            Input::Left(name) => self.left(&name),
            Input::Synced { seat, revision } => self.was_synced(now, &seat, revision),
            Input::Unfit(seats) => self.unfit = seats,
            Input::SyncFailed { seat, came } => self.sync_failed(now, &seat, came),
            Input::Preflight { seat, found } => self.preflight(now, &seat, found),
            Input::Told(name, message) => self.told(now, &name, message),
            Input::Gone(name) => self.gone(now, &name),
            Input::ServeFailed(name) => self.serve_failed(now, &name),
            Input::Reconfigured(spec) => self.spec = spec,
        }
    }

    fn probed(&mut self, id: super::AskId, owner: Owner) {
        for seat in self.seats.values_mut() {
            seat.owner.answered(id, owner);
        }
    }

    fn left(&mut self, name: &NodeName) {
        self.peers.remove(name);
        self.seats.values_mut().for_each(|seat| drop(seat.lacks.take_if(|node| node == name)));
        let me = &self.me;
        self.seats.retain(|seat, known| {
            seat != name || known.holder.as_ref() == Some(me) || known.home != *name || known.phase != Phase::Idle
        });
        self.synced.retain(|seat, _| self.seats.contains_key(seat));
        self.dirty = true;
    }

    /// Says once that a peer is silent, or is heard again; then the neighbours may have forgotten us, too.
    pub(super) fn note_silences(&mut self, now: Time) {
        let silences: Vec<_> = self
            .peers
            .iter()
            .map(|(name, peer)| (name.clone(), self.is_quiet(now, peer), self.is_near(now, peer), peer.silent))
            .collect();
        for (name, quiet, near, was) in silences {
            // Who is called gone is quiet after a moment in which it was still near.
            let is = quiet || (was && !near);
            if is == was {
                continue;
            }
            if let Some(peer) = self.peers.get_mut(&name) {
                peer.silent = is;
            }
            if is {
                self.note(Note::Silent(name));
            } else {
                self.note(Note::Healed(name));
                self.announce_all(now);
            }
        }
    }

    pub(super) fn announce_all(&mut self, now: Time) {
        let served: Vec<_> =
            self.seats.iter().filter(|(_, seat)| seat.is_serving()).map(|(name, _)| name.clone()).collect();
        served.iter().for_each(|name| self.announce(now, name));
    }

    pub(super) fn announce(&mut self, now: Time, name: &NodeName) {
        if let Some(seat) = self.seats.get_mut(name) {
            seat.announce_at = now + super::hold::ANNOUNCE_EVERY;
            self.effects.push_back(Effect::Announce { seat: name.clone() });
        }
    }
}
