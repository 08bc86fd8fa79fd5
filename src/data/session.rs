//! A session's life: accepted → admitted (held, dialled) → relayed → ended.

use super::{
    admit::{self, Admitted},
    complain::About,
    flow::Flow,
    handshake::{Unshaken, with_client},
    header,
    pair::Pair,
    relay::Relay,
    route::Route,
    secure::{End, SecureFlow},
    shared::Place,
    worker::Worker,
};
use crate::{
    model::{
        EndReason, Epoch, RefuseReason, UpstreamName,
        ports::Evidence,
        stats::{DoorStats, FlowStats},
        view::SessionView,
    },
    net::{options, proxy_protocol::Endpoints},
};
use std::{
    cell::{Cell, OnceCell},
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, task::yield_now};

/// Seconds that an end may take for the rest of a message, half of which came. An honest one sends it at once.
const LONGEST_STALL: u32 = 10;

/// One client and, once it is admitted, its upstream. Owned by its task; the worker's lists hold it too, to find it.
#[derive(Debug)]
pub(super) struct Session {
    /// Rises with every session of this worker, so the order of ids is the order of age.
    pub(super) id: u64,
    pub(super) route: Rc<Route>,
    pub(super) client: TcpStream,
    /// Who is connected to us; whose the connection is, is [`Self::client_address`].
    pub(super) peer: SocketAddr,
    /// Whose the connection is and whom it was meant for, where the peer said so and is believed.
    pub(super) told: OnceCell<Box<Endpoints>>,
    pub(super) accepted: Instant,
    link: OnceCell<Link>,
    to_upstream: Cell<u64>,
    to_client: Cell<u64>,
    /// The worker's clock at the last byte either way.
    touched: Cell<u32>,
    /// Keepalive and the like are set; done by the sweep, so that short sessions don't pay for it.
    pub(super) lively: Cell<bool>,
    /// Something may lie behind a mark of urgent data, of which no event tells.
    pub(super) urgent: Cell<bool>,
    /// Which way nothing can be sent, and since when by the worker's clock.
    stalled: Cell<Option<(Way, u32)>>,
    ordered: Cell<Option<EndReason>>,
    waker: OnceCell<Waker>,
    _place: Place,
}

/// The upstream's half of a session.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) upstream: TcpStream,
    pub(super) flow: Arc<FlowStats>,
    pub(super) epoch: Epoch,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToUpstream,
    ToClient,
}

impl Session {
    pub(super) fn new(id: u64, route: Rc<Route>, client: TcpStream, peer: SocketAddr, place: Place, now: u32) -> Self {
        Self {
            id,
            route,
            client,
            peer,
            told: OnceCell::new(),
            accepted: Instant::now(),
            link: OnceCell::new(),
            to_upstream: Cell::new(0),
            to_client: Cell::new(0),
            touched: Cell::new(now),
            lively: Cell::new(false),
            urgent: Cell::new(false),
            stalled: Cell::new(None),
            ordered: Cell::new(None),
            waker: OnceCell::new(),
            _place: place,
        }
    }

    pub(super) fn pair(&self) -> &Rc<Pair> {
        &self.route.pair
    }

    /// The upstream's half; `None` while the client is held or its dial is in flight.
    pub(super) fn link(&self) -> Option<&Link> {
        self.link.get()
    }

    pub(super) fn upstream_name(&self) -> Option<&UpstreamName> {
        self.link().map(|link| &link.flow.upstream)
    }

    /// The client reached its upstream. Counts as a byte for the idle timeout.
    pub(super) fn establish(&self, link: Link, now: u32) {
        link.flow.sessions.add(1);
        link.flow.sessions_total.add(1);
        self.touched.set(now);
        let first = self.link.set(link).is_ok();
        debug_assert!(first, "a session is established once");
    }

    /// Bytes were written.
    pub(super) fn count(&self, way: Way, bytes: usize, now: u32) {
        let bytes = bytes as u64;
        self.touched.set(now);
        let Some(link) = self.link() else { return };
        let (own, flow) = match way {
            Way::ToUpstream => (&self.to_upstream, &link.flow.bytes_to_upstream),
            Way::ToClient => (&self.to_client, &link.flow.bytes_to_client),
        };
        own.set(own.get() + bytes);
        flow.add(bytes);
    }

    /// No byte of the upstream's has been passed on.
    pub(super) fn is_unanswered(&self) -> bool {
        self.to_client.get() == 0
    }

    /// How long no byte has passed, by the worker's clock: never more than it was.
    pub(super) fn idle_at_least(&self, now: u32) -> Duration {
        Duration::from_secs(u64::from(now.saturating_sub(self.touched.get()).saturating_sub(1)))
    }

    /// Orders the session to end; its task does so the next time it runs, which is soon.
    pub(super) fn order_end(&self, reason: EndReason) {
        if self.ordered.get().is_none() {
            self.ordered.set(Some(reason));
            self.wake();
        }
    }

    /// Notes for the sweep whether only `half` of one of TLS's own messages has come from where `way` leads: nothing can be
    /// sent there then.
    pub(super) fn stall(&self, way: Way, half: bool, now: u32) {
        match self.stalled.get() {
            None if half => self.stalled.set(Some((way, now))),
            Some((stalled, _)) if stalled == way && !half => self.stalled.set(None),
            _ => {}
        }
    }

    /// One end owes the rest of a message for too long: as good as gone.
    pub(super) fn stalled_too_long(&self, now: u32) -> Option<EndReason> {
        let (way, since) = self.stalled.get()?;
        let reason = match way {
            Way::ToUpstream => EndReason::UpstreamReset,
            Way::ToClient => EndReason::ClientReset,
        };
        (now.saturating_sub(since) > LONGEST_STALL).then_some(reason)
    }

    /// Has it read what no event tells of.
    pub(super) fn look_behind_urgent(&self) {
        self.urgent.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn ordered_end(&self) -> Option<EndReason> {
        self.ordered.get()
    }

    pub(super) fn client_address(&self) -> SocketAddr {
        self.told.get().map_or(self.peer, |told| told.source())
    }

    pub(super) fn exempt_from(&self, nets: &[ipnet::IpNet]) -> bool {
        let client: IpAddr = self.client_address().ip().to_canonical();
        nets.iter().any(|net| net.contains(&client))
    }

    pub(super) fn view(&self, worker: usize, now: u32) -> SessionView {
        let age = self.accepted.elapsed();
        // Counted in whole seconds of the worker's clock, which may have begun before the session.
        let idle = Duration::from_secs(u64::from(now.saturating_sub(self.touched.get()))).min(age);
        SessionView {
            id: format!("{worker}-{}", self.id),
            route: self.route.name.clone(),
            pair: self.pair().name.clone(),
            client: self.client_address().to_string(),
            upstream: self.upstream_name().cloned(),
            epoch: self.link().map_or_else(|| self.pair().turn().row.epoch, |link| link.epoch),
            age,
            idle,
            bytes_to_upstream: self.to_upstream.get(),
            bytes_to_client: self.to_client.get(),
        }
    }
}

/// The session's task.
pub(super) async fn run(worker: Rc<Worker>, session: Rc<Session>) {
    std::future::poll_fn(|cx| {
        let _once = session.waker.set(cx.waker().clone());
        Poll::Ready(())
    })
    .await;
    // Boxed, so that an idle session does not carry the room its handshake and dial needed.
    match Box::pin(begin(&worker, &session)).await {
        Ok((link, secured)) => {
            session.establish(link, worker.now());
            let relayed = match secured {
                None => Relay::new(&worker, &session, Flow::default(), Flow::default()).await,
                Some((up, down)) => Relay::new(&worker, &session, up, down).await,
            };
            if let Some(link) = session.link() {
                part(&session, link, relayed.reason, relayed.client_is_owed);
                if relayed.reason == EndReason::UpstreamReset {
                    worker.report(session.pair(), &link.flow.upstream, Evidence::Reset);
                }
                link.flow.sessions.sub(1);
                link.flow.ends[relayed.reason as usize].add(1);
            }
        }
        Err(reason) => refuse(&session.route.door, &session.client, reason),
    }
    worker.forget(&session);
}

/// The client's PROXY protocol header and its handshake, if its route wants them, then its upstream. The flows are those of a session with TLS.
async fn begin(worker: &Worker, session: &Session) -> Result<(Link, Option<(SecureFlow, SecureFlow)>), RefuseReason> {
    // The event loop gets a look at the client, who may have spoken already.
    yield_now().await;
    header::take(worker, session).await?;
    let config = session.route.tls.borrow().clone();
    let client = match config {
        Some(config) => Some(accept(worker, session, config).await?),
        None => None,
    };
    let Admitted { link, secured: upstream } = admit::admit(worker, session, client.as_ref()).await?;
    let secured = (client.is_some() || upstream.is_some())
        .then(|| SecureFlow::pair(client.unwrap_or_default(), upstream.unwrap_or_default()));
    Ok((link, secured))
}

/// The server's part of a handshake with the client.
async fn accept(worker: &Worker, session: &Session, config: Arc<rustls::ServerConfig>) -> Result<End, RefuseReason> {
    let shaken = tokio::select! {
        biased;
        reason = admit::gone(session) => return Err(reason),
        shaken = with_client(worker, session, config) => shaken,
    };
    shaken.map_err(|unshaken| {
        let Unshaken::Failed(failed) = unshaken else { return RefuseReason::LocalTrouble };
        worker.stats.client_handshakes_failed[failed.reason as usize].add(1);
        worker.complaints.say(About::ClientHandshake, || {
            let (route, client) = (&session.route.name, session.client_address());
            tracing::warn!(%route, %client, reason = %failed.reason, "a client's TLS handshake failed: {}", failed.words);
        });
        RefuseReason::TlsHandshake
    })
}

/// Turns a client away: promptly and with RST, so that one with a second address of its own goes there (`N1`).
pub(super) fn refuse(door: &DoorStats, client: impl std::os::fd::AsFd, reason: RefuseReason) {
    options::reset_on_close(client);
    door.refused[reason as usize].add(1);
}

/// Decides between FIN and RST before the sockets are closed.
///
/// A reset is passed on as a reset, an orderly end as an end. What is cut short must not look complete: a client that is
/// owed bytes gets RST. The upstream of a side being left gets RST, so that nothing of ours can reach it later than the
/// confirmation that it was left: not even bytes that wait in this machine's own send queue.
fn part(session: &Session, link: &Link, reason: EndReason, client_is_owed: bool) {
    let (client, upstream) = match reason {
        EndReason::ClientClosed | EndReason::UpstreamClosed => (false, false),
        EndReason::ClientReset | EndReason::UpstreamReset | EndReason::Failover => (true, true),
        EndReason::Failback | EndReason::Switch => (client_is_owed, true),
        EndReason::Idle | EndReason::Removed | EndReason::Shutdown => (client_is_owed, false),
    };
    if client {
        options::reset_on_close(&session.client);
    }
    if upstream {
        options::reset_on_close(&link.upstream);
    }
}
