//! Log lines about trouble that may come with every connection: one in a while, not one each.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

const QUIET: Duration = Duration::from_secs(5);

/// Says something at most once in 5 s.
#[derive(Debug, Default)]
pub(super) struct Complaints(Cell<Option<Instant>>);

impl Complaints {
    pub(super) fn say(&self, line: impl FnOnce()) {
        if self.0.get().is_none_or(|last| last.elapsed() >= QUIET) {
            self.0.set(Some(Instant::now()));
            line();
        }
    }
}
