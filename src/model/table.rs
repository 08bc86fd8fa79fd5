//! The route table: what control publishes and every worker obeys. A snapshot, replaced as a whole; a worker that
//! hears nothing more goes on with the last one ("losing peers or admin leaves the last table serving").
//!
//! It is *level-triggered*: it says how things must be, never what to do once, so a worker that skips a version misses
//! nothing.

use super::{
    EndReason, Epoch, PairName, RouteName, Side, UpstreamName,
    proxy_protocol::ProxyProtocolSpec,
    spec::{HoldSpec, TransportSpec},
};
use ipnet::IpNet;
use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

/// Everything the data plane needs to know.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    /// +1 with every publication.
    pub version: u64,
    /// The routes; one that vanishes closes its listeners at once and its sessions with [`EndReason::Removed`].
    pub routes: BTreeMap<RouteName, Arc<RouteRow>>,
    /// The pairs the routes lead to.
    pub pairs: BTreeMap<PairName, Arc<PairRow>>,
    /// The proxy stops: accept nobody, end held clients; sessions are closed with [`EndReason::Shutdown`].
    pub stopping: bool,
}

/// One route.
#[derive(Debug)]
pub struct RouteRow {
    /// Its name.
    pub name: RouteName,
    /// The pair it leads to.
    pub pair: PairName,
    /// Its bound listeners. A set that stays the same `Arc` from table to table goes on listening undisturbed.
    pub listeners: Vec<Arc<ListenerSet>>,
    /// More sessions (held clients included) than this are refused, over all workers.
    pub max_sessions: u32,
    /// A session with no byte either way for this long is closed. Zero = never.
    pub idle_timeout: Duration,
    /// TLS with clients ends here; `None`: their bytes pass through.
    pub tls: Option<Arc<ServerConfig>>,
    /// What clients begin with, and what upstreams are told.
    pub proxy_protocol: ProxyProtocolSpec,
}

/// The sockets of one listening address: one for each worker, bound with `SO_REUSEPORT`.
#[derive(Debug)]
pub struct ListenerSet {
    /// As bound.
    pub address: SocketAddr,
    /// Worker `i` accepts on `sockets[i]` (a duplicate of it); all non-blocking and listening.
    pub sockets: Vec<std::net::TcpListener>,
}

/// Where one pair's clients go now.
#[derive(Debug, Clone)]
pub struct PairRow {
    /// The pair.
    pub name: PairName,
    /// The epoch of `admit`. A dial begun under another epoch is dropped before its first byte.
    pub epoch: Epoch,
    /// What happens to newcomers.
    pub admit: Admit,
    /// What happens to sessions that are there already.
    pub close: Option<CloseOrder>,
    /// How long and how many clients are held.
    pub hold: HoldSpec,
    /// Clients never closed by an order that spares the exempt.
    pub exempt: Arc<[IpNet]>,
    /// Socket options and deadlines.
    pub transport: TransportSpec,
    /// TLS with the upstreams; `None`: plain.
    pub tls: Option<Arc<UpstreamTls>>,
}

/// TLS with a pair's upstreams.
#[derive(Debug)]
pub struct UpstreamTls {
    /// One for each upstream, so that what is resumed with one was begun with the same one.
    pub configs: BTreeMap<UpstreamName, Arc<ClientConfig>>,
    /// What they are asked for (SNI), if it is a name.
    pub ask_for: ServerName<'static>,
}

/// What happens to newcomers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admit {
    /// They are connected to this upstream.
    To {
        /// Which.
        upstream: UpstreamName,
        /// Its side, for labels.
        side: Side,
        /// Its addresses, both families interleaved, preferred first; never empty.
        addresses: Arc<[SocketAddr]>,
        /// At most this many newcomers a second over all workers; 0 = no limit. Those above it wait as held clients do.
        pace: u32,
    },
    /// They wait, up to [`PairRow::hold`].
    Hold,
}

/// Sessions to be closed. A worker that sees a new `id` condemns the sessions of the pair (dials in flight too) that it
/// has at that moment and that the order does not spare; sessions that come later are not concerned.
#[derive(Debug, Clone)]
pub struct CloseOrder {
    /// Rises with every new order of this pair, over restarts of the pair's machine too.
    pub id: u64,
    /// Sessions on this upstream are spared (they are where they belong).
    pub spare_upstream: Option<UpstreamName>,
    /// Sessions whose client is in [`PairRow::exempt`] are spared.
    pub spare_exempt: bool,
    /// How fast.
    pub rate: CloseRate,
    /// Why, for the session's end.
    pub reason: EndReason,
}

/// How fast condemned sessions are closed.
#[derive(Debug, Clone)]
pub enum CloseRate {
    /// All at once.
    AtOnce,
    /// The workers together may have closed `allowed` so far (it grows); `taken` is theirs to count with. Each closes
    /// its oldest first.
    Allowed {
        /// Closings allowed since the order was given, over all workers.
        allowed: u64,
        /// Closings done or being done, over all workers. The same counter in every version of one order.
        taken: Arc<AtomicU64>,
    },
}
