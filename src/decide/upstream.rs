//! One server as a pair's machine knows it: what is configured, what was resolved, what its checks say.

use super::health::Health;
use crate::model::{HostPort, UpstreamName, spec::UpstreamSpec, view::UpstreamRole};
use std::{net::SocketAddr, sync::Arc};

/// One server.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) name: UpstreamName,
    pub(super) address: HostPort,
    pub(super) role: UpstreamRole,
    /// As resolved last; empty until it was.
    pub(super) resolved: Arc<[SocketAddr]>,
    /// All that were known of when its addresses last changed to another machine's.
    known: Arc<[SocketAddr]>,
    pub(super) health: Health,
    /// The generation a backup's own signal binds to (`admission = "resynced"`). Not stored: a restart voids it anyway.
    pub(super) signal: Option<u64>,
    /// A backup that was down while the primary took traffic, and nobody said since that it holds everything.
    pub(super) missed_traffic: bool,
}

impl Upstream {
    pub(super) fn new(spec: &UpstreamSpec, role: UpstreamRole, health: Health) -> Self {
        Self {
            name: spec.name.clone(),
            address: spec.address.clone(),
            role,
            resolved: Arc::new([]),
            known: Arc::new([]),
            health,
            signal: None,
            missed_traffic: false,
        }
    }

    /// Does its own signal still hold?
    pub(super) fn is_resynced(&self) -> bool {
        self.signal == Some(self.health.generation())
    }

    /// Keeps its addresses. `true`: one of them is new, so it may lead to another machine. One that was missing for a while is
    /// not new, and neither is the first answer.
    pub(super) fn resolves_to(&mut self, addresses: Arc<[SocketAddr]>) -> bool {
        let first = self.known.is_empty();
        let is_new = addresses.iter().any(|address| !self.known.contains(address));
        if is_new {
            self.known = Arc::clone(&addresses);
        }
        self.resolved = addresses;
        is_new && !first
    }

    /// Does its name lead to the same place as another one's?
    pub(super) fn coincides_with(&self, other: &Self) -> bool {
        self.name != other.name && self.resolved.iter().any(|address| other.resolved.contains(address))
    }

    /// Is it the server the specification means?
    pub(super) fn is(&self, spec: &UpstreamSpec) -> bool {
        self.name == spec.name && self.address == spec.address
    }
}
