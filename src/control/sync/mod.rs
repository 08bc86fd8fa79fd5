//! One-way copy of a seat's settings and pair states, from the node that holds it to the others (`B3`, `B4`). Never of the
//! servers' data.
//!
//! ```text
//!   copy       what travels: the whole, or what changed of it
//!   settings   what of a configuration travels        merge   one configuration out of all seats' and a node's own
//!   store      what is known of each seat, on disk    draft   the same for people, who may edit it
//!                                                     ask ── peer link ──▶ serve   pull and what became of it, push, poke, tell
//! ```

mod ask;
mod copy;
mod draft;
mod merge;
mod serve;
mod settings;
mod store;

pub use ask::{Pushed, SyncError, about, give_up, others_words, poke, pull, pulled, push, tell};
pub use copy::{Copy, NotApplied, Refusal, Update};
pub use draft::DraftError;
pub use merge::{MergeError, merged};
pub use serve::{About, Asked, Declined, GivenUp, Verdict, router};
pub use settings::{Settings, Unreadable};
pub use store::{Known, SeatStore, StoreError, draft_path, set_aside_path};
