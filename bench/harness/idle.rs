//! A crowd of sessions that do nothing: what each costs the proxy.

use super::{
    args::Idle,
    client::{self, Reach},
    meter::Meter,
    process::Usage,
    report,
    report::Report,
    wire::Kind,
};
use anyhow::ensure;
use std::time::{Duration, Instant};

/// Runs it: opens the crowd, lets it rest for the warm-up (buffers may be given back), then measures; the CPU time of
/// the span is what a crowd that does nothing costs.
pub(crate) fn run(args: &Idle) -> anyhow::Result<Report> {
    ensure!(!args.target.pid.is_empty(), "idle needs --pid: the proxy is what it measures");
    let before = Usage::of(&args.target.pid)?;
    let crowd = client::open(&Reach::of(&args.target)?, Kind::Echo, args.sessions)?;
    let mut meter = Meter::start(&args.target)?;
    while meter.goes_on(Instant::now())? {
        std::thread::sleep(meter.deadline().saturating_duration_since(Instant::now()).min(Duration::from_millis(100)));
    }
    let after = Usage::of(&args.target.pid)?;
    for stream in &crowd {
        // Still open: nothing to read, not even an end.
        if !matches!(stream.socket().peek(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock) {
            meter.error();
        }
    }
    let mut report = meter.finish("idle")?;
    let each = |before: u64, after: u64| (after as f64 - before as f64) / f64::from(args.sessions);
    report.idle = Some(report::Idle {
        sessions: u64::from(args.sessions),
        rss_bytes_each: each(before.rss_kib, after.rss_kib) * 1024.0,
        pss_bytes_each: each(before.pss_kib, after.pss_kib) * 1024.0,
        descriptors_each: each(before.descriptors, after.descriptors),
    });
    Ok(report)
}
