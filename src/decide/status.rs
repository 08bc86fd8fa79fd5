//! What a pair's machine tells about itself: [`crate::model::view::PairView`] without wall time and without what only the
//! data plane knows.

use crate::model::{
    Epoch, HostPort, Side, Time, TransitionReason, UpstreamName,
    view::{HealthName, MigrationView, PairStateName, UpstreamRole},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// One pair at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct PairStatus {
    /// Where clients are routed now; the side whose turn it is when nobody is served.
    pub active_side: Side,
    /// The upstream of that side.
    pub active_upstream: UpstreamName,
    /// The machine's state.
    pub state: PairStateName,
    /// The pair's epoch.
    pub epoch: Epoch,
    /// When the present state began.
    pub since: Time,
    /// Why.
    pub reason: TransitionReason,
    /// What keeps the pair from returning to its primary (or from serving at all), in words, most important first (`X5`).
    pub blockers: Vec<String>,
    /// No automatic change of side.
    pub frozen: bool,
    /// A side chosen by an operator; stays until `switch --auto`.
    pub pinned: bool,
    /// The flap budget is spent; stays on its backup until `switch --auto`.
    pub latched: bool,
    /// When the resync signal that is valid now was accepted.
    pub resynced_since: Option<Time>,
    /// Its servers: the primary, the backups in order, then `elsewhere`.
    pub upstreams: Vec<UpstreamStatus>,
    /// The migration under way, if any.
    pub migration: Option<MigrationView>,
    /// Every worker has said how many sessions the migration has to move.
    pub counted: bool,
}

/// One server of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: UpstreamName,
    /// Its place.
    pub role: UpstreamRole,
    /// As configured.
    pub address: HostPort,
    /// As resolved last; empty until it was.
    pub resolved: Arc<[SocketAddr]>,
    /// What its checks say.
    pub health: HealthName,
    /// Since when they say so.
    pub since: Time,
    /// It passed the newest check, and not long ago: what was found a while ago may be otherwise by now.
    pub answers: bool,
    /// The last check's failure in words, if it failed.
    pub last_failure: Option<String>,
    /// How long the last passed check took.
    pub last_check: Option<Duration>,
    /// May clients be sent to it now, were it its turn? A primary while the pair is on its backup: only once resynced.
    pub admissible: bool,
    /// Anything an operator should know, such as "was down while the primary took traffic".
    pub note: Option<String>,
}
