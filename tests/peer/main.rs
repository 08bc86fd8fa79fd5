//! The peer link: joining and every reason against it, what joined nodes tell and ask each other, and what strangers get.

#[cfg(test)]
mod abuse;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod joined;
#[cfg(test)]
mod joining;
#[cfg(test)]
mod node;
#[cfg(test)]
mod sync;
