//! Entering a seat that this node holds by its record, serving it, leaving it.

use super::{
    NodeMachine,
    commit::Plan,
    copies::Grown,
    effect::{Effect, Message, Note},
    state::{CatchingUp, Entry, Granted, Guest, Phase, Promise, Seat},
    work::GRANT_BACK,
};
use crate::model::{
    NodeName, Time,
    seat::{SeatReason, SeatRefusal},
};
use std::time::Duration;

/// The neighbours are told again where the address is.
pub(super) const ANNOUNCE_EVERY: Duration = Duration::from_secs(60);
/// A newer copy that was asked for and did not come is asked for again after this long.
const ASK_COPY_AGAIN: Duration = Duration::from_secs(2);

impl NodeMachine {
    /// One step of one seat.
    pub(super) fn advance_seat(&mut self, now: Time, name: &NodeName) {
        let me = self.me.clone();
        let Some(seat) = self.seats.get_mut(name) else { return };
        let mine = seat.holder.as_ref() == Some(&me);
        match seat.phase.clone() {
            Phase::Idle if mine && seat.granted.is_some() => self.take_back(now, name),
            Phase::Idle if mine && seat.retry_at.is_none_or(|at| now >= at) => {
                seat.retry_at = None;
                seat.phase = Phase::Entering(Entry { since: now, forced: false, deadline: None });
                self.enter(now, name);
            }
            Phase::Entering(_) => self.enter(now, name),
            Phase::Serving if now >= seat.announce_at => self.announce(now, name),
            Phase::Promising { guest, .. } if self.pending.is_none() => self.store_promise(name, guest),
            _ => {}
        }
    }

    fn enter(&mut self, now: Time, name: &NodeName) {
        let Some(seat) = self.seats.get_mut(name) else { return };
        let Phase::Entering(entry) = seat.phase.clone() else { return };
        if entry.deadline.is_some_and(|at| now >= at) {
            // Whoever granted it takes it back now.
            (seat.holder, seat.phase) = (None, Phase::Idle);
            self.dirty = true;
            return;
        }
        // What is not on the disk is not acted on.
        let stored = self.pending.is_none() && self.on_disk.get(name) == Some(&seat.epoch);
        let may = match stored {
            false => Err(SeatRefusal::NotStored),
            true if entry.forced => Ok(()),
            true => self.prove(now, name, entry.since).and_then(|()| self.catch_up(now, name)),
        };
        let here = self.revision_of(name);
        let Some(seat) = self.seats.get_mut(name) else { return };
        seat.hindrance = may.err();
        if may.is_err() {
            return;
        }
        seat.phase = Phase::Serving;
        seat.conflict = None;
        (seat.grown, seat.lacks) = (Grown::new(here), None);
        (seat.catching_up, seat.announce_at) = (CatchingUp::Over, now + ANNOUNCE_EVERY);
        let (seat, epoch, reason, degraded) = (name.clone(), seat.epoch, seat.reason, seat.is_degraded());
        self.effects.push_back(Effect::Serve { seat: seat.clone(), epoch });
        self.effects.push_back(Effect::RunCommand { seat: seat.clone(), holds: true, epoch });
        self.note(Note::Serving { seat, epoch, reason, degraded });
    }

    /// Whoever goes on where it stopped may have lost what it gave to others: its disk was full or did not keep what it took, or its state
    /// was put back from an image. What members have comes first, if it can be had in the time that a silence has to last. If not, it goes on
    /// under another epoch: what it writes then is not to be taken for what it wrote before.
    fn catch_up(&mut self, now: Time, name: &NodeName) -> Result<(), SeatRefusal> {
        let newer = self.newer_of_members(now, name).cloned();
        let longest = now + self.spec.primary_timeout;
        let restarted = |seat: &&mut Seat| seat.reason == SeatReason::Restarted;
        let (Some(seat), Some(from)) = (self.seats.get_mut(name).filter(restarted), newer) else { return Ok(()) };
        let until = match seat.catching_up {
            CatchingUp::NotYet => longest,
            CatchingUp::Until(until) => until,
            CatchingUp::Over => return Ok(()),
        };
        if now < until {
            seat.catching_up = CatchingUp::Until(until);
            self.ask_for_copy(now, name, from);
        } else {
            seat.catching_up = CatchingUp::Over;
            let above = seat.epoch;
            self.take(name, above, SeatReason::Restarted, now);
        }
        Err(SeatRefusal::NewerElsewhere)
    }

    /// What a member has of the seat came, and can't be taken.
    pub(super) fn stop_catching_up(&mut self, now: Time, name: &NodeName) {
        if let Some(Seat { catching_up: CatchingUp::Until(until), .. }) = self.seats.get_mut(name) {
            *until = now;
        }
    }

    /// Asks a member for what it has of the seat, now and then. Who is none can't be asked.
    pub(super) fn ask_for_copy(&mut self, now: Time, name: &NodeName, from: NodeName) {
        let is_due = |seat: &&mut Seat| seat.ask_copy_at.is_none_or(|at| now >= at);
        let seat = self.seats.get_mut(name).filter(is_due);
        if let Some(seat) = seat.filter(|_| self.peers.contains_key(&from)) {
            seat.ask_copy_at = Some(now + ASK_COPY_AGAIN);
            self.effects.push_back(Effect::PullNow { seat: name.clone(), from });
        }
    }

    /// Stops serving the seat at once; what was promised is granted once it is gone.
    pub(super) fn let_go(&mut self, name: &NodeName, reason: SeatReason, promise: Option<Promise>) {
        let Some(seat) = self.seats.get_mut(name).filter(|seat| seat.is_serving()) else { return };
        seat.phase = Phase::Leaving(promise);
        let (seat, epoch) = (name.clone(), seat.epoch);
        self.effects.push_back(Effect::LetGo { seat: seat.clone() });
        self.effects.push_back(Effect::RunCommand { seat: seat.clone(), holds: false, epoch });
        self.note(Note::LetGo { seat, epoch, reason });
    }

    /// The address is removed and the routes are stopped.
    pub(super) fn gone(&mut self, now: Time, name: &NodeName) {
        let Some(seat) = self.seats.get_mut(name) else { return };
        if let Phase::Leaving(promise) = seat.phase.clone() {
            seat.phase = Phase::Idle;
            match promise {
                Some(promise) => self.grant(now, name, promise),
                None => self.advance_seat(now, name),
            }
        }
    }

    /// We did not run for so long that others may serve what we held.
    pub(super) fn recheck_all(&mut self) {
        let now = self.ran.unwrap_or_default();
        for name in self.seats.keys().cloned().collect::<Vec<_>>() {
            self.let_go(&name, SeatReason::Gap, None);
            if let Some(seat) = self.seats.get_mut(&name) {
                seat.owner = Default::default();
                if let Phase::Entering(entry) = &mut seat.phase {
                    *entry = Entry { since: now, forced: false, deadline: entry.deadline };
                }
            }
        }
    }

    /// Before anything is let go: a node whose disk is full goes on serving.
    fn store_promise(&mut self, name: &NodeName, guest: Guest) {
        let Some(seat) = self.seats.get(name) else { return };
        let epoch = self.next_epoch(name, seat.epoch, &guest.name);
        self.persist(Plan::Promise { seat: name.clone(), promise: Promise { guest, epoch } });
    }

    /// Nobody serves it: it is the guest's for a while, if he takes it up.
    pub(super) fn grant(&mut self, now: Time, name: &NodeName, promise: Promise) {
        let revision = self.revision_of(name);
        let Some(seat) = self.seats.get_mut(name) else { return };
        let Promise { guest: Guest { name: to, ask, .. }, epoch } = promise;
        seat.granted = Some(Granted { to: to.clone(), epoch, until: now + GRANT_BACK });
        // Held again one day, it is another trouble.
        seat.unable = None;
        self.tell(&to, Message::Grant { seat: name.clone(), ask, epoch, revision });
    }

    /// The grant ran out and nobody is heard to hold the seat: it is this node's again, under a new epoch.
    fn take_back(&mut self, now: Time, name: &NodeName) {
        let Some(seat) = self.seats.get(name) else { return };
        let Some(granted) = seat.granted.clone().filter(|granted| now >= granted.until) else { return };
        if self.pending.is_some() || self.retry_at.is_some() || self.prove(now, name, granted.until).is_err() {
            return;
        }
        let Some(seat) = self.seats.get(name) else { return };
        self.take(name, seat.epoch.max(granted.epoch), SeatReason::TakenBack, granted.until);
    }

    pub(super) fn tell(&mut self, whom: &NodeName, message: Message) {
        self.effects.push_back(Effect::Tell(whom.clone(), message));
    }
}
