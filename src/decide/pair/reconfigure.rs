//! A new configuration: what did not change keeps what is known about it.

use super::{
    PairMachine,
    core::{Core, Plan},
};
use crate::{
    decide::{health::Health, upstream::Upstream},
    model::{
        Time,
        spec::{PairSpec, UpstreamSpec},
        view::UpstreamRole,
    },
};

impl PairMachine {
    pub(super) fn reconfigure(&mut self, now: Time, spec: PairSpec) {
        let home_before = self.home().map(|home| (home.name.clone(), home.address.clone()));
        let generation = self.home().map_or(0, |home| home.health.generation());
        let mut known = std::mem::take(&mut self.upstreams);
        self.upstreams = roles(&spec)
            .map(|(role, wanted)| match known.iter().position(|upstream| upstream.is(wanted)) {
                Some(place) => kept(now, known.swap_remove(place), role, &spec),
                None => fresh(now, role, wanted, &spec, 0),
            })
            .collect();
        self.spec = spec;
        let home_after = self.home().map(|home| (home.name.clone(), home.address.clone()));
        if home_before != home_after {
            // A signal was about the server that had this place before: a later generation voids it.
            self.overtake_validations();
            if let Some(home) = self.upstreams.iter_mut().find(|upstream| is_home(upstream)) {
                home.health.outgrow(generation);
            }
        }
        self.drop_what_is_gone();
        self.core.side = self.spec.side_of(&self.core.upstream).unwrap_or(self.core.side);
        self.rewrite = true;
    }

    /// Another machine of this process watched the same servers until now, without a break: what it saw of them holds, and the checks
    /// count on from its. What it was told does not: no signal outlives the machine it was given to. To be called before all else.
    pub fn go_on_from(&mut self, now: Time, mut former: Self) {
        former.observe(now);
        self.next_check = former.next_check;
        self.local_trouble = former.local_trouble;
        for upstream in &mut self.upstreams {
            let same = |known: &Upstream| (&known.name, &known.address) == (&upstream.name, &upstream.address);
            let Some(place) = former.upstreams.iter().position(same) else { continue };
            let generation = upstream.health.generation();
            *upstream = kept(now, former.upstreams.swap_remove(place), upstream.role, &self.spec);
            upstream.signal = None;
            upstream.health.forget(now);
            upstream.health.outgrow(generation);
        }
    }

    /// Nobody moves to, or vouches for, a server that was removed.
    fn drop_what_is_gone(&mut self) {
        let names: Vec<_> = self.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
        if self.migration.as_ref().is_some_and(|migration| !names.contains(&migration.journey.to)) {
            self.end_migration("given up, as its target was removed");
        }
        let concerned = self.validations.iter().map(|validation| validation.upstream.clone());
        let removed: Vec<_> = concerned.filter(|name| !names.contains(name)).collect();
        removed.iter().for_each(|name| self.validation_failed(name));
    }

    /// The same under an epoch that nobody acted under.
    pub(super) fn plan_above(&mut self) -> Option<Plan> {
        let above = self.above.filter(|above| *above >= self.core.epoch && !self.core.adrift)?;
        Some(Plan::keep(Core { epoch: above.next(), ..self.core.clone() }))
    }

    /// The record names the upstreams' addresses, so a new configuration is stored too.
    pub(super) fn plan_rewrite(&self) -> Option<Plan> {
        (self.rewrite && !self.core.adrift).then(|| Plan::keep(self.core.clone()))
    }
}

/// Everything that is checked, with its role.
pub(super) fn roles(spec: &PairSpec) -> impl Iterator<Item = (UpstreamRole, &UpstreamSpec)> {
    let primary = spec.primary.iter().map(|upstream| (UpstreamRole::Primary, upstream));
    let backups = spec.backups.iter().map(|upstream| (UpstreamRole::Backup, upstream));
    let elsewhere = spec.elsewhere.iter().map(|upstream| (UpstreamRole::Elsewhere, upstream));
    primary.chain(backups).chain(elsewhere)
}

/// An upstream nothing is known about yet.
pub(super) fn fresh(
    now: Time,
    role: UpstreamRole,
    wanted: &UpstreamSpec,
    spec: &PairSpec,
    generation: u64,
) -> Upstream {
    Upstream::new(wanted, role, Health::new(now, spec.health.clone(), spec.failback.stable_for, generation))
}

/// An upstream that is there as before.
fn kept(now: Time, mut known: Upstream, role: UpstreamRole, spec: &PairSpec) -> Upstream {
    known.role = role;
    known.health.reconfigure(now, spec.health.clone(), spec.failback.stable_for);
    known
}

fn is_home(upstream: &Upstream) -> bool {
    upstream.role != UpstreamRole::Backup
}
