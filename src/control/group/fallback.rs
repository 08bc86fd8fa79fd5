//! The fallback address: a primary node whose seat another one holds stays manageable by it.

use super::{Done, Group, effects::PROBE_WAIT};
use crate::{
    control::address::{
        AddressEvent, Held, Loss,
        probe::{Ownership, ownership},
    },
    model::{NodeName, Time, causes::chain, group::Role},
};
use std::time::Duration;
use tokio::sync::mpsc;

/// An answer that could not be had is asked for again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// What another host has, or the kernel refuses, is tried again after this long.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// How it stands.
#[derive(Debug, Default)]
pub(super) struct Fallback {
    pub(super) held: Option<Held>,
    /// Somebody is being asked whether it is in use.
    asking: bool,
    /// It could not be had: not again before then.
    again_at: Option<Time>,
    /// What was said last of why it can't be had.
    said: Option<String>,
}

impl Group {
    /// Takes it or gives it up, as things are.
    pub(super) fn mind_fallback(&mut self) {
        let Some(address) = self.spec.fallback_address.clone() else { return };
        let displaced = self.is_displaced();
        let now = self.clock.now();
        let is_due = self.fallback.again_at.is_none_or(|at| now >= at);
        match (&self.fallback, displaced && self.held.is_empty()) {
            (Fallback { held: None, asking: false, .. }, true) if is_due => {
                self.fallback.asking = true;
                self.tasks.spawn(async move { Done::FallbackAsked(ownership(&address, PROBE_WAIT).await) });
            }
            (Fallback { held: Some(_), .. }, false) => self.fallback.held = None,
            _ => {}
        }
        if !displaced {
            (self.fallback.again_at, self.fallback.said) = (None, None);
        }
    }

    /// Does another node hold what is this one's own?
    fn is_displaced(&self) -> bool {
        let elsewhere = |holder: NodeName| holder != self.me;
        let mut own = self.machine.seats().filter(|(_, status)| status.home == self.me);
        self.machine.role() == Role::Primary && own.any(|(_, status)| status.holder.is_some_and(elsewhere))
    }

    /// Nobody else must have it, or the neighbours would be led astray.
    pub(super) fn fallback_asked(&mut self, found: &Ownership) {
        self.fallback.asking = false;
        let Some(address) = self.spec.fallback_address.clone() else { return };
        match found {
            Ownership::Free if self.is_displaced() && self.held.is_empty() => match self.take_address(&address) {
                Ok((held, events)) => {
                    (self.fallback.held, self.fallback.said) = (Some(held), None);
                    self.watch_fallback(events);
                    self.event("fallback_address", false, format!("manageable by {}", address.address));
                }
                Err(error) => {
                    self.give_fallback_up(format!("the fallback address can't be added: {}", chain(&error)), TRY_AGAIN);
                }
            },
            Ownership::Owned(mac) => {
                self.give_fallback_up(format!("another host ({mac}) has the fallback address"), TRY_AGAIN);
            }
            Ownership::CannotTell(why) => {
                let why = format!("nobody can say whether another host has the fallback address: {why}");
                self.give_fallback_up(why, ASK_AGAIN);
            }
            Ownership::Free => {}
        }
    }

    fn watch_fallback(&mut self, mut events: mpsc::Receiver<AddressEvent>) {
        self.tasks.spawn(async move {
            match events.recv().await {
                Some(event) => Done::Fallback(events, event),
                None => Done::Nothing,
            }
        });
    }

    /// It is worth less than the shared one: what befalls it is told, and changes nothing else.
    pub(super) fn fallback_says(&mut self, events: mpsc::Receiver<AddressEvent>, event: AddressEvent) {
        if self.fallback.held.is_none() {
            return;
        }
        match event {
            AddressEvent::Conflict(mac) => {
                let message = format!("another host ({mac}) claims this node's fallback address");
                self.event("address_conflict", true, message);
            }
            AddressEvent::ConflictOver => {
                self.event("address_conflict_over", false, "the fallback address is claimed once".into());
            }
            AddressEvent::Restored => {
                self.event("address_restored", true, "the fallback address was gone and is there again".into());
            }
            // After a gap it is simply taken again.
            AddressEvent::Lost(Loss::NotRenewed(_)) => {
                self.fallback.held = None;
                return;
            }
            AddressEvent::Lost(loss @ Loss::Refused(_)) => {
                return self.give_fallback_up(format!("the fallback address is lost: {loss}"), TRY_AGAIN);
            }
        }
        self.watch_fallback(events);
    }

    /// For now; why is said once.
    fn give_fallback_up(&mut self, why: String, again: Duration) {
        (self.fallback.held, self.fallback.again_at) = (None, Some(self.clock.now() + again));
        if self.fallback.said.replace(why.clone()).as_ref() != Some(&why) {
            self.event("fallback_address", true, why);
        }
    }
}
