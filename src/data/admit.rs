//! From accepted to connected: a client is held while no side is usable or its turn has not come, dialled through to the
//! side that is active now, held again when that fails. It never gets another side than the table says (`X3`).

use super::{
    header,
    pair::{Pair, Turn},
    session::{Link, Session},
    worker::Worker,
};
use crate::{
    model::{RefuseReason, causes::chain, ports::DoorStats, ports::Evidence, spec::HoldSpec, table::Admit},
    net::dial::{DialError, FirstWord, dial, flags},
};
use std::{
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use tokio::{io::Interest, task::yield_now, time::sleep};

/// Between a failed dial and the next one to the same side.
const RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// Returns once the client has its upstream: the same upstream and epoch that the table names at this very moment.
pub(super) async fn admit(worker: &Worker, session: &Session) -> Result<Link, RefuseReason> {
    let mut wait = Wait::new(session);
    // The event loop gets a look at the client, who may have spoken already.
    yield_now().await;
    header::take(worker, session).await?;
    loop {
        let turn = session.pair().turn();
        let news = match &turn.row.admit {
            Admit::Hold => wait.for_change(&turn, std::future::pending()).await?,
            Admit::To { pace, .. } if *pace > 0 && !admitted_at_once(worker, session.pair(), *pace) => {
                wait.for_change(&turn, session.pair().turn_at(&worker.shared, *pace)).await?
            }
            Admit::To { .. } => News::Done,
        };
        if news == News::Done
            && let Some(link) = wait.dial(worker, &turn).await?
        {
            return Ok(link);
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
    held: Option<Held<'a>>,
    retry: Duration,
    began: Option<Instant>,
    /// The last dial failed for want of something on this machine.
    local: bool,
}

impl<'a> Wait<'a> {
    fn new(session: &'a Session) -> Self {
        Self { session, held: None, retry: RETRY, began: None, local: false }
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
    async fn dial(&mut self, worker: &Worker, turn: &Turn) -> Result<Option<Link>, RefuseReason> {
        let Admit::To { upstream, side, addresses, .. } = &turn.row.admit else { return Ok(None) };
        let (session, pair) = (self.session, self.session.pair());
        let began = *self.began.get_or_insert_with(Instant::now);
        let header = header::to_send(session)?;
        let first = header.as_deref().map_or_else(|| first_word(session), FirstWord::This);
        let counted = pair.dialling(&worker.news);
        let dialled = tokio::select! {
            biased;
            reason = gone(session) => return Err(reason),
            () = pair.change_since(turn.generation) => return Ok(None),
            () = sleep(self.patience(turn.row.hold)), if self.held.is_some() => {
                return Err(self.refusal(RefuseReason::HoldExpired));
            }
            dialled = dial(addresses, turn.row.transport.connect_timeout, first) => dialled,
        };
        drop(counted);
        let flow = session.route.flow(&worker.stats, upstream, *side);
        let error = match dialled {
            Ok(stream) => {
                flow.connect.record(began.elapsed());
                return Ok(Some(Link { upstream: stream, flow, epoch: turn.row.epoch }));
            }
            Err(error) => error,
        };
        let evidence = match &error {
            DialError::Refused | DialError::Unreachable(_) => Some(Evidence::DialRefused),
            DialError::TimedOut => Some(Evidence::DialTimedOut),
            DialError::Local(_) => None,
        };
        self.local = evidence.is_none();
        match evidence {
            Some(evidence) => worker.report(pair, upstream, evidence),
            None => worker.complaints.say(|| {
                tracing::warn!(pair = %pair.name, %upstream, error = chain(&error), "a dial failed on this machine; the client waits");
            }),
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
