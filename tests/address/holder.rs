//! A process that holds a shared address, to be told what to do, killed and stopped.
//!
//! It is this test program once more, running [`the_holder`] only: what holds an address must be a process of its own, and the
//! node that will do so is more than these tests need.

use crate::{
    common::{
        eventually,
        process::{command, send_signal},
    },
    lab::Lab,
};
use failback::{
    control::address::{AddressEvent, Held, HoldSpec},
    model::{causes::chain, group::InterfaceAddress},
};
use std::{
    fs::{self, File},
    io::{self, BufRead, Write},
    process::{Child, ChildStdin, Stdio},
    time::Duration,
};
use tokio::sync::mpsc;

/// The network all hosts are in, and so the interface of each.
pub(crate) const INTERFACE: &str = "back";
/// One address of each family.
pub(crate) const SHARED: [&str; 2] = ["10.77.0.10/24", "fd77::10/64"];
/// Tells the program to be a holder, and of what.
const ORDER: &str = "FAILBACK_TEST_HOLD";

/// Something to hold.
pub(crate) fn shared(address: &str) -> InterfaceAddress {
    InterfaceAddress { address: address.parse().expect("an address"), interface: INTERFACE.into() }
}

/// The address without its prefix.
pub(crate) fn bare(address: &str) -> &str {
    address.split('/').next().unwrap_or_default()
}

/// A holder at work on a host.
pub(crate) struct Holder {
    child: Child,
    orders: ChildStdin,
    folder: tempfile::TempDir,
}

impl Holder {
    /// Takes `address` on `host` and waits until it holds it.
    #[track_caller]
    pub(crate) fn start(lab: &Lab, host: &str, address: &str, primary_timeout: Duration) -> Self {
        let holder = Self::attempt(lab, host, &[], &format!("{address} {INTERFACE}"), primary_timeout);
        holder.says("held");
        holder
    }

    /// The same, with words before the program, and whatever comes of it.
    pub(crate) fn attempt(lab: &Lab, host: &str, before: &[&str], what: &str, primary_timeout: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a file");
        let namespace = lab.namespace(host);
        let order = format!("{ORDER}={what} {}", primary_timeout.as_millis());
        let program = std::env::current_exe().expect("this program").to_string_lossy().into_owned();
        let mut argv = vec!["ip", "netns", "exec", &namespace, "env", &order];
        argv.extend(before);
        argv.extend([&program, "holder::the_holder", "--exact", "--nocapture"]);
        let mut child = command(&argv)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("it can be started");
        let orders = child.stdin.take().expect("a pipe");
        Self { child, orders, folder }
    }

    /// Waits until it says a line with these words.
    #[track_caller]
    pub(crate) fn says(&self, words: &str) -> String {
        eventually(&format!("the holder says `{words}`"), || {
            self.said().lines().find(|line| line.contains(words)).map(str::to_owned)
        })
    }

    /// All it said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// `announce`, `release`, `quiet` (nobody vouches any more).
    #[track_caller]
    pub(crate) fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("it listens");
    }

    /// Sends a signal to it alone.
    pub(crate) fn signal(&self, signal: &str) {
        send_signal(signal, &self.child.id().to_string());
    }

    /// Its guard's process id: its only child.
    #[track_caller]
    pub(crate) fn guard(&self) -> u32 {
        eventually("there is a guard", || self.children().first().copied())
    }

    /// Its children, zombies too.
    pub(crate) fn children(&self) -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) {
        let _status = self.child.wait();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        self.wait();
        if std::thread::panicking() {
            eprintln!("--- what the holder said:\n{}", self.said());
        }
    }
}

/// What `ip` shows of the address on the host, empty if it is not there.
pub(crate) fn seen(lab: &Lab, host: &str, address: &str) -> String {
    let all = lab.run(host, &format!("ip -oneline address show dev {INTERFACE}"));
    all.lines().filter(|line| line.contains(&format!(" {address} "))).collect()
}

/// Nothing, unless [`Holder`] runs it: then it holds, obeys and reports until it is released.
#[test]
fn the_holder() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let words: Vec<&str> = order.split(' ').collect();
    let [address, interface, timeout] = words[..] else { panic!("{order}") };
    let spec = HoldSpec {
        address: InterfaceAddress { address: address.parse().unwrap(), interface: interface.into() },
        primary_timeout: Duration::from_millis(timeout.parse().unwrap()),
        guard: env!("CARGO_BIN_EXE_failback").into(),
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(hold(spec));
}

async fn hold(spec: HoldSpec) {
    let (sender, mut events) = mpsc::channel(8);
    let held = match Held::take(spec, sender) {
        Ok(held) => held,
        Err(error) => return say(&format!("refused: {}", chain(&error))),
    };
    say("held");
    let mut held = Some(held);
    let mut quiet = false;
    let mut orders = orders();
    let mut heartbeat = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            _ = heartbeat.tick() => if !quiet && let Some(held) = &held { held.confirm() },
            Some(event) = events.recv() => say(&match event {
                AddressEvent::Conflict(mac) => format!("conflict with {mac}"),
                AddressEvent::ConflictOver => "conflict is over".into(),
                AddressEvent::Restored => "restored".into(),
                AddressEvent::Lost(loss) => format!("lost: {}", chain(&loss)),
            }),
            order = orders.recv() => match order.as_deref() {
                Some("announce") => if let Some(held) = &held { held.announce() },
                Some("quiet") => quiet = true,
                Some("release") => if let Some(held) = held.take() {
                    say(&format!("released: {:?}", held.release()));
                },
                _ => return,
            },
        }
    }
}

fn orders() -> mpsc::Receiver<String> {
    let (sender, orders) = mpsc::channel(8);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    orders
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the log can be written");
}
