//! The brain: pure, deterministic state machines. No clock, no I/O, no tasks, no logging, no randomness but a seed passed
//! in. One verb set for every machine: `handle_*(now, …)` in, `poll_effect()` and `next_timeout()` out.
//!
//! Read [`input`] (what can happen) and [`effect`] (what we can do) first.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod effect;
pub mod input;
pub mod pair;
pub mod status;

pub use pair::PairMachine;
pub use status::{PairStatus, UpstreamStatus};
