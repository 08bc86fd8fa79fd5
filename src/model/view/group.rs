//! A group of nodes as the API shows it: seats, members, what was copied when (`G11`, `B13`).

use crate::model::{
    Epoch, NodeName, PairName, RouteName,
    group::{NodeStateName, Role},
    seat::{SeatReason, Suspicion},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The group as this node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// Of the pairing key; alike on all nodes (`B16`).
    pub key_fingerprint: String,
    /// This node's configured role.
    pub role: Role,
    /// What this node does.
    pub state: NodeStateName,
    /// What an operator should look at, in words; empty when all is well.
    pub warnings: Vec<String>,
    /// The seats, by name.
    pub seats: Vec<SeatView>,
    /// The members by name, this node among them.
    pub nodes: Vec<NodeView>,
}

/// One seat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeatView {
    /// The name of the primary node it is called by.
    pub seat: NodeName,
    /// The highest epoch known.
    pub epoch: Epoch,
    /// Who holds it, as far as is known here.
    pub holder: Option<NodeName>,
    /// Whose own it is.
    pub home: NodeName,
    /// Does this node serve it?
    pub here: bool,
    /// Held by another node than its own: no redundancy, no automatic takeover (`G5`).
    pub degraded: bool,
    /// This node would not let it be taken over without an operator: it was taken over before, or `takeover.auto` is off on this backup
    /// node (`G4`).
    pub auto_off: bool,
    /// Why its holder holds it.
    pub reason: SeatReason,
    /// The address that moves with it, and the length of its network's prefix.
    pub shared_address: Option<String>,
    /// The revision of its settings that is here, as twelve hexadecimal digits; the same on all nodes that are in step.
    pub revision: Option<String>,
    /// Its routes.
    pub routes: Vec<RouteName>,
    /// Its pairs.
    pub pairs: Vec<PairName>,
    /// The last pull of it by this node; nothing where this node holds it, or never tried.
    pub last_sync: Option<SyncView>,
    /// Who pulled it from this node, and when last (`B7`).
    pub pulled_by: Vec<PulledView>,
    /// The last change of a pair's side was acknowledged by every backup node that is there. Always true on others than the holder.
    pub replicated: bool,
    /// This node holds it and can't serve it: why, in words.
    pub not_served: Option<String>,
}

/// What became of a pull (`B3`, `G9`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SyncView {
    /// Did it work out?
    pub result: SyncResult,
    /// When it ended, or when it began if it is running (RFC 3339, UTC).
    pub at: String,
    /// From whom.
    pub from: NodeName,
    /// The revision pulled.
    pub revision: Option<String>,
    /// Why it failed, in words.
    pub error: Option<String>,
}

/// How far a pull is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SyncResult {
    /// Under way.
    Running,
    /// What was new is here.
    Done,
    /// What was here before is still here.
    Failed,
}

/// A pull by another node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PulledView {
    /// By whom.
    pub node: NodeName,
    /// When (RFC 3339, UTC).
    pub at: String,
    /// Does it have everything that is here?
    pub synchronized: bool,
    /// Why it could not take what it pulled last, in words; what it had before it still has.
    pub error: Option<String>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// Its name.
    pub node: NodeName,
    /// Is it the one that was asked?
    pub this: bool,
    /// Its configured role.
    pub role: Role,
    /// What it does.
    pub state: NodeStateName,
    /// How sure this node is of its life; nothing for itself.
    pub suspicion: Option<Suspicion>,
    /// Where its peer link is reached.
    pub address: String,
    /// The shared addresses it serves on.
    pub shared_addresses: Vec<String>,
    /// The address it is manageable by while it does not serve (`group.fallback_address`), if it is known.
    pub fallback_address: Option<String>,
    /// The program's version, if it is known.
    pub version: Option<String>,
    /// The last pull it made, if it is known.
    pub last_sync: Option<SyncView>,
}

/// `GET /api/v1/health`: is this node fit for its place in the group (`B13`)?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    /// Nothing stands against it. A node alone is fit.
    pub fit: bool,
    /// What stands against it, in words.
    pub reasons: Vec<String>,
    /// The node.
    pub node: NodeName,
    /// The group, if it is in one.
    pub group: Option<GroupView>,
}

/// One of `GET /api/v1/nodes/{node}/backups`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupView {
    /// The backup node.
    pub name: NodeName,
    /// Does it have everything of that node's seat?
    pub synchronized: bool,
}
