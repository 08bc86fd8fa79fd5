//! The fallback address: a primary node whose seat another one holds stays manageable by it.

use super::{Done, Group, effects::PROBE_WAIT};
use crate::{
    control::address::{
        AddressEvent, Held, Loss,
        probe::{Ownership, ownership},
    },
    model::{NodeName, causes::chain, group::Role},
};
use std::time::Duration;
use tokio::{sync::mpsc, time::sleep};

/// An answer that could not be had is asked for again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How it stands.
#[derive(Debug, Default)]
pub(super) struct Fallback {
    pub(super) held: Option<Held>,
    /// Somebody is being asked whether it is in use.
    asking: bool,
    /// It could not be had: not again before it was not needed.
    failed: bool,
}

impl Group {
    /// Takes it or gives it up, as things are.
    pub(super) fn mind_fallback(&mut self) {
        let Some(address) = self.spec.fallback_address.clone() else { return };
        let displaced = self.is_displaced();
        match (&self.fallback, displaced && self.held.is_empty()) {
            (Fallback { held: None, asking: false, failed: false }, true) => {
                self.fallback.asking = true;
                self.tasks.spawn(async move {
                    let found = ownership(&address, PROBE_WAIT).await;
                    if matches!(found, Ownership::CannotTell(_)) {
                        sleep(ASK_AGAIN).await;
                    }
                    Done::FallbackAsked(found)
                });
            }
            (Fallback { held: Some(_), .. }, false) => self.fallback.held = None,
            _ => {}
        }
        if !displaced {
            self.fallback.failed = false;
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
                    self.fallback.held = Some(held);
                    self.watch_fallback(events);
                    self.event("fallback_address", false, format!("manageable by {}", address.address));
                }
                Err(error) => self.give_fallback_up(format!("the fallback address can't be added: {}", chain(&error))),
            },
            Ownership::Owned(mac) => self.give_fallback_up(format!("another host ({mac}) has the fallback address")),
            Ownership::Free | Ownership::CannotTell(_) => {}
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
                return self.give_fallback_up(format!("the fallback address is lost: {loss}"));
            }
        }
        self.watch_fallback(events);
    }

    fn give_fallback_up(&mut self, why: String) {
        (self.fallback.held, self.fallback.failed) = (None, true);
        self.event("fallback_address", true, why);
    }
}
