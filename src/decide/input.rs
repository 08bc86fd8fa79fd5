//! What can happen to a pair. The driver turns the world into these; the simulation makes them up.

use super::effect::{CheckId, PairRecord, PersistId, Ticket};
use crate::model::{Epoch, PairName, Side, UpstreamName, ports::Evidence, spec::PairSpec};
use std::{fmt, sync::Arc, time::Duration};

/// One thing that happened to one pair.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A check ended. A check the machine no longer remembers is ignored.
    CheckDone {
        /// The id given in [`super::effect::Effect::StartCheck`].
        check: CheckId,
        /// How it ended.
        result: CheckResult,
    },
    /// Passive evidence from the data plane: starts checks, never fails a server over by itself.
    Evidence {
        /// The upstream concerned.
        upstream: UpstreamName,
        /// What was seen.
        evidence: Evidence,
    },
    /// Somebody says "`of` holds everything again".
    ResyncSignal {
        /// Who gets the verdict ([`super::effect::Effect::Answer`]).
        ticket: Ticket,
        /// The side that was resynchronised; `Backup` means the first backup in order that is not active.
        of: Side,
        /// If given, must be the pair's epoch.
        epoch: Option<Epoch>,
    },
    /// The polled source of the signal answered.
    SignalPolled {
        /// `Some(true)`: done. `Some(false)`: not done. `None`: no clear answer (counts as nothing).
        done: Option<bool>,
    },
    /// An operator's order.
    Order {
        /// Who gets the verdict.
        ticket: Ticket,
        /// What is wanted.
        order: Order,
    },
    /// What the workers report together about the close order under way; only the current order's id counts.
    Progress {
        /// The order's id.
        order: u64,
        /// Condemned sessions still there, over all workers.
        left: u64,
        /// Sessions the order spared because the client is exempt.
        exempt: u64,
        /// Every worker has counted its own: `left` and `exempt` are the whole.
        complete: bool,
        /// Every worker has seen the order and none has a condemned session or dial left.
        confirmed: bool,
    },
    /// Another node acted under this epoch of the pair while the two were parted, and what it did is given up: no number may mean two
    /// things, so this pair's epoch rises above it. Its side stays.
    Outnumbered(Epoch),
    /// The record is on stable storage.
    Persisted(PersistId),
    /// The record could not be stored; the machine tries again later and acts on nothing until then.
    PersistFailed(PersistId),
    /// Nobody watched for this long (the process was stopped, or starved beyond use). Also noticed by the machine itself
    /// when a timer comes far too late.
    Gap(Duration),
    /// The node itself has trouble (a link is down, no descriptors): failed checks count for nothing until it ends.
    LocalTrouble(bool),
    /// The addresses of an upstream changed (resolved anew), or it has one for the first time.
    Resolved(UpstreamName, Arc<[std::net::SocketAddr]>),
    /// The configuration changed; the reload has made sure that no upstream's address was swapped under its name.
    Reconfigured(Box<PairSpec>),
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckResult {
    /// As wanted.
    Passed {
        /// From its start to its end.
        took: Duration,
    },
    /// Answered with RST, or unreachable at once: the process is gone. Hard evidence.
    Refused,
    /// No answer within the timeout.
    TimedOut,
    /// An answer, but a wrong one; in words.
    Wrong(String),
    /// We could not even try (no descriptors, no free port, our link is down); in words. Never counts.
    Local(String),
    /// The host name has no address; in words. Never counts as the upstream's failure either.
    Unresolved(String),
}

/// As the end of a sentence about the server: in `status`, `why`, events and alerts alike.
impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed { took } => write!(f, "it passed in {:.1} ms", took.as_secs_f64() * 1e3),
            Self::Refused => f.write_str("it refused the connection"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Wrong(what) => write!(f, "wrong answer: {what}"),
            Self::Local(what) => write!(f, "could not be tried: {what}"),
            Self::Unresolved(what) => write!(f, "no address: {what}"),
        }
    }
}

/// What an operator can order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `switch --to`: change sides and stay there.
    Switch {
        /// Where to.
        to: Side,
        /// Do not pace: close the sessions of the side left at once.
        now: bool,
        /// Even to a primary without a valid signal, or to a server that fails its checks.
        force: bool,
    },
    /// `switch --auto`: drop pin and latch, decide automatically again.
    SwitchAuto,
    /// `freeze` (no automatic change of side) and `unfreeze`.
    Freeze(bool),
    /// `migration PAIR …`.
    Migration(MigrationOrder),
}

/// As one would type it.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch { to, now, force } => {
                let now = if *now { " --now" } else { "" };
                let force = if *force { " --force" } else { "" };
                write!(f, "switch --to {to}{now}{force}")
            }
            Self::SwitchAuto => f.write_str("switch --auto"),
            Self::Freeze(true) => f.write_str("freeze"),
            Self::Freeze(false) => f.write_str("unfreeze"),
            Self::Migration(MigrationOrder::Pause) => f.write_str("migration pause"),
            Self::Migration(MigrationOrder::Resume) => f.write_str("migration resume"),
            Self::Migration(MigrationOrder::Abort) => f.write_str("migration abort"),
            Self::Migration(MigrationOrder::Force) => f.write_str("migration force"),
        }
    }
}

/// What can be done to a migration under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationOrder {
    /// Close nobody for now.
    Pause,
    /// Go on.
    Resume,
    /// Newcomers go to the side left again.
    Abort,
    /// Close all that are left at once.
    Force,
}

/// What a pair's machine is made from.
#[derive(Debug, Clone)]
pub struct Start {
    /// The pair as configured.
    pub spec: PairSpec,
    /// What the journal had.
    pub stored: Stored,
    /// Whose it was to write.
    pub origin: Origin,
    /// Numbers the machines of this process; each is higher than those before it, whichever pair they were for.
    pub incarnation: u32,
    /// Seed of all jitter.
    pub seed: u64,
}

/// Who wrote what a machine begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This node, in an earlier run.
    Own,
    /// Another node, which had the pair's seat.
    Inherited,
    /// The machine that watched while another node had the seat: it has seen fail what that one left the pair on, this upstream.
    Watched(UpstreamName),
}

/// What the journal had about a pair.
#[derive(Debug, Clone)]
pub enum Stored {
    /// Nothing: never seen before.
    Nothing,
    /// Its last durable record.
    Record(Box<PairRecord>),
    /// Nothing under its name, but another pair that is gone had its servers, and clients on another one than this pair would
    /// begin with; nobody is served until an operator's `switch --to … --force`.
    Renamed {
        /// The other pair.
        was: PairName,
        /// Where its clients were; `None`: nobody knew.
        on: Option<UpstreamName>,
    },
    /// Something that can't be read; nobody is served until an operator's `switch --to … --force`. The highest epoch that is
    /// still known of any pair comes with it.
    Unreadable(Epoch),
}
