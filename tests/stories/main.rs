//! The requirements' stories, end to end with the real program: one test for each, named by its id.

#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod failover;
