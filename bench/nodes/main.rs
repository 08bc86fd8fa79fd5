//! Two nodes at one address through the faults of nodes, under a fleet of probes: `cargo bench --bench nodes`. Beside
//! failback stands keepalived with HAProxy, on the same hosts: namespaces on one bridge, as the tests of groups have them.
//! Needs root, `iproute2` and `nftables`; `docs/high-availability.md` has the results. `cargo test` runs a moment of it.

#[cfg(test)]
#[path = "../../tests/common/mod.rs"]
mod common;
mod crowd;
#[cfg(test)]
#[path = "../../tests/group/disk.rs"]
#[allow(dead_code, reason = "no disk is filled here")]
mod disk;
mod fault;
mod group;
#[path = "../harness/mod.rs"]
mod harness;
#[cfg(test)]
#[path = "../../tests/net/lab.rs"]
#[allow(dead_code, reason = "the tests use more of the laboratory")]
mod lab;
#[path = "../compare/newcomers.rs"]
mod newcomers;
#[cfg(test)]
#[path = "../../tests/group/node.rs"]
#[allow(dead_code, reason = "the tests ask more of a node")]
mod node;
mod ours;
mod peer;
#[path = "../compare/place.rs"]
#[allow(dead_code, reason = "there is no TLS here")]
mod place;
#[cfg(test)]
#[path = "../../tests/group/rig.rs"]
#[allow(dead_code, reason = "the tests ask more of two nodes")]
mod rig;
mod round;
mod smoke;
#[path = "../compare/spread.rs"]
mod spread;
mod tables;
mod watch;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use fault::Fault;
use group::Kind;
use std::{
    io::{Write, stderr, stdout},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Two nodes at one address through the faults of nodes
#[derive(Parser)]
#[command(name = "nodes", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    end: Option<End>,
    /// Probes that send events all the time
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    probes: u32,
    /// Rounds of each fault
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Which faults; default: all
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Fault>,
    /// Which nodes; default: all
    #[arg(long, value_enum, value_delimiter = ',')]
    groups: Vec<Kind>,
    /// Keep the servers' stores, the nodes' logs and events there
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum End {
    /// Be an end of the harness
    #[command(hide = true)]
    End {
        #[command(subcommand)]
        mode: harness::args::Mode,
    },
}

fn main() -> anyhow::Result<()> {
    let benching = std::env::args().any(|argument| argument == "--bench");
    // `cargo test` may name the tests that it wants; none of them is here.
    if !benching && std::env::args().nth(1).is_none_or(|first| first != "end") {
        return smoke::run();
    }
    let arguments = Arguments::parse();
    if let Some(End::End { mode }) = &arguments.end {
        return harness::end(mode, true, &mut stdout());
    }
    ensure!(arguments.rounds > 0, "nothing to do");
    let passing = tempfile::TempDir::with_prefix("failback-nodes-")?;
    let dir = arguments.store.clone().unwrap_or_else(|| passing.path().to_owned());
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let broken = measure(&arguments, &dir)?;
    if !broken.is_empty() && arguments.store.is_none() {
        writeln!(stderr(), "the files are kept in {}", passing.keep().display())?;
    }
    ensure!(broken.is_empty(), "what must never be, was:\n{}", broken.join("\n"));
    Ok(())
}

/// Plays all rounds and tells of them; what must never be and was.
fn measure(arguments: &Arguments, dir: &Path) -> anyhow::Result<Vec<String>> {
    let every = |given: &[Fault]| if given.is_empty() { Fault::value_variants().to_vec() } else { given.to_vec() };
    let faults = every(&arguments.only);
    let kinds = kinds(&arguments.groups)?;
    let (mut rounds, mut broken) = (tables::Rounds::new(), Vec::new());
    for number in 1..=arguments.rounds {
        for (fault, kind) in faults.iter().flat_map(|fault| kinds.iter().map(move |kind| (*fault, *kind))) {
            if !fault.suits(kind) {
                continue;
            }
            let which = format!("round {number} of {}: {}: {}", arguments.rounds, kind.label(), fault.title());
            writeln!(stderr(), "{which}")?;
            let folder = dir.join(format!("{number}-{fault:?}-{kind:?}"));
            let outcome = round::play(kind, fault, number, arguments.probes, &folder).with_context(|| which.clone())?;
            if kind.is_own() {
                broken.extend(outcome.broken(kind, fault).into_iter().map(|what| format!("{which}: {what}")));
            }
            rounds.push((kind, fault, outcome));
        }
    }
    writeln!(stdout(), "{}\n{}", tables::markdown(&rounds, &faults, &kinds), tables::verdict(&rounds))?;
    Ok(broken)
}

/// The wanted kinds that can be had here, introduced.
fn kinds(given: &[Kind]) -> anyhow::Result<Vec<Kind>> {
    let mut kinds = if given.is_empty() { Kind::value_variants().to_vec() } else { given.to_vec() };
    writeln!(stdout(), "{}\n", humantime::format_rfc3339_seconds(SystemTime::now()))?;
    writeln!(stdout(), "- failback {}", env!("CARGO_PKG_VERSION"))?;
    if kinds.iter().all(|kind| kind.is_own()) {
        return Ok(kinds);
    }
    for program in peer::PROGRAMS {
        match peer::version(program) {
            Some(version) => writeln!(stdout(), "- {version}")?,
            None => {
                kinds.retain(|kind| kind.is_own());
                writeln!(stdout(), "- {program} is missing, and so is every row of it: apt-get install {program}")?;
            }
        }
    }
    Ok(kinds)
}
