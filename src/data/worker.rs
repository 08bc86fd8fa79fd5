//! One worker: a thread with its own event loop. It obeys the table, takes in clients, answers questions, and says how far
//! it is with closing orders; the sessions' tasks run beside it.

use super::{
    complain::{About, Complaints},
    handshake::Handshakes,
    pair::Pair,
    pipe::PipePool,
    route::Route,
    session::{Session, refuse, run},
    shared::{Handed, Place, Shared},
    spin::Spin,
};
use crate::model::{
    EndReason, PairName, RefuseReason, RouteName, UpstreamName,
    ports::{Evidence, Outcome, Progress, SessionQuery, WorkerPorts},
    stats::WorkerStats,
    table::RouteTable,
    view::SessionView,
};
use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::{SocketAddr, TcpStream},
    rc::Rc,
    sync::Arc,
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::spawn_local,
};

/// What a small message passes through, and the most that is read at once.
const SCRATCH_BYTES: usize = 64 * 1024;

/// What the tasks of one worker share. Nothing in it is ever borrowed across an await.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) stats: Arc<WorkerStats>,
    pub(super) scratch: RefCell<Box<[u8]>>,
    /// What records are sealed into: room for all that a full scratch buffer of the smallest ones becomes.
    pub(super) sealed: RefCell<Box<[u8]>>,
    pub(super) handshakes: Handshakes,
    pub(super) pipes: PipePool,
    pub(super) complaints: Complaints,
    pub(super) spin: Option<Spin>,
    /// There may be progress to publish.
    pub(super) news: Notify,
    pub(super) routes: RefCell<BTreeMap<RouteName, Rc<Route>>>,
    pairs: RefCell<BTreeMap<PairName, Rc<Pair>>>,
    outcomes: mpsc::Sender<Outcome>,
    clock: Cell<u32>,
    next_id: Cell<u64>,
    /// Session tasks there are.
    alive: Cell<usize>,
    table: Cell<u64>,
    stopping: Cell<bool>,
}

/// The worker's ends of the channels.
#[derive(Debug)]
pub(super) struct Ends {
    table: watch::Receiver<Arc<RouteTable>>,
    progress: watch::Sender<Progress>,
    queries: mpsc::Receiver<SessionQuery>,
    inbox: mpsc::Receiver<Handed>,
}

impl Worker {
    pub(super) fn new(
        index: usize,
        shared: Arc<Shared>,
        inbox: mpsc::Receiver<Handed>,
        ports: WorkerPorts,
        spin: Option<Spin>,
    ) -> (Rc<Self>, Ends) {
        let WorkerPorts { table, outcomes, progress, queries, stats } = ports;
        let worker = Self {
            index,
            pipes: PipePool::new(shared.pipes),
            shared,
            stats,
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
            sealed: RefCell::new(vec![0; 4 * SCRATCH_BYTES].into()),
            handshakes: Handshakes::default(),
            complaints: Complaints::default(),
            spin,
            news: Notify::new(),
            routes: RefCell::default(),
            pairs: RefCell::default(),
            outcomes,
            clock: Cell::new(0),
            next_id: Cell::new(0),
            alive: Cell::new(0),
            table: Cell::new(0),
            stopping: Cell::new(false),
        };
        (Rc::new(worker), Ends { table, progress, queries, inbox })
    }

    /// Works until the table says stop and the last session is gone. When control is gone, so that nobody can say
    /// anything any more, the last table goes on being served.
    pub(super) async fn work(self: Rc<Self>, mut ends: Ends) {
        let (mut control, mut questions) = (true, true);
        let table = Arc::clone(&ends.table.borrow_and_update());
        self.obey(&table);
        drop(table);
        loop {
            self.publish(&ends.progress);
            if self.stopping.get() && self.alive.get() == 0 {
                return;
            }
            tokio::select! {
                biased;
                changed = ends.table.changed(), if control => {
                    control = changed.is_ok();
                    let table = Arc::clone(&ends.table.borrow_and_update());
                    self.obey(&table);
                }
                () = self.news.notified() => {}
                Some(handed) = ends.inbox.recv() => self.take_over(handed),
                asked = ends.queries.recv(), if questions => match asked {
                    Some(query) => self.answer(query),
                    None => questions = false,
                },
            }
        }
    }

    /// Makes everything as the table says. What did not change is not disturbed.
    fn obey(self: &Rc<Self>, table: &RouteTable) {
        for row in table.pairs.values() {
            self.pair(&row.name).replace_row(row);
        }
        self.routes.borrow_mut().retain(|name, route| {
            let stays = table.routes.get(name).is_some_and(|row| row.pair == route.pair.name);
            if !stays {
                route.close(EndReason::Removed);
            }
            stays
        });
        self.pairs.borrow_mut().retain(|name, pair| table.pairs.contains_key(name) || Rc::strong_count(pair) > 1);
        self.stopping.set(table.stopping);
        for (name, row) in &table.routes {
            if table.stopping {
                break;
            }
            let known = self.routes.borrow().get(name).cloned();
            let route = known.unwrap_or_else(|| {
                let route = Rc::new(Route::new(name, self.pair(&row.pair), &self.shared, &self.stats));
                self.routes.borrow_mut().insert(name.clone(), Rc::clone(&route));
                route
            });
            route.obey(self, row);
        }
        if table.stopping {
            self.routes.borrow().values().for_each(|route| route.close(EndReason::Shutdown));
        }
        for row in table.pairs.values() {
            let pair = self.pair(&row.name);
            pair.orders.borrow_mut().obey(row, self.sessions_of(&pair));
        }
        self.table.set(table.version);
    }

    fn pair(&self, name: &PairName) -> Rc<Pair> {
        let mut pairs = self.pairs.borrow_mut();
        let pair = pairs.entry(name.clone()).or_insert_with(|| Rc::new(Pair::new(name, self.shared.pair(name))));
        Rc::clone(pair)
    }

    fn sessions_of(&self, pair: &Rc<Pair>) -> impl Iterator<Item = Rc<Session>> {
        let routes: Vec<_> =
            self.routes.borrow().values().filter(|route| Rc::ptr_eq(&route.pair, pair)).cloned().collect();
        routes.into_iter().flat_map(|route| route.sessions.borrow().values().cloned().collect::<Vec<_>>())
    }

    /// A client that another worker accepted.
    fn take_over(self: &Rc<Self>, handed: Handed) {
        let route = self.routes.borrow().get(&handed.route).cloned();
        match route {
            Some(route) if !self.stopping.get() => self.begin(&route, handed.client, handed.peer, handed.place),
            // The route went while the client was on its way.
            _ => {
                let door = self.stats.door(&handed.route, &handed.pair);
                refuse(&door, &handed.client, RefuseReason::Shutdown);
            }
        }
    }

    /// Starts a client's session.
    pub(super) fn begin(self: &Rc<Self>, route: &Rc<Route>, client: TcpStream, peer: SocketAddr, place: Place) {
        let client = match tokio::net::TcpStream::from_std(client) {
            Ok(client) => client,
            Err(error) => {
                self.complaints.say(About::EventLoop, || {
                    tracing::warn!(%error, "a client could not be registered with the event loop");
                });
                // The event loop has closed it.
                route.door.refused[RefuseReason::LocalTrouble as usize].add(1);
                return;
            }
        };
        let id = self.next_id.replace(self.next_id.get() + 1);
        let session = Rc::new(Session::new(id, Rc::clone(route), client, peer, place, self.now()));
        route.sessions.borrow_mut().insert(id, Rc::clone(&session));
        self.alive.set(self.alive.get() + 1);
        spawn_local(run(Rc::clone(self), session));
    }

    /// A session's task is about to end.
    pub(super) fn forget(&self, session: &Session) {
        session.route.sessions.borrow_mut().remove(&session.id);
        self.alive.set(self.alive.get() - 1);
        if session.pair().orders.borrow_mut().forget(session.id) || self.stopping.get() {
            self.news.notify_one();
        }
    }

    /// What a session or a dial showed about its upstream.
    pub(super) fn report(&self, pair: &Pair, upstream: &UpstreamName, evidence: Evidence) {
        let outcome = Outcome { pair: pair.name.clone(), upstream: upstream.clone(), evidence };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.outcomes.try_send(outcome) {
            self.stats.outcomes_dropped.add(1);
        }
    }

    fn publish(&self, progress: &watch::Sender<Progress>) {
        let pairs = self.pairs.borrow();
        let news = Progress {
            table: self.table.get(),
            pairs: pairs.iter().filter_map(|(name, pair)| Some((name.clone(), pair.progress()?))).collect(),
        };
        progress.send_if_modified(|known| {
            let changed = *known != news;
            *known = news;
            changed
        });
    }

    fn answer(&self, query: SessionQuery) {
        // Nobody waits for the answer any more: no harm done.
        let _ = query.reply.send(self.oldest(query.route.as_ref(), query.limit));
    }

    /// The oldest sessions of one route or of all, looking at no more of them than are wanted.
    fn oldest(&self, route: Option<&RouteName>, limit: usize) -> Vec<SessionView> {
        let routes = self.routes.borrow();
        let wanted: Vec<_> = routes.values().filter(|known| route.is_none_or(|name| *name == known.name)).collect();
        let lists: Vec<_> = wanted.iter().map(|route| route.sessions.borrow()).collect();
        let mut next: Vec<_> = lists.iter().map(|list| list.values()).collect();
        let mut heads: BinaryHeap<_> = lists
            .iter()
            .enumerate()
            .filter_map(|(list, sessions)| sessions.keys().next().map(|id| Reverse((*id, list))))
            .collect();
        let mut found = Vec::new();
        while found.len() < limit {
            let Some(Reverse((_, list))) = heads.pop() else { break };
            if let Some(session) = next[list].next() {
                found.push(session.view(self.index, self.now()));
            }
            if let Some(session) = next[list].clone().next() {
                heads.push(Reverse((session.id, list)));
            }
        }
        found
    }

    /// Some session had something to do.
    pub(super) fn worked(&self) {
        if let Some(spin) = &self.spin {
            spin.worked();
        }
    }

    /// The worker's clock: whole seconds, moved on by the sweep.
    pub(super) fn now(&self) -> u32 {
        self.clock.get()
    }

    pub(super) fn tick(&self) {
        self.clock.set(self.clock.get().wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read, net::TcpListener, os::fd::OwnedFd};

    fn worker() -> Rc<Worker> {
        let (shared, mut inboxes) = Shared::new(1);
        let ports = WorkerPorts {
            table: watch::channel(Arc::new(RouteTable::default())).1,
            outcomes: mpsc::channel(1).0,
            progress: watch::channel(Progress::default()).0,
            queries: mpsc::channel(1).1,
            stats: Arc::default(),
        };
        Worker::new(0, shared, inboxes.remove(0), ports, None).0
    }

    fn place(worker: &Worker, route: &str) -> Place {
        Place::take(&worker.shared, &worker.shared.route(&route.into()), 0, 1).unwrap()
    }

    fn refused(worker: &Worker, reason: RefuseReason) -> u64 {
        worker.stats.doors().iter().map(|door| door.refused[reason as usize].get()).sum()
    }

    #[test]
    fn a_client_on_its_way_whose_route_went_is_reset_and_counted() {
        let worker = worker();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        let place = place(&worker, "gone");
        worker.take_over(Handed { route: "gone".into(), pair: "AGG_V".into(), client: accepted, peer, place });
        assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(refused(&worker, RefuseReason::Shutdown), 1);
    }

    #[test]
    fn a_client_that_the_event_loop_does_not_take_is_counted_and_gives_its_place_back() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let worker = worker();
        let route = Rc::new(Route::new(&"probes".into(), worker.pair(&"AGG_V".into()), &worker.shared, &worker.stats));
        // What is no socket can't be waited for.
        let client = TcpStream::from(OwnedFd::from(tempfile::tempfile().unwrap()));
        client.set_nonblocking(true).unwrap();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        worker.begin(&route, client, peer, place(&worker, "probes"));
        assert_eq!(refused(&worker, RefuseReason::LocalTrouble), 1);
        assert!(Place::take(&worker.shared, &route.totals, 0, 1).is_some());
    }
}
