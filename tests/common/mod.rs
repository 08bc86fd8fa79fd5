//! What the tests that run the whole program share. Everything here is real: the program itself with a configuration of
//! its own ([`proxy`]), its admin API ([`admin`]), servers that can be killed and revived ([`server`], [`redis`]), clients that feel
//! what a probe feels ([`client`]), children that never outlive a test ([`process`]).
//!
//! Tests run side by side: each takes loopback addresses of its own ([`address`]), so that no two ever want one port.
#![allow(dead_code, reason = "every test target compiles this anew and uses its own part of it")]

pub(crate) mod address;
pub(crate) mod admin;
pub(crate) mod client;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod server;

use std::time::{Duration, Instant};

/// How long anything that must happen may take on a machine that is busy with other things.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Asks `probe` until it answers, and says what was wanted when that takes longer than [`SOON`].
#[track_caller]
pub(crate) fn eventually<T>(wanted: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(SOON, wanted, probe)
}

/// Asks `probe` until it answers, and says what was wanted when that takes longer than `limit`.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, wanted: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {wanted}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Holds `claim` true for `span`: what must *not* happen is watched for, not slept over.
#[track_caller]
pub(crate) fn throughout(span: Duration, claim: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < span {
        assert!(holds(), "after {:?} no longer true: {claim}", start.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
}
