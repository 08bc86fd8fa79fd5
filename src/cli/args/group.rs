//! The words of `failback group`.

use super::Output;
use crate::model::{HostPort, group::Role};
use clap::{Subcommand, ValueEnum};

/// `failback group`.
#[derive(Debug, Clone, Subcommand)]
pub enum GroupCommand {
    /// Make another node a backup of the one asked
    Join {
        /// The other node's peer_listen, as reached from the one asked
        #[arg(value_name = "ADDRESS")]
        address: HostPort,
        /// Where the other node reaches the one asked
        #[arg(long, value_name = "ADDRESS")]
        reverse: HostPort,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Make the node asked leave its group; what was synced from it goes with it
    Leave {
        /// Part from this node only, which may be gone for good
        #[arg(long, value_name = "NODE")]
        node: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Mend what a conflict left: a seat that nobody serves, nodes that are all primary or all backup
    Resolve {
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Change what the node asked is meant to be
    Role {
        /// The role
        role: RoleArg,
        /// Pull what changed before the holder lets go, not after
        #[arg(long)]
        sync_first: bool,
        /// Whatever stands against it; audited
        #[arg(long)]
        force: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
}

/// A configured role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// It has a seat of its own
    Primary,
    /// It stands in for others
    Backup,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Primary => Self::Primary,
            RoleArg::Backup => Self::Backup,
        }
    }
}
