//! A cable that was pulled is this node's trouble. Seen with a veth pair whose other end, with the primary behind it, is in
//! a network namespace of its own.

use crate::{
    again::{again, is_second},
    common::{
        address::own_address,
        admin::Admin,
        process::{Process, run},
        proxy::Proxy,
        server::Server,
        throughout,
    },
};
use failback::model::{Side, view::HealthName};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::fd::AsFd,
    path::Path,
    time::Duration,
};

const HEALTH: &str = "health = { interval = \"200ms\", timeout = \"150ms\", fall = 3, fast_interval = \"100ms\" }";

#[test]
fn a_link_that_is_down_fails_no_server_over() {
    if let Some(dir) = is_second() {
        pull_the_cable(Path::new(&dir));
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let second = again("link::a_link_that_is_down_fails_no_server_over", &["unshare", "-rn"], dir.path());
    let ended = second.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
}

fn pull_the_cable(dir: &Path) {
    let ip = |words: &str| run(&["sh", "-c", &format!("ip {words}")]);
    let other = Process::start(&["unshare", "-n", "sleep", "1000"], &dir.join("other.log"));
    let pid = other.id();
    let there = |words: &str| run(&["sh", "-c", &format!("nsenter -t {pid} -n ip {words}")]);
    crate::common::eventually("the other namespace is there", || {
        let own = std::fs::read_link("/proc/self/ns/net").ok()?;
        (std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()? != own).then_some(())
    });
    ip("link set lo up");
    ip(&format!("link add cable type veth peer name far netns {pid}"));
    ip("addr add 10.77.0.1/24 dev cable");
    ip("link set cable up");
    there("link set lo up");
    there("addr add 10.77.0.2/24 dev far");
    there("link set far up");
    serve_behind_the_cable(pid);
    let backup = Server::start("AGG_B");
    let pair = format!(
        "primary = {{ name = \"AGG_P\", address = \"10.77.0.2:4100\" }}\nbackups = [{}]\n{HEALTH}\n\
         failback = {{ stable_for = \"300ms\" }}\n",
        backup.toml()
    );
    let mut proxy = Proxy::at(own_address(), Admin::Unix(dir.join("admin.sock")), Vec::new(), &pair);
    proxy.launch();
    proxy.until("both are usable", |pair| {
        pair.upstreams.iter().all(|its| its.health == HealthName::Up && its.admissible)
    });
    assert_eq!(proxy.leads_to(), "AGG_P");
    let warned = || proxy.admin.status().warnings.iter().any(|warning| warning.contains("the link cable is down"));

    there("link set far down");

    crate::common::eventually("the link's trouble is shown", || warned().then_some(()));
    throughout(Duration::from_secs(2), "the pair stays on its primary", || proxy.pair().active_side == Side::Primary);
    there("link set far up");
    crate::common::eventually("the trouble is over", || (!warned()).then_some(()));
    assert_eq!(proxy.failovers(), 0.0);
    assert_eq!(proxy.leads_to(), "AGG_P");

    // The same silence with a link that is up is the server's.
    there("addr del 10.77.0.2/24 dev far");
    proxy.settled_on(Side::Backup);
    assert_eq!(proxy.failovers(), 1.0);
}

/// An echo called `AGG_P`, listening in the namespace of `pid`.
fn serve_behind_the_cable(pid: u32) {
    let (out, listener) = std::sync::mpsc::channel();
    let enter = move || {
        let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("its namespace");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("we may enter it");
        out.send(TcpListener::bind("10.77.0.2:4100").expect("its address")).expect("somebody waits");
    };
    std::thread::spawn(enter).join().expect("the namespace can be entered");
    let listener = listener.recv().expect("a listener");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut answers = stream.try_clone().expect("a second handle");
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if writeln!(answers, "AGG_P:{line}").is_err() {
                        return;
                    }
                }
            });
        }
    });
}
