//! Operators' orders: what is asked of each before it is begun, each refusal with its own reason (`G3`, `B15`).

use super::{
    NodeMachine,
    effect::Verdict,
    input::Order,
    state::{Phase, Seat},
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
use std::time::Duration;

/// What an order comes to at once: begun, or answered.
pub(super) type Begun = Result<(), Verdict>;

impl Work {
    pub(super) fn new(now: Time, ticket: Option<Ticket>, order: Order, seat: NodeName, reason: SeatReason) -> Self {
        let force = matches!(order, Order::Takeover { force: true, .. });
        Self {
            ticket,
            order,
            seat,
            reason,
            force,
            adopt: false,
            step: Step::Store,
            deadline: now + Duration::from_secs(10),
            inviter: None,
            replaces: None,
            obstacle: SeatRefusal::NoAnswer,
        }
    }

    pub(super) fn adopting(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }
}

impl NodeMachine {
    pub(super) fn order(&mut self, now: Time, ticket: Option<Ticket>, order: Order) {
        let forced = matches!(order, Order::Takeover { force: true, .. } | Order::Role { force: true, .. });
        let begun = if self.is_busy() {
            refused(SeatRefusal::Busy)
        } else {
            match &order {
                Order::Takeover { seat, force } => self.takeover(now, ticket, seat, *force),
                Order::Reverse { seat } => self.reverse(now, ticket, seat),
                Order::Replace { seat, with } => self.replace(now, ticket, seat, with),
                Order::Role { role, sync_first, force } => self.change_role(now, ticket, *role, *sync_first, *force),
                Order::Resolve => self.resolve(now, ticket, true),
                Order::Leave => Err(self.leave()),
            }
        };
        if let Err(verdict) = begun {
            self.answer(ticket, order, forced, verdict);
        }
    }

    fn takeover(&mut self, now: Time, ticket: Option<Ticket>, name: &NodeName, force: bool) -> Begun {
        let Some(seat) = self.seats.get(name) else { return refused(SeatRefusal::NoSuchSeat) };
        if seat.is_serving() {
            return unchanged(format!("this node serves seat {name} already"));
        }
        // It hears this node, too, and lets go. But what it serves is lost to one that has no memory of the seat, and to one whose it is not.
        let may_part = force && seat.home == self.me && self.synced.contains_key(name);
        if !may_part && self.stranger_that_holds(now, name).is_some() {
            return refused(SeatRefusal::HeldByStranger);
        }
        if self.retry_at.is_some() {
            return refused(SeatRefusal::NotStored);
        }
        if force && !self.synced.contains_key(name) && seat.home != self.me && self.who_can_give(now, name).is_none() {
            return refused(SeatRefusal::NothingCopied);
        }
        if !force {
            self.may_be_ordered(now, name)?;
        }
        let reason = if force { SeatReason::OperatorForce } else { SeatReason::OperatorTakeover };
        let order = Order::Takeover { seat: name.clone(), force };
        self.work = Some(Work::new(now, ticket, order, name.clone(), reason));
        if !force {
            self.begin_preflight(now, name);
        } else if self.who_can_give(now, name).is_some() {
            // Even then it is handed over, if its holder can.
            self.ask_holder(now);
        } else {
            self.seize(now);
        }
        Ok(())
    }

    /// The seat is taken without a proof, as soon as the disk is free.
    pub(super) fn seize(&mut self, now: Time) {
        self.begin_step(now, Step::Prove { since: now });
        if let Some(work) = &mut self.work {
            work.deadline = now;
        }
    }

    /// `G3`: role backup, state standby, synced at least once.
    fn may_be_ordered(&self, now: Time, name: &NodeName) -> Begun {
        let is_own = self.seats.get(name).is_some_and(|seat| seat.home == self.me);
        if is_own && self.role != Role::Backup && self.who_can_give(now, name).is_some() {
            refused(SeatRefusal::OwnSeat)
        } else if self.role != Role::Backup {
            refused(SeatRefusal::NotBackup)
        } else if self.state() != NodeStateName::Standby {
            refused(SeatRefusal::NotStandby)
        } else if !self.synced.contains_key(name) {
            refused(SeatRefusal::NeverSynced)
        } else {
            Ok(())
        }
    }

    fn reverse(&mut self, now: Time, ticket: Option<Ticket>, name: &NodeName) -> Begun {
        let Some(seat) = self.seats.get(name) else { return refused(SeatRefusal::NoSuchSeat) };
        let (home, order) = (seat.home.clone(), Order::Reverse { seat: name.clone() });
        // By its record a node that returns may hold what was taken over long ago: only who serves it, or was just given it, is believed.
        let was_given = matches!(seat.phase, Phase::Entering(_)) && seat.reason == SeatReason::Reversed;
        let is_back = if home == self.me {
            seat.is_serving() || was_given
        } else {
            self.heard_holder(now, name) == Some(home.clone())
        };
        if is_back {
            return unchanged(format!("seat {name} is held by its own node"));
        }
        let work = Work::new(now, ticket, order, name.clone(), SeatReason::Reversed);
        if home == self.me { self.fetch(now, work) } else { self.invite(now, work, &home) }
    }

    fn replace(&mut self, now: Time, ticket: Option<Ticket>, name: &NodeName, with: &NodeName) -> Begun {
        let Some(seat) = self.seats.get(name) else { return refused(SeatRefusal::NoSuchSeat) };
        if seat.home == *with {
            return unchanged(format!("seat {name} is {with}'s own"));
        }
        if *with == self.me && seat.holder.as_ref() == Some(with) {
            return refused(SeatRefusal::HoldsItself);
        }
        let order = Order::Replace { seat: name.clone(), with: with.clone() };
        let mut work = Work::new(now, ticket, order, name.clone(), SeatReason::Replaced).adopting(true);
        work.replaces = Some(seat.home.clone());
        if *with == self.me { self.fetch(now, work) } else { self.invite(now, work, with) }
    }

    /// If the seat could be served here, pulls it from its holder, also from one that can't serve it, then asks for it.
    pub(super) fn fetch(&mut self, now: Time, work: Work) -> Begun {
        if self.who_can_give(now, &work.seat).is_none() {
            return refused(SeatRefusal::HolderNotHeard);
        }
        let seat = work.seat.clone();
        self.work = Some(work);
        self.begin_preflight(now, &seat);
        Ok(())
    }

    /// Tells another node to ask for the seat.
    pub(super) fn invite(&mut self, now: Time, work: Work, guest: &NodeName) -> Begun {
        let (name, adopt) = (work.seat.clone(), work.adopt);
        let gives = |seat: &Seat| seat.holder.as_ref() == Some(&self.me) && seat.granted.is_none();
        if !self.seats.get(&name).is_some_and(gives) {
            return refused(SeatRefusal::NotHolder);
        }
        match self.peers.get(guest) {
            None => return refused(SeatRefusal::NoSuchNode),
            Some(peer) if !self.is_near(now, peer) => return refused(SeatRefusal::NotHeard),
            Some(_) => {}
        }
        self.work = Some(work);
        self.begin_step(now, Step::Invite { guest: guest.clone() });
        self.tell(guest, super::effect::Message::Come { seat: name, adopt, unable: false });
        Ok(())
    }
}

pub(super) fn refused(why: SeatRefusal) -> Begun {
    Err(Verdict::Refused(why))
}

pub(super) fn unchanged(words: String) -> Begun {
    Err(Verdict::Unchanged(words))
}
