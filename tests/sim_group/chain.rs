//! What was written about a seat, settings and sides of pairs alike, as far as a node has it.

use failback::model::{Epoch, Time};

#[derive(Clone, Default)]
pub(crate) struct Chain {
    /// Of its last holder.
    pub(crate) epoch: Epoch,
    /// Oldest first.
    pub(crate) edits: Vec<u64>,
    /// Here since.
    pub(crate) since: Time,
}

impl Chain {
    /// Rises with each edit under an epoch, and with each epoch, as a copy's revision does.
    pub(crate) fn revision(&self) -> u64 {
        (self.epoch.0 << 40) | self.edits.len() as u64
    }

    pub(crate) fn write(&mut self, now: Time, epoch: Epoch, edit: Option<u64>) {
        (self.epoch, self.since) = (epoch, now);
        self.edits.extend(edit);
    }
}
