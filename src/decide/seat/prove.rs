//! Showing that nobody else holds a seat: silence on both paths, a witness, the address's own answer.

use super::{NodeMachine, effect::Effect, input::Owner, state::Peer};
use crate::model::{NodeName, Time, seat::SeatRefusal};
use std::time::Duration;

/// A witness's answer counts so long.
pub(super) const FRESH_WITNESS: Duration = Duration::from_secs(2);
/// "Nobody owns the address" counts so long.
const FRESH_PROBE: Duration = Duration::from_secs(1);

impl NodeMachine {
    /// Nobody else holds the seat, shown by what happened after `since`: every peer was heard not to hold it or is silent; where the
    /// holder is silent, or nobody is heard, a witness answered a question begun after that silence; nobody owns the address.
    pub(super) fn prove(&mut self, now: Time, name: &NodeName, since: Time) -> Result<(), SeatRefusal> {
        let Some(seat) = self.seats.get(name) else { return Err(SeatRefusal::NoSuchSeat) };
        let (holder, epoch) = (seat.holder.clone(), seat.epoch);
        let foreign = holder.as_ref().filter(|holder| **holder != self.me);
        let (mut since, mut heard, mut unclear) = (since, false, false);
        for (other, peer) in self.neighbours() {
            let near = self.is_near(now, peer) && peer.hearing.heard_since(since);
            let quiet = self.is_quiet(now, peer);
            let claim = peer.claim(name).filter(|_| !quiet);
            let yields = claim.is_some_and(|claim| claim.yields);
            let sees_holder = foreign.is_some() && claim.is_some_and(|claim| claim.hears && claim.epoch >= epoch);
            if claim.is_some_and(|claim| claim.holds) || sees_holder {
                return Err(SeatRefusal::StillHeard);
            }
            if foreign == Some(other) {
                if !quiet && !yields {
                    return Err(SeatRefusal::StillHeard);
                }
                if quiet {
                    since = since.max(peer.hearing.silent_since());
                }
            }
            heard |= near;
            unclear |= !near && !quiet;
        }
        if unclear {
            return Err(SeatRefusal::NoProof);
        }
        if !self.peers.is_empty() && (foreign.is_some() || !heard) {
            self.ask_witnesses(now, self.spec.heartbeat);
            match self.witnesses.fresh(now, since, FRESH_WITNESS) {
                Some(true) => {}
                Some(false) => return Err(SeatRefusal::CutOff),
                None => return Err(SeatRefusal::NoProof),
            }
        }
        self.prove_address(now, name, since)
    }

    /// The peer that is heard to hold the seat; the one with the highest epoch if there are two.
    pub(super) fn heard_holder(&self, now: Time, name: &NodeName) -> Option<NodeName> {
        let holds = |(other, peer): (&NodeName, &Peer)| {
            let claim = peer.claim(name).filter(|claim| claim.holds && !self.is_quiet(now, peer))?;
            Some((claim.epoch, other.clone()))
        };
        self.peers.iter().filter_map(holds).max().map(|(_, other)| other)
    }

    fn prove_address(&mut self, now: Time, name: &NodeName, since: Time) -> Result<(), SeatRefusal> {
        let Some(seat) = self.seats.get(name) else { return Err(SeatRefusal::NoSuchSeat) };
        let found = seat.owner.fresh(now, since, FRESH_PROBE);
        if found == Some(Owner::Nobody) {
            return Ok(());
        }
        let every = if found.is_none() { Duration::ZERO } else { self.spec.heartbeat };
        self.probe_address(now, name, every);
        Err(if found == Some(Owner::Somebody) { SeatRefusal::AddressOwned } else { SeatRefusal::NoProof })
    }

    /// Asks who owns the seat's address, if `every` has passed since that was answered last.
    pub(super) fn probe_address(&mut self, now: Time, name: &NodeName, every: Duration) {
        if self.seats.get(name).is_some_and(|seat| seat.owner.is_due(now, every)) {
            let id = self.ask_id();
            self.effects.push_back(Effect::ProbeAddress(id, name.clone()));
            self.seats.entry(name.clone()).and_modify(|seat| seat.owner.put(id, now));
        }
    }

    pub(super) fn ask_witnesses(&mut self, now: Time, every: Duration) {
        if self.witnesses.is_due(now, every) {
            let id = self.ask_id();
            self.witnesses.put(id, now);
            self.effects.push_back(Effect::AskWitnesses(id));
        }
    }
}
