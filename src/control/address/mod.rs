//! The shared address: who has it, taking it, keeping it, giving it up.
//!
//! ```text
//!   probe: does another host have it? ──▶ Held::take ──▶ guard (a child) removes it when this process is killed
//!                                             │     └──▶ kernel removes it when it is not renewed
//!   driver ── confirm, every heartbeat ──▶ keeper (a task): renews, announces, watches for others who claim it
//!          ◀── AddressEvent ─────────────────┘
//!   Held dropped, or released: removed at once, the guard dismissed
//! ```

pub mod guard;
pub mod kernel;
pub mod probe;

mod announce;
mod keeper;
mod lease;

pub use keeper::{AddressEvent, Held, HoldSpec};
pub use kernel::AddressError;
pub use lease::Loss;
pub(in crate::control) use lease::lifetime;
