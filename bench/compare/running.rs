//! Processes of a comparison: each on a core of its own choosing, none outlives the run.

use crate::{
    harness::{process::family, report::Report},
    newcomers::ask,
    place::Place,
    program::Program,
};
use anyhow::{Context, bail, ensure};
use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a program may take to serve, and to end.
const SOON: Duration = Duration::from_secs(20);
/// How long one try may take meanwhile: some accept before they know where to.
const TRY: Duration = Duration::from_secs(1);

/// A process of ours with its children.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts `program` on `core` and waits until a session goes through it.
    pub(crate) fn program(program: &Program, place: &Place, dir: &Path, core: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let log = File::create(dir.join("log"))?;
        let mut command = program.command(place, dir)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut running = Self::start(&mut command, core)?;
        let (reach, began) = (place.reach()?, Instant::now());
        while let Err(error) = ask(&reach, TRY) {
            let ended = running.child.try_wait()?;
            if ended.is_some() || began.elapsed() > SOON {
                let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
                bail!("{} does not serve: {error:#}\n{log}", program.label);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(running)
    }

    /// Starts a server end on `core`.
    pub(crate) fn server(words: &[String], core: usize) -> anyhow::Result<Self> {
        let mut command = own(words)?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self::start(&mut command, core)
    }

    fn start(command: &mut Command, core: usize) -> anyhow::Result<Self> {
        let child = on_core(core, || command.spawn().with_context(|| format!("cannot start {command:?}")))?;
        Ok(Self { child })
    }

    /// The process's id; its children count with it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, now.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    /// Asks it to end, and ends what is left of it after a while.
    fn drop(&mut self) {
        let family = family(&[self.child.id()]).unwrap_or_default();
        signal(self.child.id(), Signal::TERM);
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            family.into_iter().for_each(|pid| signal(pid, Signal::KILL));
            // It has been killed: the wait is short, and its result tells nothing new.
            let _ended = self.child.wait();
        }
    }
}

/// Sends a signal to a process of ours.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // A process that has ended meanwhile is what was wanted.
        let _gone = kill_process(pid, signal);
    }
}

/// Runs a client end on `core` to its end.
pub(crate) fn load(words: &[String], core: usize) -> anyhow::Result<Report> {
    let mut command = own(words)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = on_core(core, || Ok(command.spawn()?))?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// This very program as an end of the harness; `main` sees to it.
fn own(words: &[String]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("end").args(words);
    Ok(command)
}

/// Children inherit the core of the thread that starts them.
fn on_core<T>(core: usize, start: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let before = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(None, &one).with_context(|| format!("there is no core {core}"))?;
    let started = start();
    sched_setaffinity(None, &before)?;
    started
}
