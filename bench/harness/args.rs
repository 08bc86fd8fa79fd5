//! The ends' arguments.

use super::certs;
use std::{net::SocketAddr, path::PathBuf};

/// Which end to be.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Mode {
    /// The server end of every mode
    Serve(Serve),
    /// Small messages there and back on many long-lived sessions
    PingPong(PingPong),
    /// Connect, ask, be answered, close
    Connect(Connect),
    /// As many bytes as will go
    Bulk(Bulk),
    /// A crowd of idle sessions: what each costs the proxy
    Idle(Idle),
    /// Probes that send numbered events through failovers
    Fleet(Fleet),
    /// Make the certificates that ends and proxies need for TLS
    Certs(Certs),
}

/// The server end.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Serve {
    /// Where to listen; may be repeated
    #[arg(long, required = true)]
    pub(crate) listen: Vec<SocketAddr>,
    /// The name every Hello carries, up to 15 bytes
    #[arg(long, default_value = "server")]
    pub(crate) name: String,
    /// Keep the fleet's events in this file. If it already holds some, the server calls itself stale in every Hello
    /// until FILE.resynced exists
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    /// Speak TLS, and show this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
}

/// What all client ends have.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Target {
    /// The proxy, or a server end itself
    #[arg(long)]
    pub(crate) target: SocketAddr,
    /// A proxy process whose CPU, memory and descriptors to measure, its children included; may be repeated
    #[arg(long)]
    pub(crate) pid: Vec<u32>,
    /// How long to measure
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// How long to run before that
    #[arg(long, default_value_t = 0.5)]
    pub(crate) warmup: f64,
    /// Speak TLS, and believe the certificates that these vouch for (PEM). `fleet` speaks none
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// The name that is asked for and that the certificate must carry
    #[arg(long, default_value = certs::NAME)]
    pub(crate) tls_name: String,
    /// Resume TLS sessions where the server lets one; without it every handshake is a whole one
    #[arg(long, requires = "tls_ca")]
    pub(crate) tls_resume: bool,
}

/// Certificates.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Certs {
    /// Where to: ca.pem, cert.pem, key.pem, both.pem
    pub(crate) dir: PathBuf,
    /// The name that the certificate carries
    #[arg(long, default_value = certs::NAME)]
    pub(crate) name: String,
}

/// Ping-pong.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PingPong {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Long-lived sessions
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sessions: u32,
    /// Bytes per message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(8..=65_536))]
    pub(crate) size: u32,
    /// Open loop: messages per second in all, latency counted from the time each was due. Without it: closed loop
    #[arg(long)]
    pub(crate) rate: Option<f64>,
}

/// Connect-ask-close.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Connect {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Connections at a time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: u32,
    /// Open loop: connections per second, latency counted from the time each was due. Without it: closed loop
    #[arg(long)]
    pub(crate) rate: Option<f64>,
}

/// Bulk.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Bulk {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Streams at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) streams: u32,
    /// Which way the bytes go, seen from the client
    #[arg(long, value_enum, default_value_t = Direction::Both)]
    pub(crate) direction: Direction,
}

/// Which way bulk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Direction {
    /// Client to server
    Up,
    /// Server to client
    Down,
    /// Both at once on each stream
    Both,
}

/// Idle crowd.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Idle {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Sessions
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sessions: u32,
}

/// Probe fleet.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Fleet {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Probes
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) probes: u32,
    /// Events per second of each probe
    #[arg(long, default_value_t = 20.0)]
    pub(crate) rate: f64,
    /// How long a probe whose connection ended or was refused waits before the next try
    #[arg(long, default_value_t = 10)]
    pub(crate) retry_ms: u64,
    /// How long a probe waits for an answer before it gives its connection up
    #[arg(long, default_value_t = 30_000)]
    pub(crate) patience_ms: u64,
    /// The servers' store files, in which every acknowledged event must be found
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Vec<PathBuf>,
}
