//! The control plane: one task drives the pairs' machines; around it stand health probes, the journal, resolving, the
//! admin API and reload. Client bytes never come here.

pub mod address;
pub mod admin;
pub mod alerts;
pub mod clock;
mod disk;
pub mod driver;
pub mod group;
mod http;
pub mod journal;
pub mod link;
pub mod orders;
pub mod peer;
pub mod probe;
mod program;
pub mod reload;
pub mod resolve;
pub mod seats;
pub mod signal;
pub mod sync;
pub mod threads;
pub mod tls;
pub mod witness;
