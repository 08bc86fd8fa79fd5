//! What happens outside, turned into inputs of the machines.

use super::{
    Driver,
    pair::{Addresses, Pair},
    progress,
    renew::shown_by,
    words,
};
use crate::{
    control::{journal::News, probe, resolve::Resolved},
    decide::input::{CheckResult, Input, Stored},
    model::{PairName, RouteName, Time, ports::Outcome, spec::PairSpec},
};

impl Driver {
    /// Makes a pair's machine and lets it begin.
    pub(super) fn start_pair(&mut self, spec: PairSpec, stored: Stored) {
        let (name, now) = (spec.name.clone(), self.clock.now());
        self.incarnations += 1;
        let metrics = self.metrics.pair(&spec);
        let mut pair = Pair::new(spec, (stored, self.origin_of(&name)), self.incarnations, metrics, now);
        pair.watched = self.watched_for(&name).is_some();
        if let Some(former) = self.parted.remove(&name) {
            pair.go_on_from(former, now);
        }
        self.pairs.insert(name.clone(), pair);
        self.resolve_literals(&name);
        self.timed(&name);
    }

    /// An IP address needs no resolver.
    pub(super) fn resolve_literals(&mut self, name: &PairName) {
        let Some(pair) = self.pairs.get_mut(name) else { return };
        let known: Vec<_> = pair
            .spec
            .checked()
            .filter_map(|upstream| {
                Some((upstream.name.clone(), (upstream.address.ip()?, upstream.address.port).into()))
            })
            .collect();
        for (upstream, address) in known {
            let addresses: Addresses = [address].into();
            if pair.resolved(&upstream, &addresses) {
                self.backlog.push_back((name.clone(), Input::Resolved(upstream, addresses)));
            }
        }
        self.look_at_links(name);
        self.settle();
    }

    /// What resolver and metrics follow is what is configured now.
    pub(super) fn configured(&mut self) {
        let hosts = self
            .config
            .pairs
            .iter()
            .flat_map(|(pair, spec)| spec.checked().map(move |upstream| (pair, &upstream.name, &upstream.address)));
        self.resolver.follow(hosts);
        let routes = self.config.routes.values().map(|route| (route.name.clone(), route.pair.clone()));
        self.metrics.configured(self.config.pairs.keys().cloned(), routes);
        let leads =
            |route: &RouteName, pair: &PairName| self.config.routes.get(route).is_some_and(|its| its.pair == *pair);
        self.workers.stats.iter().for_each(|worker| worker.retain(leads));
    }

    pub(super) fn publish_all(&mut self) {
        let specs = self.pairs.values().filter(|pair| !pair.watched).map(|pair| &pair.spec);
        let seats = self.seats.as_ref();
        let open = self.config.routes.values().filter(|route| seats.is_none_or(|seats| seats.takes(&route.name)));
        self.publisher.configure(open, &self.listeners, specs);
    }

    pub(super) fn check_ended(&mut self, ended: probe::Ended) {
        let probe::Ended { pair: name, machine, check, upstream, result, handshake } = ended;
        let Some(pair) = self.pairs.get(&name).filter(|pair| pair.incarnation == machine) else { return };
        pair.metrics.check(&upstream, &result);
        if let Some(expires) = handshake.expires {
            self.tls.seen(&name, &upstream, expires);
            self.metrics.certificate(shown_by(&name, &upstream), expires);
        }
        // A deadline that we noticed too late is not the server's fault.
        if let Some(failure) = handshake.failure.filter(|_| !matches!(result, CheckResult::Local(_))) {
            self.metrics.check_handshake_failed(failure);
        }
        self.input(&name, Input::CheckDone { check, result });
    }

    pub(super) fn journal_says(&mut self, news: News) {
        match news {
            News::Stored(name, receipt) => self.written(&name, receipt, true),
            News::NotStored(name, receipt) => self.written(&name, receipt, false),
            News::Trouble(trouble) => {
                self.chronicle.node(&self.journal, "journal_trouble", true, trouble.clone());
                self.journal_trouble = Some(trouble);
            }
            News::Recovered => {
                self.journal_trouble = None;
                let message = "the journal can be written again".into();
                self.chronicle.node(&self.journal, "journal_recovered", false, message);
            }
        }
    }

    pub(super) fn progress_changed(&mut self) {
        for name in self.pairs.keys().cloned().collect::<Vec<_>>() {
            let Some(order) = self.publisher.order(&name) else { continue };
            let sum = self.watchers.sum(&name, order);
            let Some(pair) = self.pairs.get_mut(&name) else { continue };
            if pair.told == Some((order, sum)) {
                continue;
            }
            pair.told = Some((order, sum));
            let progress::Sum { left, exempt, complete } = sum;
            let confirmed = complete && left == 0;
            self.input(&name, Input::Progress { order: order.id, left, exempt, complete, confirmed });
            self.show_place(&name);
        }
    }

    pub(super) fn evidence(&mut self, outcomes: Vec<Outcome>) {
        for Outcome { pair, upstream, evidence } in outcomes {
            self.input(&pair, Input::Evidence { upstream, evidence });
        }
    }

    pub(super) fn resolved(&mut self, change: Resolved) {
        let Resolved { pair: name, upstream, address, addresses } = change;
        let Some(pair) = self.pairs.get_mut(&name) else { return };
        let current = pair.spec.checked().any(|spec| spec.name == upstream && spec.address == address);
        if current && pair.resolved(&upstream, &addresses) {
            tracing::info!(pair = %name, %upstream, %address, ?addresses, "resolved");
            self.look_at_links(&name);
            self.input(&name, Input::Resolved(upstream, addresses));
        }
    }

    pub(super) fn polled(&mut self, name: &PairName, machine: u64, done: Option<bool>) {
        let Some(pair) = self.pairs.get_mut(name).filter(|pair| pair.incarnation == machine) else { return };
        pair.polling = false;
        self.input(name, Input::SignalPolled { done });
    }

    /// A link went up or down: whose servers are behind it?
    pub(super) fn links_changed(&mut self) {
        for name in self.pairs.keys().cloned().collect::<Vec<_>>() {
            self.look_at_links(&name);
        }
        self.settle();
    }

    /// While the link towards the server that clients are on is down, nothing speaks against that server. One that is not
    /// active is as good as down when its link is.
    pub(super) fn look_at_links(&mut self, name: &PairName) {
        let (Some(links), Some(pair)) = (&self.links, self.pairs.get_mut(name)) else { return };
        let status = pair.machine.status(self.clock.now());
        let addresses = pair.addresses(&status.active_upstream);
        let cut_off = self.seats.as_ref().is_some_and(|seats| seats.cut_off);
        let trouble = match cut_off {
            true => Some("this node hears no other and reaches no witness".into()),
            false => addresses.and_then(|addresses| links.trouble_towards(addresses)),
        };
        // That it is alone is no news of a node that has just begun.
        let said = !cut_off || self.seats.as_ref().is_some_and(|seats| seats.called_cut_off);
        let had = std::mem::replace(&mut pair.link_trouble, trouble.clone()).is_some();
        if had != trouble.is_some() {
            let tell = if trouble.is_some() { said } else { pair.trouble_told };
            if tell {
                pair.trouble_told = trouble.is_some();
                let story = words::link_story(name, trouble.as_deref());
                self.chronicle.pair(&self.journal, name, status.epoch, story);
            }
            self.backlog.push_back((name.clone(), Input::LocalTrouble(trouble.is_some())));
        }
    }

    pub(super) fn time_out(&mut self) {
        let now = self.clock.now();
        let due = |pair: &Pair| pair.wake.is_some_and(|wake: Time| wake <= now);
        let due: Vec<_> = self.pairs.iter().filter(|(_, pair)| due(pair)).map(|(name, _)| name.clone()).collect();
        for name in due {
            self.timed(&name);
        }
    }
}
