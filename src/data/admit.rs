//! From accepted to connected: a client is held while no side is usable or its turn has not come, dialled through to the
//! side that is active now, held again when that fails. It never gets another side than the table says (`X3`).

use super::{
    complain::About,
    handshake::{Failed, Unshaken, failed_with, with_server},
    header,
    pair::{Pair, Turn},
    secure::End,
    session::{Link, Session},
    worker::Worker,
};
use crate::{
    model::{
        RefuseReason, causes::chain, ports::Evidence, spec::HoldSpec, stats::DoorStats, table::Admit, tls::TlsFailure,
    },
    net::{
        dial::{DialError, FirstWord, dial, flags, no_address},
        options,
        tls::Channel,
    },
};
use std::{
    io,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use tokio::{io::Interest, net::TcpStream, time::sleep};

/// Between a failed dial and the next one to the same side.
const RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// A client's upstream, reached.
pub(super) struct Admitted {
    pub(super) link: Link,
    /// Its end of the session after the handshake; `None` where the pair is spoken to in plain.
    pub(super) secured: Option<End>,
}

/// Returns once the client has its upstream: the same upstream and epoch that the table names at this very moment.
/// `client` is its end, if TLS with it ends here.
pub(super) async fn admit(worker: &Worker, session: &Session, client: Option<&End>) -> Result<Admitted, RefuseReason> {
    let mut wait = Wait::new(session, client);
    loop {
        let turn = session.pair().turn();
        let news = match &turn.row.admit {
            Admit::Hold => wait.for_change(&turn, std::future::pending()).await?,
            Admit::To { pace, .. } if *pace > 0 && !admitted_at_once(worker, session.pair(), *pace) => {
                wait.for_change(&turn, session.pair().turn_at_pace(&worker.shared)).await?
            }
            Admit::To { .. } => News::Done,
        };
        if news == News::Done
            && let Some(admitted) = wait.dial(worker, &turn).await?
        {
            return Ok(admitted);
        }
    }
}

fn admitted_at_once(worker: &Worker, pair: &Pair, pace: u32) -> bool {
    !pair.has_queue() && pair.totals.admit_one(&worker.shared, pace).is_ok()
}

#[derive(Debug, PartialEq, Eq)]
enum News {
    /// The table says something else now.
    Changed,
    /// What was waited for has come.
    Done,
}

/// What a client has been through so far.
struct Wait<'a> {
    session: &'a Session,
    client: Option<&'a End>,
    held: Option<Held<'a>>,
    retry: Duration,
    began: Option<Instant>,
    /// The last dial failed for want of something on this machine.
    local: bool,
}

impl<'a> Wait<'a> {
    fn new(session: &'a Session, client: Option<&'a End>) -> Self {
        Self { session, client, held: None, retry: RETRY, began: None, local: false }
    }

    /// Holds the client until `done`, or until the table says something else.
    async fn for_change(&mut self, turn: &Turn, done: impl Future<Output = ()>) -> Result<News, RefuseReason> {
        self.hold(turn.row.hold)?;
        let session = self.session;
        tokio::select! {
            biased;
            reason = gone(session) => Err(reason),
            () = session.pair().change_since(turn.generation) => Ok(News::Changed),
            () = sleep(self.patience(turn.row.hold)) => Err(self.refusal(RefuseReason::HoldExpired)),
            () = done => Ok(News::Done),
        }
    }

    /// One dial. `None`: it has to be looked at anew.
    async fn dial(&mut self, worker: &Worker, turn: &Turn) -> Result<Option<Admitted>, RefuseReason> {
        let Admit::To { upstream, side, .. } = &turn.row.admit else { return Ok(None) };
        let (session, pair) = (self.session, self.session.pair());
        let began = *self.began.get_or_insert_with(Instant::now);
        let header = header::to_send(session, self.client)?;
        let counted = pair.dialling(&worker.news);
        let reached = tokio::select! {
            biased;
            reason = gone(session) => return Err(reason),
            () = pair.change_since(turn.generation) => return Ok(None),
            () = sleep(self.patience(turn.row.hold)), if self.held.is_some() => {
                return Err(self.refusal(RefuseReason::HoldExpired));
            }
            reached = reach(worker, session, turn, header.as_deref(), self.client) => reached,
        };
        drop(counted);
        let flow = session.route.flow(&worker.stats, upstream, *side);
        let error = match reached {
            Ok((stream, secured)) => {
                flow.connect.record(began.elapsed());
                let link = Link { upstream: stream, flow, epoch: turn.row.epoch };
                return Ok(Some(Admitted { link, secured }));
            }
            Err(error) => error,
        };
        let evidence = match &error {
            Unreached::Dial(DialError::Local(_)) | Unreached::Tls(Failed { reason: TlsFailure::Local, .. }) => None,
            Unreached::Dial(DialError::Refused | DialError::Unreachable(_)) | Unreached::Tls(_) => {
                Some(Evidence::DialRefused)
            }
            Unreached::Dial(DialError::TimedOut) => Some(Evidence::DialTimedOut),
        };
        self.local = evidence.is_none();
        if let Some(evidence) = evidence {
            worker.report(pair, upstream, evidence);
        }
        match &error {
            Unreached::Dial(error @ DialError::Local(_)) => worker.complaints.say(About::Dial, || {
                tracing::warn!(pair = %pair.name, %upstream, error = chain(error), "a dial failed on this machine; the client waits");
            }),
            Unreached::Dial(_) => {}
            Unreached::Tls(failed) => failed_with(worker, session, upstream, failed),
        }
        let pause = self.retry;
        self.retry = (self.retry * 2).min(LONGEST_RETRY);
        if self.for_change(turn, sleep(pause)).await? == News::Changed {
            self.retry = RETRY;
        }
        Ok(None)
    }

    fn hold(&mut self, spec: HoldSpec) -> Result<(), RefuseReason> {
        if self.held.is_some() {
            return Ok(());
        }
        if spec.time.is_zero() || spec.max == 0 {
            return Err(self.refusal(RefuseReason::NoServer));
        }
        let (pair, door) = (self.session.pair(), &self.session.route.door);
        if !pair.totals.hold(spec.max) {
            return Err(self.refusal(RefuseReason::HoldFull));
        }
        door.held.add(1);
        self.held = Some(Held { pair, door });
        Ok(())
    }

    /// How much longer the client is held.
    fn patience(&self, spec: HoldSpec) -> Duration {
        spec.time.saturating_sub(self.session.accepted.elapsed())
    }

    fn refusal(&self, otherwise: RefuseReason) -> RefuseReason {
        if self.local { RefuseReason::LocalTrouble } else { otherwise }
    }
}

/// Why an upstream was not reached.
enum Unreached {
    Dial(DialError),
    Tls(Failed),
}

/// Dials the upstream of `turn` and shakes hands with it, if the pair wants TLS.
async fn reach(
    worker: &Worker,
    session: &Session,
    turn: &Turn,
    header: Option<&[u8]>,
    client: Option<&End>,
) -> Result<(TcpStream, Option<End>), Unreached> {
    let Admit::To { upstream, addresses, .. } = &turn.row.admit else { return Err(Unreached::Dial(no_address())) };
    let first = match header {
        Some(header) => FirstWord::This(header),
        None if turn.row.tls.is_some() => FirstWord::Ours,
        None => first_word(session),
    };
    let stream = dial(addresses, turn.row.transport.connect_timeout, first).await.map_err(Unreached::Dial)?;
    let Some(tls) = &turn.row.tls else { return Ok((stream, None)) };
    let Some(config) = tls.configs.get(upstream) else { return Err(Unreached::Dial(no_address())) };
    let agreed = client.and_then(End::facts).map(|facts| facts.alpn);
    let channel = Channel::client(Arc::clone(config), tls.ask_for.clone(), agreed.as_deref());
    match with_server(worker, session, &stream, channel).await {
        Ok(end) => {
            // Else a client's second words wait until the server has acknowledged the handshake's last.
            options::send_at_once(&stream);
            Ok((stream, Some(end)))
        }
        Err(Unshaken::NoPlace) => {
            Err(Unreached::Dial(DialError::Local(io::Error::other("too many TLS handshakes are under way"))))
        }
        Err(Unshaken::Failed(failed)) => Err(Unreached::Tls(failed)),
    }
}

/// A client whose bytes wait for the server (or who sent FIN, which is passed on as promptly) has spoken first.
fn first_word(session: &Session) -> FirstWord<'static> {
    match flags(&session.client, Interest::READABLE).is_readable() {
        true => FirstWord::Ours,
        false => FirstWord::Unknown,
    }
}

/// A held client, counted until dropped.
struct Held<'a> {
    pair: &'a Pair,
    door: &'a Arc<DoorStats>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.pair.totals.release();
        self.door.held.sub(1);
    }
}

/// Waits until the client is no longer to be waited with. FIN alone says nothing: it may still want its answer.
pub(super) async fn gone(session: &Session) -> RefuseReason {
    let ordered = std::future::poll_fn(|_| match session.ordered_end() {
        // Whoever orders it wakes the session's task.
        Some(_) => Poll::Ready(()),
        None => Poll::Pending,
    });
    tokio::select! {
        biased;
        () = ordered => RefuseReason::Shutdown,
        _ = session.client.ready(Interest::ERROR) => RefuseReason::ClientGone,
    }
}
