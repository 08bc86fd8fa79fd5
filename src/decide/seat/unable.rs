//! A holder that is well and can't serve its seat: its routes or its address can't be brought up. It tries again, and once that has failed
//! for as long as a silence would have to last, it asks a backup node to take the seat, as if an operator had ordered it there. A seat
//! that is not with its own node stays where it is: nobody hands it to and fro. But a takeover that came to nothing is none: a node that took
//! a seat and could never open its routes yields it, in turns with trying again, to the seat's own node if that is back, or to a backup node,
//! joined with it or not. Who failed itself a moment ago takes nothing that is yielded.

use super::{
    NodeMachine, Peer,
    effect::{Message, Note},
    input::Order,
    state::{Phase, Seat},
    work::Work,
};
use crate::model::{
    NodeName, Time,
    group::{NodeStateName, Role},
    seat::{SeatReason, SeatRefusal, epoch_of_revision},
};
use std::time::Duration;

/// Routes or an address that could not be brought up are tried again after this long.
const SERVE_AGAIN: Duration = Duration::from_secs(2);
/// A failure so long after the one before is a new trouble.
const FORGOTTEN: Duration = Duration::from_secs(25);
/// If nobody came who was asked, the next is asked after this long.
const ASK_AGAIN: Duration = Duration::from_secs(15);
/// So long a seat is left to others before it is tried again.
const YIELDS: Duration = Duration::from_secs(5);
/// So much longer each leaves it to those who go before it in the order of takeovers.
const EACH_WAITS: Duration = Duration::from_secs(1);
/// Who could not serve a seat leaves it to others for so long.
const RESTS: Duration = Duration::from_secs(120);

/// A seat could not be served.
#[derive(Debug)]
pub(super) struct Unable {
    since: Time,
    asked: Option<(Time, NodeName)>,
    /// Who refused last, and why.
    refused: Option<(NodeName, SeatRefusal)>,
    /// Others may have it now.
    yields: bool,
}

impl Unable {
    fn new(now: Time) -> Self {
        Self { since: now, asked: None, refused: None, yields: false }
    }

    /// What was asked came to nothing.
    pub(super) fn ask_again(&mut self) {
        self.asked = None;
    }
}

impl NodeMachine {
    pub(super) fn serve_failed(&mut self, now: Time, name: &NodeName) {
        let others = self.candidates(now, name).any(|(_, claim)| claim.copy > 0);
        // Its first revision is made once its routes are open.
        let never_opened =
            self.seats.get(name).is_some_and(|seat| epoch_of_revision(self.revision_of(name)) < seat.epoch);
        let Some(seat) = self.seats.get_mut(name).filter(|seat| seat.is_serving()) else { return };
        let lately = seat.failed_at.replace(now).is_some_and(|at| now.since(at) < FORGOTTEN);
        let before = seat.unable.take().filter(|_| lately);
        let mut unable = before.unwrap_or_else(|| Unable::new(now));
        let lasts = now.since(unable.since) >= self.spec.primary_timeout;
        unable.yields = lasts && never_opened && others && seat.is_degraded();
        seat.retry_at = Some(now + if unable.yields { YIELDS } else { SERVE_AGAIN });
        let is_due = unable.asked.as_ref().is_none_or(|(at, _)| now.since(*at) >= ASK_AGAIN);
        let help = lasts && is_due && !seat.is_degraded();
        let last = unable.asked.as_ref().map(|(_, guest)| guest.clone());
        seat.unable = Some(unable);
        self.let_go(name, SeatReason::ServeFailed, None);
        if help && let Some(guest) = self.who_stands_by(now, name, last.as_ref()) {
            if let Some(unable) = self.seats.get_mut(name).and_then(|seat| seat.unable.as_mut()) {
                unable.asked = Some((now, guest.clone()));
            }
            if last.as_ref() != Some(&guest) {
                self.note(Note::AskedToCome { seat: name.clone(), guest: guest.clone() });
            }
            self.tell(&guest, Message::Come { seat: name.clone(), adopt: false, unable: true });
        }
    }

    /// Who was asked to take a seat does not: said once for each reason.
    pub(super) fn help_refused(&mut self, guest: &NodeName, name: &NodeName, why: SeatRefusal) {
        let Some(unable) = self.seats.get_mut(name).and_then(|seat| seat.unable.as_mut()) else { return };
        let was_asked = unable.asked.as_ref().is_some_and(|(_, asked)| asked == guest);
        if let Some((at, _)) = unable.asked.as_mut().filter(|_| was_asked) {
            // The next one need not wait.
            *at = *at - ASK_AGAIN;
        }
        if was_asked && unable.refused.replace((guest.clone(), why)) != Some((guest.clone(), why)) {
            self.note(Note::NotComing { seat: name.clone(), guest: guest.clone(), why });
        }
    }

    /// Who could serve it comes first, then who stands by, then who serves another seat; each in turn.
    fn who_stands_by(&self, now: Time, seat: &NodeName, last: Option<&NodeName>) -> Option<NodeName> {
        let backups = self.peers.iter().filter(|(_, peer)| peer.role == Role::Backup && self.is_near(now, peer));
        let unfit = |peer: &Peer| !peer.claim(seat).is_some_and(|claim| claim.fit);
        let mut backups: Vec<_> =
            backups.map(|(name, peer)| (unfit(peer), peer.state != NodeStateName::Standby, name)).collect();
        backups.sort();
        let after = last.and_then(|last| backups.iter().position(|(.., name)| *name == last)).map_or(0, |at| at + 1);
        backups.get(after % backups.len().max(1)).map(|(.., name)| (*name).clone())
    }

    /// Is this seat left to others at this moment?
    pub(super) fn yields(&self, seat: &Seat) -> bool {
        let held = seat.holder.as_ref() == Some(&self.me) && seat.phase == Phase::Idle && seat.granted.is_none();
        held && seat.unable.as_ref().is_some_and(|unable| unable.yields)
    }

    /// Notices whether the seat's holder yields it, and takes it if it is this node's turn: its own node's first.
    pub(super) fn take_yielded(&mut self, now: Time, name: &NodeName) {
        let yields = self.neighbours().any(|(node, peer)| {
            let holds = self.seats.get(name).is_some_and(|seat| seat.holder.as_ref() == Some(node));
            holds && self.is_near(now, peer) && peer.claim(name).is_some_and(|claim| claim.yields)
        });
        let Some(seat) = self.seats.get_mut(name) else { return };
        if !yields {
            seat.yielded = None;
            return;
        }
        let since = *seat.yielded.get_or_insert(now);
        let (idle, home) = (seat.phase == Phase::Idle, seat.home.clone());
        let is_home = home == self.me;
        let rests = seat.failed_at.is_some_and(|at| now.since(at) < RESTS);
        let able = !rests && if is_home { self.is_able(name) } else { self.is_fit(name) };
        if !idle || !able || self.is_busy() {
            return;
        }
        if let Some(node) = self.newer_copy(now, name).cloned() {
            return self.ask_for_copy(now, name, node);
        }
        let home_first = self.candidates(now, name).any(|(node, _)| *node == home);
        let turn = if is_home { 0 } else { self.ahead(now, name) + usize::from(home_first) };
        let turn = u32::try_from(turn).unwrap_or(u32::MAX);
        if self.pending.is_none() && now >= since + EACH_WAITS * turn && self.prove(now, name, since).is_ok() {
            let Some(seat) = self.seats.get(name) else { return };
            self.take(name, seat.epoch, SeatReason::HolderUnable, now);
        }
    }

    /// The holder can't serve, and asks this node to: what holds it back from a takeover by itself holds it back here.
    pub(super) fn asked_to_help(&mut self, now: Time, from: &NodeName, seat: NodeName) {
        let why = match self.held_back(&seat) {
            _ if self.is_busy() => SeatRefusal::Busy,
            _ if self.who_can_give(now, &seat).as_ref() != Some(from) => SeatRefusal::NotHolder,
            Some(why) => why,
            None => {
                let order = Order::Takeover { seat: seat.clone(), force: false };
                let work = Work::new(now, None, order, seat.clone(), SeatReason::HolderUnable);
                self.work = Some(Work { inviter: Some(from.clone()), ..work });
                return self.begin_preflight(now, &seat);
            }
        };
        self.tell(from, Message::Refuse { seat, ask: super::AskId(0), why });
    }
}
