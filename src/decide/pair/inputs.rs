//! Taking in what happened. Conclusions are drawn afterwards, in `settle`.

use super::{MAX_ORDERS, PairMachine};
use crate::{
    decide::{
        effect::{CheckId, Note, Verdict},
        input::{CheckResult, Input},
        timers,
        upstream::Upstream,
    },
    model::{
        Epoch, Side, Time, UpstreamName,
        seat::HIGHEST_EPOCH,
        view::{HealthName, UpstreamRole},
    },
};
use std::{net::SocketAddr, sync::Arc};

/// No pair changes its side so often while two nodes are parted: such a number is an error.
const MOST_AHEAD: u64 = 1 << 12;

impl PairMachine {
    pub(super) fn take_in(&mut self, now: Time, input: Input) {
        match input {
            Input::CheckDone { check, result } => self.check_done(now, check, result),
            Input::Evidence { upstream, evidence } => {
                if let Some(upstream) = self.upstreams.iter_mut().find(|other| other.name == upstream) {
                    upstream.health.evidence(now, evidence);
                }
            }
            Input::ResyncSignal { ticket, of, epoch } => self.signal(now, Some(ticket), of, epoch),
            Input::SignalPolled { done } => self.polled(now, done),
            Input::Order { ticket, order } if self.orders.len() < MAX_ORDERS => self.orders.push_back((ticket, order)),
            Input::Order { ticket, order } => {
                let words = "too many orders are waiting for the disk; try again";
                self.answer_order(ticket, order, Verdict::Refused(words.into()));
            }
            Input::Progress { order, left, exempt, complete, confirmed } => {
                if let Some(migration) = self.migration.as_mut().filter(|migration| migration.order == order) {
                    migration.progress(left, exempt, complete, confirmed);
                }
            }
            Input::Outnumbered(epoch) => self.outnumbered(epoch),
            Input::Persisted(id) => self.persisted(now, id),
            Input::PersistFailed(id) => self.persist_failed(now, id),
            Input::Gap(span) if span > timers::gap(&self.spec.health) => self.gap(now, span),
            Input::Gap(_) => self.starved(now),
            Input::LocalTrouble(trouble) => {
                // What was started while we were in trouble says nothing about anybody else.
                if std::mem::replace(&mut self.local_trouble, trouble) && !trouble {
                    self.starved(now);
                }
            }
            Input::Resolved(name, addresses) if !addresses.is_empty() => self.resolved(now, &name, addresses),
            Input::Resolved(..) => {}
            Input::Reconfigured(spec) => self.reconfigure(now, *spec),
        }
    }

    fn outnumbered(&mut self, epoch: Epoch) {
        let credible = epoch <= HIGHEST_EPOCH && epoch.0.saturating_sub(self.core.epoch.0) < MOST_AHEAD;
        if credible && epoch >= self.core.epoch && self.above.is_none_or(|above| epoch > above) {
            self.above = Some(epoch);
            self.note(Note::Outnumbered(epoch));
        }
    }

    /// Its name leads elsewhere now. Who is active takes newcomers there; any other may be a machine of which nothing is
    /// known, so that what was said about its data is void.
    fn resolved(&mut self, now: Time, name: &UpstreamName, addresses: Arc<[SocketAddr]>) {
        let active = self.active().is_some_and(|active| active.name == *name);
        let Some(upstream) = self.upstreams.iter_mut().find(|upstream| upstream.name == *name) else { return };
        let before = upstream.resolved.clone();
        let is_new = upstream.resolves_to(addresses);
        if before.is_empty() {
            upstream.health.check_now(now);
        }
        if !is_new || active {
            return;
        }
        upstream.health.moved(now);
        let words = format!(
            "{name} resolves to {:?} now, it was {before:?}: it may be another machine, so no earlier signal about it holds",
            upstream.resolved
        );
        self.note(Note::Identity(words));
        self.overtake_validation_of(name);
        if self.home().is_some_and(|home| home.name == *name) {
            self.polling.forget();
        }
    }

    fn check_done(&mut self, now: Time, check: CheckId, result: CheckResult) {
        let (next, deaf) = (CheckId(self.next_check), self.local_trouble);
        let found = self.upstreams.iter_mut().find_map(|upstream| {
            let was_failing = upstream.health.is_failing();
            let finding = upstream.health.done(now, check, result.clone(), next, deaf)?;
            Some((upstream.name.clone(), was_failing, finding))
        });
        let Some((name, was_failing, finding)) = found else { return };
        if let Some(to) = finding.changed {
            let failure = finding.failed.then_some(result);
            self.note(Note::Health { upstream: name.clone(), to, failure });
            if to == HealthName::Down && self.home().is_some_and(|home| home.name == name) {
                self.polling.forget();
            }
        }
        if let Some(span) = finding.unwatched {
            self.note(Note::Gap(span));
        }
        if finding.passed {
            self.validation_passed(&name, check);
        }
        if finding.failed {
            self.validation_failed(&name);
        }
        // A backup must pass a check that starts after the first failure of what it stands in for: start it now.
        let first_failure = finding.failed && !was_failing && name == self.core.upstream;
        if first_failure {
            let others = self.upstreams.iter_mut().filter(|other| other.name != name);
            others.filter(|other| other.role != UpstreamRole::Elsewhere).for_each(|other| other.health.check_now(now));
        }
    }

    /// Remembers which backups missed what the primary took while they were down. A primary that does not answer takes
    /// nothing, also while it is not known yet to be down: both may have gone at the same time.
    pub(super) fn note_missed_traffic(&mut self) {
        let takes = |active: &Upstream| active.health.is_up() && !active.health.is_failing();
        let taking = self.core.side == Side::Primary && self.active().is_some_and(takes);
        let backups = self.upstreams.iter_mut().filter(|upstream| upstream.role == UpstreamRole::Backup);
        for backup in backups.filter(|backup| taking && backup.health.is_down()) {
            backup.missed_traffic = true;
        }
    }

    /// Who is active now misses nothing.
    pub(super) fn welcome(&mut self) {
        let active = self.core.upstream.clone();
        if let Some(upstream) = self.upstreams.iter_mut().find(|upstream| upstream.name == active) {
            upstream.missed_traffic = false;
        }
    }

    /// Who was left by plan held everything at that moment: as good as a signal of its own.
    pub(super) fn vouch_for(&mut self, left: &UpstreamName) {
        if let Some(upstream) = self.upstreams.iter_mut().find(|upstream| upstream.name == *left) {
            upstream.signal = Some(upstream.health.generation());
        }
    }

    /// The pair's own upstream of that name.
    pub(super) fn upstream(&self, name: &UpstreamName) -> Option<&Upstream> {
        let own = |upstream: &&Upstream| upstream.role != UpstreamRole::Elsewhere;
        self.upstreams.iter().filter(own).find(|upstream| upstream.name == *name)
    }

    /// The upstream whose turn it is; `None` if the configuration has it no more.
    pub(super) fn active(&self) -> Option<&Upstream> {
        self.upstream(&self.core.upstream)
    }

    /// The primary.
    pub(super) fn primary(&self) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.role == UpstreamRole::Primary)
    }

    /// Where clients are at home: the primary, or the other proxy's.
    pub(super) fn home(&self) -> Option<&Upstream> {
        let elsewhere = || self.upstreams.iter().find(|upstream| upstream.role == UpstreamRole::Elsewhere);
        self.primary().or_else(elsewhere)
    }

    /// Does the home's name lead to the very server that clients are on? Then nobody can return to it.
    pub(super) fn is_home_here(&self) -> bool {
        self.home().zip(self.active()).is_some_and(|(home, active)| home.coincides_with(active))
    }
}
