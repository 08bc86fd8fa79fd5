//! The load harness: a server end, client ends, and what they measure. Shared by `bench/load` (one end a process),
//! `bench/compare` (starts both ends beside every proxy) and `tests/bench_smoke` (runs its tests).
//!
//! ```text
//!   client end ── Ask ──▶ proxy ──▶ server end       one epoll thread an end; every session begins with an Ask, which
//!   client end ◀─ Hello ─ proxy ◀── server end       says what the session is for, and a Hello, which says who answers
//! ```
//!
//! An end does two system calls per small message and keeps no task, no timer and no allocation per message, so that one
//! core of load drives more than one core of proxy can carry. In TLS ([`tls`], [`stream`]) records are sealed and opened in
//! buffers that all sessions of an end share.

pub(crate) mod args;
mod bulk;
pub(crate) mod certs;
pub(crate) mod client;
mod connect;
mod fleet;
mod idle;
mod meter;
pub(crate) mod pace;
mod ping_pong;
pub(crate) mod process;
mod reactor;
pub(crate) mod report;
pub(crate) mod server;
pub(crate) mod store;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod wire;

use self::{args::Mode, report::Report, server::Server};
use std::{io::Write, sync::atomic::AtomicBool};

/// Is the end that `mode` says: a server end until it is killed, a client end until it has written its report to `out`.
///
/// # Errors
/// What kept it from serving or measuring at all: no server answers, no descriptors are left. Errors of single operations
/// are counted in the report.
pub(crate) fn end(mode: &Mode, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if let Mode::Certs(args) = mode {
        return certs::make(&args.dir, &args.name);
    }
    if let Mode::Serve(serve) = mode {
        let mut server = Server::bind(serve)?;
        for address in server.addresses()? {
            writeln!(out, "{} listens on {address}", serve.name)?;
        }
        return server.run(&AtomicBool::new(false));
    }
    let report = run(mode)?;
    let text = if json { serde_json::to_string(&report)? } else { report.table() };
    Ok(writeln!(out, "{text}")?)
}

fn run(mode: &Mode) -> anyhow::Result<Report> {
    match mode {
        Mode::Serve(_) | Mode::Certs(_) => anyhow::bail!("only client ends have a report"),
        Mode::PingPong(args) => ping_pong::run(args),
        Mode::Connect(args) => connect::run(args),
        Mode::Bulk(args) => bulk::run(args),
        Mode::Idle(args) => idle::run(args),
        Mode::Fleet(args) => fleet::run(args),
    }
}
