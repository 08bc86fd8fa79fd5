//! The command line (its names are fixed: scripts use them).

mod group;

pub use group::{GroupCommand, RoleArg};

use crate::model::{NodeName, Side};
use clap::{
    Arg, Args, Subcommand, ValueEnum,
    builder::{PossibleValue, TypedValueParser},
};
use clap_complete::Shell;
use std::{ffi::OsStr, path::PathBuf};

/// How a client command finds its node.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// Where the node's API answers: http://HOST:PORT or unix:PATH
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "FAILBACK_ADMIN",
        default_value = "http://127.0.0.1:9900",
        help_heading = "Which node"
    )]
    pub admin: String,
    /// File with the secret to send, alone or as name:scope:secret [env: FAILBACK_TOKEN=SECRET]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Which node")]
    pub token_file: Option<PathBuf>,
}

/// Which configuration file.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// Configuration file [default: failback.toml in this folder, else /etc/failback/failback.toml]
    #[arg(short, long, value_name = "FILE", env = "FAILBACK_CONFIG")]
    pub config: Option<PathBuf>,
}

/// `failback run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Which configuration file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How log lines are written to stderr; FAILBACK_LOG filters them (info, debug, failback::control=debug, …)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormatArg,
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormatArg {
    /// Lines for people
    Text,
    /// A JSON object a line
    Json,
}

/// Print what the node answered, as JSON.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The commands that talk to a node, and those that need none.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Check a configuration file, or print the schema of all of them
    Check {
        /// Which configuration file.
        #[command(flatten)]
        config: ConfigArgs,
        /// Print the JSON Schema of the configuration instead
        #[arg(long)]
        schema: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Show the pairs, their servers and routes
    Status {
        /// Show it again every second
        #[arg(short, long, conflicts_with = "json")]
        watch: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Watch rates: sessions, bytes, clients held and refused (q ends it)
    Top {
        /// Seconds between two samples
        #[arg(short = 'd', long, value_name = "SECONDS", default_value_t = 1.0, value_parser = interval)]
        interval: f64,
        /// End after so many samples
        #[arg(short = 'n', long, value_name = "N")]
        samples: Option<u64>,
    },
    /// Explain in words why a pair is where it is, and what keeps it from going back
    Why {
        /// The pair; not needed if there is only one
        pair: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Show what happened
    Events {
        /// Go on with what happens
        #[arg(short, long)]
        follow: bool,
        /// Only events after this one
        #[arg(long, value_name = "SEQ")]
        since: Option<u64>,
        /// At most this many: the first after --since, else the newest
        #[arg(short = 'n', long, value_name = "N", conflicts_with = "follow")]
        limit: Option<u64>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// List the sessions, oldest first
    Sessions {
        /// Only this route's
        #[arg(long, value_name = "ROUTE")]
        route: Option<String>,
        /// At most this many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 1000)]
        limit: u64,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Say that the primary's data is whole again; harmless to repeat
    #[command(
        after_help = "Exits with 0 also when the signal changes nothing (the reason is printed), so that it can \
        be sent again and again; with 1 when the node could not be asked."
    )]
    Resync {
        /// The pair; not needed if there is only one
        pair: Option<String>,
        /// Counts only if the pair's epoch is this one
        #[arg(long, value_name = "N")]
        epoch: Option<u64>,
        /// The side that was resynchronised
        #[arg(long, value_name = "SIDE")]
        of: Option<SideArg>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Change a pair's side by hand; it stays there until --auto
    #[command(group = clap::ArgGroup::new("where").required(true).args(["to", "auto"]))]
    Switch {
        /// The pair; not needed if there is only one
        pair: Option<String>,
        /// The side to change to
        #[arg(long, value_name = "SIDE", value_parser = SideOrName)]
        to: Option<ToArg>,
        /// Decide automatically again
        #[arg(long, conflicts_with_all = ["now", "force"])]
        auto: bool,
        /// Close the sessions of the side left at once
        #[arg(long)]
        now: bool,
        /// Even to a primary without a resync signal, or to a server that fails its checks
        #[arg(long)]
        force: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Pause, resume, abort or force the migration of a pair
    #[command(allow_missing_positional = true)]
    Migration {
        /// The pair; not needed if there is only one
        pair: Option<String>,
        /// What to do
        action: MigrationArg,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// No automatic change of side until unfreeze
    Freeze {
        /// The pair; not needed if there is only one
        pair: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Automatic changes of side again
    Unfreeze {
        /// The pair; not needed if there is only one
        pair: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Make the node read its configuration and tokens again; a bad file changes nothing
    Reload {
        /// Even if upstreams' addresses were swapped under their names
        #[arg(long)]
        force: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Alerts: see whether they arrive
    Alerts {
        /// What to do
        #[command(subcommand)]
        command: AlertsCommand,
    },
    /// Nodes that protect each other: join, leave, roles
    Group {
        /// What to do
        #[command(subcommand)]
        command: GroupCommand,
    },
    /// Copy the seats' configuration from their holders now
    Sync {
        /// The node that shall pull; the one asked if not given
        node: Option<NodeName>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Make the node asked the holder of a seat
    Takeover {
        /// The seat, called by its primary node's name
        seat: NodeName,
        /// Whatever stands against it; audited
        #[arg(long)]
        force: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Give a seat that was taken over back to its own node
    Reverse {
        /// The seat, called by its primary node's name
        seat: NodeName,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Give a seat to another node for good
    Replace {
        /// The seat, called by its primary node's name
        seat: NodeName,
        /// The node whose own it becomes
        #[arg(long, value_name = "NODE")]
        with: NodeName,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Print a completion script
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// `failback alerts`.
#[derive(Debug, Clone, Subcommand)]
pub enum AlertsCommand {
    /// Send a test alert to every recipient and say what became of each; exits with 1 if one did not take it
    Test {
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
}

/// `primary` or `backup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SideArg {
    /// The primary
    Primary,
    /// A backup
    Backup,
}

/// What was given for `switch --to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToArg {
    /// A side
    Side(SideArg),
    /// Something else: perhaps a server's name, whose side can be told.
    Name(String),
}

/// Takes any word, and offers the sides.
#[derive(Debug, Clone)]
struct SideOrName;

impl TypedValueParser for SideOrName {
    type Value = ToArg;

    fn parse_ref(&self, _: &clap::Command, _: Option<&Arg>, value: &OsStr) -> Result<ToArg, clap::Error> {
        let word = value.to_string_lossy();
        Ok(SideArg::from_str(&word, false).map_or_else(|_| ToArg::Name(word.into()), ToArg::Side))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(SideArg::value_variants().iter().filter_map(ValueEnum::to_possible_value)))
    }
}

impl From<SideArg> for Side {
    fn from(side: SideArg) -> Self {
        match side {
            SideArg::Primary => Self::Primary,
            SideArg::Backup => Self::Backup,
        }
    }
}

/// What can be done to a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MigrationArg {
    /// Close nobody for now
    Pause,
    /// Go on
    Resume,
    /// Send newcomers to the side left again
    Abort,
    /// Close all that are left at once
    Force,
}

impl MigrationArg {
    /// As the API calls it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Force => "force",
        }
    }
}

fn interval(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("between 0.1 and 3600 seconds".into()),
    }
}
