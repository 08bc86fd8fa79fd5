//! Hosts, links and faults as networks have them, in network namespaces of each test's own. Needs root (namespaces,
//! nftables) and the packages `iproute2` and `nftables`.

#[cfg(test)]
mod beacons;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod cut_off;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod names;
#[cfg(test)]
#[path = "../peer/node.rs"]
mod node;
#[cfg(test)]
mod ports;
#[cfg(test)]
mod power;
