//! A holder falls silent: the countdown, and who takes over by himself (`B8`, `B10`, `G8`).

use super::{NodeMachine, effect::Note, state::Phase};
use crate::{
    decide::suspicion::LATE,
    model::{
        NodeName, Time,
        group::{NodeStateName, Role},
        seat::{SeatReason, SeatRefusal},
    },
};
use std::time::Duration;

/// Parts of `primary_timeout` that a countdown is told in.
const STEPS: u32 = 4;
/// So long before a silence is over, the address is asked for the first time: an answer takes a quarter of a second.
const PROBED_BEFORE: Duration = Duration::from_millis(500);
/// So much longer than half a `primary_timeout` each backup gives the one before it.
const HEAD_START: Duration = Duration::from_secs(1);

/// So long a backup that could not serve leaves the seat to one that could. If that one has not taken it by then, whatever keeps it, the
/// other tries: it may find that it can.
const OUTDONE: Duration = Duration::from_secs(30);

impl NodeMachine {
    pub(super) fn succeed(&mut self, now: Time, name: &NodeName) {
        if self.role != Role::Backup {
            return;
        }
        let Some(seat) = self.seats.get(name).filter(|seat| seat.phase == Phase::Idle) else { return };
        let Some(holder) = seat.holder.clone().filter(|holder| *holder != self.me) else { return };
        let Some(peer) = self.peers.get(&holder) else { return };
        let (began, quiet_at, gone) = (peer.hearing.silent_since(), self.quiet_at(peer), peer.hearing.is_gone());
        self.count_down(now, name, &holder, began, quiet_at);
        let half = began + quiet_at.since(began) / 2;
        if now >= half || gone {
            // Asked early, so that the answers are here in time.
            self.ask_witnesses(now, self.spec.heartbeat);
            if now + PROBED_BEFORE >= quiet_at && self.held_back(name).is_none() {
                self.probe_address(now, name, self.spec.heartbeat);
            }
        }
        if now < quiet_at || self.work.is_some() || self.pending.is_some() {
            return;
        }
        if let Some(why) = self.held_back(name) {
            return self.say_held_back(name, why);
        }
        let head_start =
            (self.spec.primary_timeout / 2 + HEAD_START) * u32::try_from(self.ahead(now, name)).unwrap_or(u32::MAX);
        if now < quiet_at + head_start {
            return;
        }
        let outdone = match self.newer_copy(now, name) {
            Some(_) => Some(SeatRefusal::NewerElsewhere),
            None => match self.fitter(now, name) {
                // Neither takes it: that one has an older copy. Which of the two evils it is to be is an operator's to say.
                Some((_, false)) => Some(SeatRefusal::FitterElsewhere),
                Some((_, true)) if now < quiet_at + head_start + OUTDONE => Some(SeatRefusal::FitterElsewhere),
                _ => self.retry_at.map(|_| SeatRefusal::NotStored),
            },
        };
        if let Some(why) = outdone {
            return self.say_held_back(name, why);
        }
        self.no_longer_held_back(name);
        match self.prove(now, name, began) {
            Ok(()) => {
                let Some(seat) = self.seats.get(name) else { return };
                self.take(name, seat.epoch, SeatReason::HolderSilent, began);
            }
            // Others hear of the silence a moment later, and what can't be shown yet may be in a moment.
            Err(why) if why != SeatRefusal::NoProof && now >= quiet_at + head_start + self.spec.primary_timeout => {
                self.say_held_back(name, why);
            }
            Err(_) => {}
        }
    }

    /// What keeps this node from taking over by itself, whatever the world is like.
    pub(super) fn held_back(&self, name: &NodeName) -> Option<SeatRefusal> {
        let seat = self.seats.get(name)?;
        if self.role != Role::Backup {
            Some(SeatRefusal::NotBackup)
        } else if !self.spec.auto {
            Some(SeatRefusal::AutoOff)
        } else if seat.is_degraded() && seat.yielded.is_none() {
            Some(SeatRefusal::Degraded)
        } else if self.state() == NodeStateName::Offline {
            // It can't serve what it holds. One that serves another seat takes this one, too (`G2`).
            Some(SeatRefusal::NotStandby)
        } else if !self.synced.contains_key(name) {
            Some(SeatRefusal::NeverSynced)
        } else {
            None
        }
    }

    /// What was said of a node that is silent by now is not so any more.
    fn no_longer_held_back(&mut self, name: &NodeName) {
        let of_others = [SeatRefusal::NewerElsewhere, SeatRefusal::FitterElsewhere];
        if let Some(seat) = self.seats.get_mut(name) {
            seat.held_back.take_if(|why| of_others.contains(why));
        }
    }

    fn say_held_back(&mut self, name: &NodeName, why: SeatRefusal) {
        let Some(seat) = self.seats.get_mut(name) else { return };
        if seat.held_back.replace(why) != Some(why) {
            self.note(Note::HeldBack { seat: name.clone(), why });
        }
    }

    /// One note for each quarter of the silence that is asked for, the last when it is over.
    fn count_down(&mut self, now: Time, name: &NodeName, holder: &NodeName, began: Time, quiet_at: Time) {
        let span = quiet_at.since(began);
        let step = (1..=STEPS).rev().find(|step| now >= began + span * *step / STEPS).unwrap_or(0);
        let held_back = self.held_back(name);
        let Some(seat) = self.seats.get_mut(name) else { return };
        // A silence shorter than three heartbeats is none.
        let late = now.since(began) > self.spec.heartbeat * LATE || step == STEPS;
        let was = seat.countdown;
        if step > was && late {
            seat.countdown = step;
            let (seat, holder) = (name.clone(), holder.clone());
            self.note(Note::Countdown { seat, holder, left: quiet_at.since(now), held_back });
        } else if step == 0 && was > 0 {
            (seat.countdown, seat.held_back) = (0, None);
            self.note(Note::CountdownOver { seat: name.clone(), holder: holder.clone() });
        }
    }
}
