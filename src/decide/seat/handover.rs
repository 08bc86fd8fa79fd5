//! Handing a seat from one node to another, serially: for a moment nobody serves it, never two (`B12`).
//!
//! ```text
//!   taker                        holder
//!     │ ◀──────── Come ──────────── │   (if the order was given to the holder)
//!     │ looks whether it could      │
//!     │ pulls what changed          │
//!     │ tries its own disk          │
//!     │ ───────── Want ───────────▶ │
//!     │                             │ stores the promise, lets go, waits for Gone
//!     │ ◀──── Grant(epoch, rev) ─── │ ── GRANT_BACK ──▶ takes it back under a new epoch
//!     │ pulls up to rev             │
//!     │ stores the epoch            │
//!     │ proves, serves              │ hears that it does
//!     ╎ not after GRANT, counted from Want
//! ```

use super::{
    NodeMachine,
    effect::{Message, Verdict},
    input::Order,
    state::{Entry, Guest, Phase},
    work::{Step, Work},
};
use crate::model::{
    NodeName, Time,
    seat::{SeatReason, SeatRefusal},
};

impl NodeMachine {
    pub(super) fn told(&mut self, now: Time, from: &NodeName, message: Message) {
        if !self.peers.contains_key(from) {
            return;
        }
        match message {
            Message::Come { seat, unable: true, .. } => self.asked_to_help(now, from, seat),
            Message::Come { seat, adopt, unable: false } => self.invited(now, from, seat, adopt),
            Message::Want { seat, ask, adopt } => self.asked(from, seat, ask, adopt),
            Message::Grant { seat, ask, epoch, revision } => {
                let Some(began) = self.is_answer(&seat, ask) else { return };
                self.begin_step(now, Step::PullGranted { epoch, revision, began });
                self.fails_with(SeatRefusal::GrantExpired);
                if self.revision_of(&seat) < revision {
                    // Whoever granted it no longer serves it, but has it.
                    self.effects.push_back(super::Effect::PullNow { seat, from: from.clone() });
                }
            }
            Message::Resolve => self.told_to_resolve(now),
            Message::Refuse { seat, ask, why } => {
                let why = why.as_told();
                let invited = self.work.as_ref().is_some_and(|work| {
                    work.seat == seat && matches!(&work.step, Step::Invite { guest } if guest == from)
                });
                if invited {
                    self.refuse(why);
                } else if self.is_answer(&seat, ask).is_some() {
                    let force = self.work.as_ref().is_some_and(|work| work.force);
                    if force { self.take_by_force(now) } else { self.refuse(why) }
                } else {
                    self.help_refused(from, &seat, why);
                }
            }
        }
    }

    /// Is it the answer to what is being asked? Then: when was it asked.
    fn is_answer(&self, seat: &NodeName, ask: super::AskId) -> Option<Time> {
        let work = self.work.as_ref().filter(|work| work.seat == *seat)?;
        match work.step {
            Step::Ask { ask: asked, began } if asked == ask => Some(began),
            _ => None,
        }
    }

    /// An operator at the other node wants a conflict of roles mended.
    fn told_to_resolve(&mut self, now: Time) {
        let begun =
            if self.is_busy() { Err(Verdict::Refused(SeatRefusal::Busy)) } else { self.resolve(now, None, false) };
        if let Err(verdict) = begun {
            self.answer(None, Order::Resolve, false, verdict);
        }
    }

    /// The holder wants to be rid of the seat.
    fn invited(&mut self, now: Time, from: &NodeName, seat: NodeName, adopt: bool) {
        let refusal = match self.who_can_give(now, &seat) {
            _ if self.work.is_some() => Some(SeatRefusal::Busy),
            Some(holder) if holder == *from => None,
            Some(_) => Some(SeatRefusal::NotHolder),
            None => Some(SeatRefusal::NotHeardThere),
        };
        if let Some(why) = refusal {
            return self.tell(from, Message::Refuse { seat, ask: super::AskId(0), why });
        }
        let (order, reason) = if adopt {
            (Order::Replace { seat: seat.clone(), with: self.me.clone() }, SeatReason::Replaced)
        } else {
            (Order::Reverse { seat: seat.clone() }, SeatReason::Reversed)
        };
        let work = Work::new(now, None, order, seat.clone(), reason).adopting(adopt);
        self.work = Some(Work { inviter: Some(from.clone()), ..work });
        self.begin_preflight(now, &seat);
    }

    /// Another node asks for a seat that this one holds.
    fn asked(&mut self, from: &NodeName, seat: NodeName, ask: super::AskId, adopt: bool) {
        let invited = |work: &Work| work.seat == seat && matches!(&work.step, Step::Invite { guest } if guest == from);
        let busy = self.work.as_ref().is_some_and(|work| !invited(work));
        let me = &self.me;
        let why = match self.seats.get_mut(&seat) {
            None => SeatRefusal::NoSuchSeat,
            Some(known) if known.holder.as_ref() != Some(me) || known.granted.is_some() => SeatRefusal::NotHolder,
            Some(known) => match known.phase {
                Phase::Leaving(_) => SeatRefusal::NotHolder,
                Phase::Promising { .. } => SeatRefusal::Busy,
                // It was forced, or granted until then: that is not to be lost should the promise not be stored.
                Phase::Entering(Entry { forced: true, .. } | Entry { deadline: Some(_), .. }) => SeatRefusal::Busy,
                _ if busy => SeatRefusal::Busy,
                // Who holds it and can't serve it gives it away, too.
                Phase::Serving | Phase::Idle | Phase::Entering(_) => {
                    let guest = Guest { name: from.clone(), ask, adopt };
                    known.phase = Phase::Promising { guest, serving: known.is_serving() };
                    return;
                }
            },
        };
        self.tell(from, Message::Refuse { seat, ask, why });
    }
}
