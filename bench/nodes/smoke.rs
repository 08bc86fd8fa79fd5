//! What `cargo test` runs of it: one fault under a few probes, and whether the judge would object.

use crate::{fault::Fault, group::Kind, round::play, tables};
use anyhow::ensure;
use std::io::{Write, stdout};

/// # Errors
/// Something was that must never be, or would not have been noticed.
pub(crate) fn run() -> anyhow::Result<()> {
    let dir = tempfile::TempDir::with_prefix("failback-nodes-")?;
    let (kind, fault) = (Kind::Failback, Fault::Kill);
    let outcome = play(kind, fault, 1, 20, &dir.path().join("kill"))?;
    let broken = outcome.broken(kind, fault);
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    let fleet = &outcome.fleet;
    ensure!(fleet.cuts >= 20 && fleet.acknowledged > 200, "the probes hardly noticed: {fleet:?}");
    // The same would be a breach where nothing may change hands.
    ensure!(!outcome.broken(kind, Fault::Witness).is_empty(), "a takeover that may not be is not objected to");
    writeln!(stdout(), "{}", tables::markdown(&vec![(kind, fault, outcome)], &[fault], &[kind]))?;
    Ok(())
}
