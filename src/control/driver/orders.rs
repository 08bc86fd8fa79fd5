//! What the API asks for, and how the machines' verdicts become answers.

use super::{Driver, words};
use crate::{
    control::{
        orders::{OrderError, Reply, Request},
        reload,
    },
    decide::{effect::Verdict, input::Input},
    model::{
        PairName,
        view::{OrderAnswer, PairView, ReloadAnswer, ResyncAnswer},
    },
};

/// Askers that wait for a machine's verdict at most.
pub(super) const WAITING: usize = 1024;

/// Somebody who waits for a machine's verdict.
#[derive(Debug)]
pub(super) enum Asked {
    Resync { pair: PairName, by: String, reply: Reply<ResyncAnswer> },
    Order { pair: PairName, by: String, reply: Reply<OrderAnswer> },
}

impl Asked {
    pub(super) fn pair(&self) -> &PairName {
        match self {
            Self::Resync { pair, .. } | Self::Order { pair, .. } => pair,
        }
    }

    pub(super) fn by(&self) -> &str {
        match self {
            Self::Resync { by, .. } | Self::Order { by, .. } => by,
        }
    }

    /// Those who no longer wait are no trouble.
    pub(super) fn answer(self, verdict: &Verdict) {
        match self {
            Self::Resync { reply, .. } => {
                let _gone = reply.send(Ok(resync_answer(verdict)));
            }
            Self::Order { reply, .. } => {
                let _gone = reply.send(order_answer(verdict));
            }
        }
    }

    fn refuse(self, error: OrderError) {
        match self {
            Self::Resync { reply, .. } => {
                let _gone = reply.send(Err(error));
            }
            Self::Order { reply, .. } => {
                let _gone = reply.send(Err(error));
            }
        }
    }
}

fn resync_answer(verdict: &Verdict) -> ResyncAnswer {
    let accepted = matches!(verdict, Verdict::SignalAccepted | Verdict::SignalRepeated);
    let reason = match verdict {
        Verdict::SignalIgnored(refusal) => words::refusal_words(refusal),
        other => words::verdict_words(other),
    };
    ResyncAnswer { accepted, reason }
}

fn order_answer(verdict: &Verdict) -> Result<OrderAnswer, OrderError> {
    match verdict {
        Verdict::Done(message) => Ok(OrderAnswer { changed: true, message: message.clone() }),
        Verdict::Unchanged(message) => Ok(OrderAnswer { changed: false, message: message.clone() }),
        Verdict::Refused(why) => Err(OrderError::Refused(why.clone())),
        other => Ok(OrderAnswer { changed: false, message: words::verdict_words(other) }),
    }
}

/// Who wants the configuration reloaded.
#[derive(Debug)]
pub(super) struct ReloadAsked {
    pub(super) force: bool,
    pub(super) by: String,
    /// Nobody, for a signal.
    pub(super) reply: Option<Reply<ReloadAnswer>>,
}

impl ReloadAsked {
    pub(super) fn by_signal() -> Self {
        Self { force: false, by: "SIGHUP".into(), reply: None }
    }

    pub(super) fn answer(self, answer: Result<ReloadAnswer, OrderError>) {
        if let Some(reply) = self.reply {
            let _gone = reply.send(answer);
        }
    }
}

impl Driver {
    /// Somebody asks.
    pub(super) fn request(&mut self, request: Request) {
        match request {
            Request::Status(reply) => {
                let _gone = reply.send(Ok(self.status_view()));
            }
            Request::Pair(name, reply) => {
                let _gone = reply.send(self.known_pair(&name));
            }
            Request::Resync { pair, of, epoch, by, reply } => {
                let asked = Asked::Resync { pair: pair.clone(), by, reply };
                self.ask_machine(pair, asked, |ticket| Input::ResyncSignal { ticket, of, epoch });
            }
            Request::Order { pair, order, by, reply } => {
                tracing::info!(%pair, by, "order: {order}");
                let asked = Asked::Order { pair: pair.clone(), by, reply };
                self.ask_machine(pair, asked, |ticket| Input::Order { ticket, order });
            }
            Request::TestAlerts { by, reply } => {
                let message = format!("a test alert was ordered by {by}");
                self.chronicle.node(&self.journal, "alerts_test", false, message);
                self.alerts.test(reply);
            }
            Request::Reload { force, by, reply } => self.reload(ReloadAsked { force, by, reply: Some(reply) }),
        }
    }

    fn ask_machine(
        &mut self,
        pair: PairName,
        asked: Asked,
        input: impl FnOnce(crate::decide::effect::Ticket) -> Input,
    ) {
        if !self.pairs.contains_key(&pair) {
            return asked.refuse(self.no_such_pair(pair));
        }
        if let Some(error) = self.only_watched(&pair) {
            return asked.refuse(error);
        }
        match self.ticket(asked) {
            Ok(ticket) => self.input(&pair, input(ticket)),
            Err(asked) => asked.refuse(OrderError::Busy),
        }
    }

    fn known_pair(&self, name: &PairName) -> Result<PairView, OrderError> {
        self.pair_view(name).ok_or_else(|| self.no_such_pair(name.clone()))
    }

    fn no_such_pair(&self, pair: PairName) -> OrderError {
        let known: Vec<&str> = self.pairs.keys().map(|name| &**name).collect();
        OrderError::NoSuchPair { pair, known: known.join(", ") }
    }

    /// Reads the configuration again, away from this task; [`Self::reload_planned`] goes on with it.
    pub(super) fn reload(&mut self, asked: ReloadAsked) {
        if self.seats.is_some() {
            return self.hand_reload_to_group(asked);
        }
        if !self.reloads.is_empty() {
            return asked.answer(Err(OrderError::Refused("a reload is under way already; try again".into())));
        }
        let running = self.running();
        let force = asked.force;
        self.reloads.spawn_blocking(move || (asked, reload::plan(&running, force).map(Box::new)));
    }
}
