//! The pair's row of the route table, made from how things are and published when it changed.

use super::PairMachine;
use crate::{
    decide::{
        effect::{Effect, Routing},
        migration::Phase,
    },
    model::{table::Admit, view::PairStateName as State},
};

impl PairMachine {
    pub(super) fn publish(&mut self) {
        // While the very first record is being stored newcomers wait at the door, also where nobody is to be held.
        if self.published.is_none() && !self.stored && self.pending.is_some() {
            return;
        }
        let routing = Routing { epoch: self.core.epoch, admit: self.admission(), close: self.closing.clone() };
        if self.published.as_ref() != Some(&routing) {
            self.published = Some(routing.clone());
            self.effects.push_back(Effect::Publish(routing));
        }
    }

    fn admission(&self) -> Admit {
        let usable = self.active().filter(|active| !active.health.is_down() && !active.resolved.is_empty());
        match usable {
            Some(active) if !self.must_hold() => Admit::To {
                upstream: active.name.clone(),
                side: self.core.side,
                addresses: active.resolved.clone(),
                pace: self.admission_pace(),
            },
            _ => Admit::Hold,
        }
    }

    /// Nobody is usable, or will be in a moment. Holding is safe at any time, so nothing has to be stored for it.
    fn must_hold(&self) -> bool {
        let nobody = !self.stored || self.core.adrift || self.core.state == State::NoServer;
        // The disk may say already that the old side is lost: send nobody there, even if it just came back.
        let changing = self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.plan.next.upstream != self.core.upstream && pending.plan.cuts());
        nobody || changing || self.is_leaving()
    }

    fn admission_pace(&self) -> u32 {
        match &self.migration {
            Some(migration) if matches!(migration.phase, Phase::Admitting { .. }) => {
                migration.pace(self.spec.failback.pace)
            }
            _ => 0,
        }
    }
}
