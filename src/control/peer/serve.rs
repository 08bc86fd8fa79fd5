//! The peer port: who is let in, how many of them, and for how long.
//!
//! Handshakes have places, those from joined nodes' addresses places of their own, and the newcomer gets one at another's cost
//! (`handshakes`); what else can't be let in is closed at once and counted. Nobody waits in line. So a crowd of strangers keeps
//! no peer out.

use super::{
    COMPLAIN_EVERY,
    addresses::Way,
    bucket::Bucket,
    channel::{self, Binding},
    handshakes::{Handshakes, Place},
    routes::Connected,
    shared::Shared,
    slots::Slots,
};
use crate::{control::http, model::tls::Pin};
use axum::{Extension, Router};
use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// A handshake takes a few milliseconds, and two round trips.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Long enough to be joined.
const STRANGER_LIFE: Duration = Duration::from_secs(20);
const STRANGERS_EACH: usize = 4;
const STRANGERS: usize = 16;
const STRANGERS_REQUESTS: u32 = 8;
/// One for heartbeats, some for calls, some that the other end has given up without our noticing yet.
const CONNECTIONS_EACH: usize = 16;
const REQUESTS_PER_SECOND: u32 = 200;
const STOP_TIMEOUT: Duration = Duration::from_millis(500);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds, with what is taken of them.
struct Gate {
    handshakes: Handshakes,
    strangers: Slots<IpAddr>,
    peers: Slots<Pin>,
}

/// Serves `app` to other nodes until `stop` is true.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener, app: Router, mut stop: watch::Receiver<bool>) {
    let gate = Arc::new(Gate {
        handshakes: Handshakes::default(),
        strangers: Slots::new(STRANGERS_EACH, STRANGERS),
        peers: Slots::new(CONNECTIONS_EACH, CONNECTIONS_EACH * super::store::MOST_PEERS),
    });
    let (mut connections, mut complained) = (JoinSet::new(), None::<Instant>);
    let stopping = stop.clone();
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => break,
            // Reaps what ended, so that the set stays as small as the bounds.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                let is_kept = shared.addresses.is_of(&shared.store.all(), from.ip());
                let place = gate.handshakes.take(from.ip(), is_kept);
                let (shared, gate, app) = (Arc::clone(&shared), Arc::clone(&gate), app.clone());
                connections.spawn(let_in(shared, gate, (stream, from, place), app, stopping.clone()));
            }
            Err(error) => {
                if complained.is_none_or(|said| said.elapsed() >= COMPLAIN_EVERY) {
                    complained = Some(Instant::now());
                    tracing::warn!(%error, "the peer listener can't accept; trying again");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    let _cut_off_then = timeout(STOP_TIMEOUT, all_ended).await;
}

async fn let_in(
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    (stream, from, place): (TcpStream, SocketAddr, Place),
    app: Router,
    stop: watch::Receiver<bool>,
) {
    let server = Arc::clone(&shared.identity.server);
    let accepted = tokio::select! {
        () = place.gives_way() => return shared.counts.update(|counts| counts.turned_away += 1),
        accepted = channel::accept(stream, server, shared.identity.pin, HANDSHAKE, || place.has_spoken()) => accepted,
    };
    let Ok((stream, binding)) = accepted else {
        return shared.counts.update(|counts| counts.failed_handshakes += 1);
    };
    drop(place);
    let from = from.ip();
    if shared.store.by_pin(binding.client).is_some() {
        shared.addresses.note(binding.client, Way::From, from);
        let Some(_slot) = gate.peers.take(binding.client) else {
            return shared.counts.update(|counts| counts.turned_away += 1);
        };
        let bucket = Bucket::new(REQUESTS_PER_SECOND, 2 * REQUESTS_PER_SECOND);
        http::serve_connection(stream, for_one(app, binding, from, bucket), stop).await;
    } else {
        let Some(_slot) = gate.strangers.take(from) else {
            return shared.counts.update(|counts| counts.turned_away += 1);
        };
        let app = for_one(app, binding, from, Bucket::new(0, STRANGERS_REQUESTS));
        let _over_then = timeout(STRANGER_LIFE, http::serve_connection(stream, app, stop)).await;
    }
}

fn for_one(app: Router, binding: Binding, from: IpAddr, bucket: Bucket) -> Router {
    app.layer(Extension(Connected { binding, from, bucket: Arc::new(bucket) }))
}
