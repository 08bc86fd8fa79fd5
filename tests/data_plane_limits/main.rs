//! The whole program at the machine's limits: no descriptors, no ports, no sleep.

#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod polling;
#[cfg(test)]
mod ports;
#[cfg(test)]
mod usage;
