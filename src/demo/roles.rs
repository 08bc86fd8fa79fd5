//! The parts of the demo that run as processes of their own: children of `failback demo`, or the containers of
//! `docker-compose.yml`.

use super::{
    ask,
    error::DemoError,
    fleet::Fleet,
    server::{ServerSettings, serve},
    signal::Signal,
};
use clap::{Args, Subcommand};
use rustix::process::{Pid, Signal as Kill, getppid, set_parent_process_death_signal};
use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command,
    time::Duration,
};

/// What a process of the demo is.
#[derive(Debug, Clone, Subcommand)]
pub enum Role {
    /// An aggregation server.
    #[command(hide = true)]
    Server(ServerArgs),
    /// The proxy, bound to the demo that started it.
    #[command(hide = true)]
    Proxy(ProxyArgs),
    /// Probes, without a story.
    #[command(hide = true)]
    Probes(ProbesArgs),
    /// Asks an aggregation server how it is.
    #[command(hide = true)]
    Ask(AskArgs),
}

/// An aggregation server.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Its name
    #[arg(long)]
    name: String,
    /// Where it listens
    #[arg(long)]
    listen: SocketAddr,
    /// The other server, host:port; one of the two dials the other
    #[arg(long)]
    peer: Option<String>,
    /// The file in which it remembers its events
    #[arg(long)]
    data: PathBuf,
    /// How long a resync takes, however little there is to copy
    #[arg(long, default_value = "4s", value_parser = humantime::parse_duration)]
    resync_time: Duration,
    /// When stale, ask for the resync after this time
    #[arg(long, value_parser = humantime::parse_duration)]
    resync_after: Option<Duration>,
    /// Where to send the resync signal: `http://host:port/api/v1/pairs/PAIR/resync`
    #[arg(long)]
    signal: Option<String>,
    /// A file whose first line is the token for it, `name:scope:secret` or just the secret
    #[arg(long)]
    signal_token_file: Option<PathBuf>,
    /// The process with which it ends
    #[arg(long)]
    parent: Option<i32>,
}

/// The proxy.
#[derive(Debug, Clone, Args)]
pub struct ProxyArgs {
    /// Its configuration
    config: PathBuf,
    /// The process with which it ends
    #[arg(long)]
    parent: Option<i32>,
}

/// Probes.
#[derive(Debug, Clone, Args)]
pub struct ProbesArgs {
    /// Where they connect, host:port
    #[arg(long)]
    connect: String,
    /// How many
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    probes: u64,
    /// Between two events of one probe
    #[arg(long, default_value = "100ms", value_parser = humantime::parse_duration)]
    pace: Duration,
}

/// A question.
#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    /// The server
    server: SocketAddr,
}

/// Plays a role until the process is ended.
///
/// # Errors
/// It can't be played.
pub(super) async fn play(role: Role) -> Result<(), DemoError> {
    match role {
        Role::Server(args) => {
            die_with(args.parent)?;
            let ServerArgs { name, listen, peer, data, resync_time, resync_after, signal, signal_token_file, .. } =
                args;
            let signal = signal.map(|url| Signal { url, token_file: signal_token_file });
            serve(ServerSettings { name, listen, peer, data, resync_time, resync_after, signal }).await
        }
        Role::Proxy(args) => {
            die_with(args.parent)?;
            let myself = std::env::current_exe().map_err(|error| DemoError::System("the program's own path", error))?;
            let error = Command::new(myself).arg("run").arg("-c").arg(args.config).exec();
            Err(DemoError::System("starting the proxy", error))
        }
        Role::Probes(args) => probes(args).await,
        Role::Ask(args) => {
            let status = ask::status(args.server).await;
            let status = status.map_err(|error| DemoError::Io(args.server.to_string(), error))?;
            anstream::println!("{} is {}, with {} events", status.name, status.standing, status.events);
            Ok(())
        }
    }
}

/// Has the kernel kill this process when its parent dies, however that happens; also the program it becomes by `exec`.
fn die_with(parent: Option<i32>) -> Result<(), DemoError> {
    let Some(parent) = parent else { return Ok(()) };
    let asked = set_parent_process_death_signal(Some(Kill::KILL));
    asked.map_err(|error| DemoError::System("asking to die with the parent", error.into()))?;
    // It may have died before it could be asked for.
    if getppid() == Pid::from_raw(parent) {
        Ok(())
    } else {
        Err(DemoError::System("the parent", io::ErrorKind::NotFound.into()))
    }
}

async fn probes(args: ProbesArgs) -> Result<(), DemoError> {
    // Another number in every container, so that no two probes are taken for one.
    let first = RandomState::new().hash_one(std::process::id()) >> 16;
    let fleet = Fleet::start(first, args.probes, &args.connect, args.pace);
    let mut reports = tokio::time::interval(Duration::from_secs(5));
    loop {
        reports.tick().await;
        let mut servers: Vec<String> = fleet.tallies().into_iter().filter_map(|tally| tally.server).collect();
        servers.sort_unstable();
        let waiting = fleet.waiting();
        servers.dedup();
        anstream::println!(
            "on {}   waiting {waiting}   happened {}   acknowledged {}   sent again {}   greeted by a stale server {}",
            if servers.is_empty() { "nobody".into() } else { servers.join(" and ") },
            fleet.sum(|tally| tally.produced),
            fleet.sum(|tally| tally.acknowledged),
            fleet.sum(|tally| tally.resent),
            fleet.sum(|tally| tally.misrouted),
        );
    }
}
