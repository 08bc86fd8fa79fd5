//! The fallback address: a primary node whose seat another one holds stays manageable by it.

use super::{Done, Group};
use crate::{
    control::address::{AddressEvent, Loss},
    model::{causes::chain, group::Role},
};
use tokio::sync::mpsc;

impl Group {
    /// Takes it or gives it up, as things are.
    pub(super) fn mind_fallback(&mut self) {
        let Some(address) = self.spec.fallback_address.clone() else { return };
        let displaced = self.machine.role() == Role::Primary
            && self
                .machine
                .seats()
                .any(|(_, status)| status.home == self.me && status.holder.is_some_and(|holder| holder != self.me));
        match (&self.fallback, displaced && self.held.is_empty()) {
            (None, true) if !self.fallback_failed => match self.take_address(&address) {
                Ok((held, events)) => {
                    self.fallback = Some(held);
                    self.watch_fallback(events);
                    self.event("fallback_address", false, format!("manageable by {}", address.address));
                }
                Err(error) => {
                    let why = format!("the fallback address can't be added: {}", chain(&error));
                    self.give_fallback_up(why);
                }
            },
            (Some(_), false) => self.fallback = None,
            _ => {}
        }
        if !displaced {
            self.fallback_failed = false;
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
        if self.fallback.is_none() {
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
                self.fallback = None;
                return;
            }
            AddressEvent::Lost(loss @ Loss::Refused(_)) => {
                return self.give_fallback_up(format!("the fallback address is lost: {loss}"));
            }
        }
        self.watch_fallback(events);
    }

    fn give_fallback_up(&mut self, why: String) {
        (self.fallback, self.fallback_failed) = (None, true);
        self.event("fallback_address", true, why);
    }
}
