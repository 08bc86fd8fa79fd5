//! The file as it is written: every key there is, its kind, its documentation and its default. What a key means together
//! with others is the business of [`super::check`].

mod alerts;
mod group;
mod tls;

pub(super) use alerts::{Alerts, Smtp, Webhook};
pub(super) use group::{Address, Group, InNetwork, Sync, Takeover};
pub(super) use tls::{PairTls, Protocol, RouteTls};

use super::{
    path::FilePath,
    read::{ByName, Found, section, words},
    url::HttpUrl,
    values::{Bytes, Clients, Listen, Local, Name, Span, Wait},
    whole::Whole,
};
use crate::model::{
    HostPort,
    proxy_protocol::HeaderVersion,
    spec::{Admission, FailbackWhen, Overlap},
};

section! {
    /// The configuration of failback, a Layer-4 TCP proxy for pairs of stateful servers.
    File {
        must {}
        may {
            /// The pairs of servers, by name. Needed but where `[group]` is: a backup node has those of its primary nodes.
            pairs: ByName<Pair>,
            /// This node itself.
            node: Node,
            /// The API, and the metrics beside it.
            admin: Admin,
            /// An extra listener that serves only `/metrics`.
            metrics: Metrics,
            /// Where clients connect, by name.
            routes: ByName<Route>,
            /// Who is told when something happens.
            alerts: Alerts,
            /// Nodes that protect each other; only where there are several.
            group: Group,
        }
        later {}
    }
}

section! {
    /// This node itself.
    Node {
        must {}
        may {
            /// The node's name. Default: the host's name.
            name: Name,
            /// Where epochs and the journal live; relative to this file's folder. Default: `$XDG_STATE_HOME/failback`, else
            /// `~/.local/state/failback`, without a home `/var/lib/failback`.
            state_dir: FilePath,
            /// Threads that relay clients' bytes; 0 = one per core.
            #[schemars(extend("default" = 0))]
            workers: Whole<0, 1024>,
            /// How long a thread that just worked spins before it sleeps, at most 1ms: latency for CPU. 0us = never.
            #[schemars(extend("default" = "0us"))]
            busy_poll: Span,
        }
        later {}
    }
}

section! {
    /// The API, and the metrics beside it.
    Admin {
        must {}
        may {
            /// An address such as `127.0.0.1:9900`, or `unix:/run/failback.sock`.
            #[schemars(extend("default" = "127.0.0.1:9900"))]
            listen: String,
            /// Tokens, `name:scope:secret` a line; relative to this file's folder. Needed unless `listen` is loopback or unix.
            token_file: FilePath,
        }
        later {}
    }
}

section! {
    /// An extra listener that serves only `/metrics`, to whoever asks.
    Metrics {
        must {
            /// Where it listens.
            listen: Local,
        }
        may {}
        later {}
    }
}

section! {
    /// A pair: the virtual server that clients mean.
    Pair {
        must {}
        may {
            /// The server clients belong to while all is well.
            primary: Upstream,
            /// The servers that stand in for it, in their order.
            backups: Vec<Found<Upstream>>,
            /// In place of `primary`: the primary that another proxy serves. Checked, never dialled for clients; a resync
            /// signal while it is healthy closes this pair's sessions, so that clients find their way back to it.
            elsewhere: Upstream,
            /// How servers are checked.
            health: Health,
            /// When and how the pair returns to its primary.
            failback: Failback,
            /// What happens to clients while no server is usable.
            hold: Hold,
            /// How many failovers are too many.
            flap: Flap,
            /// What a backup needs before clients are sent to it.
            #[schemars(extend("default" = "healthy"))]
            admission: Admission,
            /// How long a client's connection to the server may take to be made, over all addresses of the host.
            #[schemars(extend("default" = "4s"))]
            connect_timeout: Wait,
            /// TCP keepalive on both connections of a session.
            keepalive: Keepalive,
            /// How long sent data may stay unacknowledged before the connection is dead (`TCP_USER_TIMEOUT`).
            #[schemars(extend("default" = "55s"))]
            user_timeout: Wait,
            /// TLS to the servers; without it they are spoken to in plain.
            tls: PairTls,
        }
        later { alternate }
    }
}

section! {
    /// One server.
    Upstream {
        must {
            /// Its name, unique within the pair.
            name: Name,
            /// Host name or IP address, and port.
            address: HostPort,
        }
        may {}
        later {}
    }
}

section! {
    /// How servers are checked.
    Health {
        must {}
        may {
            /// What a check does. Default: `expect` if that key is given, else `tls` if the pair has `tls`, else `connect`.
            check: CheckKind,
            /// What is written once connected: text, or a list of bytes.
            send: Bytes,
            /// What must occur in the first 4 KiB of the answer: text, or a list of bytes.
            expect: Bytes,
            /// From the start of one check to the start of the next while all is well.
            #[schemars(extend("default" = "1s"))]
            interval: Wait,
            /// How long one check may take.
            #[schemars(extend("default" = "800ms"))]
            timeout: Wait,
            /// Failures in a row after which a server is down.
            #[schemars(extend("default" = 3))]
            fall: Whole<1, 100>,
            /// Passes in a row after which a server that was down is up.
            #[schemars(extend("default" = 2))]
            rise: Whole<1, 100>,
            /// From one check to the next once one has failed. Default: 200ms, or `interval` if that is shorter.
            fast_interval: Wait,
        }
        later {}
    }
}

/// `health.check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckKind {
    Connect,
    Tls,
    Expect,
}

words!(CheckKind, "CheckKind", [
    /// That the connection is accepted is enough.
    "connect" => CheckKind::Connect,
    /// A TLS handshake, with all that the pair's `tls` demands of the certificate.
    "tls" => CheckKind::Tls,
    /// `send` is written (in TLS if the pair has `tls`), `expect` must occur in the answer.
    "expect" => CheckKind::Expect,
] later []);

section! {
    /// When and how the pair returns to its primary.
    Failback {
        must {}
        may {
            /// What opens the way back.
            #[schemars(extend("default" = "resync"))]
            when: FailbackWhen,
            /// How long the primary must have been healthy without a break. The same span admits a backup.
            #[schemars(extend("default" = "5s"))]
            stable_for: Wait,
            /// May both sides be written through the proxy at once during a planned change? Default: none, or allow with
            /// `migrate = "drain"`.
            overlap: Overlap,
            /// Sessions moved per second; 0 = all at once.
            #[schemars(extend("default" = 0))]
            pace: Whole<0, 1_000_000>,
            /// What happens to the sessions of the side that is left.
            #[schemars(extend("default" = "close"))]
            migrate: MigrateKind,
            /// With `migrate = "drain"`: how long sessions may take to end by themselves.
            #[schemars(extend("default" = "5m"))]
            drain_deadline: Wait,
            /// Clients whose sessions a failback never closes: addresses and networks.
            #[schemars(extend("default" = []))]
            exempt: Vec<Found<Clients>>,
            /// A URL the proxy asks whether the primary is resynchronised.
            resync_http: ResyncHttp,
            /// A program and its arguments; exit status 0 says that the primary is resynchronised.
            resync_command: Vec<Found<String>>,
            /// From the end of one question to the start of the next.
            #[schemars(extend("default" = "2s"))]
            resync_every: Wait,
            /// How long `resync_command` may run.
            #[schemars(extend("default" = "10s"))]
            resync_timeout: Wait,
        }
        later {}
    }
}

words!(FailbackWhen, "FailbackWhen", [
    /// After a valid resync signal; without one, never.
    "resync" => FailbackWhen::Resync,
    /// As soon as the primary was healthy for `stable_for`; for servers that share their data.
    "poll" => FailbackWhen::Poll,
    /// Only by `failback switch`.
    "manual" => FailbackWhen::Manual,
] later []);

words!(Overlap, "Overlap", [
    /// Never: newcomers wait until the old side is left.
    "none" => Overlap::None,
    /// Yes: the servers merge what both get.
    "allow" => Overlap::Allow,
] later []);

/// `failback.migrate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MigrateKind {
    Close,
    Drain,
}

words!(MigrateKind, "MigrateKind", [
    /// They are closed at `pace`, so that clients reconnect.
    "close" => MigrateKind::Close,
    /// They may end by themselves until `drain_deadline`, and are closed then. Implies overlap.
    "drain" => MigrateKind::Drain,
] later []);

section! {
    /// A URL the proxy asks whether the primary is resynchronised.
    ResyncHttp {
        must {
            /// An `http://` URL. Status 200 with `expect` in its body, of 64 KiB at most, says "done".
            url: HttpUrl,
        }
        may {
            /// Text that must occur in the body; empty = any body.
            #[schemars(extend("default" = ""))]
            expect: String,
        }
        later {}
    }
}

section! {
    /// What happens to clients while no server is usable.
    Hold {
        must {}
        may {
            /// How long a client waits before it is refused; 0s = not at all. Default: 10s, but 0s for a pair with one server.
            time: Span,
            /// How many clients wait at most; 0 = none.
            #[schemars(extend("default" = 10_000))]
            max: Whole<0, 1_000_000>,
        }
        later {}
    }
}

section! {
    /// More failovers than `failovers` within `window` latch the pair on its backup until `failback switch --auto`.
    Flap {
        must {}
        may {
            /// So many are allowed.
            #[schemars(extend("default" = 3))]
            failovers: Whole<1, 1_000>,
            /// Within this time.
            #[schemars(extend("default" = "10m"))]
            window: Wait,
        }
        later {}
    }
}

words!(Admission, "Admission", [
    /// It passed its checks for `failback.stable_for`.
    "healthy" => Admission::Healthy,
    /// And `failback resync PAIR --of backup` said that it holds everything.
    "resynced" => Admission::Resynced,
] later []);

section! {
    /// TCP keepalive on both connections of a session.
    Keepalive {
        must {}
        may {
            /// Silence before the first probe; whole seconds.
            #[schemars(extend("default" = "30s"))]
            idle: Wait,
            /// Between probes; whole seconds.
            #[schemars(extend("default" = "10s"))]
            interval: Wait,
            /// Unanswered probes before the connection is dead.
            #[schemars(extend("default" = 3))]
            count: Whole<1, 127>,
        }
        later {}
    }
}

section! {
    /// Where clients connect.
    Route {
        must {
            /// One address or a list of them: IP and port.
            listen: Listen,
            /// The pair it leads to.
            pair: String,
        }
        may {
            /// Clients at most, held ones included.
            #[schemars(extend("default" = 20_000))]
            max_sessions: Whole<1, 1_000_000>,
            /// A session without a byte either way for this long is closed; 0s = never.
            #[schemars(extend("default" = "1h"))]
            idle_timeout: Span,
            /// TLS that ends here; without it clients' bytes pass through untouched.
            tls: RouteTls,
            /// The PROXY protocol: who comes through another proxy, and what servers are told about clients.
            proxy_protocol: ProxyProtocol,
        }
        later {}
    }
}

section! {
    /// The PROXY protocol: who comes through another proxy, and what servers are told about clients.
    ProxyProtocol {
        must {}
        may {
            /// Clients that must begin with a header (version 1 or 2) and are believed: addresses and networks. What others
            /// send is not looked at.
            #[schemars(extend("default" = []))]
            accept_from: Vec<Found<Clients>>,
            /// The header each connection to a server begins with. The same for all routes to one pair.
            #[schemars(extend("default" = "off"))]
            send: SendHeader,
        }
        later {}
    }
}

/// `proxy_protocol.send`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendHeader {
    Off,
    Version(HeaderVersion),
}

words!(SendHeader, "SendHeader", [
    /// None.
    "off" => SendHeader::Off,
    /// Version 1, a line of text.
    "v1" => SendHeader::Version(HeaderVersion::V1),
    /// Version 2, binary.
    "v2" => SendHeader::Version(HeaderVersion::V2),
] later []);
