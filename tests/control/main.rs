//! The control plane with everything around it that can go wrong: `kill -9` at any moment, full disks, rotten files, second
//! processes, wrong configurations.

#[cfg(test)]
mod again;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod sources;
