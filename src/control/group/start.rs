//! Setting the group up.

use super::{
    Group, Inbox, arrange::Arranger, copies::Copies, doubts::Doubts, fallback::Fallback, fitness::Fitness,
    hindrance::Hindrances, joining::Joining, pulls::Pulls, record, series::Series, troubles::Troubles,
};
use crate::{
    config::{self, Config},
    control::{
        address::lifetime,
        clock::Clock,
        orders::{GroupOrders, GroupRequest},
        peer::{PairingKey, PeerError, PeerLinks, PeerSpec, Saying},
        seats::{FromDriver, SeatOrder},
        sync::{self, Copy, SeatStore, StoreError},
        threads::Share,
    },
    decide::{
        NodeMachine,
        seat::input::{NodeSpec, Start, Stored},
    },
    model::{
        group::{GroupSpec, NodeStateName},
        view::group::GroupView,
    },
    observe::metrics::Metrics,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// Requests of each kind that wait at most.
const REQUESTS: usize = 64;
/// Heartbeats and the like that wait at most.
const EVENTS: usize = 256;

/// What the group is made from.
#[derive(Debug)]
pub struct GroupParts {
    /// The clock.
    pub clock: Clock,
    /// The node's metrics.
    pub metrics: Metrics,
    /// The way to the driver.
    pub driver: mpsc::Sender<SeatOrder>,
    /// From the driver.
    pub from_driver: mpsc::Receiver<FromDriver>,
    /// True once the node stops.
    pub stop: watch::Receiver<bool>,
}

/// Why the group can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The configuration file, which was read a moment ago.
    #[error("the configuration file was changed while the node started")]
    Source(#[source] config::ConfigErrors),
    /// The pairing key.
    #[error("group.pairing_key_file")]
    Key(#[from] crate::model::pairing_key::PairingKeyError),
    /// The peer link.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// What was copied.
    #[error("what is known of seats can't be read")]
    Store(#[from] StoreError),
    /// The node's own record.
    #[error("the node's record can't be read")]
    Record(#[from] io::Error),
}

/// A group that is set up, for whoever gives orders, and its task.
pub struct Ready {
    /// The API's way.
    pub orders: GroupOrders,
    /// Ends when the node stops, with the shared address removed.
    pub task: tokio::task::JoinHandle<()>,
}

/// Sets the group up and lets its task begin. Must be called within the runtime that the driver runs in; blocks for small files.
///
/// # Errors
/// [`GroupError`].
pub fn start(config: &Config, spec: &GroupSpec, parts: GroupParts) -> Result<Ready, GroupError> {
    let GroupParts { clock, metrics, driver, from_driver, stop } = parts;
    let state_dir = config.node.state_dir.clone();
    let (own, _) = config::read_again(&config.source).map_err(GroupError::Source)?;
    let store = SeatStore::open(&state_dir)?;
    let stored = record::load(&state_dir)?;
    let damaged = matches!(stored, Stored::Unreadable);
    let (asked_out, asked) = mpsc::channel(REQUESTS);
    let (events_out, events) = mpsc::channel(EVENTS);
    let saying = Saying { role: spec.role, state: NodeStateName::Offline, claims: Vec::new() };
    let links = PeerLinks::start(peer_spec(config, spec)?, saying, sync::router(asked_out), events_out)?;
    let links = Arc::new(links);
    let peers = links.peers().borrow().iter().map(|peer| (peer.node.clone(), peer.role)).collect();
    let start = Start {
        me: config.node.name.clone(),
        role: spec.role,
        spec: node_spec(spec),
        stored,
        peers,
        synced: store.seats().map(|copy| (copy.seat.clone(), Copy::revision_number(copy))).collect(),
    };
    let now = clock.now();
    let machine = NodeMachine::new(start, now);
    let (requests_out, requests) = mpsc::channel::<GroupRequest>(REQUESTS);
    let arranger = arranger(config, own, spec, store, driver.clone());
    let (view, shown) = watch::channel(Arc::new(nothing_yet(spec, &links)));
    let group = Group {
        me: config.node.name.clone(),
        spec: spec.clone(),
        clock,
        metrics,
        machine,
        wake: None,
        links,
        driver,
        arranger,
        state_dir,
        tasks: JoinSet::new(),
        permits: BTreeMap::new(),
        held: BTreeMap::new(),
        fallback: Fallback::default(),
        addresses: BTreeMap::new(),
        waiting: BTreeMap::new(),
        tickets: 0,
        copies: Copies::default(),
        pulls: Pulls::default(),
        joining: Joining::default(),
        hindrances: Hindrances::default(),
        troubles: Troubles::at_start(damaged),
        fitness: Fitness::default(),
        doubts: Doubts::default(),
        series: Series::default(),
        links_down: BTreeMap::new(),
        silent_since: BTreeMap::new(),
        heard_any: false,
        at_odds_since: None,
        served_since: BTreeMap::new(),
        about: BTreeMap::new(),
        standing: BTreeMap::new(),
        told: BTreeMap::new(),
        view,
        leaving: false,
        holders: BTreeMap::new(),
        started: now,
        asked_about: now,
        changed: false,
        commands: BTreeMap::new(),
        stood_by: BTreeSet::new(),
        starts: Share::default(),
        names: BTreeMap::new(),
    };
    let inbox = Inbox { events, asked, requests, driver: from_driver, stop };
    Ok(Ready { orders: GroupOrders::new(requests_out, shown), task: tokio::spawn(group.run(inbox)) })
}

fn peer_spec(config: &Config, spec: &GroupSpec) -> Result<PeerSpec, GroupError> {
    Ok(PeerSpec {
        node: config.node.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        state_dir: config.node.state_dir.clone(),
        listen: spec.peer_listen,
        heartbeat: spec.heartbeat,
        key: PairingKey::load(&spec.pairing_key_file)?,
        beacons: spec.shared_address.clone(),
    })
}

fn arranger(
    config: &Config,
    own: String,
    spec: &GroupSpec,
    store: SeatStore,
    driver: mpsc::Sender<SeatOrder>,
) -> Arranger {
    Arranger {
        me: config.node.name.clone(),
        source: config.source.clone(),
        own: Arc::new(Mutex::new(own)),
        state_dir: config.node.state_dir.clone(),
        shared_address: spec.shared_address.clone(),
        known: store.known(),
        store: Arc::new(Mutex::new(store)),
        open: Arc::default(),
        aside: Arc::default(),
        driver,
        turn: Arc::default(),
        file_behind: Arc::default(),
    }
}

fn nothing_yet(spec: &GroupSpec, links: &PeerLinks) -> GroupView {
    GroupView {
        key_fingerprint: links.fingerprint().to_string(),
        role: spec.role,
        state: NodeStateName::Offline,
        warnings: Vec::new(),
        seats: Vec::new(),
        nodes: Vec::new(),
    }
}

fn node_spec(spec: &GroupSpec) -> NodeSpec {
    let primary_timeout = spec.takeover.primary_timeout;
    // The kernel's lifetime of the address (`control/address`), or, where no address moves, the same bound.
    let lifetime = lifetime(primary_timeout);
    NodeSpec { heartbeat: spec.heartbeat, primary_timeout, auto: spec.takeover.auto, lifetime }
}
