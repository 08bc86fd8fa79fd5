//! Every mode against a server end without a proxy between.

use crate::end::{End, is_clean, load};
use std::time::Duration;

#[test]
fn small_messages_come_back_whole_in_both_loops() {
    let end = End::start("AGG_P", None);
    for words in ["ping-pong --sessions 20", "ping-pong --sessions 3 --size 65536", "ping-pong --sessions 7 --rate 500"]
    {
        let report = load(end.address, words);
        is_clean(&report);
        assert!(report.operations > 0 && report.latency.is_some(), "{words}: {}", report.table());
    }
}

#[test]
fn open_loop_latency_counts_from_the_due_time() {
    let end = End::start("AGG_P", None);
    // One session can't answer a million messages a second: what was due ever longer ago is sent ever later.
    let report = load(end.address, "ping-pong --sessions 1 --rate 1000000");
    let latency = report.latency.unwrap();
    assert!(latency.max_us > 100_000.0, "{}", report.table());
}

#[test]
fn connections_are_opened_answered_and_closed() {
    let end = End::start("AGG_P", None);
    for words in ["connect --concurrency 4", "connect --rate 200"] {
        let report = load(end.address, words);
        is_clean(&report);
        assert!(report.operations > 0, "{words}: {}", report.table());
    }
}

#[test]
fn bulk_flows_either_way_and_both() {
    let end = End::start("AGG_P", None);
    for direction in ["up", "down", "both"] {
        let report = load(end.address, &format!("bulk --streams 2 --direction {direction}"));
        is_clean(&report);
        assert!(report.bytes > 1_000_000, "{direction}: {}", report.table());
    }
}

#[test]
fn an_idle_session_costs_its_server_one_descriptor() {
    let end = End::start("AGG_P", None);
    // Both ends live in this process, and other tests beside them: at least one descriptor at either end.
    let report = load(end.address, &format!("idle --sessions 200 --pid {}", std::process::id()));
    is_clean(&report);
    assert!(report.idle.unwrap().descriptors_each >= 1.0, "{}", report.table());
}

#[test]
fn a_fleet_survives_a_change_of_server_and_every_event_is_stored_once() {
    let room = tempfile::tempdir().unwrap();
    let (primary, backup) = (room.path().join("AGG_P"), room.path().join("AGG_B"));
    let end = End::start("AGG_P", Some(&primary));
    let address = end.address;
    let turn = {
        let backup = backup.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(250));
            drop(end);
            End::at(address, "AGG_B", Some(&backup))
        })
    };
    let stores = format!("--store {} --store {}", primary.display(), backup.display());
    let report = load(address, &format!("fleet --probes 10 --rate 100 {stores} --seconds 2"));
    drop(turn.join().unwrap());
    let fleet = report.fleet.clone().unwrap();
    is_clean(&report);
    assert_eq!((fleet.lost, fleet.duplicated, fleet.split, fleet.unanswered), (0, 0, 0, 0), "{}", report.table());
    assert_eq!(fleet.sent, fleet.acknowledged);
    assert_eq!((fleet.cuts, fleet.turns.len()), (10, 2), "{}", report.table());
    assert!(fleet.gap.is_some());
}

#[test]
fn a_fleet_notices_what_was_acknowledged_and_not_kept() {
    let room = tempfile::tempdir().unwrap();
    let (kept, other) = (room.path().join("kept"), room.path().join("other"));
    std::fs::write(&other, "").unwrap();
    let end = End::start("AGG_P", Some(&kept));
    let report = load(end.address, &format!("fleet --probes 2 --rate 50 --store {}", other.display()));
    let fleet = report.fleet.unwrap();
    assert!(fleet.lost > 0 && fleet.lost == fleet.acknowledged);
}

#[test]
fn a_fleet_notices_a_stale_server() {
    let room = tempfile::tempdir().unwrap();
    let store = room.path().join("AGG_P");
    let first = End::start("AGG_P", Some(&store));
    is_clean(&load(first.address, "fleet --probes 2 --rate 50"));
    drop(first);
    let restarted = End::start("AGG_P", Some(&store));
    assert_eq!(load(restarted.address, "fleet --probes 2 --rate 50").misrouted, 2);
}
