//! Programs of an operator's, run without a shell and ended in time.

use super::threads::Share;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// Why a program did not run to its end.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the program in a process group of its own, so that a timeout also ends what it has started.
pub(super) async fn run(
    argv: &[String],
    environment: &[(&str, String)],
    limit: Duration,
    starts: &Share,
) -> Result<ExitStatus, Failure> {
    let (program, arguments) = argv.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(environment.iter().map(|(key, value)| (*key, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    // It begins with reading the program's file, which may take as long as its file system likes.
    let started = timeout(limit, starts.run(move || start(&mut command))).await;
    let (mut child, mut group) =
        started.map_err(|_| format!("not started within {limit:?}"))?.ok_or("its start panicked")??;
    let status = timeout(limit, child.wait()).await.map_err(|_| format!("no end within {limit:?}"))??;
    // What it left running on purpose is its own affair.
    group.0 = None;
    Ok(status)
}

fn start(command: &mut Command) -> std::io::Result<(Child, GroupGuard)> {
    let child = command.spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    Ok((child, GroupGuard(group)))
}

/// Ends the whole group when dropped, also when waiting for it is given up.
struct GroupGuard(Option<Pid>);

impl Drop for GroupGuard {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _gone_already = kill_process_group(group, Signal::KILL);
        }
    }
}
