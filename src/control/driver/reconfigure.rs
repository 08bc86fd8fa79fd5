//! A new configuration takes the old one's place: what did not change keeps its sessions and state.

use super::{Driver, orders::ReloadAsked, wall_now};
use crate::{
    control::{
        orders::OrderError,
        reload::{Plan, listened},
    },
    decide::{
        identity::Former,
        input::{Input, Stored},
    },
    model::{PairName, spec::PairSpec, view::ReloadAnswer},
};
use std::collections::BTreeMap;

impl Driver {
    /// The new configuration has been read and its listeners are bound, or something speaks against it; then nothing
    /// changes.
    pub(super) fn reload_planned(&mut self, asked: ReloadAsked, plan: Result<Box<Plan>, OrderError>) {
        let by = asked.by.clone();
        let plan = plan.and_then(|plan| plan.still_holds(&self.config, &self.former()).map(|()| plan));
        match plan {
            Ok(plan) => {
                let changes = plan.changes.clone();
                self.reconfigure(*plan);
                let words = if changes.is_empty() { "nothing changed".into() } else { changes.join("; ") };
                self.chronicle.node(&self.journal, "reload", false, format!("configuration reloaded by {by}: {words}"));
                asked.answer(Ok(ReloadAnswer { changes }));
            }
            Err(error) => {
                let message = format!("reload by {by} refused, nothing changed: {error}");
                self.chronicle.node(&self.journal, "reload_refused", true, message);
                asked.answer(Err(error));
            }
        }
    }

    pub(super) fn reconfigure(&mut self, plan: Plan) {
        let Plan { config, mut listeners, tls, troubles, tokens, .. } = plan;
        if let Some(tokens) = tokens {
            self.tokens.replace(tokens);
        }
        self.listeners.append(&mut listeners);
        self.config = config;
        self.alerts.configure(&self.config.alerts);
        let wanted = listened(&self.config, |route| self.is_open(route));
        self.listeners.retain(|address, _| wanted.contains(address));
        self.loaded_at = wall_now();
        self.configured();
        let gone: Vec<_> = self.pairs.keys().filter(|name| !self.config.pairs.contains_key(*name)).cloned().collect();
        for name in gone {
            self.forget_pair(&name);
        }
        for spec in self.config.pairs.values().cloned().collect::<Vec<_>>() {
            let name = spec.name.clone();
            match self.pairs.get_mut(&name) {
                Some(pair) if pair.spec == spec => {}
                Some(pair) => {
                    self.metrics.pair(&spec);
                    pair.respecify(spec.clone());
                    self.input(&name, Input::Reconfigured(Box::new(spec)));
                    self.resolve_literals(&name);
                }
                None => {
                    let known = self.departed.remove(&name);
                    let stored = known.unwrap_or_else(|| match self.seats {
                        Some(_) => self.recollection(&name),
                        None => self.recovered.stored(&name),
                    });
                    self.start_pair(spec, stored);
                }
            }
        }
        self.take_over_tls(tls, troubles);
    }

    /// What the journal knows of a pair of the first configuration: under its name, or under one that is there no more.
    pub(super) fn remembered(&self, spec: &PairSpec) -> Stored {
        let Stored::Nothing = self.recovered.stored(&spec.name) else { return self.recovered.stored(&spec.name) };
        let gone = self.recovered.records().filter(|(name, _)| !self.config.pairs.contains_key(*name));
        match Former::predecessor(spec, gone.map(|(name, record)| (name, Former::from(record)))) {
            Some((was, Former { turn, .. })) => Stored::Renamed { was: was.clone(), on: turn },
            None => Stored::Nothing,
        }
    }

    /// The servers of every pair that is or was there.
    pub(super) fn former(&self) -> BTreeMap<PairName, Former> {
        let recovered = self.recovered.records().map(|(name, record)| (name, Former::from(record)));
        let departed = self.departed.iter().filter_map(|(name, stored)| match stored {
            Stored::Record(record) => Some((name, Former::from(&**record))),
            Stored::Nothing | Stored::Renamed { .. } | Stored::Unreadable(_) => None,
        });
        let running = self.pairs.iter().map(|(name, pair)| {
            let servers = pair.spec.checked().map(|server| (server.name.clone(), server.address.clone()));
            let turn = pair.machine.turn().cloned();
            let next = pair.machine.in_use().nth(1).cloned();
            (name, Former { turn, next, servers: servers.collect() })
        });
        recovered.chain(departed).chain(running).map(|(name, former)| (name.clone(), former)).collect()
    }
}
