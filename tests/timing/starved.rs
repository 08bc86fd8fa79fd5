//! A proxy that is busy, or was not running at all for a while, blames nobody else.

use crate::{
    alone,
    common::{SOON, eventually, process::Process, proxy::Proxy, redis::Redis, server::Server, throughout},
};
use failback::model::{Side, view::HealthName};
use std::{
    fs,
    time::{Duration, Instant},
};

#[test]
fn a_worker_at_full_load_makes_no_false_failover() {
    let _machine = alone();
    let (primary, backup) = (Redis::start("AGG_P"), Redis::start("AGG_B"));
    let pair = format!("primary = {}\nbackups = [{}]\n", primary.toml(), backup.toml());
    let mut proxy = Proxy::with_node("workers = 1", &pair);
    proxy.until_admissible("AGG_B");
    // More than one worker can do: small questions from 64 clients, two processes of them.
    let (ip, port) = (proxy.route.ip().to_string(), proxy.route.port().to_string());
    let load = ["redis-benchmark", "-h", &ip, "-p", &port, "-c", "32", "-n", "100000000", "-t", "ping_mbulk", "-q"];
    let mut benchmarks = [1, 2].map(|number| Process::start(&load, &proxy.dir().join(format!("load-{number}"))));
    proxy.until("64 sessions", |pair| pair.sessions.primary >= 64);

    let before = busiest_thread(proxy.process().id()).wanted;
    throughout(Duration::from_secs(20), "no failover because the proxy is busy", || {
        let pair = proxy.pair();
        pair.active_side == Side::Primary && pair.epoch.0 == 1
    });
    let share = (busiest_thread(proxy.process().id()).wanted - before).as_secs_f64() / 20.0;
    println!("the worker wanted {:.0} % of a core", share * 100.0);
    // One core's worth on a machine that is ours; where others work too, those who load it don't get to it either.
    assert!(share > 0.4, "the worker was not busy: {share}");
    assert!(benchmarks.iter_mut().all(|load| load.ended().is_none()), "no session was cut");
    assert_eq!(proxy.failovers(), 0.0);
}

#[test]
fn a_proxy_that_was_frozen_for_five_seconds_changes_no_side() {
    let _machine = alone();
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, "");
    proxy.until_admissible("AGG_B");
    let mut probe = proxy.client();
    assert_eq!(probe.server(), "AGG_P");

    proxy.process().signal("STOP");
    std::thread::sleep(Duration::from_secs(5));
    proxy.process().signal("CONT");

    throughout(Duration::from_secs(5), "no change of side", || proxy.pair().epoch.0 == 1 && !probe.ended());
    probe.patience(SOON);
    assert_eq!(probe.server(), "AGG_P");
    assert_eq!(proxy.failovers(), 0.0);
}

#[test]
fn a_primary_that_dies_while_the_proxy_is_frozen_is_left_when_it_thaws() {
    let _machine = alone();
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, "");
    proxy.until_admissible("AGG_B");

    proxy.process().signal("STOP");
    primary.kill();
    std::thread::sleep(Duration::from_secs(3));
    let mut waiting = proxy.client();
    proxy.process().signal("CONT");

    assert_eq!(waiting.server(), "AGG_B");
    assert_eq!(proxy.settled_on(Side::Backup).epoch.0, 2);
}

#[test]
fn with_both_servers_dead_the_proxy_is_nearly_idle_and_refuses_at_once_where_nobody_is_held() {
    let _machine = alone();
    let (primary, backup) = (Server::dead("AGG_P"), Server::dead("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, "hold = { time = \"0s\" }");
    proxy.until_health("AGG_P", HealthName::Down);
    proxy.until_health("AGG_B", HealthName::Down);
    let (start, before) = (Instant::now(), busiest_thread(proxy.process().id()).had);
    throughout(Duration::from_secs(5), "refused", || proxy.refuses());
    let share = (busiest_thread(proxy.process().id()).had - before).as_secs_f64() / start.elapsed().as_secs_f64();
    println!("with both servers dead the busiest thread used {:.1} % of a core", share * 100.0);
    assert!(share < 0.2, "{share}");

    // The primary's turn: it serves within two intervals of its return.
    primary.revive();
    let back = Instant::now();
    eventually("served again", || (!proxy.refuses()).then_some(()));
    println!("served {:?} after the primary's return", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
}

/// What a thread had of the processors, and how long it waited for one (the first two fields of `schedstat`).
#[derive(Clone, Copy)]
struct Processor {
    had: Duration,
    wanted: Duration,
}

/// The thread that wanted most. Others may use this machine, so what it had says little about how busy it was.
fn busiest_thread(process: u32) -> Processor {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("the proxy runs");
    let stats = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    let busy = stats.map(|stat| {
        let mut fields = stat.split_whitespace().map(|field| field.parse().expect("nanoseconds"));
        let mut next = || Duration::from_nanos(fields.next().expect("two fields"));
        let had = next();
        Processor { had, wanted: had + next() }
    });
    busy.max_by_key(|thread| thread.wanted).expect("a process has a thread")
}
