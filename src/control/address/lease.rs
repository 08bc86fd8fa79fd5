//! An address in the kernel on borrowed time, renewed only while somebody vouches for it.

use super::{
    guard::Guard,
    kernel::{AddressError, Addresses},
};
use crate::{control::clock::boot_time, model::group::InterfaceAddress};
use std::{path::PathBuf, time::Duration};

/// A confirmation vouches for so long.
const FRESH: Duration = Duration::from_millis(500);
/// Beside a confirmation's time, what the kernel is late by (20 to 100 ms were measured).
const LATE: Duration = Duration::from_millis(100);
/// The kernel counts lifetimes in these.
const SECOND: Duration = Duration::from_secs(1);

/// Why the address is no longer held.
#[derive(Debug, thiserror::Error)]
pub enum Loss {
    /// The process was stopped, starved or suspended, or nobody vouched for it. Another may hold the address by now.
    #[error("it was not renewed for {0:.1?}, and may be another node's by now")]
    NotRenewed(Duration),
    /// The kernel did not let us renew it in time, or an operator made it his own.
    #[error("it could not be renewed")]
    Refused(#[source] AddressError),
}

/// What became of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// It lives on, or somebody has to confirm first.
    Good,
    /// It was gone, and is there again.
    Restored,
}

/// An address added by us, with its guard. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct Lease {
    kernel: Addresses,
    address: InterfaceAddress,
    lifetime: Duration,
    program: PathBuf,
    guard: Option<Guard>,
    renewed: Duration,
    confirmed: Duration,
}

/// The longest life with which the address is gone before `primary_timeout` is over, counted from the last confirmation.
pub(in crate::control) fn lifetime(primary_timeout: Duration) -> Duration {
    let left = primary_timeout.saturating_sub(FRESH + LATE);
    Duration::from_secs(left.as_secs()).max(SECOND)
}

impl Lease {
    /// Starts the guard, then adds the address.
    pub(super) fn take(address: InterfaceAddress, lifetime: Duration, program: PathBuf) -> Result<Self, AddressError> {
        let kernel = Addresses::open().map_err(AddressError::NoGuard)?;
        // What can't work is said before a process is started for it.
        kernel.index(&address.interface)?;
        let guard = Guard::start(&program, &address).map_err(AddressError::NoGuard)?;
        let now = boot_time();
        kernel.add(&address, lifetime)?;
        Ok(Self { kernel, address, lifetime, program, guard: Some(guard), renewed: now, confirmed: now })
    }

    pub(super) fn kernel(&self) -> &Addresses {
        &self.kernel
    }

    pub(super) fn confirm(&mut self) {
        self.confirmed = boot_time();
    }

    /// Gives the address its whole lifetime anew, if it was confirmed lately. Never brings back one whose time was over: that
    /// another node holds it by now is for the driver to find out.
    pub(super) fn renew(&mut self) -> Result<Renewal, Loss> {
        if self.guard.is_none() {
            return Err(Loss::NotRenewed(self.age()));
        }
        if self.age() >= self.lifetime {
            return Err(self.lost());
        }
        if boot_time().saturating_sub(self.confirmed) > FRESH {
            return Ok(Renewal::Good);
        }
        self.watch_the_guard();
        let before = boot_time();
        match self.kernel.add(&self.address, self.lifetime) {
            // Stopped between the look at the clock and the order: the address may just have come back from the dead.
            Ok(_) if self.age() >= self.lifetime => Err(self.lost()),
            Ok(was_there) => {
                self.renewed = before;
                Ok(if was_there { Renewal::Good } else { Renewal::Restored })
            }
            Err(error @ AddressError::Configured { .. }) => {
                self.guard = None;
                Err(Loss::Refused(error))
            }
            Err(error) if self.age() + super::keeper::RENEW_EVERY >= self.lifetime => {
                self.give_up();
                Err(Loss::Refused(error))
            }
            Err(error) => {
                tracing::warn!(address = %self.address.address, %error, "the shared address could not be renewed yet");
                Ok(Renewal::Good)
            }
        }
    }

    /// Removes the address and dismisses the guard. Once is enough; later calls do nothing.
    pub(super) fn end(&mut self) -> Result<(), AddressError> {
        if self.guard.is_none() {
            return Ok(());
        }
        // The guard goes only after the address is gone; if it can't be removed, it is not renewed either.
        let removed = self.kernel.remove(&self.address);
        self.guard = None;
        removed
    }

    fn age(&self) -> Duration {
        boot_time().saturating_sub(self.renewed)
    }

    fn lost(&mut self) -> Loss {
        let age = self.age();
        self.give_up();
        Loss::NotRenewed(age)
    }

    fn give_up(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(address = %self.address.address, %error, "the shared address is left to its end");
        }
    }

    fn watch_the_guard(&mut self) {
        if self.guard.as_mut().is_some_and(Guard::is_alive) {
            return;
        }
        tracing::warn!(address = %self.address.address, "the guard of the shared address was ended; starting another");
        match Guard::start(&self.program, &self.address) {
            Ok(guard) => self.guard = Some(guard),
            // The kernel still ends it in time; the dead guard stays, so that this is tried again.
            Err(error) => tracing::warn!(%error, "no other guard could be started"),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hung_holder_has_lost_the_address_before_another_takes_it() {
        for (timeout, seconds) in [(1500, 1), (2000, 1), (2500, 1), (2600, 2), (3000, 2), (10_000, 9)] {
            let timeout = Duration::from_millis(timeout);
            assert_eq!(lifetime(timeout).as_secs(), seconds, "{timeout:?}");
        }
    }
}
