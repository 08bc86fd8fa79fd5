//! Load against a proxy: `cargo bench --bench load -- MODE --help`. One process is one end; `docs/performance.md` shows
//! how they are put together.

#[path = "../harness/mod.rs"]
mod harness;

use clap::Parser;
use harness::args::Mode;

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
    harness::end(&arguments.mode, arguments.json, &mut std::io::stdout())
}
