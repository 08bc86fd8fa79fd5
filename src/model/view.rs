//! What the API serves and the CLI prints. The same types on both ends, so that they can't drift apart.

pub mod group;

use super::{Epoch, NodeName, PairName, RouteName, Side, TransitionReason, UpstreamName};
use group::GroupView;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// `GET /api/v1/status`: the whole node at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    /// The node's name.
    pub node: NodeName,
    /// The program's version.
    pub version: String,
    /// Seconds since the process started.
    pub uptime_seconds: f64,
    /// When the running configuration was loaded (RFC 3339, UTC).
    pub config_loaded_at: String,
    /// What an operator should look at, in words, the pairs' blockers among it; empty when all is well.
    pub warnings: Vec<String>,
    /// The pairs, by name.
    pub pairs: Vec<PairView>,
    /// The routes, by name.
    pub routes: Vec<RouteView>,
    /// The nodes that protect each other; nothing for a node alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupView>,
}

/// `GET /api/v1/pairs/{pair}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PairView {
    /// The pair's name.
    pub pair: PairName,
    /// Where clients are routed now; the side whose turn it is when nobody is served.
    pub active_side: Side,
    /// The upstream of that side.
    pub active_upstream: UpstreamName,
    /// The state of the pair's machine.
    pub state: PairStateName,
    /// The pair's epoch.
    pub epoch: Epoch,
    /// When the present state began (RFC 3339, UTC).
    pub since: String,
    /// Why.
    pub reason: TransitionReason,
    /// What keeps the pair from returning to its primary (or from serving at all), in words, most important first.
    pub blockers: Vec<String>,
    /// The pair is frozen: no automatic change of side.
    pub frozen: bool,
    /// A side chosen by `switch`; stays until `switch --auto`.
    pub pinned: bool,
    /// The flap budget is spent; stays on its backup until `switch --auto`.
    pub latched: bool,
    /// When the resync signal that is valid now was accepted (RFC 3339, UTC).
    pub resynced_since: Option<String>,
    /// Its servers: the primary, the backups in order, then `elsewhere`.
    pub upstreams: Vec<UpstreamView>,
    /// Sessions per side.
    pub sessions: SideCounts,
    /// Clients held now.
    pub held: u64,
    /// The migration under way, if any, once every worker has counted its sessions.
    pub migration: Option<MigrationView>,
    /// The seat it belongs to, which this node does not hold: the pair is only watched here. Nothing where it is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_for: Option<NodeName>,
}

/// The states of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairStateName {
    /// Clients are served by the primary.
    OnPrimary,
    /// Clients are served by a backup; the primary's data is stale or not known to be whole.
    OnBackup,
    /// Clients are served by a backup; the primary holds everything again and may take over soon.
    Resynced,
    /// The pair goes back to its primary.
    Returning,
    /// No usable server; newcomers wait.
    NoServer,
}

impl PairStateName {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::OnPrimary, Self::OnBackup, Self::Resynced, Self::Returning, Self::NoServer];

    /// The label used in metrics, the API and the journal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnPrimary => "on_primary",
            Self::OnBackup => "on_backup",
            Self::Resynced => "resynced",
            Self::Returning => "returning",
            Self::NoServer => "no_server",
        }
    }
}

/// One server of a pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamView {
    /// Its name.
    pub name: UpstreamName,
    /// Its place.
    pub role: UpstreamRole,
    /// As configured.
    pub address: String,
    /// As resolved last.
    pub resolved: Vec<String>,
    /// What its checks say.
    pub health: HealthName,
    /// Since when they say so (RFC 3339, UTC).
    pub since: String,
    /// The last check's failure in words, if it failed.
    pub last_failure: Option<String>,
    /// How long the last passed check took, in seconds.
    pub last_check_seconds: Option<f64>,
    /// May clients be sent to it now, were it its turn? A primary while the pair is on its backup: only once resynced.
    pub admissible: bool,
    /// Anything an operator should know, such as "was down while the primary took traffic".
    pub note: Option<String>,
}

/// A server's place in its pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamRole {
    /// The primary.
    Primary,
    /// A backup.
    Backup,
    /// The other proxy's primary.
    Elsewhere,
}

impl UpstreamRole {
    /// The word used in the API and by the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// What checks say of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthName {
    /// Not enough checks yet.
    Unknown,
    /// Passed its last checks.
    Up,
    /// Failed `fall` checks, and has not passed `rise` since.
    Down,
}

impl HealthName {
    /// The word used in the API, the events and by the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Sessions per side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SideCounts {
    /// On the primary.
    pub primary: u64,
    /// On a backup.
    pub backup: u64,
}

/// A migration under way (`X2`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MigrationView {
    /// The side being left.
    pub from: Side,
    /// Sessions to move when it began.
    pub total: u64,
    /// Sessions still to move.
    pub remaining: u64,
    /// Sessions that stay because their client is exempt.
    pub exempt: u64,
    /// Sessions per second; 0 = all at once.
    pub pace: u32,
    /// The side left is closed: newcomers who waited are being admitted, `pace` a second.
    pub admitting: bool,
    /// Paused by an operator.
    pub paused: bool,
    /// Seconds until the last is moved at this pace; unknown while paused.
    pub eta_seconds: Option<f64>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteView {
    /// Its name.
    pub route: RouteName,
    /// The pair it leads to.
    pub pair: PairName,
    /// Where it listens.
    pub listen: Vec<String>,
    /// Sessions now.
    pub sessions: u64,
    /// Its limit.
    pub max_sessions: u32,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Unique while the process lives: worker and number.
    pub id: String,
    /// The route it came by.
    pub route: RouteName,
    /// Its pair.
    pub pair: PairName,
    /// The client's address.
    pub client: String,
    /// The upstream it leads to; `None` while it is held or dialled.
    pub upstream: Option<UpstreamName>,
    /// The epoch it was admitted under.
    pub epoch: Epoch,
    /// Seconds since it was accepted.
    #[serde(rename = "age_seconds", with = "seconds")]
    #[schema(value_type = f64)]
    pub age: Duration,
    /// Seconds since the last byte either way.
    #[serde(rename = "idle_seconds", with = "seconds")]
    #[schema(value_type = f64)]
    pub idle: Duration,
    /// Bytes relayed to the upstream.
    pub bytes_to_upstream: u64,
    /// Bytes relayed to the client.
    pub bytes_to_client: u64,
}

/// One line of `GET /api/v1/events`: what happened, when, why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Rises by 1 with every event of this node, over restarts too.
    pub seq: u64,
    /// When (RFC 3339, UTC, milliseconds).
    pub time: String,
    /// What kind of event, a stable word (`failover`, `resync_signal`, …).
    pub kind: String,
    /// The pair concerned, if one is.
    pub pair: Option<PairName>,
    /// The pair's epoch after it.
    pub epoch: Option<Epoch>,
    /// The reason's label, if it has one.
    pub reason: Option<String>,
    /// The whole of it in a sentence.
    pub message: String,
}

/// The answer to `POST /api/v1/pairs/{pair}/resync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResyncAnswer {
    /// Was the signal valid, now or before (a repetition)?
    pub accepted: bool,
    /// Why, or why not, in words.
    pub reason: String,
}

/// The answer to any other order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderAnswer {
    /// Did it change anything? `false`: it was so already.
    pub changed: bool,
    /// What was done, in words.
    pub message: String,
}

/// The answer to `POST /api/v1/reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReloadAnswer {
    /// What changed, a sentence each, and what `failback check` would warn of (`warning: …`); empty if there is nothing to say.
    pub changes: Vec<String>,
}

/// The answer to `POST /api/v1/alerts/test`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertsTestAnswer {
    /// Every recipient, in the order of the configuration.
    pub channels: Vec<ChannelTest>,
}

/// What became of a test alert to one recipient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChannelTest {
    /// The recipient, and by which way.
    pub channel: String,
    /// Did the mail server or the webhook take it?
    pub delivered: bool,
    /// What happened, in words.
    pub message: String,
    /// Seconds it took.
    #[serde(rename = "took_seconds", with = "seconds")]
    #[schema(value_type = f64)]
    pub took: Duration,
}

mod seconds {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64((span.as_secs_f64() * 1e3).round() / 1e3)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}
