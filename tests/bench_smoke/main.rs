//! The load harness of `bench/`, run for a moment: what it counts is true, and it notices what it is there to notice.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../bench/harness/mod.rs"]
mod harness;

mod end;
mod modes;
mod pieces;
mod through;
mod tls;
