//! One pair as the driver has it: its machine, and what the machine does not need to know.

use super::progress::{OrderGiven, Sum};
use crate::{
    control::journal::Receipt,
    decide::{
        effect::PairRecord,
        input::{Origin, Start, Stored},
        pair::PairMachine,
    },
    model::{Time, UpstreamName, spec::PairSpec},
    observe::metrics::PairMetrics,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, Hasher, RandomState},
    net::SocketAddr,
    sync::Arc,
};

/// Addresses of one upstream.
pub(super) type Addresses = Arc<[SocketAddr]>;

/// A pair that is being driven.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) spec: PairSpec,
    pub(super) machine: PairMachine,
    /// Which machine of this name it is: reports about an earlier one are ignored.
    pub(super) incarnation: u64,
    pub(super) metrics: Arc<PairMetrics>,
    /// When the machine wants to be called.
    pub(super) wake: Option<Time>,
    /// The progress it was told last.
    pub(super) told: Option<(OrderGiven, Sum)>,
    /// Its source of the signal is being asked.
    pub(super) polling: bool,
    /// A link towards its servers is down; in words.
    pub(super) link_trouble: Option<String>,
    /// That was said.
    pub(super) trouble_told: bool,
    /// What is on stable storage.
    pub(super) stored: Stored,
    /// Records on their way to the disk, and since when.
    pub(super) writing: BTreeMap<Receipt, (Time, Box<PairRecord>)>,
    /// Records that are stored here and on their way to the other nodes.
    pub(super) replicating: BTreeSet<Receipt>,
    /// Nobody is routed by it, and nothing of it is stored: another node serves it.
    pub(super) watched: bool,
    addresses: BTreeMap<UpstreamName, Addresses>,
}

impl Pair {
    pub(super) fn new(
        spec: PairSpec,
        (stored, origin): (Stored, Origin),
        incarnation: u32,
        metrics: Arc<PairMetrics>,
        now: Time,
    ) -> Self {
        let start = Start {
            spec: spec.clone(),
            stored: stored.clone(),
            origin,
            incarnation,
            seed: RandomState::new().build_hasher().finish(),
        };
        Self {
            spec,
            machine: PairMachine::new(start, now),
            incarnation: u64::from(incarnation),
            metrics,
            wake: None,
            told: None,
            polling: false,
            link_trouble: None,
            trouble_told: false,
            stored,
            writing: BTreeMap::new(),
            replicating: BTreeSet::new(),
            watched: false,
            addresses: BTreeMap::new(),
        }
    }

    /// Takes over what another machine of this name, which watched until now, knows of the servers.
    pub(super) fn go_on_from(&mut self, former: Self, now: Time) {
        let (old, new) = (addresses_of(&former.spec), addresses_of(&self.spec));
        self.addresses = former.addresses.into_iter().filter(|(name, _)| old.get(name) == new.get(name)).collect();
        (self.link_trouble, self.trouble_told) = (former.link_trouble, former.trouble_told);
        self.machine.go_on_from(now, former.machine);
    }

    /// The upstream's addresses, if it has any.
    pub(super) fn addresses(&self, upstream: &UpstreamName) -> Option<&Addresses> {
        self.addresses.get(upstream)
    }

    /// Keeps them; `false` if they were known.
    pub(super) fn resolved(&mut self, upstream: &UpstreamName, addresses: &Addresses) -> bool {
        self.addresses.insert(upstream.clone(), Arc::clone(addresses)).as_ref() != Some(addresses)
    }

    /// The specification changed: addresses of what has gone or moved are forgotten.
    pub(super) fn respecify(&mut self, spec: PairSpec) {
        let before = std::mem::replace(&mut self.spec, spec);
        let (old, new) = (addresses_of(&before), addresses_of(&self.spec));
        self.addresses.retain(|name, _| old.get(name) == new.get(name));
        self.told = None;
    }
}

fn addresses_of(spec: &PairSpec) -> BTreeMap<&UpstreamName, &crate::model::HostPort> {
    spec.checked().map(|upstream| (&upstream.name, &upstream.address)).collect()
}
