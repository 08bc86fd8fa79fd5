//! Configuration: parse, don't validate. `file` is the raw TOML, `check` turns it into [`Config`], whose types can't hold
//! nonsense, or into errors that name file, line, column, key, reason and mend, all of them in one go.

use crate::model::{NodeName, PairName, RouteName, spec::PairSpec};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// A whole, checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[node]`.
    pub node: NodeConfig,
    /// `[admin]`.
    pub admin: AdminConfig,
    /// `[metrics]`: an extra listener that serves only `/metrics`.
    pub metrics: Option<SocketAddr>,
    /// `[pairs.NAME]`.
    pub pairs: BTreeMap<PairName, PairSpec>,
    /// `[routes.NAME]`.
    pub routes: BTreeMap<RouteName, RouteConfig>,
    /// The file it was read from, for `reload` and messages.
    pub source: PathBuf,
}

/// `[node]`: what is this node's own.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeConfig {
    /// Its name; default: the host's.
    pub name: NodeName,
    /// Where the journal lives.
    pub state_dir: PathBuf,
    /// Data-plane threads, never 0 (the file's 0 is already one per core).
    pub workers: usize,
    /// How long a worker that just worked spins before it sleeps; 0 = never.
    pub busy_poll: Duration,
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminConfig {
    /// Where the API listens.
    pub listen: AdminListen,
    /// The tokens file; read anew at every reload. Needed unless loopback or unix.
    pub token_file: Option<PathBuf>,
}

/// Where the API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminListen {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// `[routes.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteConfig {
    /// Its name.
    pub name: RouteName,
    /// Where it listens; at least one, no two alike in the whole file.
    pub listen: Vec<SocketAddr>,
    /// The pair it leads to; exists.
    pub pair: PairName,
    /// Sessions at most, held clients included.
    pub max_sessions: u32,
    /// Zero = never.
    pub idle_timeout: Duration,
}

impl AdminListen {
    /// Reachable from this machine only.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback() || address.ip() == IpAddr::from([127, 0, 0, 1]),
            Self::Unix(_) => true,
        }
    }
}
