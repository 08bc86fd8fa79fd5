//! Changes of configured roles (`B13`), and leaving the group.

use super::{
    NodeMachine,
    commit::Plan,
    effect::Verdict,
    input::Order,
    orders::{Begun, refused, unchanged},
    work::{Step, Work},
};
use crate::{
    decide::effect::Ticket,
    model::{
        NodeName, Time,
        group::Role,
        seat::{SeatReason, SeatRefusal},
    },
};

impl NodeMachine {
    pub(super) fn change_role(
        &mut self,
        now: Time,
        ticket: Option<Ticket>,
        role: Role,
        sync_first: bool,
        force: bool,
    ) -> Begun {
        let order = Order::Role { role, sync_first, force };
        match role {
            Role::Primary => self.become_primary(now, ticket, order),
            Role::Backup => self.become_backup(now, ticket, order, force),
        }
    }

    /// Owns what it holds; or swaps places with the one seat's holder; or, in a group without seats, begins one of its own.
    fn become_primary(&mut self, now: Time, ticket: Option<Ticket>, order: Order) -> Begun {
        let foreign = self.held().any(|name| self.seats.get(name).is_some_and(|seat| seat.home != self.me));
        if self.role == Role::Primary && !foreign {
            return unchanged("this node's configured role is primary".into());
        }
        let force = matches!(order, Order::Role { force: true, .. });
        let held = self.held().next().cloned();
        let heard: Vec<_> = self.seats.keys().filter(|name| self.heard_holder(now, name).is_some()).cloned().collect();
        match (held, heard.as_slice()) {
            (Some(name), _) => self.store_role(now, ticket, order, name, Role::Primary, None),
            (None, [only]) => {
                let mut work = Work::new(now, ticket, order, only.clone(), SeatReason::RolesChanged).adopting(true);
                work.force = force;
                self.fetch(now, work)
            }
            (None, []) if self.seats.is_empty() || force => self.be_primary_alone(now, ticket, order),
            (None, []) => refused(SeatRefusal::HolderNotHeard),
            (None, _) => refused(SeatRefusal::WhichSeat),
        }
    }

    /// Nobody is heard to hold anything: the one seat there is a copy of is taken by force; without any this node begins one of its own.
    fn be_primary_alone(&mut self, now: Time, ticket: Option<Ticket>, order: Order) -> Begun {
        let copied: Vec<_> = self.seats.keys().filter(|name| self.synced.contains_key(*name)).cloned().collect();
        match copied.as_slice() {
            [] => {
                let me = self.me.clone();
                self.store_role(now, ticket, order, me.clone(), Role::Primary, Some(me))
            }
            [only] if self.stranger_that_holds(now, only).is_some() => refused(SeatRefusal::HeldByStranger),
            [only] => {
                let mut work = Work::new(now, ticket, order, only.clone(), SeatReason::RolesChanged).adopting(true);
                work.force = true;
                self.work = Some(work);
                self.seize(now);
                Ok(())
            }
            _ => refused(SeatRefusal::WhichSeat),
        }
    }

    /// Releases what it holds only with `--force`; else a backup node that is heard takes its place.
    fn become_backup(&mut self, now: Time, ticket: Option<Ticket>, order: Order, force: bool) -> Begun {
        if self.role == Role::Backup && (!force || !self.holds_any()) {
            return unchanged("this node's configured role is backup".into());
        }
        let held: Vec<_> = self.held().cloned().collect();
        match held.as_slice() {
            [] => {
                let me = self.me.clone();
                self.store_role(now, ticket, order, me, Role::Backup, None)
            }
            [first, ..] if force => self.store_role(now, ticket, order, first.clone(), Role::Backup, None),
            [only] => {
                let near = self.peers.iter().find(|(_, peer)| peer.role == Role::Backup && self.is_near(now, peer));
                let Some(guest) = near.map(|(name, _)| name.clone()) else { return refused(SeatRefusal::NoSuccessor) };
                let work = Work::new(now, ticket, order, only.clone(), SeatReason::RolesChanged).adopting(true);
                self.invite(now, work, &guest)
            }
            _ => refused(SeatRefusal::StillHolds),
        }
    }

    pub(super) fn store_role(
        &mut self,
        now: Time,
        ticket: Option<Ticket>,
        order: Order,
        seat: NodeName,
        role: Role,
        own: Option<NodeName>,
    ) -> Begun {
        if self.pending.is_some() {
            return refused(SeatRefusal::Busy);
        }
        self.work = Some(Work::new(now, ticket, order, seat, SeatReason::RolesChanged));
        self.begin_step(now, Step::Store);
        self.persist(Plan::Role { role, own });
        Ok(())
    }

    /// Another node owns now what was this node's own: if that was all it had, it is a backup node from now on.
    pub(super) fn gave_home_away(&mut self) {
        if self.role == Role::Primary && !self.seats.values().any(|seat| seat.home == self.me) {
            self.set_role(Role::Backup);
        }
    }

    pub(super) fn leave(&mut self) -> Verdict {
        if self.holds_any() && !self.peers.is_empty() {
            return Verdict::Refused(SeatRefusal::HoldsForGroup);
        }
        let me = &self.me;
        self.seats.retain(|name, seat| name == me && seat.home == *me);
        // A backup node has copied the seat that is called by its name, too: it is another node's.
        self.synced.retain(|name, _| name == me && self.role == Role::Primary);
        self.peers.clear();
        self.dirty = true;
        Verdict::Done("this node is in no group; what it had pulled is to be removed".into())
    }

    fn held(&self) -> impl Iterator<Item = &NodeName> {
        self.seats.iter().filter(|(_, seat)| seat.holder.as_ref() == Some(&self.me)).map(|(name, _)| name)
    }
}
