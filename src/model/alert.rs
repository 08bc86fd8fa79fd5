//! Alerts: who is told, and what one says.
//!
//! An alert either *happened* (a failover) or *stands* until it ends (no usable server). What stands is told once when it
//! begins and once when it ends.

use super::{Epoch, HostPort, PairName, reason::labelled};
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, time::Duration};

/// `[alerts]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertsSpec {
    /// E-mail.
    pub smtp: Option<SmtpSpec>,
    /// HTTP, in the order of the file.
    pub webhooks: Vec<WebhookSpec>,
    /// A pair on its backup whose primary is healthy for so long, without a resync signal, is worth an alert (`N7`).
    pub signal_overdue_after: Duration,
    /// A certificate that ends sooner is worth a warning and an alert.
    pub certificate_expires_within: Duration,
}

impl Default for AlertsSpec {
    /// Nobody is told; 30 minutes; 21 days, because most certificates are renewed a month before their end.
    fn default() -> Self {
        Self {
            smtp: None,
            webhooks: Vec::new(),
            signal_overdue_after: Duration::from_secs(30 * 60),
            certificate_expires_within: Duration::from_secs(21 * 86_400),
        }
    }
}

/// `alerts.smtp`: a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpSpec {
    /// Host and port.
    pub server: HostPort,
    /// How TLS begins.
    pub tls: SmtpTls,
    /// PEM file of who vouches for the server; `None`: whom the system believes.
    pub ca: Option<PathBuf>,
    /// The sender, as `address` or `Name <address>`.
    pub from: String,
    /// The recipients, alike. Never empty.
    pub to: Vec<String>,
    /// Who we are to the server, if it asks.
    pub login: Option<SmtpLogin>,
}

/// How TLS with a mail server begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// After `STARTTLS` (RFC 3207), without which nothing is sent.
    StartTls,
    /// With the connection (RFC 8314).
    Implicit,
    /// Never.
    None,
}

/// The account at a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpLogin {
    /// Its name.
    pub user: String,
    /// The file of its password, read anew whenever it is needed.
    pub password_file: PathBuf,
}

/// One of `alerts.webhooks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSpec {
    /// Where alerts are posted to.
    pub url: WebUrl,
    /// The file of the token sent as `Authorization: Bearer`, read anew whenever it is needed.
    pub token_file: Option<PathBuf>,
    /// PEM file of who vouches for the server; `None`: whom the system believes.
    pub ca: Option<PathBuf>,
}

/// An `http` or `https` URL. Its path may be a secret, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WebUrl {
    /// `https`.
    pub secure: bool,
    /// Host and port.
    pub authority: HostPort,
    /// Path and query.
    pub path: String,
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/…", if self.secure { "https" } else { "http" }, self.authority)
    }
}

labelled! {
    /// What an alert is about. The label is stable: receivers sort by it.
    AlertKind {
        /// A pair changed to a backup by itself.
        Failover = "failover": "a pair failed over",
        /// A pair changed back to its primary by itself.
        Failback = "failback": "a pair returned to its primary",
        /// Stands: failed over, the primary healthy, and nobody sent the resync signal (`N7`).
        SignalOverdue = "signal_overdue": "the resync signal is overdue",
        /// Stands: the flap budget is spent.
        Latched = "latched": "a pair is latched on its backup",
        /// Stands: clients wait or are refused.
        NoServer = "no_server": "a pair has no usable server",
        /// Stands: a change of side could not be stored, or soon can't.
        StateNotStored = "state_not_stored": "what changes can't be stored",
        /// Stands: a certificate ends soon, or has.
        CertificateExpiring = "certificate_expiring": "a certificate ends soon",
        /// Stands: a backup, or a backup node, that would be of no use when it is needed.
        StandbyUnfit = "standby_unfit": "a backup would fail when it is needed",
        /// One of a series while a seat's holder is silent (`B8`), or that nobody takes over.
        Countdown = "countdown": "the holder of a seat is silent",
        /// A seat is held by another node than its own.
        Takeover = "takeover": "a seat was taken over",
        /// Two nodes hold one seat, or two hosts claim its address (`B14`).
        Conflict = "conflict": "nodes are at odds: about who holds a seat, about roles, or about what was copied",
        /// Stands: no backup node has pulled a seat for too long (`B7`).
        NotPulled = "not_pulled": "no backup node copies a seat",
        /// Stands: a seat can't be copied.
        SyncFailed = "sync_failed": "a seat can't be copied",
        /// Stands: this node should serve a seat, and may not, or its routes or its address can't be brought up.
        NotServed = "not_served": "a seat can't be served",
        /// Stands: what the node remembers of roles and seats can't be read, or not be stored.
        NodeRecord = "node_record": "the node's record is damaged, or can't be stored",
        /// Stands: two nodes hear each other by one of their two paths only.
        PathLost = "path_lost": "one of two paths between nodes is lost",
        /// Stands: a configured witness does not answer.
        WitnessSilent = "witness_silent": "a witness does not answer",
        /// Stands: `takeover.command` fails, and is tried again.
        CommandFailed = "command_failed": "takeover.command fails",
        /// Somebody wanted to see whether alerts arrive.
        Test = "test": "a test",
    }
}

/// Which alert it is: what stands under one key is one alert, however often it is seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertKey {
    /// What it is about.
    pub kind: AlertKind,
    /// The pair concerned, if one is.
    pub pair: Option<PairName>,
    /// The server, certificate or node concerned, if one is.
    pub about: Option<String>,
}

impl AlertKey {
    /// Of this kind, about no pair; `about`: the server, certificate or node concerned, if one is.
    #[must_use]
    pub fn about(kind: AlertKind, about: Option<String>) -> Self {
        Self { kind, pair: None, about }
    }
}

/// One alert: what, where, since when, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Which one.
    #[serde(flatten)]
    pub key: AlertKey,
    /// The pair's epoch, if a pair is concerned.
    pub epoch: Option<Epoch>,
    /// The reason's label, if it has one.
    pub reason: Option<String>,
    /// Since when (RFC 3339, UTC).
    pub since: String,
    /// A few words that fit a telephone's screen.
    pub title: String,
    /// The whole of it in a sentence or two.
    pub text: String,
    /// What to do about it; may be empty.
    pub advice: String,
}

impl Alert {
    /// One without a pair's epoch and reason. `since`: RFC 3339, UTC.
    #[must_use]
    pub fn new(key: AlertKey, since: String, title: String, text: String, advice: String) -> Self {
        Self { key, epoch: None, reason: None, since, title, text, advice }
    }
}

/// What is told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It happened, and that is all.
    Happened,
    /// It stands from now on.
    Raised,
    /// It stands no longer.
    Ended,
}

labelled! {
    /// What became of an alert.
    AlertResult {
        /// The receiver took it.
        Delivered = "delivered": "delivered",
        /// It was not taken, and will be tried again.
        Retried = "retried": "tried again",
        /// It was not taken for a day.
        GivenUp = "given_up": "given up",
        /// There were too many.
        Dropped = "dropped": "dropped",
    }
}
