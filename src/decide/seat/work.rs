//! The one order that is being carried out, step by step, and each step's end. Nobody else changes seats meanwhile (`B15`).

use super::{
    NodeMachine,
    commit::Plan,
    effect::{AskId, Effect, Message, Note, Verdict},
    input::Order,
    state::Entry,
};
use crate::{
    decide::effect::{PersistId, Ticket},
    model::{
        Epoch, NodeName, Time,
        seat::{SeatReason, SeatRefusal},
    },
};
use std::time::Duration;

/// Who asks for a seat takes it up within this time of asking, or not at all.
pub(super) const GRANT: Duration = Duration::from_secs(3);
/// Who grants it takes it back after this time: longer than the other counts, whose count began earlier, by any clock's drift.
pub(super) const GRANT_BACK: Duration = Duration::from_secs(4);
/// A holder that does not answer is dead, or it is heard otherwise within this time.
const NOBODY_ANSWERS: Duration = Duration::from_secs(5);
/// A preflight, a pull, a proof, a guest that was told to come.
const STEP: Duration = Duration::from_secs(10);

/// An order on its way.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) ticket: Option<Ticket>,
    pub(super) order: Order,
    pub(super) seat: NodeName,
    pub(super) reason: SeatReason,
    pub(super) force: bool,
    /// The seat becomes the taker's own.
    pub(super) adopt: bool,
    pub(super) step: Step,
    pub(super) deadline: Time,
    /// Who told this node to ask for the seat, and wants to know if nothing comes of it.
    pub(super) inviter: Option<NodeName>,
    /// Whose own the seat was when the order came.
    pub(super) replaces: Option<NodeName>,
    /// What stands against it for now.
    pub(super) obstacle: SeatRefusal,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Whether it could be served here.
    Preflight,
    /// What changed at the holder.
    Pull,
    /// This node's own disk: nobody lets go for one that takes nothing.
    TryDisk(Option<PersistId>),
    /// The holder's grant.
    Ask { ask: AskId, began: Time },
    /// What the holder wrote last, before the grant is taken up.
    PullGranted { epoch: Epoch, revision: u64, began: Time },
    /// Proof that nobody holds it.
    Prove { since: Time },
    /// The disk.
    Store,
    /// Another node, told to ask for the seat, is heard to hold it.
    Invite { guest: NodeName },
}

impl NodeMachine {
    pub(super) fn begin_step(&mut self, now: Time, step: Step) {
        if let Some(work) = &mut self.work {
            let wait = if matches!(step, Step::Ask { .. }) { GRANT } else { STEP };
            if !matches!(step, Step::PullGranted { .. }) {
                work.deadline = now + wait;
            }
            work.step = step;
        }
    }

    /// What the order is refused with should its time run out.
    pub(super) fn fails_with(&mut self, why: SeatRefusal) {
        if let Some(work) = &mut self.work {
            work.obstacle = why;
        }
    }

    /// Is an order being carried out, or stored? Then no other is begun (`B15`).
    pub(super) fn is_busy(&self) -> bool {
        self.work.is_some() || self.pending.as_ref().is_some_and(|pending| pending.is_change())
    }

    /// Goes on with the order if what it waits for has come, or gives it up when its time is over.
    pub(super) fn advance_work(&mut self, now: Time) {
        let Some(work) = &self.work else { return };
        let (seat, late, step) = (work.seat.clone(), now >= work.deadline, work.step.clone());
        match step {
            Step::Store => {}
            Step::TryDisk(None) if !late => self.try_disk(),
            // The holder died while it was asked: that stands in no other takeover's way.
            Step::Pull if self.is_orphaned(now, &seat) => self.prove_dead(now),
            _ if !self.seats.contains_key(&seat) => self.refuse(SeatRefusal::NoSuchSeat),
            Step::Invite { guest } if self.heard_holder(now, &seat).as_ref() == Some(&guest) => {
                self.guest_came(&seat, &guest);
            }
            Step::Prove { since } if !late => self.prove_work(now, &seat, since),
            Step::PullGranted { epoch, revision, began } if !late => {
                if self.revision_of(&seat) >= revision {
                    self.take_granted(now, epoch, began);
                }
            }
            _ if !late => {}
            _ if work.force => self.take_by_force(now),
            _ => {
                let why = work.obstacle;
                self.refuse(why);
            }
        }
    }

    fn is_orphaned(&self, now: Time, seat: &NodeName) -> bool {
        self.is_takeover() && self.who_can_give(now, seat).is_none()
    }

    /// Nobody answers: it is soon shown that nobody holds the seat, or somebody is heard.
    fn prove_dead(&mut self, now: Time) {
        self.begin_step(now, Step::Prove { since: now });
        if let Some(work) = &mut self.work {
            work.deadline = now + NOBODY_ANSWERS;
        }
        self.fails_with(SeatRefusal::NoAnswer);
    }

    fn prove_work(&mut self, now: Time, name: &NodeName, since: Time) {
        match self.prove(now, name, since) {
            Ok(()) if self.newer_copy(now, name).is_some() => self.refuse(SeatRefusal::NewerElsewhere),
            Ok(()) if self.pending.is_none() && self.retry_at.is_none() => {
                let Some(seat) = self.seats.get(name) else { return };
                let epoch = self.next_epoch(name, seat.epoch, &self.me);
                self.take_ordered(now, epoch, Entry { since, forced: false, deadline: None });
            }
            Ok(()) => self.fails_with(SeatRefusal::NotStored),
            // Who is heard and did not answer is told as that.
            Err(SeatRefusal::StillHeard)
                if self.work.as_ref().is_some_and(|its| its.obstacle == SeatRefusal::NoAnswer) => {}
            Err(why) => self.fails_with(why),
        }
    }

    pub(super) fn take_granted(&mut self, now: Time, epoch: Epoch, began: Time) {
        let Some(seat) = self.work.as_ref().and_then(|work| self.seats.get(&work.seat)) else { return };
        if epoch <= seat.epoch {
            return self.refuse(SeatRefusal::Overtaken);
        }
        if self.pending.is_none() {
            self.take_ordered(now, epoch, Entry { since: began, forced: false, deadline: Some(began + GRANT) });
        }
    }

    pub(super) fn take_by_force(&mut self, now: Time) {
        let Some(work) = &self.work else { return };
        let Some(seat) = self.seats.get(&work.seat) else { return };
        if self.pending.is_some() {
            // The disk is busy; looked at again at the next beat.
            return;
        }
        let above = seat.granted.as_ref().map_or(seat.epoch, |granted| granted.epoch.max(seat.epoch));
        let epoch = self.next_epoch(&work.seat, above, &self.me);
        self.take_ordered(now, epoch, Entry { since: now, forced: true, deadline: None });
    }

    fn take_ordered(&mut self, now: Time, epoch: Epoch, entry: Entry) {
        let Some(work) = &self.work else { return };
        let (seat, reason, adopt) = (work.seat.clone(), work.reason, work.adopt);
        self.begin_step(now, Step::Store);
        self.persist(Plan::Take { seat, epoch, reason, adopt, entry, ordered: true });
    }

    /// Asks the holder for the seat.
    pub(super) fn ask_holder(&mut self, now: Time) {
        self.begin_step(now, Step::TryDisk(None));
        self.fails_with(SeatRefusal::NotStored);
        self.try_disk();
    }

    /// Stores what is known, once the disk is free.
    fn try_disk(&mut self) {
        if self.retry_at.is_some() {
            self.refuse(SeatRefusal::NotStored);
        } else if self.pending.is_none() {
            let id = self.persist(Plan::Keep);
            if let Some(work) = &mut self.work {
                work.step = Step::TryDisk(id);
            }
        }
    }

    /// The disk took it.
    pub(super) fn disk_tried(&mut self, now: Time, id: PersistId) {
        let Some(work) = self.work.as_ref().filter(|work| work.step == Step::TryDisk(Some(id))) else { return };
        let (seat, adopt, force) = (work.seat.clone(), work.adopt, work.force);
        let Some(holder) = self.who_can_give(now, &seat) else {
            return if force { self.take_by_force(now) } else { self.refuse(SeatRefusal::HolderNotHeard) };
        };
        let ask = self.ask_id();
        self.begin_step(now, Step::Ask { ask, began: now });
        self.fails_with(SeatRefusal::NoAnswer);
        self.tell(&holder, Message::Want { seat, ask, adopt });
    }

    fn begin_pull(&mut self, now: Time, seat: &NodeName) {
        self.begin_step(now, Step::Pull);
        self.fails_with(SeatRefusal::SyncFailed);
        self.pull(now, seat);
    }

    fn pull(&mut self, now: Time, seat: &NodeName) {
        let Some(from) = self.who_can_give(now, seat) else { return self.refuse(SeatRefusal::HolderNotHeard) };
        self.effects.push_back(Effect::PullNow { seat: seat.clone(), from });
    }

    pub(super) fn was_synced(&mut self, now: Time, seat: &NodeName, revision: u64) {
        let pulls = self.work.as_ref().is_some_and(|work| work.seat == *seat && work.step == Step::Pull);
        self.has_revision(seat, revision);
        if pulls {
            self.ask_holder(now);
        }
    }

    pub(super) fn sync_failed(&mut self, now: Time, seat: &NodeName, came: bool) {
        if came {
            self.stop_catching_up(now, seat);
        }
        let pulls = |work: &&Work| work.seat == *seat && matches!(work.step, Step::Pull | Step::PullGranted { .. });
        let Some(work) = self.work.as_ref().filter(pulls) else { return };
        if !came && matches!((&work.order, &work.step), (Order::Takeover { .. }, Step::Pull)) {
            return self.prove_dead(now);
        }
        self.refuse(SeatRefusal::SyncFailed);
    }

    /// Looks first whether it could be served here: nobody lets go for a node that would have to give the seat back. Upstreams count for a takeover,
    /// which `--force` overrides.
    pub(super) fn begin_preflight(&mut self, now: Time, seat: &NodeName) {
        self.begin_step(now, Step::Preflight);
        self.fails_with(SeatRefusal::PreflightFailed);
        let upstreams = self.is_takeover();
        self.effects.push_back(Effect::Preflight { seat: seat.clone(), upstreams });
    }

    fn is_takeover(&self) -> bool {
        self.work.as_ref().is_some_and(|work| matches!(work.order, Order::Takeover { .. }))
    }

    pub(super) fn preflight(&mut self, now: Time, seat: &NodeName, found: Result<(), SeatRefusal>) {
        let awaited = |work: &&Work| work.seat == *seat && work.step == Step::Preflight;
        if self.work.as_ref().filter(awaited).is_none() {
            return;
        }
        let forced = self.work.as_ref().is_some_and(|work| work.force);
        if let Some(why) = found.err().filter(|_| !forced) {
            return self.refuse(why);
        }
        if self.work.as_ref().is_some_and(|work| matches!(work.order, Order::Role { sync_first: false, .. })) {
            self.ask_holder(now);
        } else if self.who_can_give(now, seat).is_some() || !self.is_takeover() {
            // What changed is pulled while the holder still serves: without it, nobody lets go.
            self.begin_pull(now, seat);
        } else {
            self.begin_step(now, Step::Prove { since: now });
            self.fails_with(SeatRefusal::NoProof);
        }
    }

    fn guest_came(&mut self, seat: &NodeName, guest: &NodeName) {
        let Some(work) = &self.work else { return };
        if let (Order::Replace { .. }, Some(old)) = (&work.order, self.replaced(seat, guest)) {
            self.effects.push_back(Effect::Dismiss(old));
        }
        self.work_done(format!("{guest} holds seat {seat}"));
    }

    /// Whose place the guest took: the node the seat was last the own of.
    fn replaced(&self, seat: &NodeName, guest: &NodeName) -> Option<NodeName> {
        let old = self.work.as_ref().and_then(|work| work.replaces.clone()).unwrap_or_else(|| seat.clone());
        (old != *guest && old != self.me).then_some(old)
    }

    pub(super) fn work_done(&mut self, words: String) {
        self.end_work(Verdict::Done(words));
    }

    pub(super) fn refuse(&mut self, why: SeatRefusal) {
        self.end_work(Verdict::Refused(why));
    }

    pub(super) fn refuse_if(&mut self, ordered: bool, why: SeatRefusal) {
        if ordered {
            self.refuse(why);
        }
    }

    fn end_work(&mut self, verdict: Verdict) {
        if let Some(work) = self.work.take() {
            if let (Some(inviter), Verdict::Refused(why)) = (&work.inviter, &verdict) {
                self.tell(inviter, Message::Refuse { seat: work.seat.clone(), ask: AskId(0), why: *why });
            }
            self.answer(work.ticket, work.order, work.force, verdict);
        }
    }

    pub(super) fn answer(&mut self, ticket: Option<Ticket>, order: Order, forced: bool, verdict: Verdict) {
        self.note(Note::Order { ticket, order, forced, verdict: verdict.clone() });
        if let Some(ticket) = ticket {
            self.effects.push_back(Effect::Answer(ticket, verdict));
        }
    }
}
