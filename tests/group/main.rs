//! Nodes that protect each other, as whole programs on hosts of their own: joined, synced, killed, cut off, frozen, healed,
//! ordered about. Hosts are network namespaces on one bridge. Needs root, the packages `iproute2`, `nftables` and
//! `exim4-daemon-light`, and a C compiler.

#[cfg(test)]
mod apart;
#[cfg(test)]
mod at_a_loss;
#[cfg(test)]
#[path = "../tls/authority.rs"]
#[allow(dead_code, reason = "the webhook receiver can speak TLS, which these tests don't ask of it")]
mod authority;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod commands;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod conflict;
#[cfg(test)]
mod cut;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod dying;
#[cfg(test)]
mod edits;
#[cfg(test)]
#[path = "../alerts/exim.rs"]
#[allow(dead_code, reason = "the tests of alerts use more of it")]
mod exim;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod forced;
#[cfg(test)]
mod full;
#[cfg(test)]
#[path = "../alerts/hook.rs"]
#[allow(dead_code, reason = "the tests of alerts use more of it")]
mod hook;
#[cfg(test)]
mod joining;
#[cfg(test)]
#[path = "../net/lab.rs"]
#[allow(dead_code, reason = "these tests use less of the laboratory than its own do")]
mod lab;
#[cfg(test)]
mod many;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod neighbours;
#[cfg(test)]
mod node;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod paused;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod six;
#[cfg(test)]
mod standing_by;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod told;
#[cfg(test)]
mod unfit;
