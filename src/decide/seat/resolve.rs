//! What a conflict left, found and mended by one command (`B14`): seats that nobody serves, and configured roles that are at odds.

use super::{
    NodeMachine, Seat,
    effect::{Message, Verdict},
    input::Order,
    orders::{Begun, refused, unchanged},
    work::{Step, Work},
};
use crate::{
    decide::effect::Ticket,
    model::{
        NodeName, Time,
        group::{NodeStateName, Role},
        seat::{SeatReason, SeatRefusal},
    },
};

/// Configured roles that are at odds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleConflict {
    /// This node is a primary node, and so is that one, and whoever else there is: nobody backs anybody up.
    TwoPrimaries(NodeName),
    /// All are backup nodes: no seat is anybody's own.
    NoPrimary,
}

impl NodeMachine {
    /// Are the configured roles of all nodes the same, as far as this node knows? During a serial change of roles they are, for a moment
    /// (`B12`).
    #[must_use]
    pub fn role_conflict(&self, now: Time) -> Option<RoleConflict> {
        let (role, mut peers) = (self.role, self.peers.iter());
        if self.peers.values().any(|peer| peer.role != role) {
            return None;
        }
        match role {
            Role::Primary => peers
                .find(|(_, peer)| self.is_near(now, peer))
                .map(|(name, _)| RoleConflict::TwoPrimaries(name.clone())),
            Role::Backup => {
                // A seat may be the own of a node that this one was never joined with.
                let known = |seat: &Seat| seat.home == self.me || self.peers.contains_key(&seat.home);
                let is_so = !self.peers.is_empty() && !self.seats.is_empty() && self.seats.values().all(known);
                is_so.then_some(RoleConflict::NoPrimary)
            }
        }
    }

    /// Who else is heard to hold a seat that this node serves under a higher epoch.
    pub fn rivals(&self) -> impl Iterator<Item = (&NodeName, &NodeName)> {
        self.seats.iter().filter_map(|(name, seat)| Some((name, seat.conflict.as_ref().filter(|_| seat.is_serving())?)))
    }

    /// First what nobody serves although this node should; then the roles. What is the other node's part it is told, if it `may_tell`.
    pub(super) fn resolve(&mut self, now: Time, ticket: Option<Ticket>, may_tell: bool) -> Begun {
        let conflict = self.role_conflict(now);
        let ownerless = conflict == Some(RoleConflict::NoPrimary);
        if let Some(name) = self.open_seat(now, ownerless) {
            // Where nobody is a primary node, whoever serves is one.
            self.work = Some(Work::new(now, ticket, Order::Resolve, name, SeatReason::Resolved).adopting(ownerless));
            self.begin_step(now, Step::Prove { since: now });
            self.fails_with(SeatRefusal::NoProof);
            return Ok(());
        }
        let held = self.seats.iter().find(|(_, seat)| seat.is_serving()).map(|(name, _)| name.clone());
        match (conflict, held) {
            (Some(RoleConflict::TwoPrimaries(_)), None) => {
                let me = self.me.clone();
                self.store_role(now, ticket, Order::Resolve, me, Role::Backup, None)
            }
            (Some(RoleConflict::TwoPrimaries(other)), Some(_)) => {
                let serves = self.peers.get(&other).is_some_and(|peer| peer.state == NodeStateName::Online);
                if serves { refused(SeatRefusal::BothServe) } else { self.tell_to_resolve(&other, may_tell) }
            }
            (Some(RoleConflict::NoPrimary), Some(held)) => {
                self.store_role(now, ticket, Order::Resolve, held, Role::Primary, None)
            }
            (Some(RoleConflict::NoPrimary), None) => {
                let holder = self.seats.keys().find_map(|name| self.heard_holder(now, name));
                holder.map_or_else(
                    || refused(SeatRefusal::HolderNotHeard),
                    |other| self.tell_to_resolve(&other, may_tell),
                )
            }
            (None, _) => unchanged(
                "there is nothing to mend: every seat is served by one node, or is not this node's to serve".into(),
            ),
        }
    }

    fn tell_to_resolve(&mut self, other: &NodeName, may_tell: bool) -> Begun {
        if !may_tell {
            return refused(SeatRefusal::NotHolder);
        }
        self.tell(other, Message::Resolve);
        Err(Verdict::Done(format!("{other} is told to resolve it: `failback status` shows the roles")))
    }

    /// A seat that nobody is heard to serve, and that this node should: by its record, or because it is its own, or, where no node is a
    /// primary one, because it has a copy.
    fn open_seat(&self, now: Time, ownerless: bool) -> Option<NodeName> {
        let is_silent = |node: &NodeName| self.peers.get(node).is_none_or(|peer| self.is_quiet(now, peer));
        let is_open = |(name, seat): &(&NodeName, &Seat)| {
            let copied = ownerless && self.synced.contains_key(*name);
            let own = match &seat.holder {
                Some(holder) if *holder == self.me => seat.granted.is_none(),
                Some(holder) => copied && is_silent(holder),
                None => copied || seat.home == self.me,
            };
            own && !seat.is_serving() && self.heard_holder(now, name).is_none()
        };
        self.seats.iter().find(is_open).map(|(name, _)| name.clone())
    }
}
