//! Once a second over all sessions: what is not worth a timer or a system call for each of them.

use super::{route::Route, worker::Worker};
use crate::{
    model::{EndReason, spec::TransportSpec},
    net::options::set_liveness,
};
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
    for (_, session) in some.by_ref().take(CHUNK) {
        let Some(link) = session.link() else { continue };
        if !timeout.is_zero() && session.idle_at_least(now) >= timeout {
            session.order_end(EndReason::Idle);
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
    some.next().map(|(id, _)| *id)
}
