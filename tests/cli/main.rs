//! The command line of the real program: what it says, how it exits.

#[cfg(test)]
mod alone;
#[cfg(test)]
mod certs;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod with_node;
