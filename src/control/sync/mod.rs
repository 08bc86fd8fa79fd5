//! One-way copy of a seat's settings and pair states, from its primary node to its backup nodes (`B3`, `B4`). Never of the
//! servers' data.
//!
//! ```text
//!   settings   what of a configuration travels        store   what is known of each seat, on disk
//! ```

mod settings;
mod store;

pub use settings::{Settings, Unreadable};
pub use store::{Copy, Refusal, SeatStore, StoreError};
