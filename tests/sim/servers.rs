//! The upstreams: alive or not, reachable or not, and what their data lacks.
//!
//! A server's data is told by one thing: does it *lack* a write that was acknowledged through the pair elsewhere, and that
//! will not reach it by itself? The servers replicate to each other and bridge short outages; after a longer one in which
//! the active server took a write, only a resync makes a server whole again. How long an outage they bridge is exactly how
//! long the proxy may be blind without calling it a gap: an outage nobody can have noticed does no harm to anybody's data.

use failback::model::Time;
use std::time::Duration;

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Alive,
    /// Its process is gone: connections are refused, sessions are cut.
    Dead,
    /// It lost its power: nothing is answered.
    Silent,
    /// The proxy can't reach it; its peers can.
    Unreachable,
    /// Answers so late that its checks time out; clients are served.
    Slow,
    /// Answers its checks wrongly; clients are served.
    Wrong,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) condition: Condition,
    /// Since when its peers can't reach it.
    out_since: Option<Time>,
    /// Writes wait for it at its peers.
    owed: bool,
    /// It lacks an acknowledged write that will not come by itself.
    pub(crate) lacks: bool,
    /// It was out, so the gateway compares it with the active one before it calls it whole.
    pub(crate) unsure: bool,
    /// When it last was at fault, as seen from the proxy.
    pub(crate) at_fault: Option<Time>,
    /// Which resync of it is the current one; an older one's end means nothing.
    pub(crate) resync: u64,
    pub(crate) resyncing: bool,
    /// +1 with every change of its addresses.
    pub(crate) moves: u8,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            condition: Condition::Alive,
            out_since: None,
            owed: false,
            lacks: false,
            unsure: false,
            at_fault: None,
            resync: 0,
            resyncing: false,
            moves: 0,
        }
    }

    /// Do sessions reach it, and does it acknowledge their writes?
    pub(crate) fn serves(&self) -> bool {
        matches!(self.condition, Condition::Alive | Condition::Slow | Condition::Wrong)
    }

    /// Do its peers reach it?
    pub(crate) fn is_running(&self) -> bool {
        !matches!(self.condition, Condition::Dead | Condition::Silent)
    }

    /// Was it at fault within the last `span`?
    pub(crate) fn was_at_fault(&self, now: Time, span: Duration) -> bool {
        self.condition != Condition::Alive || self.at_fault.is_some_and(|at| now.since(at) <= span)
    }

    pub(crate) fn set(&mut self, now: Time, condition: Condition, bridged: Duration) {
        self.settle(now, bridged);
        if self.condition != Condition::Alive {
            self.at_fault = Some(now);
        }
        self.condition = condition;
        if self.is_running() {
            // What its peers kept for it arrives; what they gave up is gone.
            self.out_since = None;
            self.owed = false;
        } else {
            self.out_since.get_or_insert(now);
            self.unsure = true;
            self.resyncing = false;
            self.resync += 1;
        }
    }

    /// The active server acknowledged a write.
    pub(crate) fn peer_wrote(&mut self, now: Time, bridged: Duration) {
        if self.out_since.is_some() {
            self.owed = true;
            self.settle(now, bridged);
        }
    }

    /// Peers keep what they owe it for `bridged` and not longer.
    fn settle(&mut self, now: Time, bridged: Duration) {
        if self.owed && self.out_since.is_some_and(|since| now.since(since) > bridged) {
            self.lacks = true;
        }
    }

    /// Another machine stands in its place.
    pub(crate) fn is_replaced(&mut self) {
        self.lacks = true;
        self.unsure = true;
        self.resyncing = false;
        self.resync += 1;
    }

    /// It holds everything: a resync ended, or what it holds is the truth from now on.
    pub(crate) fn is_whole(&mut self) {
        self.lacks = false;
        self.owed = false;
        self.unsure = false;
        self.resyncing = false;
    }
}
