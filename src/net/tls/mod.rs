//! TLS: what a connection is made of ([`Channel`]), whom it believes (`verify`), and the files behind it.
//!
//! ```text
//!   setup ──▶ files    PEM                    channel   records in, bytes out, and back; no socket, no buffer
//!     │  ───▶ verify ──▶ certificate, names, constraints   failure   reasons and words
//!   peer   ──▶ certificate         between nodes: whose key, and nothing else
//! ```

mod certificate;
mod channel;
mod constraints;
mod facts;
mod failure;
mod files;
mod names;
mod peer;
mod setup;
mod show;
mod verify;

pub use certificate::Certificate;
pub use channel::{Channel, MOST_RECORD, Step, is_fragment, sealed_len};
pub use facts::Facts;
pub use failure::{VerifyError, classify, date, refused_until};
pub use files::{FileError, certificates};
pub use names::{Offered, Rule, accept};
pub use peer::{peer_client, peer_pin, peer_server};
pub use setup::{Connector, SetupError, client_config, server_config};
pub use show::{ShowError, shown_by};
pub use verify::Accepted;
