//! The door: accepting clients, turning away those there is no room for, and giving some to a worker with fewer.

use super::{
    complain::About,
    route::Route,
    session::refuse,
    shared::{Handed, Place},
    worker::Worker,
};
use crate::{
    model::{
        RefuseReason,
        table::{Admit, ListenerSet},
    },
    net::listen::Acceptor,
};
use rustix::io::Errno;
use std::{
    io,
    net::{SocketAddr, TcpStream},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::task::{JoinHandle, spawn_local};

/// Clients accepted in one go before others get their turn.
const BURST: usize = 64;
/// The first and the longest pause when there are no descriptors.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Accepts on this worker's socket of `set` until the task is aborted.
pub(super) fn open(worker: &Rc<Worker>, route: &Rc<Route>, set: &Arc<ListenerSet>) -> JoinHandle<()> {
    let (worker, route, set) = (Rc::clone(worker), Rc::clone(route), Arc::clone(set));
    spawn_local(async move {
        // A set made for fewer workers leaves this one to what the others hand over.
        let Some(socket) = set.sockets.get(worker.index) else { return };
        let mut pause = Pause(PAUSE);
        let acceptor = loop {
            match Acceptor::new(socket) {
                Ok(acceptor) => break acceptor,
                Err(error) => pause.after(&worker, &route, &error).await,
            }
        };
        serve(&worker, &route, &acceptor).await;
    })
}

async fn serve(worker: &Rc<Worker>, route: &Rc<Route>, acceptor: &Acceptor) {
    let mut pause = Pause(PAUSE);
    while std::future::poll_fn(|cx| acceptor.poll_ready(cx)).await.is_ok() {
        for _ in 0..BURST {
            let accepted = if worker.shared.has_room() { acceptor.accept() } else { Err(Errno::MFILE.into()) };
            match accepted {
                Ok((client, peer)) => {
                    pause = Pause(PAUSE);
                    receive(worker, route, client, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_the_clients(&error) => {}
                Err(error) => pause.after(worker, route, &error).await,
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Trying again at once would only burn the processor: descriptors come back when sessions end.
struct Pause(Duration);

impl Pause {
    async fn after(&mut self, worker: &Worker, route: &Route, error: &io::Error) {
        worker.stats.accept_pauses.add(1);
        worker.complaints.say(About::Accepting, || {
            tracing::warn!(route = %route.name, %error, "accepting is paused; clients wait in the kernel's queue");
        });
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

/// `accept` also reports what had happened to the connection it took from the queue.
fn is_the_clients(error: &io::Error) -> bool {
    let clients = [Errno::CONNABORTED, Errno::PROTO, Errno::INTR, Errno::PERM, Errno::TIMEDOUT, Errno::HOSTUNREACH];
    Errno::from_io_error(error).is_some_and(|errno| clients.contains(&errno))
}

/// Finds a place and a worker for a client.
fn receive(worker: &Rc<Worker>, route: &Rc<Route>, client: TcpStream, peer: SocketAddr) {
    let Some(place) = Place::take(&worker.shared, &route.totals, worker.index, route.max_sessions.get()) else {
        return refuse(&route.door, &client, RefuseReason::MaxSessions);
    };
    let row = route.pair.turn().row;
    if row.admit == Admit::Hold && (row.hold.time.is_zero() || row.hold.max == 0) {
        return refuse(&route.door, &client, RefuseReason::NoServer);
    }
    let lightest = worker.shared.lightest(worker.index);
    if lightest == worker.index {
        return worker.begin(route, client, peer, place);
    }
    let (name, pair) = (route.name.clone(), route.pair.name.clone());
    let handed = Handed { route: name, pair, client, peer, place: place.at(lightest) };
    match worker.shared.hand_over(lightest, handed) {
        Ok(()) => worker.stats.handed_over.add(1),
        Err(Handed { client, peer, place, .. }) => worker.begin(route, client, peer, place.at(worker.index)),
    }
}
