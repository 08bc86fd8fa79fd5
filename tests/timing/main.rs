//! What is about time and load: one test at a time ([`alone`]), since they would disturb each other. Needs Debian's
//! `redis-server`, `redis-tools` and `haproxy`.

#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod starved;

#[cfg(test)]
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whoever holds this has the machine for itself, as far as this program's tests go.
#[cfg(test)]
fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
