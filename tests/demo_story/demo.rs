//! A running demo, and everything that belongs to it.

use crate::common::{
    process::{command, send_signal},
    within,
};
use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ExitStatus, Stdio},
    time::Duration,
};

/// A demo that runs in a process group and a folder of its own.
pub(crate) struct Demo {
    child: Child,
    folder: tempfile::TempDir,
}

impl Demo {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = command(&[env!("CARGO_BIN_EXE_failback"), "demo", "--once"]);
        command.env("TMPDIR", folder.path()).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().expect("the demo starts"), folder }
    }

    /// Reads until a line contains `words`.
    pub(crate) fn read_until(&mut self, words: &str) {
        let mut lines = BufReader::new(self.child.stdout.as_mut().expect("piped")).lines();
        let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains(words));
        assert!(found, "the story never came to {words:?}");
    }

    /// Its children and itself, those that are not yet reaped by somebody left out.
    pub(crate) fn processes(&self) -> Vec<String> {
        in_group(self.child.id())
    }

    /// Sends it a signal, to itself only.
    pub(crate) fn signal(&self, signal: &str) {
        send_signal(signal, &self.child.id().to_string());
    }

    /// Waits until it ends by itself; how it ended, and what it printed from here on.
    pub(crate) fn end(&mut self, limit: Duration) -> (ExitStatus, String, String) {
        let status = within(limit, "the end of the demo", || self.child.try_wait().expect("a child"));
        let (mut told, mut errors) = (String::new(), String::new());
        self.child.stdout.take().expect("piped").read_to_string(&mut told).expect("text");
        self.child.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
        (status, told, errors)
    }

    /// Files it left on disk.
    pub(crate) fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path()).expect("the folder").count()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// The command lines of the living processes of a process group.
fn in_group(group: u32) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let members = processes.filter(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // After the name in brackets: state, parent, process group.
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = after_name.split(' ').take(3).collect();
        matches!(fields[..], [state, _, pgrp] if state != "Z" && pgrp == group.to_string())
    });
    members.map(|entry| command_line(&entry.path())).collect()
}

fn command_line(process: &Path) -> String {
    std::fs::read_to_string(process.join("cmdline")).unwrap_or_default().replace('\0', " ")
}
