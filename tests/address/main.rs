//! The shared address on real interfaces: added, announced, renewed, guarded, given up. Hosts are network namespaces on one
//! bridge. Needs root and the package `iproute2`.

#[cfg(test)]
mod announced;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod guarded;
#[cfg(test)]
mod held;
#[cfg(test)]
mod holder;
#[cfg(test)]
#[path = "../net/lab.rs"]
#[allow(dead_code, reason = "these tests use less of the laboratory than its own do")]
mod lab;
#[cfg(test)]
mod listening;
#[cfg(test)]
mod probed;
#[cfg(test)]
mod witnesses;
