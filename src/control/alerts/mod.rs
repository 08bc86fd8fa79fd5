//! Alerts: from what happens to who is told.
//!
//! ```text
//!   driver ─┬─ what happened ─────────┬─ mpsc<Letter> 1024 ─▶ ┌──────┐   an outbox a recipient ─▶ mail ────▶ SMTP
//!           ├─ watch: what stands ────┘  full: drop, count    │ post │                         ─▶ webhook ─▶ HTTP
//!           ├─ watch<AlertsSpec> ───────────────────────────▶ │      │── alerts.json, before a letter counts
//!   API ────┴─ mpsc<Letter>: a test ────────────────────────▶ └──────┘── Status ─▶ driver: what is in trouble
//! ```
//!
//! The post has a thread of its own and nobody waits for it. What it took outlives `kill -9`; what a receiver took without
//! our knowing (the process was killed just then) is sent again with the same id.

mod bounded;
mod channel;
mod keep;
mod ledger;
mod mail;
mod message;
mod outbox;
mod post;
mod trial;
mod watch;
mod webhook;

pub use post::Post;
pub use watch::{Change, Watch};

use super::orders::{OrderError, Reply};
use crate::{
    config::{Config, Finding},
    model::{
        NodeName,
        alert::{Alert, AlertKey, AlertResult, AlertsSpec},
        view::AlertsTestAnswer,
    },
    observe::metrics::Metrics,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{mpsc, watch as level};

/// Which files of `[alerts]` nothing can be sent with. No mistake at a start, which no alert is worth failing; they are read
/// anew whenever they are needed. Blocks for the file system.
#[must_use]
pub fn unusable_files(config: &Config) -> Vec<Finding> {
    let mut all: Vec<Finding> = Vec::new();
    for channel in channel::channels(&config.alerts) {
        for (file, reason, mend) in channel.unusable_files() {
            let finding = config.finding(&["alerts"], Some(file), reason, mend);
            // Each recipient of a mail server is a channel of its own.
            if !all.contains(&finding) {
                all.push(finding);
            }
        }
    }
    all
}

/// Letters on their way to the post at most.
const QUEUE: usize = 1_024;

/// What the post is given.
#[derive(Debug)]
enum Letter {
    Happened(Alert),
    Changed(Change),
    Test(Reply<AlertsTestAnswer>),
}

/// What is in trouble, in words.
type Status = Arc<Mutex<Vec<String>>>;

/// The way to the post. Cloning it gives another handle.
#[derive(Debug, Clone)]
pub struct Alerts {
    letters: mpsc::Sender<Letter>,
    settings: Arc<level::Sender<AlertsSpec>>,
    status: Status,
    metrics: Metrics,
    standing: Arc<[AlertKey]>,
}

impl Alerts {
    /// A post whose file is in `dir` (the state directory), to be run on a thread of its own, and the way to it.
    #[must_use]
    pub fn open(dir: &Path, node: NodeName, spec: AlertsSpec, metrics: Metrics) -> (Self, Post) {
        let (letters, inbox) = mpsc::channel(QUEUE);
        let (settings, changes) = level::channel(spec);
        let status = Status::default();
        let post = Post::open(
            dir,
            node,
            post::Ends { inbox, settings: changes, status: Arc::clone(&status), metrics: metrics.clone() },
        );
        let standing = post.standing();
        (Self { letters, settings: Arc::new(settings), status, metrics, standing }, post)
    }

    /// Something happened. Never waits; when the queue is full it is dropped, counted and logged.
    pub fn happened(&self, alert: Alert) {
        if let Err(error) = self.letters.try_send(Letter::Happened(alert)) {
            self.metrics.alerts("queue", AlertResult::Dropped, 1);
            tracing::warn!(%error, "an alert was dropped");
        }
    }

    /// Something stands from now on, or no longer. `false`: the queue is full, say it again.
    #[must_use]
    pub fn changed(&self, change: &Change) -> bool {
        self.letters.try_send(Letter::Changed(change.clone())).is_ok()
    }

    /// Sends a test to every recipient; `reply` is answered when the last one has answered, within half a minute.
    pub fn test(&self, reply: Reply<AlertsTestAnswer>) {
        if let Err(error) = self.letters.try_send(Letter::Test(reply))
            && let Letter::Test(reply) = error.into_inner()
        {
            let _gone = reply.send(Err(OrderError::Busy));
        }
    }

    /// Other settings from now on.
    pub fn configure(&self, spec: &AlertsSpec) {
        self.settings.send_if_modified(|running| {
            let differs = running != spec;
            if differs {
                running.clone_from(spec);
            }
            differs
        });
    }

    /// What an operator should know, in words.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What recipients were told to stand before the restart.
    pub fn standing(&self) -> impl Iterator<Item = AlertKey> {
        self.standing.iter().cloned()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::model::{
        Epoch,
        alert::{Alert, AlertKey, AlertKind},
    };

    pub(in crate::control::alerts) fn alert(pair: &str) -> Alert {
        Alert {
            key: AlertKey { kind: AlertKind::NoServer, pair: Some(pair.into()), about: None },
            epoch: Some(Epoch(4)),
            reason: None,
            since: "2026-01-01T00:00:00Z".into(),
            title: format!("{pair}: nobody is served"),
            text: "AGG_P is down and AGG_B is stale.".into(),
            advice: "bring AGG_P back".into(),
        }
    }
}
