//! Nodes that protect each other: what is configured, and what they tell each other (design §4).

use super::{Epoch, HostPort, NodeName, reason::labelled};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Seats of a group at most; each has a primary node.
pub const MOST_SEATS: usize = 64;

labelled! {
    /// What the operator intends a node to be; survives every takeover (`G1`).
    Role {
        /// It has a seat of its own.
        Primary = "primary": "a primary node",
        /// It stands in for others.
        Backup = "backup": "a backup node",
    }
}

labelled! {
    /// What a node does now (`G1`).
    NodeStateName {
        /// It holds a seat and serves clients.
        Online = "online": "serves clients",
        /// It could take over.
        Standby = "standby": "stands by",
        /// It must not serve: it was displaced, or does not know yet whether it may.
        Offline = "offline": "does not serve",
        /// Nothing is heard of it.
        Unknown = "unknown": "is not heard",
    }
}

/// `[group]`, checked. All of it is this node's own and never travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSpec {
    /// The configured role at the first start; orders change it later.
    pub role: Role,
    /// The nodes that are promoted together.
    pub site: Option<String>,
    /// Where peers reach this node.
    pub peer_listen: SocketAddr,
    /// The file of the pairing key.
    pub pairing_key_file: PathBuf,
    /// From one heartbeat to the next, on each path.
    pub heartbeat: Duration,
    /// What answers while the network is fine.
    pub witnesses: Vec<Witness>,
    /// The address that moves with the seat; `None` where `takeover.command` does what is needed.
    pub shared_address: Option<InterfaceAddress>,
    /// Where a displaced primary node stays manageable.
    pub fallback_address: Option<InterfaceAddress>,
    /// How a backup node pulls.
    pub sync: SyncSpec,
    /// When and how a backup node takes over.
    pub takeover: TakeoverSpec,
}

/// Somebody who answers while the network is fine (`B10`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Witness {
    /// `icmp:ADDRESS`.
    Icmp(IpAddr),
    /// `tcp:HOST:PORT`: accepts or refuses a connection; either is an answer.
    Tcp(HostPort),
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Icmp(address) => write!(f, "icmp:{address}"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// An address, the length of its network's prefix, and the interface it is added to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address itself, not the network's.
    pub address: IpNet,
    /// Such as `eth0`.
    pub interface: String,
}

/// How a backup node pulls (`B4`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncSpec {
    /// Zero: only when ordered.
    pub interval: Duration,
    /// A primary node from which nobody has pulled for so long says so (`B7`).
    pub alert_after: Duration,
}

/// When and how a backup node takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeoverSpec {
    /// By itself.
    pub auto: bool,
    /// After how long a silence on both paths.
    pub primary_timeout: Duration,
    /// Run at every change of who holds the seat, where no address can move; empty: none.
    pub command: Vec<String>,
}

/// What a node says of one seat. A seat is called by its primary node's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Claim {
    /// The seat.
    pub seat: NodeName,
    /// The highest epoch of it that the node knows.
    pub epoch: Epoch,
    /// Does it hold the seat under that epoch?
    pub holds: bool,
    /// Does it hear the seat's holder, or is it? Others then don't call the holder dead (`G8`).
    #[serde(default)]
    pub hears: bool,
    /// Which revision of the seat's settings and states it has; rises along the chain, and nodes compare theirs. 0: none.
    #[serde(default)]
    pub copy: u64,
    /// Does it know of nothing that would keep it from taking and serving the seat? Whatever copies others have.
    #[serde(default)]
    pub fit: bool,
    /// Does it know that nobody holds the seat under that epoch? Its holder says so once it has released it.
    #[serde(default)]
    pub vacant: bool,
    /// Does it hold the seat, has never served it, and leaves it to whichever backup node can?
    #[serde(default)]
    pub yields: bool,
    /// Whose seat it is, if that is no longer the node it is called by (`replace`, a change of roles).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<NodeName>,
}

/// What nodes tell each other again and again, over the peer link and by beacon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Who speaks.
    pub node: NodeName,
    /// Of this run of the process; a heartbeat of an earlier run is no news.
    pub boot: u64,
    /// +1 with each heartbeat of this run; one that is not higher is no news.
    pub sequence: u64,
    /// Its configured role.
    pub role: Role,
    /// What it does.
    pub state: NodeStateName,
    /// What it knows of seats.
    pub claims: Vec<Claim>,
}

/// By which path a heartbeat came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeartbeatPath {
    /// The peer link.
    Link,
    /// A beacon.
    Beacon,
}

labelled! {
    /// Why two nodes are not joined (`B2`, `G10`). That their clocks differ is no reason.
    JoinRefusal {
        /// The other node holds another pairing key, or none.
        KeyDiffers = "key_differs": "the pairing keys differ",
        /// All nodes of a group run the same version.
        VersionDiffers = "version_differs": "the versions differ",
        /// One of them belongs to another group, or knows another node by that name.
        AlreadyPaired = "already_paired": "it is paired already",
        /// A backup node asked to be backed up.
        BackupOfABackup = "backup_of_a_backup": "a backup node has no backups",
        /// The node that was asked is a primary node.
        NotABackup = "not_a_backup": "it is no backup node; `failback group role backup` there makes it one",
        /// The address leads back to the node that asks.
        Itself = "itself": "it is the same node",
        /// Nobody answers at the address.
        AddressNotReached = "address_not_reached": "its address is not reached",
        /// It can't reach the node that asks.
        ReverseAddressNotReached = "reverse_address_not_reached": "the reverse address is not reached from there",
        /// One of the two could not do its part; the detail says what.
        Trouble = "trouble": "it did not work out",
    }
}
