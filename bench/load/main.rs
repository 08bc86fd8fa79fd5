//! Load against a proxy: `cargo bench --bench load -- MODE --help`. One process is one end; `docs/performance.md` shows
//! how they are put together.

#[path = "../harness/mod.rs"]
mod harness;

use clap::Parser;
use harness::{args::Mode, server::Server};
use std::{
    io::{Write, stdout},
    sync::atomic::AtomicBool,
};

/// The load harness: a server end and client ends, one a process
#[derive(Parser)]
#[command(name = "load")]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// What `cargo bench` adds
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Mode::Serve(serve) = &arguments.mode {
        let mut server = Server::bind(serve)?;
        for address in server.addresses()? {
            writeln!(stdout(), "{} listens on {address}", serve.name)?;
        }
        return server.run(&AtomicBool::new(false));
    }
    let report = harness::run(&arguments.mode)?;
    let text = if arguments.json { serde_json::to_string(&report)? } else { report.table() };
    Ok(writeln!(stdout(), "{text}")?)
}
