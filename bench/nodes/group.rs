//! Two nodes of one kind on hosts `a`, which holds the address, and `b`, which would take it over.

use crate::{lab::Lab, ours::Ours, peer::Peer};
use clap::ValueEnum;
use std::{io, path::Path, time::Duration};

/// What the nodes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// failback with a timeout as short as its heartbeats allow
    Failback,
    /// failback as it comes
    FailbackDefaults,
    /// keepalived with advertisements as frequent as failback's heartbeats, and HAProxy
    Keepalived,
    /// keepalived as it comes, and HAProxy
    KeepalivedDefaults,
}

/// What faults can be done to.
pub(crate) trait Group {
    /// Where it is.
    fn lab(&self) -> &Lab;
    /// `kill -9` of the proxy on host `a`.
    fn kill_proxy(&mut self);
    /// `kill -9` of what moves the address there, if that is not the proxy.
    fn kill_manager(&mut self);
    /// Sends a signal (`STOP`, `CONT`) to all that runs there.
    fn signal(&mut self, signal: &str);
    /// Keeps in `dir` what the nodes have to say of what happened.
    fn tell(&mut self, dir: &Path) -> io::Result<()>;
}

impl Kind {
    /// How tables call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Failback => "failback",
            Self::FailbackDefaults => "failback, defaults",
            Self::Keepalived => "keepalived + haproxy",
            Self::KeepalivedDefaults => "keepalived + haproxy, defaults",
        }
    }

    /// Is it failback?
    pub(crate) fn is_own(self) -> bool {
        matches!(self, Self::Failback | Self::FailbackDefaults)
    }

    /// What it is compared with.
    pub(crate) fn peer(self) -> Option<Self> {
        match self {
            Self::Failback => Some(Self::Keepalived),
            Self::FailbackDefaults => Some(Self::KeepalivedDefaults),
            Self::Keepalived | Self::KeepalivedDefaults => None,
        }
    }

    /// From one sign of life to the next.
    pub(crate) fn heartbeat(self) -> Duration {
        Duration::from_millis(if self == Self::KeepalivedDefaults { 1000 } else { 200 })
    }

    /// After so long a silence a holder is given up. VRRP's is three advertisements and a skew (RFC 5798, 6.1).
    pub(crate) fn timeout(self) -> Duration {
        let millis = match self {
            Self::Failback => 700,
            Self::FailbackDefaults => 3000,
            Self::Keepalived => 722,
            Self::KeepalivedDefaults => 3609,
        };
        Duration::from_millis(millis)
    }

    /// Starts it; it is there when clients are served and the second node would take over. Its files are in `dir`.
    pub(crate) fn start(self, dir: &Path) -> anyhow::Result<Box<dyn Group>> {
        Ok(if self.is_own() { Box::new(Ours::start(self, dir)?) } else { Box::new(Peer::start(self, dir)?) })
    }
}
