//! The same modes through failback itself: no errors, nothing lost, nobody led astray.

use crate::{
    common::{address::own_address, proxy::Proxy},
    end::{End, is_clean, load},
};
use std::path::Path;

/// A proxy with a pair of server ends, the backup ready to take over.
fn proxy(primary: &End, backup: &End) -> Proxy {
    let (primary, backup) = (primary.address, backup.address);
    let proxy = Proxy::with_pair(&format!(
        "primary = {{ name = \"AGG_P\", address = \"{primary}\" }}\n\
         backups = [{{ name = \"AGG_B\", address = \"{backup}\" }}]\n\
         failback = {{ stable_for = \"100ms\" }}"
    ));
    proxy.until("the backup may be used", |pair| pair.upstreams.iter().all(|upstream| upstream.admissible));
    proxy
}

fn end(name: &str, store: Option<&Path>) -> End {
    End::at(own_address(), name, store)
}

#[test]
fn every_mode_runs_through_the_proxy_without_an_error() {
    let (primary, backup) = (end("AGG_P", None), end("AGG_B", None));
    let mut proxy = proxy(&primary, &backup);
    let pid = proxy.process().id();
    for words in [
        "ping-pong --sessions 20",
        "ping-pong --sessions 20 --size 40000",
        "ping-pong --sessions 5 --rate 500",
        "connect --concurrency 4",
        "bulk --streams 2 --direction up",
        "bulk --streams 2 --direction down",
        "bulk --streams 2 --direction both",
        "fleet --probes 10 --rate 50",
    ] {
        let report = load(proxy.route, &format!("{words} --pid {pid}"));
        is_clean(&report);
        assert!(report.operations > 0 || report.bytes > 0, "{words}: {}", report.table());
        assert!(report.proxy.is_some_and(|proxy| proxy.busy > 0.0), "{words}: {}", report.table());
    }
}

#[test]
fn an_idle_session_costs_two_descriptors() {
    let (primary, backup) = (end("AGG_P", None), end("AGG_B", None));
    let mut proxy = proxy(&primary, &backup);
    let pid = proxy.process().id();
    let report = load(proxy.route, &format!("idle --sessions 500 --pid {pid}"));
    is_clean(&report);
    let each = report.idle.unwrap().descriptors_each;
    // A health check may have one open while they are counted.
    assert!((1.98..2.02).contains(&each), "{}", report.table());
}

#[test]
fn a_fleet_loses_nothing_in_a_failover_and_never_meets_the_stale_primary() {
    let room = tempfile::tempdir().unwrap();
    let (at_primary, at_backup) = (room.path().join("AGG_P"), room.path().join("AGG_B"));
    let (primary, backup) = (end("AGG_P", Some(&at_primary)), end("AGG_B", Some(&at_backup)));
    let (address, proxy) = (primary.address, proxy(&primary, &backup));
    let turn = {
        let at_primary = at_primary.clone();
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(500));
            drop(primary);
            std::thread::sleep(std::time::Duration::from_millis(500));
            End::at(address, "AGG_P", Some(&at_primary))
        })
    };
    let stores = format!("--store {} --store {}", at_primary.display(), at_backup.display());
    let report = load(proxy.route, &format!("fleet --probes 10 --rate 50 --seconds 3 {stores}"));
    drop(turn.join().unwrap());
    is_clean(&report);
    let fleet = report.fleet.clone().unwrap();
    assert_eq!((fleet.lost, fleet.duplicated, fleet.split, fleet.unanswered), (0, 0, 0, 0), "{}", report.table());
    let turns = fleet.turns.iter().map(|(_, turn)| turn.as_str()).collect::<Vec<_>>();
    assert_eq!(turns, ["AGG_P serves", "AGG_B serves"], "{}", report.table());
}
