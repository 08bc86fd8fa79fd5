//! What of a seat travels: the whole, and what changed of it.

use super::settings::Settings;
use crate::{
    decide::effect::PairRecord,
    model::{
        Epoch, NodeName, PairName,
        revision::{Lineage, Revision},
        seat::{HIGHEST_EPOCH, SERIAL_BITS},
    },
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A seat's settings and the state of its pairs, as copied or as one's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// The seat, called by its primary node's name.
    pub seat: NodeName,
    /// The settings' revision and those before it.
    pub lineage: Lineage,
    /// The settings, as TOML.
    pub settings: String,
    /// The last known record of each pair.
    pub pairs: BTreeMap<PairName, PairRecord>,
    /// The seat's epoch under which it was written.
    pub epoch: Epoch,
    /// Rises with each change under that epoch.
    pub serial: u64,
    /// Who held the seat then and wrote it.
    pub by: NodeName,
    /// The address that moves with the seat; the interface is each node's own.
    pub shared_address: Option<IpNet>,
}

impl Copy {
    /// The first of a seat, by the node that holds it.
    #[must_use]
    pub fn first(seat: NodeName, settings: &Settings, by: NodeName) -> Self {
        let (lineage, pairs) = (Lineage::default(), BTreeMap::new());
        let settings = settings.text().into();
        Self { seat, lineage, settings, pairs, epoch: Epoch(0), serial: 0, by, shared_address: None }
    }

    /// Which of two is the newer one.
    #[must_use]
    pub fn order(&self) -> (Epoch, u64) {
        (self.epoch, self.serial)
    }

    /// Is it from before the other? Two holders of one epoch are ordered by their names, as in `decide/seat`: only the later one goes on.
    pub(in crate::control) fn is_older_than(&self, other: &Self) -> bool {
        (self.epoch, &self.by, self.serial) < (other.epoch, &other.by, other.serial)
    }

    /// Could it take the place of what is known of its seat? It was made from that; or who holds the seat took it over, and it was made from
    /// something that came before what is known, which then reached no node that could have taken over: a change that a node made alone.
    ///
    /// # Errors
    /// Why not.
    pub fn follows(&self, known: Option<&Self>) -> Result<(), Refusal> {
        let ours = known.map(|known| known.lineage.clone()).unwrap_or_default();
        let is_later = known.is_some_and(|known| (self.epoch, &self.by) > (known.epoch, &known.by));
        let goes_on = self.lineage.descends_from(&ours) || (is_later && self.lineage.is_related_to(&ours));
        if !goes_on {
            let name = |lineage: &Lineage| lineage.head().map_or_else(|| "none".into(), ToString::to_string);
            let (theirs, ours) = (name(&self.lineage), name(&ours));
            return Err(Refusal::Unrelated { seat: self.seat.clone(), theirs, ours });
        }
        if self.is_genuine() { Ok(()) } else { Err(Refusal::Forged(self.seat.clone())) }
    }

    /// Its revision is the digest of its settings and of the revision before it, and its numbers are such as nodes count to.
    fn is_genuine(&self) -> bool {
        let settings = Settings::received(self.settings.clone());
        let counted = self.epoch <= HIGHEST_EPOCH && self.serial < 1 << (SERIAL_BITS - 1);
        counted && self.lineage.head() == Some(&settings.revision(self.lineage.parent()))
    }

    /// The pairs of both, each as `known` has it and as this one has it.
    fn beside<'a>(&'a self, known: &'a Self) -> impl Iterator<Item = (&'a PairName, &'a PairRecord, &'a PairRecord)> {
        known.pairs.iter().filter_map(|(pair, old)| Some((pair, old, self.pairs.get(pair)?)))
    }

    /// What `known` says of pairs that this one, which takes its place, knows nothing of: changes of the active upstream that were made
    /// while the nodes were parted, or not acknowledged in time. Each with what takes its place.
    pub fn gives_up<'a>(
        &'a self,
        known: &'a Self,
    ) -> impl Iterator<Item = (&'a PairName, &'a PairRecord, &'a PairRecord)> {
        self.beside(known)
            .filter(|(_, old, new)| old.epoch > new.epoch || (old.epoch == new.epoch && old.upstream != new.upstream))
    }

    /// What `known` says of pairs that this node served while another one did, too: what was written there is not on the server that this copy,
    /// which takes its place, has them on. Each with what takes its place.
    pub fn parts_from<'a>(
        &'a self,
        known: &'a Self,
    ) -> impl Iterator<Item = (&'a PairName, &'a PairRecord, &'a PairRecord)> {
        self.beside(known).filter(|(_, old, new)| old.upstream != new.upstream)
    }

    /// The states of these pairs in the words of who knows them by other settings, with which `known` was written.
    pub(super) fn states_of<'a>(
        &'a self,
        pairs: &'a [PairName],
        known: &'a BTreeMap<PairName, PairRecord>,
    ) -> impl Iterator<Item = (PairName, PairRecord)> {
        // Pairs that its settings have no more are of the past.
        let names = Settings::received(self.settings.clone()).names().0;
        let present: BTreeMap<&PairName, &PairRecord> =
            self.pairs.iter().filter(|(name, _)| names.contains(name)).collect();
        pairs.iter().filter_map(move |pair| Some((pair.clone(), state_of(pair, &present, known.get(pair))?)))
    }

    /// These settings take the place of what is there, as the next revision. `false`: they are the same.
    pub(super) fn resettle(&mut self, settings: &Settings) -> bool {
        let same = self.lineage.head().is_some() && self.settings == settings.text();
        if !same {
            self.lineage.push(settings.revision(self.lineage.head()));
            self.settings = settings.text().into();
        }
        !same
    }

    /// [`Self::order`] as one number, which rises from copy to copy.
    #[must_use]
    pub fn revision_number(&self) -> u64 {
        (self.epoch.0 << SERIAL_BITS) | (self.serial & ((1 << SERIAL_BITS) - 1))
    }
}

fn state_of(
    pair: &PairName,
    present: &BTreeMap<&PairName, &PairRecord>,
    known: Option<&PairRecord>,
) -> Option<PairRecord> {
    let named = present.get(pair).copied();
    let Some(known) = known else { return named.cloned() };
    let has_its_servers = |record: &&PairRecord| {
        let mut addresses = known.addresses.iter().map(|(_, address)| address);
        addresses.all(|address| record.addresses.iter().any(|(_, its)| its == address))
    };
    let record = named.or_else(|| present.values().copied().find(has_its_servers))?;
    let address = record.addresses.iter().find(|(name, _)| *name == record.upstream).map(|(_, address)| address);
    let here = known.addresses.iter().find(|(_, its)| Some(its) == address);
    Some(match here {
        Some((name, _)) => PairRecord { upstream: name.clone(), addresses: known.addresses.clone(), ..record.clone() },
        // A server that is not known here: nobody is served, rather than somebody by a guess.
        None => record.clone(),
    })
}

/// Why a copy is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was not made from what is here: an empty or reinstalled node, an old copy, or changes on two nodes.
    #[error(
        "the settings of seat `{seat}` (revision {theirs}) were not made from those known here ({ours}); if they are right \
         nevertheless, leave the group and join it again"
    )]
    Unrelated {
        /// The seat.
        seat: NodeName,
        /// The revision offered.
        theirs: String,
        /// The revision here.
        ours: String,
    },
    /// The revision is not that of the settings that came with it, or its epoch or serial is none.
    #[error(
        "the settings of seat `{0}` are not those of the revision they came with, or its epoch is too high to be one"
    )]
    Forged(NodeName),
}

/// Records that changed, for nodes that have everything before them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The seat.
    pub seat: NodeName,
    /// Its epoch.
    pub epoch: Epoch,
    /// Who holds it under that epoch and wrote this: two holders of one epoch count alike, and mean different things.
    pub by: NodeName,
    /// The settings' revision that the records go with.
    pub head: Revision,
    /// Follows on this one.
    pub after: u64,
    /// And makes it that one.
    pub serial: u64,
    /// What changed.
    pub records: Vec<(PairName, PairRecord)>,
}

/// Why an update is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NotApplied {
    /// Something before it is missing here.
    #[error("something before it was missed: the whole has to be pulled")]
    Behind,
    /// The seat is held under a higher epoch, as is known here.
    #[error("the seat is held under a higher epoch")]
    Superseded,
}

#[cfg(test)]
mod tests;
