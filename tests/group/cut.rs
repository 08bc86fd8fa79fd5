//! Networks that are cut in one place or another, and heal. Who is only cut off is not dead.

use crate::{
    common::{eventually, throughout, within},
    fleet::Fleet,
    node::{HEARTBEAT, PRIMARY_TIMEOUT},
    rig::{BEACONS, LINK, NETWORK, Rig, SHARED},
};
use failback::model::{Side, seat::Suspicion};
use std::time::{Duration, Instant};

/// Long enough for a takeover that must not come.
const LONG: Duration = PRIMARY_TIMEOUT.saturating_mul(3);
/// What a busy machine, and the way of the first packet after a heal, may add.
const NOISE: Duration = Duration::from_millis(700);

#[test]
fn g8_the_peer_link_cut_both_ways_is_no_death_while_beacons_arrive() {
    let rig = Rig::joined();
    rig.deafen(&rig.a, "b", LINK);
    rig.deafen(&rig.b, "a", LINK);
    nothing_happens(&rig, Some(Suspicion::Yellow));
}

#[test]
fn g8_the_peer_link_cut_one_way_is_no_death_while_beacons_arrive() {
    let rig = Rig::joined();
    rig.deafen(&rig.b, "a", LINK);
    nothing_happens(&rig, Some(Suspicion::Yellow));
}

#[test]
fn g8_beacons_that_are_lost_are_no_death_while_the_link_is_there() {
    let rig = Rig::joined();
    rig.deafen(&rig.a, "b", BEACONS);
    rig.deafen(&rig.b, "a", BEACONS);
    nothing_happens(&rig, Some(Suspicion::Yellow));
}

/// Nothing of it arrives, and its neighbours still see it by ARP: it holds the address.
#[test]
fn b10_a_holder_that_is_heard_on_no_path_keeps_the_seat_while_it_owns_the_address() {
    let rig = Rig::joined();
    rig.deafen(&rig.b, "a", "");
    nothing_happens(&rig, Some(Suspicion::Red));
    rig.heal(&rig.b);
    rig.b.until("it is heard again", |group| {
        group.nodes.iter().any(|node| !node.this && node.suspicion == Some(Suspicion::Green))
    });
}

#[test]
fn b10_both_cut_from_the_witness_nothing_happens() {
    let rig = Rig::joined();
    rig.lab.cable("witness", NETWORK, "down");
    nothing_happens(&rig, Some(Suspicion::Green));
}

#[test]
fn b10_cut_from_each_other_and_from_the_witness_at_once_nothing_happens_and_clients_are_served() {
    let rig = Rig::joined();
    rig.lab.cable("witness", NETWORK, "down");
    rig.deafen(&rig.a, "b", "");
    rig.deafen(&rig.b, "a", "");
    nothing_happens(&rig, Some(Suspicion::Red));
}

/// Each alone: no witness, no server, no client.
#[test]
fn b10_both_cut_from_everything_nothing_happens_and_after_the_heal_it_is_still_the_holder() {
    let rig = Rig::joined();
    let before = rig.a.until_serves(&rig.a).epoch;
    rig.cable(&rig.a, "down");
    rig.cable(&rig.b, "down");
    throughout(LONG, "A serves and B does not", || {
        rig.a.seat(&rig.a).is_some_and(|seat| seat.here) && rig.b.seat(&rig.a).is_some_and(|seat| !seat.here)
    });
    assert_eq!(rig.b.row(&rig.a).expect("a row").suspicion, Some(Suspicion::Red));
    // Seen first by its neighbours, it owns the address when the other looks for it.
    rig.cable(&rig.a, "up");
    rig.cable(&rig.b, "up");
    rig.b.never_serves(&rig.a, PRIMARY_TIMEOUT);
    rig.settled();
    assert_eq!(rig.a.until_serves(&rig.a).epoch, before);
    assert!(rig.a.has_address(&rig.lab) && !rig.b.has_address(&rig.lab));
}

/// It reaches nobody: neither witness nor server. So it is itself that is cut off, whatever became of the other.
#[test]
fn b10_a_backup_that_is_cut_off_takes_over_nothing() {
    let mut rig = Rig::joined();
    rig.cable(&rig.b, "down");
    rig.b.never_serves(&rig.a, LONG);
    assert_eq!(rig.serves().as_deref(), Some("AGG_P"));
    // Nor when the other is dead in fact.
    rig.kill_a();
    rig.b.never_serves(&rig.a, LONG);
    assert!(!rig.b.has_address(&rig.lab));
    assert_eq!(rig.b.told_of("cut_off"), 1);
    // Once it sees the world again, there is somebody to take over from.
    rig.cable(&rig.b, "up");
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_P");
}

#[test]
fn b8_the_whole_network_of_the_holder_is_cut_and_the_backup_serves_and_the_heal_ends_with_one_holder() {
    let rig = Rig::joined();
    let fleet = Fleet::start(&rig.lab);
    std::thread::sleep(Duration::from_millis(500));
    let fault = Instant::now();
    rig.cable(&rig.a, "down");
    let taken = rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    std::thread::sleep(PRIMARY_TIMEOUT);

    rig.cable(&rig.a, "up");
    let heal = Instant::now();
    within(2 * HEARTBEAT + NOISE, "one holds the address", || (!rig.a.has_address(&rig.lab)).then_some(()));
    println!("both had the address for {:?} after the heal", heal.elapsed());

    rig.a.never_serves(&rig.a, LONG);
    assert!(rig.b.has_address(&rig.lab));
    assert_eq!(rig.b.seat(&rig.a).expect("the seat").epoch, taken.epoch, "who serves stays");
    let ledger = fleet.stop();
    let gap = ledger.first_after(fault);
    assert!(gap <= PRIMARY_TIMEOUT + Duration::from_secs(1), "served {gap:?} after the fault");
    assert_eq!(ledger.turns(), ["AGG_P"], "one side of the pair");
    let healed = ledger.answers.iter().filter(|answer| answer.sent > heal + Duration::from_secs(1)).count();
    assert!(healed > 50, "{healed} answers after the heal");
}

/// acassen/keepalived#166, #74: after a heal the clients' caches have the wrong one of the two, and nobody tells them.
#[test]
fn peers_20_after_a_heal_the_holder_announces_the_address_again() {
    let rig = Rig::joined();
    rig.cable(&rig.a, "down");
    rig.b.until_serves(&rig.a);
    std::thread::sleep(PRIMARY_TIMEOUT);
    rig.cable(&rig.a, "up");
    eventually("one holds the address", || (!rig.a.has_address(&rig.lab)).then_some(()));
    // The client is told, it asks nobody: an entry of this state is used without a question.
    let wrong = rig.mac(&rig.a);
    rig.lab.run("client", &format!("ip neighbour replace {SHARED} lladdr {wrong} dev {NETWORK} nud stale"));
    // The cable once more, of the holder this time: short of any timeout.
    rig.cable(&rig.b, "down");
    std::thread::sleep(HEARTBEAT);
    rig.cable(&rig.b, "up");
    rig.follows(&rig.b);
    rig.until_reached("AGG_P");
}

/// acassen/keepalived#20: a cache that nothing refreshes.
#[test]
fn peers_21_a_stale_cache_is_mended_by_the_successor_alone() {
    let mut rig = Rig::joined();
    rig.until_reached("AGG_P");
    let before = rig.mac(&rig.a);
    assert_eq!(rig.believed(), before);
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.follows(&rig.b);
    assert_ne!(rig.believed(), before);
}

/// Two that are alike in everything: neither the return of one nor a flap of its cable makes the seat change hands again.
#[test]
fn peers_20_no_flip_by_equal_priority() {
    let rig = Rig::joined();
    rig.cable(&rig.a, "down");
    let taken = rig.b.until_serves(&rig.a);
    for _ in 0..3 {
        rig.cable(&rig.a, "up");
        eventually("it lets go", || (!rig.a.has_address(&rig.lab)).then_some(()));
        rig.a.never_serves(&rig.a, PRIMARY_TIMEOUT);
        rig.cable(&rig.a, "down");
        std::thread::sleep(2 * PRIMARY_TIMEOUT);
    }
    let seat = rig.b.until_serves(&rig.a);
    assert_eq!((seat.epoch, rig.b.told_of("seat_taken")), (taken.epoch, 1));
}

/// The holder is cut off from everybody but the pair's backup, which counts as a witness. So it does what it would alone; whoever comes
/// back to the others has to say what is given up.
#[test]
fn x4_a_side_that_was_changed_behind_a_cut_is_given_up_and_told() {
    let rig = Rig::joined();
    let switch = |words: &str| rig.lab.run("switch", &format!("nft {words}"));
    switch("add table bridge cut");
    switch("add chain bridge cut passing { type filter hook forward priority 0 ; }");
    for other in ["b", "witness", "primary"] {
        switch(&format!("add rule bridge cut passing iifname a-{NETWORK} oifname {other}-{NETWORK} drop"));
        switch(&format!("add rule bridge cut passing iifname {other}-{NETWORK} oifname a-{NETWORK} drop"));
    }
    rig.b.until_serves(&rig.a);
    let changed = rig.a.proxy.settled_on(Side::Backup);

    switch("delete table bridge cut");

    eventually("one holds it", || rig.a.seat(&rig.a).is_some_and(|seat| !seat.here).then_some(()));
    let told = eventually("it is told", || rig.a.proxy.events_of("diverged").pop());
    let said = told.message;
    assert!(said.contains("AGG_B") && said.contains(&format!("epoch {}", changed.epoch)), "{said}");
    let pair = rig.b.proxy.pair();
    assert_eq!(pair.active_side, Side::Primary);
    assert!(pair.epoch > changed.epoch, "a signal about {} would be taken for one about {}", changed.epoch, pair.epoch);
    eventually("nor would this node use it again", || (rig.a.proxy.pair().epoch > changed.epoch).then_some(()));
    rig.follows(&rig.b);
    rig.until_reached("AGG_P");
}

/// `A` serves, `B` does not and thinks so of `A`, and clients notice nothing.
#[track_caller]
fn nothing_happens(rig: &Rig, suspicion: Option<Suspicion>) {
    let before = rig.a.until_serves(&rig.a).epoch;
    let fleet = Fleet::start(&rig.lab);
    rig.b.never_serves(&rig.a, LONG);
    let ledger = fleet.stop();
    let seen = rig.b.row(&rig.a).expect("a row").suspicion;
    assert_eq!(seen, suspicion, "how B stands with A");
    assert_eq!(ledger.turns(), ["AGG_P"]);
    assert!(ledger.gap() < Duration::from_secs(1), "nobody was served for {:?}", ledger.gap());
    assert!(rig.a.has_address(&rig.lab) && !rig.b.has_address(&rig.lab));
    assert_eq!(rig.a.until_serves(&rig.a).epoch, before);
}
