//! Children that never outlive their test: killed when dropped, and by the kernel when the test's thread dies.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

/// A child process and the file that has what it printed.
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `argv` with its output in `log`. The first words may be a wrapper that executes the rest in its own place
    /// (`ip netns exec NAME`, `setpriv …`): the process id stays the program's.
    pub(crate) fn start<S: AsRef<OsStr>>(argv: &[S], log: &Path) -> Self {
        let name = argv.first().expect("a program").as_ref().to_string_lossy().into_owned();
        let file = File::options().create(true).append(true).open(log).expect("the log can be written");
        let child = command(argv)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} could not be started: {error}"));
        Self { child, name, log: log.into() }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal (`KILL`, `STOP`, …) to this process only.
    pub(crate) fn signal(&self, signal: &str) {
        send_signal(signal, &self.id().to_string());
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// The exit status, if it ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// What it printed so far.
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let printed = self.printed();
            let tail: Vec<&str> = printed.lines().rev().take(40).collect();
            eprintln!("--- the end of what {} printed:", self.name);
            tail.iter().rev().for_each(|line| eprintln!("    {line}"));
        }
    }
}

/// A command that the kernel kills when the thread that started it ends.
pub(crate) fn command<S: AsRef<OsStr>>(argv: &[S]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).args(argv);
    command
}

/// Runs `argv` to its end and returns what it printed on its output; panics with all of it when it fails.
#[track_caller]
pub(crate) fn run<S: AsRef<OsStr>>(argv: &[S]) -> String {
    let words: Vec<_> = argv.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    let output = command(argv).stdin(Stdio::null()).output().expect("setpriv is part of every Debian");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{}` ended with {}: {printed}{complained}", words.join(" "), output.status);
    printed
}

/// Sends a signal to a process (`123`) or a whole process group (`-123`).
pub(crate) fn send_signal(signal: &str, target: &str) {
    let sent = Command::new("kill").args(["-s", signal, "--", target]).status().expect("kill is there");
    assert!(sent.success(), "{signal} could not be sent to {target}");
}
