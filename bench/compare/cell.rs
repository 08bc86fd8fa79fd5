//! What is measured: the cells of a comparison, each a load and the figures that matter of its report.

use crate::{harness::report::Report, place::Shape, program::Kind};

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Cell {
    /// Small messages on 100 long-lived sessions, closed loop
    Message,
    /// The same in an open loop, 10,000 a second
    Steady,
    /// Connect, ask, be answered, close
    Connect,
    /// The same in an open loop, 2,000 a second
    Arrive,
    /// Bytes both ways on four streams
    Bulk,
    /// Bytes from server to client on one stream
    Download,
    /// 4,000 sessions that do nothing
    Idle,
    /// Connect, TLS handshake with the proxy, ask, be answered, close
    TlsHandshake,
    /// Connect, ask, be answered, close, where the proxy makes a TLS handshake with the server
    TlsHandshakeOriginate,
    /// Connect, ask, be answered, close with TLS handshakes at both ends
    TlsHandshakeBoth,
    /// The same as `tls-handshake`, resumed
    TlsResume,
    /// Bytes both ways on four streams, in TLS with clients
    TlsBulk,
    /// The same in TLS with servers
    TlsBulkOriginate,
    /// The same in TLS with both
    TlsBulkBoth,
    /// 2,000 sessions in TLS with clients that do nothing
    TlsIdle,
}

/// One figure of a report.
pub(crate) struct Figure {
    /// What it is, with its unit.
    pub(crate) name: &'static str,
    /// Digits after the point.
    pub(crate) digits: usize,
    /// Its value, if the report has it.
    pub(crate) of: fn(&Report) -> Option<f64>,
}

const fn figure(name: &'static str, digits: usize, of: fn(&Report) -> Option<f64>) -> Figure {
    Figure { name, digits, of }
}

const CPU: Figure = figure("CPU/op µs", 2, |report| report.proxy?.cpu_ns_per_operation.map(|ns| ns / 1e3));
const P99: Figure = figure("p99 µs", 0, |report| Some(report.latency?.p99_us));
const RATE: Figure = figure("op/s", 0, |report| Some(report.operations_per_second));
const BUSY: Figure = figure("busy %", 0, |report| Some(report.proxy?.busy * 100.0));

const HANDSHAKES: [Figure; 5] = [
    figure("CPU/handshake µs", 1, CPU.of),
    figure("handshakes/CPU s", 0, |report| report.proxy?.cpu_ns_per_operation.map(|ns| 1e9 / ns)),
    RATE,
    P99,
    BUSY,
];

const SMALL: [Figure; 4] = [CPU, RATE, P99, BUSY];

const MEMORY: [Figure; 3] = [
    figure("RSS bytes", 0, |report| Some(report.idle?.rss_bytes_each)),
    figure("PSS bytes", 0, |report| Some(report.idle?.pss_bytes_each)),
    figure("descriptors", 2, |report| Some(report.idle?.descriptors_each)),
];

const BYTES: [Figure; 3] = [
    figure("CPU/MiB µs", 1, |report| report.proxy?.cpu_ns_per_kib.map(|ns| ns * 1.024)),
    figure("MiB/s", 0, |report| Some(report.bytes_per_second / 1_048_576.0)),
    BUSY,
];

impl Cell {
    /// What it is, in words.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Message => "Small message there and back",
            Self::Steady => "Small messages, 10,000 a second",
            Self::Connect => "Connect, ask, close",
            Self::Arrive => "Connect, ask, close, 2,000 a second",
            Self::Bulk => "Bulk both ways",
            Self::Download => "Bulk on one stream",
            Self::Idle => "Idle session",
            Self::TlsHandshake => "TLS handshake with the client, ask, close",
            Self::TlsHandshakeOriginate => "TLS handshake with the server, ask, close",
            Self::TlsHandshakeBoth => "TLS handshakes with both, ask, close",
            Self::TlsResume => "Resumed TLS handshake with the client, ask, close",
            Self::TlsBulk => "Bulk both ways, TLS with the client",
            Self::TlsBulkOriginate => "Bulk both ways, TLS with the server",
            Self::TlsBulkBoth => "Bulk both ways, TLS with both",
            Self::TlsIdle => "Idle session, TLS with the client",
        }
    }

    /// The client end's words, but for the target.
    pub(crate) fn words(self, seconds: f64) -> String {
        let load = match self {
            Self::Message => "ping-pong --sessions 100",
            Self::Steady => "ping-pong --sessions 100 --rate 10000",
            Self::Connect | Self::TlsHandshake | Self::TlsHandshakeOriginate | Self::TlsHandshakeBoth => {
                "connect --concurrency 32"
            }
            Self::TlsResume => "connect --concurrency 32 --tls-resume",
            Self::Arrive => "connect --concurrency 500 --rate 2000",
            Self::Bulk | Self::TlsBulk | Self::TlsBulkOriginate | Self::TlsBulkBoth => {
                "bulk --streams 4 --direction both"
            }
            Self::Download => "bulk --streams 1 --direction down",
            // The crowd rests a while before it is looked at.
            Self::Idle => return "idle --sessions 4000 --warmup 1.5 --seconds 0.3".into(),
            Self::TlsIdle => return "idle --sessions 2000 --warmup 1.5 --seconds 0.3".into(),
        };
        format!("{load} --warmup 0.4 --seconds {seconds}")
    }

    /// Does it want the program as it is after its start?
    pub(crate) fn wants_a_fresh_program(self) -> bool {
        matches!(self, Self::Idle | Self::TlsIdle)
    }

    /// Where TLS is spoken.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::TlsHandshake | Self::TlsResume | Self::TlsBulk | Self::TlsIdle => Shape::Terminate,
            Self::TlsHandshakeOriginate | Self::TlsBulkOriginate => Shape::Originate,
            Self::TlsHandshakeBoth | Self::TlsBulkBoth => Shape::Both,
            _ => Shape::Plain,
        }
    }

    /// Is it worth measuring this kind with it? `splice` is for bulk in plain.
    pub(crate) fn suits(self, kind: Kind) -> bool {
        match kind {
            _ if self.shape() != Shape::Plain => {
                matches!(kind, Kind::Failback | Kind::HaProxy | Kind::Nginx | Kind::Envoy)
            }
            Kind::HaProxyTuned => false,
            Kind::HaProxySplice => matches!(self, Self::Bulk | Self::Download),
            _ => true,
        }
    }

    /// What matters of it; the first is the one that ratios are drawn of.
    pub(crate) fn figures(self) -> &'static [Figure] {
        match self {
            Self::Message | Self::Steady | Self::Connect | Self::Arrive => &SMALL,
            Self::Bulk | Self::Download | Self::TlsBulk | Self::TlsBulkOriginate | Self::TlsBulkBoth => &BYTES,
            Self::TlsHandshake | Self::TlsHandshakeOriginate | Self::TlsHandshakeBoth | Self::TlsResume => &HANDSHAKES,
            Self::Idle | Self::TlsIdle => &MEMORY,
        }
    }
}
