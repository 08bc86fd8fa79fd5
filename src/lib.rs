//! failback: a Layer-4 TCP proxy for pairs of stateful servers and the long-lived clients that must always reach the
//! right one of the two. It fails over in a blink and comes back only when the primary's data has been resynchronised.
//!
//! The rooms, and the only way arrows go (`tests/tidy.rs` holds them):
//!
//! ```text
//!   model ◀── all        config ──▶ model        decide ──▶ model          observe ──▶ model, decide
//!   net ──▶ model, observe                       data ──▶ model, net, observe
//!   control ──▶ model, config, decide, net, observe                        cli ──▶ model, config
//!   demo ──▶ model       certs ──▶ model, config, net, cli                 app ──▶ all
//! ```
//!
//! Reading order: this page, [`decide::input`] and [`decide::effect`] (what can happen, what we do), then
//! [`control`] (who does it) and [`data`] (what a client feels). `ARCHITECTURE.md` has the drawing.

pub mod app;
pub mod certs;
pub mod cli;
pub mod config;
pub mod control;
pub mod data;
pub mod decide;
pub mod demo;
pub mod model;
pub mod net;
pub mod observe;
