//! What a pair is meant to be: the checked form of `[pairs.NAME]`, as `decide` and `data` use it.

use super::{HostPort, PairName, Side, UpstreamName, proxy_protocol::HeaderVersion, tls::UpstreamTlsSpec};
use ipnet::IpNet;
use std::{sync::Arc, time::Duration};

/// One pair as configured. Made by `config`, which has refused every contradiction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSpec {
    /// The virtual server's name.
    pub name: PairName,
    /// The primary; `None` only where `elsewhere` is set.
    pub primary: Option<UpstreamSpec>,
    /// The backups in their order; may be empty if there is a primary.
    pub backups: Vec<UpstreamSpec>,
    /// The primary of the other proxy (`elsewhere`): checked, never dialled for clients.
    pub elsewhere: Option<UpstreamSpec>,
    /// How upstreams are checked.
    pub health: HealthSpec,
    /// When and how the pair returns to its primary.
    pub failback: FailbackSpec,
    /// What happens to clients while no side is usable.
    pub hold: HoldSpec,
    /// How many failovers in which time latch the pair on its backup.
    pub flap: FlapSpec,
    /// What a backup needs before clients are sent to it.
    pub admission: Admission,
    /// Socket options of both connections of a session.
    pub transport: TransportSpec,
    /// TLS to the upstreams; `None`: plain.
    pub tls: Option<Arc<UpstreamTlsSpec>>,
}

impl PairSpec {
    /// The primary and the backups in their order, each with its side.
    pub fn upstreams(&self) -> impl Iterator<Item = (Side, &UpstreamSpec)> {
        let primary = self.primary.iter().map(|upstream| (Side::Primary, upstream));
        primary.chain(self.backups.iter().map(|upstream| (Side::Backup, upstream)))
    }

    /// Everything that is checked: the upstreams and `elsewhere`.
    pub fn checked(&self) -> impl Iterator<Item = &UpstreamSpec> {
        self.upstreams().map(|(_, upstream)| upstream).chain(&self.elsewhere)
    }

    /// The side of the upstream called `name`; `None` if the pair has none of that name.
    #[must_use]
    pub fn side_of(&self, name: &UpstreamName) -> Option<Side> {
        self.upstreams().find(|(_, upstream)| upstream.name == *name).map(|(side, _)| side)
    }
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSpec {
    /// Its name, unique within the pair.
    pub name: UpstreamName,
    /// Where it listens; a host name is resolved again and again.
    pub address: HostPort,
}

/// `health = { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSpec {
    /// What a check does.
    pub check: Check,
    /// From the start of one check to the start of the next while all is well.
    pub interval: Duration,
    /// How long a check may take; less than `interval` in poll mode (`N6`).
    pub timeout: Duration,
    /// Consecutive failures after which the upstream is down.
    pub fall: u32,
    /// Consecutive passes after which an upstream that was down is up.
    pub rise: u32,
    /// From the start of one check to the start of the next after a failure, and while a signal is being validated.
    pub fast_interval: Duration,
}

/// What a check does once it is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Nothing: that the connection is accepted is enough.
    Connect,
    /// A TLS handshake; the certificate, its chain and its name must be as the pair's `tls` wants them.
    Tls {
        /// What goes before the handshake, as in [`Self::SendExpect`].
        header: Option<HeaderVersion>,
    },
    /// Sends `send` (may be empty) and passes when `expect` occurs in what comes back.
    SendExpect {
        /// Bytes written first.
        send: Arc<[u8]>,
        /// Bytes that must occur in the first 4 KiB of the answer; never empty.
        expect: Arc<[u8]>,
        /// What goes before `send`: the routes to the pair begin their connections with such a header, so that its
        /// servers hear nobody out who doesn't.
        header: Option<HeaderVersion>,
    },
}

/// `failback.when`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailbackWhen {
    /// After a valid resync signal; the fail-closed default.
    Resync,
    /// As soon as the primary was healthy for `stable_for` (`N6`).
    Poll,
    /// Only by `switch`.
    Manual,
}

/// `failback.overlap`: may both sides be written through the proxy at once?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Never; newcomers wait until the old side is left.
    None,
    /// The upstreams merge what both get.
    Allow,
}

/// `failback.migrate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrate {
    /// Sessions of the side left are closed at `pace`.
    Close,
    /// Sessions may end by themselves until `deadline`; then they are closed. Implies overlap.
    Drain {
        /// How long they may.
        deadline: Duration,
    },
}

/// `failback = { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailbackSpec {
    /// What opens the way back.
    pub when: FailbackWhen,
    /// How long the primary must have been healthy without a break; the same span admits a backup.
    pub stable_for: Duration,
    /// May both sides be written at once during a planned change?
    pub overlap: Overlap,
    /// Sessions moved per second; 0 = all at once.
    pub pace: u32,
    /// Close, or let end.
    pub migrate: Migrate,
    /// Clients never closed by a failback (`N4`).
    pub exempt: Arc<[IpNet]>,
    /// A source of the signal the proxy polls itself.
    pub source: Option<SignalSource>,
}

/// `failback.resync_http` or `failback.resync_command`, polled while the pair is on its backup and the primary answers.
/// Counts only once it was seen *not done* in this failover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalSource {
    /// GET `url`; done when the status is 200 and `expect` occurs in the body, which has 64 KiB at most.
    Http {
        /// Host and port of the URL.
        authority: HostPort,
        /// Path and query of the URL.
        path: String,
        /// Text that must occur in the body; may be empty.
        expect: String,
        /// From the end of one poll to the start of the next.
        every: Duration,
    },
    /// Run the command; done when it exits with 0. Killed after `timeout`.
    Command {
        /// Program and arguments, not passed through a shell. `FAILBACK_PAIR`, `FAILBACK_EPOCH` are in its environment.
        argv: Arc<[String]>,
        /// From the end of one poll to the start of the next.
        every: Duration,
        /// How long it may run.
        timeout: Duration,
    },
}

/// `hold = { … }`: clients in the gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldSpec {
    /// How long one client waits; 0 = refused at once (`N1`).
    pub time: Duration,
    /// How many wait at most; 0 = none.
    pub max: u32,
}

/// `flap = { … }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlapSpec {
    /// This many failovers in `window` are allowed; one more latches the pair on its backup.
    pub failovers: u32,
    /// The window.
    pub window: Duration,
}

/// `admission`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It passed its checks for `stable_for`.
    Healthy,
    /// And a resync signal `of` the backup.
    Resynced,
}

/// Socket options and deadlines of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportSpec {
    /// How long one dial (all addresses of the host) may take.
    pub connect_timeout: Duration,
    /// `TCP_KEEPIDLE`: silence before the first keepalive probe.
    pub keepalive_idle: Duration,
    /// `TCP_KEEPINTVL`: between probes.
    pub keepalive_interval: Duration,
    /// `TCP_KEEPCNT`: unanswered probes before the connection is dead.
    pub keepalive_count: u32,
    /// `TCP_USER_TIMEOUT`: how long sent data may stay unacknowledged.
    pub user_timeout: Duration,
}

impl Default for TransportSpec {
    /// 4 s to connect; 30 s + 3 × 10 s keepalive, 55 s user timeout, so that a peer that vanished is noticed within a minute.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(4),
            keepalive_idle: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(10),
            keepalive_count: 3,
            user_timeout: Duration::from_secs(55),
        }
    }
}
