//! The admin API of the real program, as anybody on the network could treat it.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod busy;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod crowds;
#[cfg(test)]
mod events;
#[cfg(test)]
mod group;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod node;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod unix;
#[cfg(test)]
mod wire;
