//! Workers with a hand-made table: one route to one pair, real sockets on both ends.

#![allow(dead_code, reason = "every test target compiles this anew and uses its own part of it")]

use crate::address::own_address;
use failback::{
    data::spawn_workers,
    model::{
        EndReason, Epoch, PairName, RefuseReason, RouteName, Side, UpstreamName,
        ports::{Outcome, PairProgress, Progress, WorkerPorts, Workers},
        proxy_protocol::ProxyProtocolSpec,
        spec::{HoldSpec, TransportSpec},
        stats::{FlowStats, WorkerStats},
        table::{Admit, CloseOrder, CloseRate, ListenerSet, PairRow, RouteRow, RouteTable},
    },
    net::listen::bind_set,
};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// How long anything that must happen may take on a machine that is busy with other things.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Asks `holds` until it does.
#[track_caller]
pub(crate) fn eventually(wanted: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "not within {SOON:?}: {wanted}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Workers, and all that a control plane would hold of them.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) workers: Workers,
    pub(crate) pair: PairRow,
    pub(crate) max_sessions: u32,
    pub(crate) idle_timeout: Duration,
    pub(crate) proxy_protocol: ProxyProtocolSpec,
    pub(crate) progress: Vec<watch::Receiver<Progress>>,
    pub(crate) outcomes: Mutex<mpsc::Receiver<Outcome>>,
    listeners: Vec<Arc<ListenerSet>>,
    version: u64,
    table: Option<watch::Sender<Arc<RouteTable>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Rig {
    /// `count` workers whose pair holds everybody for 10 s and has nowhere to send them yet.
    pub(crate) fn holding(count: usize) -> Self {
        Self::with_busy_poll(count, Duration::ZERO)
    }

    pub(crate) fn with_busy_poll(count: usize, busy_poll: Duration) -> Self {
        let listeners = vec![Arc::new(bind_set("127.0.0.1:0".parse().unwrap(), count).unwrap())];
        let (table, _) = watch::channel(Arc::new(RouteTable::default()));
        let (outcome, outcomes) = mpsc::channel(1024);
        let (mut ports, mut progress, mut stats, mut queries) = (vec![], vec![], vec![], vec![]);
        for _ in 0..count {
            let (reports, level) = watch::channel(Progress::default());
            let (question, inbox) = mpsc::channel(16);
            let counters = Arc::new(WorkerStats::default());
            ports.push(WorkerPorts {
                table: table.subscribe(),
                outcomes: outcome.clone(),
                progress: reports,
                queries: inbox,
                stats: Arc::clone(&counters),
            });
            progress.push(level);
            stats.push(counters);
            queries.push(question);
        }
        let threads = spawn_workers(count, busy_poll, ports).unwrap();
        let pair = PairRow {
            tls: None,
            name: "AGG_V".into(),
            epoch: Epoch::FIRST,
            admit: Admit::Hold,
            close: None,
            hold: HoldSpec { time: Duration::from_secs(10), max: 10_000 },
            exempt: Arc::default(),
            transport: TransportSpec::default(),
        };
        let mut rig = Self {
            address: listeners[0].address,
            workers: Workers { stats: stats.into(), queries: queries.into() },
            pair,
            max_sessions: 100_000,
            idle_timeout: Duration::ZERO,
            proxy_protocol: ProxyProtocolSpec::default(),
            progress,
            outcomes: Mutex::new(outcomes),
            listeners,
            version: 0,
            table: Some(table),
            threads,
        };
        rig.publish();
        rig
    }

    /// `count` workers that lead to `upstream`, called AGG_P, at once.
    pub(crate) fn to(count: usize, upstream: SocketAddr) -> Self {
        let mut rig = Self::holding(count);
        rig.pair.admit = to("AGG_P", Side::Primary, upstream);
        rig.publish();
        rig
    }

    /// Publishes the table as it stands, and waits until every worker obeys it.
    pub(crate) fn publish(&mut self) {
        self.version += 1;
        let table = self.snapshot(false);
        self.table.as_ref().unwrap().send_replace(Arc::new(table));
        for level in &self.progress {
            eventually("every worker obeys the table", || level.borrow().table == self.version);
        }
    }

    /// Listens there instead.
    pub(crate) fn listen_on(&mut self, listeners: Vec<Arc<ListenerSet>>) {
        self.address = listeners[0].address;
        self.listeners = listeners;
        self.publish();
    }

    /// The route is removed.
    pub(crate) fn without_routes(&mut self) {
        self.version += 1;
        let empty = RouteTable { version: self.version, ..RouteTable::default() };
        self.listeners.clear();
        self.table.as_ref().unwrap().send_replace(Arc::new(empty));
    }

    /// Control is gone: nobody will publish anything any more.
    pub(crate) fn lose_control(&mut self) {
        self.table = None;
        self.outcomes.lock().unwrap().close();
    }

    fn snapshot(&self, stopping: bool) -> RouteTable {
        let route = RouteRow {
            tls: None,
            name: "probes".into(),
            pair: self.pair.name.clone(),
            listeners: self.listeners.clone(),
            max_sessions: self.max_sessions,
            idle_timeout: self.idle_timeout,
            proxy_protocol: self.proxy_protocol.clone(),
        };
        RouteTable {
            version: self.version,
            routes: BTreeMap::from([(route.name.clone(), Arc::new(route))]),
            pairs: BTreeMap::from([(self.pair.name.clone(), Arc::new(self.pair.clone()))]),
            stopping,
        }
    }

    /// Stops the workers and waits for the end of their threads.
    pub(crate) fn stop(&mut self) {
        let Some(table) = self.table.take() else { return };
        self.version += 1;
        table.send_replace(Arc::new(self.snapshot(true)));
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }

    pub(crate) fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        client.set_write_timeout(Some(SOON)).unwrap();
        client
    }

    /// Sessions on `upstream` now.
    pub(crate) fn sessions(&self, upstream: &str) -> u64 {
        self.flows(upstream).map(|flow| flow.sessions.get()).sum()
    }

    /// Sessions there ever were.
    pub(crate) fn established(&self) -> u64 {
        let flows = self.workers.stats.iter().flat_map(|stats| stats.flows());
        flows.map(|flow| flow.sessions_total.get()).sum()
    }

    pub(crate) fn ends(&self, reason: EndReason) -> u64 {
        let flows = self.workers.stats.iter().flat_map(|stats| stats.flows());
        flows.map(|flow| flow.ends[reason as usize].get()).sum()
    }

    pub(crate) fn bytes(&self) -> (u64, u64) {
        let flows = self.workers.stats.iter().flat_map(|stats| stats.flows());
        flows.fold((0, 0), |(up, down), flow| (up + flow.bytes_to_upstream.get(), down + flow.bytes_to_client.get()))
    }

    /// Clients there are, held and dialled ones included.
    pub(crate) fn clients(&self) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.workers.sessions(None, 1_000)).len()
    }

    pub(crate) fn held(&self) -> u64 {
        self.workers.stats.iter().flat_map(|stats| stats.doors()).map(|door| door.held.get()).sum()
    }

    pub(crate) fn refused(&self, reason: RefuseReason) -> u64 {
        let doors = self.workers.stats.iter().flat_map(|stats| stats.doors());
        doors.map(|door| door.refused[reason as usize].get()).sum()
    }

    /// What all workers together report about the pair's order: `None` while one of them has not seen it.
    pub(crate) fn order(&self, id: u64) -> Option<PairProgress> {
        let pair: PairName = "AGG_V".into();
        let mut sum = PairProgress { order: id, left: 0, exempt: 0 };
        for level in &self.progress {
            let level = level.borrow();
            let seen = level.pairs.get(&pair).filter(|seen| seen.order == id)?;
            sum.left += seen.left;
            sum.exempt += seen.exempt;
        }
        Some(sum)
    }

    fn flows(&self, upstream: &str) -> impl Iterator<Item = Arc<FlowStats>> {
        let upstream: UpstreamName = upstream.into();
        let flows = self.workers.stats.iter().flat_map(|stats| stats.flows());
        flows.filter(move |flow| flow.upstream == upstream && flow.route == RouteName::from("probes"))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn to(upstream: &str, side: Side, address: SocketAddr) -> Admit {
    Admit::To { upstream: upstream.into(), side, addresses: [address].into(), pace: 0 }
}

/// All sessions of the pair are to be closed at once, but for those on `spare`.
pub(crate) fn close_all(id: u64, spare: Option<&str>, reason: EndReason) -> CloseOrder {
    CloseOrder {
        id,
        spare_upstream: spare.map(UpstreamName::from),
        spare_exempt: false,
        rate: CloseRate::AtOnce,
        reason,
    }
}

/// A listening server, and its address.
pub(crate) fn server() -> (TcpListener, SocketAddr) {
    // Tests drop it and dial its port, or bind it again.
    let listener = TcpListener::bind(own_address()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The next connection, with generous deadlines.
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    let (upstream, _) = listener.accept().unwrap();
    upstream.set_read_timeout(Some(SOON)).unwrap();
    upstream.set_write_timeout(Some(SOON)).unwrap();
    upstream
}

/// A client and its upstream, joined by the rig.
pub(crate) fn joined(rig: &Rig, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let before = rig.established();
    let pair = (rig.client(), accept(listener));
    eventually("the session is established", || rig.established() > before);
    pair
}

/// Ends a connection with RST.
pub(crate) fn reset(socket: TcpStream) {
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
}

/// A server that answers no SYN because its queue is full, as one that has lost power.
pub(crate) struct Silent {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
    fillers: Vec<TcpStream>,
}

impl Silent {
    pub(crate) fn server() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
        let fillers = std::iter::from_fn(connect).collect();
        Self { address, listener, fillers }
    }

    /// A SYN of somebody waits for its answer.
    pub(crate) fn is_dialled(&self) -> bool {
        let SocketAddr::V4(address) = self.address else { return false };
        let syn_sent = format!("{:08X}:{:04X} 02", u32::from_ne_bytes(address.ip().octets()), address.port());
        std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&syn_sent)
    }

    /// Answers again.
    pub(crate) fn wake(&self) {
        for _ in &self.fillers {
            self.listener.accept().unwrap();
        }
    }

    /// How many others have connected since.
    pub(crate) fn clients_that_wait(&self) -> usize {
        self.listener.set_nonblocking(true).unwrap();
        std::thread::sleep(Duration::from_millis(1_500)); // longer than a SYN takes to be repeated
        std::iter::from_fn(|| self.listener.accept().ok()).count()
    }
}
