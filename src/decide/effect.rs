//! What we can do. The driver executes these in order and decides nothing.

use super::input::CheckResult;
use crate::model::{
    EndReason, Epoch, HostPort, Side, TransitionReason, UpstreamName,
    table::Admit,
    view::{HealthName, PairStateName},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Numbers a machine's checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(pub u64);

/// Numbers a machine's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersistId(pub u64);

/// Numbers those who wait for an answer; given by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start a check of the upstream now and report [`super::input::Input::CheckDone`].
    StartCheck {
        /// Its number.
        check: CheckId,
        /// Whom.
        upstream: UpstreamName,
        /// After how long it has failed.
        timeout: Duration,
    },
    /// Put the record on stable storage, then report `Persisted` or `PersistFailed`. Whatever depends on it is published
    /// only after `Persisted` came back, so nothing waits here.
    Persist(PersistId, Box<PairRecord>),
    /// This is where clients go from now on.
    Publish(Routing),
    /// Ask the polled source of the signal once, and report [`super::input::Input::SignalPolled`].
    PollSignal,
    /// Tell the one who waits.
    Answer(Ticket, Verdict),
    /// Something worth an event: journal, log, metric, alert.
    Note(Note),
}

/// The pair's row of the route table, as far as the machine decides it. The driver adds sockets and options.
#[derive(Debug, Clone, PartialEq)]
pub struct Routing {
    /// The epoch newcomers are admitted under.
    pub epoch: Epoch,
    /// Where to.
    pub admit: Admit,
    /// What happens to sessions that are there.
    pub close: Option<Closing>,
}

/// Sessions to be closed; see [`crate::model::table::CloseOrder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Rises with every order of this process, also when the pair's machine is made anew (its number is the upper half).
    pub id: u64,
    /// Sessions on this upstream are spared.
    pub spare_upstream: Option<UpstreamName>,
    /// Exempt clients are spared.
    pub spare_exempt: bool,
    /// `None`: all at once. `Some(n)`: n closings allowed so far since the order was given.
    pub allowed: Option<u64>,
    /// Why.
    pub reason: EndReason,
}

/// What is stored of a pair, always before it takes effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairRecord {
    /// The pair's epoch.
    pub epoch: Epoch,
    /// The upstream of that epoch.
    pub upstream: UpstreamName,
    /// The state; `Returning` and `Resynced` are taken up again as what is safe after a gap.
    pub state: PairStateName,
    /// Why.
    pub reason: TransitionReason,
    /// The primary's generation: raised by every failed check and every gap in our watching. Never behind a stored signal's.
    pub generation: u64,
    /// The generation the accepted signal binds to, if there is one.
    pub signal: Option<u64>,
    /// Side chosen by an operator until `switch --auto`.
    pub pinned: bool,
    /// Flap budget spent.
    pub latched: bool,
    /// No automatic change of side.
    pub frozen: bool,
    /// The upstreams' addresses as configured, so that a swap under a name is noticed.
    pub addresses: Vec<(UpstreamName, HostPort)>,
}

/// The answer to a signal or an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The signal is valid.
    SignalAccepted,
    /// It was valid before; nothing changed.
    SignalRepeated,
    /// An idempotent no-op, and why (`N5`).
    SignalIgnored(SignalRefusal),
    /// The order was carried out, or is being; what happens now, in words.
    Done(String),
    /// It was so already; in words.
    Unchanged(String),
    /// Refused, and the mend; in words.
    Refused(String),
}

impl Verdict {
    /// The label in metrics and events.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::SignalAccepted => "accepted",
            Self::SignalRepeated => "repeated",
            Self::SignalIgnored(refusal) => refusal.as_str(),
            Self::Done(_) => "done",
            Self::Unchanged(_) => "unchanged",
            Self::Refused(_) => "refused",
        }
    }
}

/// Why a resync signal changes nothing (`N5`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalRefusal {
    /// The pair is on its primary.
    NotFailedOver,
    /// It is the primary's turn or not known whose, and nobody is served; why, in words.
    NobodyServed(String),
    /// The primary fails its checks.
    PrimaryDown,
    /// The signal names another epoch.
    WrongEpoch {
        /// The signal's.
        given: Epoch,
        /// The pair's.
        have: Epoch,
    },
    /// The pair has no such server.
    NoSuchSide(Side),
    /// The server's name leads to the server that clients are on.
    SameServer,
    /// So many signals are being validated already.
    Busy,
    /// It was valid when it came, but was overtaken (the pair changed sides while it was being validated).
    Overtaken,
    /// The state could not be stored.
    NotStored,
}

impl SignalRefusal {
    /// The label in metrics and events.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotFailedOver | Self::NobodyServed(_) => "not_failed_over",
            Self::PrimaryDown => "primary_down",
            Self::WrongEpoch { .. } => "wrong_epoch",
            Self::NoSuchSide(_) => "no_such_side",
            Self::SameServer => "same_server",
            Self::Busy => "busy",
            Self::Overtaken => "overtaken",
            Self::NotStored => "not_stored",
        }
    }
}

/// Something worth an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// The pair's state changed.
    Transition {
        /// From.
        from: PairStateName,
        /// To.
        to: PairStateName,
        /// Where clients were.
        from_upstream: UpstreamName,
        /// Where clients are.
        to_upstream: UpstreamName,
        /// The epoch after it.
        epoch: Epoch,
        /// Why.
        reason: TransitionReason,
    },
    /// An upstream's health changed.
    Health {
        /// Whose.
        upstream: UpstreamName,
        /// To.
        to: HealthName,
        /// The failure that did it, if one did.
        failure: Option<CheckResult>,
    },
    /// A signal came, valid or not.
    Signal {
        /// Of which side.
        of: Side,
        /// What became of it.
        verdict: Verdict,
    },
    /// An operator's order and what became of it.
    Order {
        /// The order in words.
        order: String,
        /// What became of it.
        verdict: Verdict,
    },
    /// The flap budget is spent.
    Latched {
        /// Failovers in the window.
        failovers: u32,
    },
    /// A migration began, was paused, resumed, forced, aborted or ended; in words.
    Migration(String),
    /// An accepted signal about this server does not hold any more: nobody watched it between two processes, or two nodes.
    SignalLost(UpstreamName),
    /// The machine noticed that it had not been watching.
    Gap(Duration),
    /// Another node acted under this epoch, or a lower one, while the two were parted: the pair's rises above it.
    Outnumbered(Epoch),
    /// It is not sure any more that a server is the one it was; in words.
    Identity(String),
    /// A record could not be stored; nothing was changed.
    NotStored,
}
