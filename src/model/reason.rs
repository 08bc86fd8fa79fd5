//! Why things happen. One enum feeds the log line, the metric label, the API field, the journal and the tests.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! labelled {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal : $words:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $label)] $variant),+
        }

        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The label used in metrics, the API and the journal.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }

            /// The same for a person, as the end of a sentence.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $(Self::$variant => $words),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(super) use labelled;

labelled! {
    /// Why a pair changed its state.
    TransitionReason {
        /// The pair was never seen before and starts on its primary (or its first backup if it has no primary).
        FirstStart = "first_start": "the pair was started for the first time",
        /// State from before a restart was taken up again.
        Restarted = "restarted": "the proxy was restarted and took up the state it had",
        /// The pair's state came from the node that held its seat before, or holds it.
        Inherited = "inherited": "its seat was another node's, which left it so",
        /// The journal could not be read; nobody is served rather than guessing.
        StateUnreadable = "state_unreadable": "the stored state could not be read",
        /// The active upstream refused `fall` checks: its process is gone.
        UpstreamRefused = "upstream_refused": "the upstream refused its checks",
        /// The active upstream left `fall` checks unanswered.
        UpstreamSilent = "upstream_silent": "the upstream did not answer its checks",
        /// The active upstream gave wrong answers to `fall` checks.
        UpstreamWrong = "upstream_wrong": "the upstream answered its checks wrongly",
        /// The upstream whose turn it was answers again.
        UpstreamReturned = "upstream_returned": "the upstream whose turn it was answers again",
        /// A backup became admissible after the primary had been lost.
        BackupAdmitted = "backup_admitted": "a backup became admissible after the primary was lost",
        /// A valid resync signal arrived.
        ResyncSignal = "resync_signal": "a valid resync signal arrived",
        /// The resync signal no longer holds: the primary failed again, or was not watched for a while.
        SignalRevoked = "signal_revoked": "the resync signal was revoked",
        /// Resynced, and the primary healthy for `stable_for`.
        PrimaryResynced = "primary_resynced": "the primary was resynchronised and stayed healthy for stable_for",
        /// `when = "poll"`: the primary healthy for `stable_for`.
        PrimaryPolled = "primary_polled": "the primary was polled healthy for stable_for",
        /// The last session that had to leave the side has left.
        MigrationDone = "migration_done": "the last session that had to move has moved",
        /// An operator aborted the migration.
        MigrationAborted = "migration_aborted": "an operator aborted the migration",
        /// An operator's `switch --to`.
        OperatorSwitch = "operator_switch": "an operator switched the pair",
        /// An operator's `switch --auto`.
        OperatorAuto = "operator_auto": "an operator gave the pair back to automatic decisions",
        /// The new configuration left the pair other servers.
        Reconfigured = "reconfigured": "the configuration was changed",
    }
}

labelled! {
    /// Why a session ended (`failback_session_ends_total{reason}`).
    EndReason {
        /// Both directions ended by FIN, the client's first.
        ClientClosed = "client_closed": "the client closed",
        /// Both directions ended by FIN, the upstream's first.
        UpstreamClosed = "upstream_closed": "the upstream closed",
        /// The client reset the connection, or vanished (keepalive, `TCP_USER_TIMEOUT`).
        ClientReset = "client_reset": "the client reset the connection",
        /// The upstream reset the connection, or vanished.
        UpstreamReset = "upstream_reset": "the upstream reset the connection",
        /// No byte in either direction for `idle_timeout`.
        Idle = "idle": "no byte either way for idle_timeout",
        /// Closed because its side failed.
        Failover = "failover": "its side failed",
        /// Closed so that the client returns to the primary.
        Failback = "failback": "the pair returned to its primary",
        /// Closed by an operator's switch.
        Switch = "switch": "an operator switched the pair",
        /// Its route or pair was removed from the configuration.
        Removed = "removed": "its route was removed",
        /// The proxy stops.
        Shutdown = "shutdown": "the proxy stops",
    }
}

labelled! {
    /// Why a client was turned away before it had an upstream (`failback_refused_clients_total{reason}`).
    RefuseReason {
        /// No side is usable and the pair holds nobody (`hold.time` or `hold.max` is 0).
        NoServer = "no_server": "no server is usable",
        /// Held for `hold.time`, and still no side was usable.
        HoldExpired = "hold_expired": "held until hold.time was over",
        /// `hold.max` clients are held already.
        HoldFull = "hold_full": "as many clients as hold.max are held already",
        /// The route has `max_sessions` sessions.
        MaxSessions = "max_sessions": "the route has max_sessions sessions",
        /// From a network in `proxy_protocol.accept_from`, and no valid header came in time.
        ProxyHeader = "proxy_header": "no valid PROXY protocol header came in time",
        /// The client left before an upstream was reached.
        ClientGone = "client_gone": "the client left before an upstream was reached",
        /// The client's TLS handshake failed.
        TlsHandshake = "tls_handshake": "the client's TLS handshake failed",
        /// This node has no descriptors, ports or memory left.
        LocalTrouble = "local_trouble": "this node has no descriptors or ports left",
        /// The proxy stops, or the route was removed.
        Shutdown = "shutdown": "the proxy stops",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_what_serde_writes() {
        for reason in TransitionReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
