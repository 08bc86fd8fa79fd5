//! The brain: pure, deterministic state machines. No clock, no I/O, no tasks, no logging, no randomness but a seed passed
//! in. One verb set for every machine: `handle_*(now, …)` in, `poll_effect()` and `next_timeout()` out.
//!
//! Read [`input`] (what can happen) and [`effect`] (what we can do) first; for nodes that protect each other [`seat::input`] and
//! [`seat::effect`].

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod effect;
mod flap;
mod health;
pub mod identity;
pub mod input;
mod migration;
pub mod pair;
mod schedule;
pub mod seat;
mod signal;
pub mod status;
pub mod suspicion;
mod tally;
mod timers;
mod upstream;

pub use pair::PairMachine;
pub use seat::NodeMachine;
pub use status::{PairStatus, UpstreamStatus};
