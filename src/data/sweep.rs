//! Once a second over all sessions: what is not worth a timer or a system call for each of them.

use super::{route::Route, worker::Worker};
use crate::{
    model::{EndReason, spec::TransportSpec},
    net::options::set_liveness,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{rc::Rc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

/// The grain of the worker's clock.
const EVERY: Duration = Duration::from_secs(1);
/// Sessions looked at in one go before others get their turn.
const CHUNK: usize = 256;

/// Never ends.
pub(super) async fn sweep(worker: Rc<Worker>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.tick();
        let routes: Vec<_> = worker.routes.borrow().values().cloned().collect();
        for route in routes {
            let mut from = Some(0);
            while let Some(id) = from {
                from = look_at_some(&worker, &route, id);
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Looks at the sessions from `id` on; returns where to go on.
fn look_at_some(worker: &Worker, route: &Route, id: u64) -> Option<u64> {
    let sessions = route.sessions.borrow();
    let transport = route.pair.turn().row.transport;
    let (now, timeout) = (worker.now(), route.idle_timeout.get());
    let mut some = sessions.range(id..);
    let (mut sockets, mut moved) = (Vec::new(), Vec::new());
    for (_, session) in some.by_ref().take(CHUNK) {
        let Some(link) = session.link() else { continue };
        if session.idle_at_least(now) < EVERY {
            sockets.extend([&session.client, &link.upstream].map(|socket| PollFd::new(socket, PollFlags::PRI)));
            moved.push(session);
        }
        if !timeout.is_zero() && session.idle_at_least(now) >= timeout {
            session.order_end(EndReason::Idle);
        }
        if let Some(reason) = session.stalled_too_long(now) {
            session.order_end(reason);
        }
        if !session.lively.get() && session.accepted.elapsed() >= EVERY {
            session.lively.set(true);
            // A connection that has ended meanwhile tells its session itself.
            let _ended = set_liveness(&link.upstream, &transport);
            if transport != TransportSpec::default() {
                let _ended = set_liveness(&session.client, &transport);
            }
        }
    }
    for (session, ends) in moved.iter().zip(marked(&mut sockets).chunks(2)) {
        if ends.contains(&true) {
            session.look_behind_urgent();
        }
    }
    some.next().map(|(id, _)| *id)
}

/// Which of the sockets have urgent data: one system call for all of them.
fn marked(sockets: &mut [PollFd<'_>]) -> Vec<bool> {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if sockets.is_empty() || poll(sockets, Some(&at_once)).is_err() {
        return Vec::new();
    }
    sockets.iter().map(|socket| socket.revents().contains(PollFlags::PRI)).collect()
}
