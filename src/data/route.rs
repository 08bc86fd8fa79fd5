//! One route as one worker sees it: its doors, its sessions by age, its counters.

use super::{
    door,
    handshake::Places,
    pair::Pair,
    session::Session,
    shared::{RouteTotals, Shared},
    worker::Worker,
};
use crate::model::{
    EndReason, RouteName, Side, UpstreamName,
    proxy_protocol::ProxyProtocolSpec,
    stats::{DoorStats, FlowStats, WorkerStats},
    table::{ListenerSet, RouteRow},
};
use rustls::ServerConfig;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinHandle;

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: RouteName,
    pub(super) pair: Rc<Pair>,
    pub(super) totals: Arc<RouteTotals>,
    pub(super) door: Arc<DoorStats>,
    pub(super) max_sessions: Cell<u32>,
    pub(super) idle_timeout: Cell<Duration>,
    pub(super) tls: RefCell<Option<Arc<ServerConfig>>>,
    pub(super) handshakes: Places,
    pub(super) proxy_protocol: RefCell<ProxyProtocolSpec>,
    pub(super) sessions: RefCell<BTreeMap<u64, Rc<Session>>>,
    flows: RefCell<Vec<Arc<FlowStats>>>,
    doors: RefCell<Vec<Door>>,
}

/// A listening address that this worker accepts on.
#[derive(Debug)]
struct Door {
    set: Arc<ListenerSet>,
    accepting: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Route {
    pub(super) fn new(name: &RouteName, pair: Rc<Pair>, shared: &Shared, stats: &WorkerStats) -> Self {
        Self {
            name: name.clone(),
            totals: shared.route(name),
            door: stats.door(name, &pair.name),
            pair,
            max_sessions: Cell::new(0),
            idle_timeout: Cell::new(Duration::ZERO),
            tls: RefCell::default(),
            handshakes: Places::default(),
            proxy_protocol: RefCell::default(),
            sessions: RefCell::default(),
            flows: RefCell::default(),
            doors: RefCell::default(),
        }
    }

    /// Takes over limits and doors. A door that was there already goes on undisturbed.
    pub(super) fn obey(self: &Rc<Self>, worker: &Rc<Worker>, row: &RouteRow) {
        self.max_sessions.set(row.max_sessions);
        self.idle_timeout.set(row.idle_timeout);
        self.tls.replace(row.tls.clone());
        self.proxy_protocol.replace(row.proxy_protocol.clone());
        let mut doors = self.doors.borrow_mut();
        doors.retain(|door| row.listeners.iter().any(|set| Arc::ptr_eq(set, &door.set)));
        for set in &row.listeners {
            if doors.iter().any(|door| Arc::ptr_eq(set, &door.set)) {
                continue;
            }
            doors.push(Door { set: Arc::clone(set), accepting: door::open(worker, self, set) });
        }
    }

    /// Accepts nobody any more and ends everybody.
    pub(super) fn close(&self, reason: EndReason) {
        self.doors.borrow_mut().clear();
        for session in self.sessions.borrow().values() {
            session.order_end(reason);
        }
    }

    /// The counters of this route's sessions on `upstream`.
    pub(super) fn flow(&self, stats: &WorkerStats, upstream: &UpstreamName, side: Side) -> Arc<FlowStats> {
        let mut flows = self.flows.borrow_mut();
        if let Some(known) = flows.iter().find(|flow| flow.upstream == *upstream && flow.side == side) {
            return Arc::clone(known);
        }
        let flow = stats.flow(&self.name, &self.pair.name, upstream, side);
        flows.push(Arc::clone(&flow));
        flow
    }
}
