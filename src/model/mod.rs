//! The nouns every room shares: names, sides, epochs, the specification of a pair, the route table that control
//! publishes and data obeys, what data reports back, and the views that the API serves and the CLI prints.
//!
//! Nothing here decides, waits or touches the network; [`file`](mod@file) and [`pairing_key`] read what others wrote.

pub mod address;
pub mod alert;
pub mod causes;
pub mod durations;
pub mod file;
pub mod group;
pub mod id;
pub mod pairing_key;
pub mod plain;
pub mod ports;
pub mod proxy_protocol;
pub mod reason;
pub mod revision;
pub mod seat;
pub mod spec;
pub mod stats;
pub mod table;
pub mod time;
pub mod tls;
pub mod view;

pub use address::HostPort;
pub use id::{LONGEST_NAME, NodeName, PairName, RouteName, UpstreamName, is_short_enough};
pub use reason::{EndReason, RefuseReason, TransitionReason};
pub use time::Time;

use serde::{Deserialize, Serialize};
use std::fmt;

/// Which of a pair's two places clients are routed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The pair's primary upstream.
    Primary,
    /// One of the pair's backups.
    Backup,
}

impl Side {
    /// The label used in metrics, the API and the journal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }

    /// The side clients are not on.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Primary => Self::Backup,
            Self::Backup => Self::Primary,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pair's counter: +1 at every change of the active upstream; persisted; never goes back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch a pair that was never seen before starts with.
    pub const FIRST: Self = Self(1);

    /// The epoch after the next change of upstream.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
