//! What a node knows of the servers of a seat that it only watches, and takes with it when it serves.

use crate::{
    common::proxy::PAIR,
    lab::pair,
    node::Wishes,
    rig::{Rig, hosts},
};
use std::time::{Duration, Instant};

/// A server counts as fit for nothing before it has been well for so long.
const STABLE_FOR: Duration = Duration::from_secs(12);

fn cautious() -> Wishes {
    let pair = pair(&format!("failback = {{ stable_for = \"{}s\" }}", STABLE_FOR.as_secs()));
    Wishes { pair: Some(pair), ..Wishes::default() }
}

/// Joined, and the backup node has seen each server well for that long; then a record comes, so that the machine it watches by is a new one.
fn watched() -> Rig {
    let rig = Rig::joined_with(&cautious(), &Wishes::default());
    rig.a.order(&["freeze", PAIR]);
    rig.a.order(&["unfreeze", PAIR]);
    rig
}

/// The server that clients are on dies; the other one serves, and sooner than one that nobody had watched.
fn fails_over_at_once(rig: &Rig, fault: Instant) {
    rig.until_reached("AGG_B");
    let gap = fault.elapsed();
    assert!(gap < STABLE_FOR / 2, "served {gap:?} after the fault");
}

#[test]
fn x4_b8_a_server_that_dies_with_the_proxy_costs_no_more_than_the_takeover() {
    let mut rig = watched();
    let fault = Instant::now();
    rig.primary.kill();
    rig.kill_a();
    fails_over_at_once(&rig, fault);
}

#[test]
fn g3_g11_a_new_holder_fails_over_at_once_as_the_last_one_would_have_and_so_does_the_first_again() {
    let rig = watched();
    rig.b.order(&["takeover", "A"]);
    rig.b.until_serves(&rig.a);
    rig.synced_from_b(&rig.a);
    rig.a.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    let fault = Instant::now();
    rig.primary.kill();
    fails_over_at_once(&rig, fault);
}

/// Input: servers with host names, and records that came. Output: the successor knows their addresses.
#[test]
fn b8_servers_that_have_host_names_are_reached_after_a_takeover_and_after_the_way_back() {
    let lab = hosts();
    for host in ["a", "b"] {
        lab.names(host, "127.0.0.1 localhost\n10.77.0.2 first.example\n10.77.0.3 second.example\n");
    }
    let pair = pair("failback = { stable_for = \"100ms\" }");
    let pair = pair.replace("10.77.0.2:", "first.example:").replace("10.77.0.3:", "second.example:");
    let mut rig = Rig::in_lab(lab, &Wishes { pair: Some(pair), ..Wishes::default() }, &Wishes::default());
    rig.join();
    rig.settled();
    rig.a.order(&["freeze", PAIR]);
    rig.a.order(&["unfreeze", PAIR]);
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    rig.a_returns();
    rig.synced_from_b(&rig.a);
    rig.a.until_servers_known();
    rig.a.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    rig.primary.kill();
    rig.until_reached("AGG_B");
}
