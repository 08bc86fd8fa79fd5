//! A crowd through the whole program. A test target of its own, because it needs nearly all the descriptors of its process.

#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod usage;
