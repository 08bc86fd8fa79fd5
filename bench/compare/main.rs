//! failback beside its peers: `cargo bench --bench compare`. Every proxy runs on one core, the load on another, in
//! interleaved rounds; what counts are ratios. `bench/peers.sh` installs the peers, `docs/performance.md` has the results.

mod cell;
mod failover;
#[path = "../harness/mod.rs"]
mod harness;
mod network;
mod newcomers;
mod place;
mod program;
mod rounds;
mod running;
mod spread;
mod svg;
mod syscalls;
mod tables;

use anyhow::{Context, ensure};
use cell::Cell;
use clap::{Parser, ValueEnum, builder::PossibleValue};
use program::{Kind, Program};
use std::{
    io::{Write, stdout},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// failback beside its peers
#[derive(Parser)]
#[command(name = "compare", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    end: Option<End>,
    /// What to measure; default: all in plain but download
    #[arg(long, value_enum, value_delimiter = ',')]
    modes: Vec<Mode>,
    /// Kinds of programs to look for; default: all
    #[arg(long, value_delimiter = ',')]
    peers: Vec<Kind>,
    /// A program that is not looked for but given, as LABEL=KIND:PATH; may be repeated
    #[arg(long)]
    program: Vec<Program>,
    /// Where to look for programs, besides the PATH
    #[arg(long, default_value = "/opt/peers/found")]
    peers_dir: PathBuf,
    /// Interleaved rounds
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// How long a cell is measured
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Kills of the primary in `--modes failover`
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// The core of server and client ends
    #[arg(long, default_value_t = 0)]
    load_core: usize,
    /// The core of every proxy
    #[arg(long, default_value_t = 1)]
    proxy_core: usize,
    /// Four ports for each program, from this one on
    #[arg(long, default_value_t = 10_000)]
    first_port: u16,
    /// Write the picture here
    #[arg(long)]
    svg: Option<PathBuf>,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(clap::Subcommand)]
enum End {
    /// Be an end of the harness
    #[command(hide = true)]
    End {
        #[command(subcommand)]
        mode: harness::args::Mode,
    },
}

/// A cell, or one of the comparisons that aren't a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Cell(Cell),
    Syscalls,
    Failover,
}

impl ValueEnum for Mode {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Cell(Cell::Message),
            Self::Cell(Cell::Steady),
            Self::Cell(Cell::Connect),
            Self::Cell(Cell::Arrive),
            Self::Cell(Cell::Bulk),
            Self::Cell(Cell::Idle),
            Self::Syscalls,
            Self::Failover,
            Self::Cell(Cell::Download),
            Self::Cell(Cell::TlsHandshake),
            Self::Cell(Cell::TlsHandshakeOriginate),
            Self::Cell(Cell::TlsHandshakeBoth),
            Self::Cell(Cell::TlsResume),
            Self::Cell(Cell::TlsBulk),
            Self::Cell(Cell::TlsBulkOriginate),
            Self::Cell(Cell::TlsBulkBoth),
            Self::Cell(Cell::TlsIdle),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Cell(cell) => cell.to_possible_value(),
            Self::Syscalls => Some(PossibleValue::new("syscalls").help("System calls per operation, by strace")),
            Self::Failover => Some(PossibleValue::new("failover").help("kill -9 of the primary")),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    if let Some(End::End { mode }) = &arguments.end {
        return harness::end(mode, true, &mut stdout());
    }
    if arguments.modes.is_empty() {
        arguments.modes =
            Mode::value_variants().iter().copied().take_while(|mode| *mode != Mode::Cell(Cell::Download)).collect();
    }
    ensure!(arguments.rounds > 0 && arguments.kills > 0, "nothing to do");
    network::enter()?;
    let dir = std::env::temp_dir().join(format!("failback-compare-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let outcome = compare(&arguments, &dir);
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn compare(arguments: &Arguments, dir: &Path) -> anyhow::Result<()> {
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let cells = arguments.modes.iter().filter_map(|mode| if let Mode::Cell(cell) = mode { Some(*cell) } else { None });
    let cells = cells.collect::<Vec<_>>();
    let programs = programs(arguments);
    writeln!(stdout(), "{date}\n")?;
    for program in &programs {
        writeln!(stdout(), "- {}: {} ({})", program.label, program.version, program.path.display())?;
    }
    if !cells.is_empty() {
        let plan = rounds::Plan {
            cells: &cells,
            rounds: arguments.rounds,
            seconds: arguments.seconds,
            load_core: arguments.load_core,
            proxy_core: arguments.proxy_core,
            first_port: arguments.first_port,
            dir,
        };
        let measured = programs.iter().filter(|program| cells.iter().any(|cell| cell.suits(program.kind)));
        let rounds = plan.run(measured.cloned().collect())?;
        writeln!(stdout(), "{}", tables::markdown(&rounds, &cells))?;
        if let Some(path) = &arguments.svg {
            let day = date.split('T').next().unwrap_or_default();
            std::fs::write(path, svg::picture(&rounds, &cells, day)).with_context(|| path.display().to_string())?;
        }
    }
    let (load_core, proxy_core, first_port) = (arguments.load_core, arguments.proxy_core, arguments.first_port);
    if arguments.modes.contains(&Mode::Syscalls) {
        let plan = syscalls::Plan { first_port, load_core, proxy_core, dir };
        let traced = programs.iter().filter(|program| Cell::Message.suits(program.kind)).collect::<Vec<_>>();
        writeln!(stdout(), "{}", plan.run(&traced)?)?;
    }
    if arguments.modes.contains(&Mode::Failover) {
        let plan = failover::Plan { kills: arguments.kills, first_port, load_core, proxy_core, dir };
        writeln!(stdout(), "{}", plan.run(&programs)?)?;
    }
    Ok(())
}

fn programs(arguments: &Arguments) -> Vec<Program> {
    let every = [
        Kind::Failback,
        Kind::HaProxy,
        Kind::HaProxySplice,
        Kind::HaProxyTuned,
        Kind::Nginx,
        Kind::Envoy,
        Kind::Sozu,
        Kind::SozuSplice,
        Kind::Traefik,
    ];
    let kinds = if arguments.peers.is_empty() { &every[..] } else { &arguments.peers[..] };
    let own = Path::new(env!("CARGO_BIN_EXE_failback")).parent().map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let dirs = own.into_iter().chain([arguments.peers_dir.clone()]).chain(elsewhere).collect::<Vec<_>>();
    let mut programs = arguments.program.clone();
    programs.extend(Program::find(kinds, &dirs));
    programs
}
