//! System calls per operation, counted by `strace -c`. Unlike time they don't vary with the machine or with what else runs
//! on it.

use crate::{
    harness::process::family,
    place::{Place, Shape},
    program::Program,
    running::{self, Running, signal},
};
use anyhow::{Context, ensure};
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{Write, stderr},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What is counted: a title, and the client end's words.
const LOADS: [(&str, &str); 3] = [
    ("lone message", "ping-pong --sessions 1 --rate 400"),
    ("message in a crowd", "ping-pong --sessions 100"),
    ("connect, ask, close", "connect --concurrency 1"),
];
/// How long each is counted.
const SECONDS: f64 = 2.5;
/// Calls rarer than this aren't listed.
const RARE: f64 = 0.05;

/// How to do it.
pub(crate) struct Plan<'a> {
    pub(crate) first_port: u16,
    pub(crate) load_core: usize,
    pub(crate) proxy_core: usize,
    pub(crate) dir: &'a Path,
}

/// Calls per operation, by name.
type Calls = BTreeMap<String, f64>;

impl Plan<'_> {
    /// Counts, and tells in a table.
    pub(crate) fn run(&self, programs: &[&Program]) -> anyhow::Result<String> {
        let mut text = String::from("\n### System calls\n\n| | ");
        writeln!(text, "{} |\n|---{}|", LOADS.map(|(title, _)| title).join(" | "), "|--:".repeat(LOADS.len()))?;
        let mut details = String::new();
        for program in programs {
            writeln!(stderr(), "counting system calls of {}", program.label)?;
            let counts = self.count(program).with_context(|| program.label.clone())?;
            let sums = counts.iter().map(|calls| format!("{:.2}", calls.values().sum::<f64>())).collect::<Vec<_>>();
            writeln!(text, "| {} | {} |", program.label, sums.join(" | "))?;
            for ((title, _), calls) in LOADS.iter().zip(&counts) {
                writeln!(details, "| {} | {title} | {} |", program.label, listed(calls))?;
            }
        }
        Ok(format!("{text}\n| | | calls each |\n|---|---|---|\n{details}"))
    }

    fn count(&self, program: &Program) -> anyhow::Result<Vec<Calls>> {
        let place = Place::at(self.first_port, Shape::Plain, self.dir);
        let words = format!("serve --listen {} --listen {}", place.primary, place.backup);
        let _server = Running::server(&split(&words), self.load_core)?;
        let dir = self.dir.join(format!("syscalls-{}", program.label.replace(' ', "-")));
        let running = Running::program(program, &place, &dir, self.proxy_core)?;
        LOADS.iter().map(|(_, load)| self.traced(load, &place, running.pid(), &dir.join("calls"))).collect()
    }

    fn traced(&self, load: &str, place: &Place, pid: u32, summary: &Path) -> anyhow::Result<Calls> {
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-U", "name,calls", "-o"]).arg(summary);
        let family = family(&[pid])?;
        for pid in &family {
            command.arg("-p").arg(pid.to_string());
        }
        let mut strace = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let attached = family.into_iter().try_for_each(wait_for_tracer);
        let words = split(&format!("{load} --warmup 0 --seconds {SECONDS} --target {}", place.listen));
        let report = attached.and_then(|()| running::load(&words, self.load_core));
        signal(strace.id(), Signal::INT);
        strace.wait()?;
        let report = report?;
        ensure!(report.errors == 0 && report.operations > 0, "{load}: {} errors", report.errors);
        let text = fs::read_to_string(summary)?;
        Ok(calls(&text).map(|(name, count)| (name.to_owned(), count / report.operations as f64)).collect())
    }
}

fn split(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

fn wait_for_tracer(pid: u32) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        if status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0")) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("strace does not attach; is it installed, and allowed to?")
}

/// The lines of a summary that name a call and how often it was made.
fn calls(summary: &str) -> impl Iterator<Item = (&str, f64)> {
    summary.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, count) = (words.next()?, words.next()?.parse().ok()?);
        (name != "total" && name != "100.00").then_some((name, count))
    })
}

/// The commonest first.
fn listed(calls: &Calls) -> String {
    let mut calls = calls.iter().filter(|(_, count)| **count >= RARE).collect::<Vec<_>>();
    calls.sort_by(|a, b| b.1.total_cmp(a.1));
    calls.iter().map(|(name, count)| format!("{name} {count:.2}")).collect::<Vec<_>>().join(", ")
}
