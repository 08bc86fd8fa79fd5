//! Nodes whose disk is full, or lost, and what must hold nevertheless.

use crate::{
    common::{eventually, proxy::PAIR, throughout, within},
    node::Wishes,
    rig::{Rig, by_hand},
};
use failback::model::{Side, group::NodeStateName, view::group::GroupView};
use std::time::Duration;

fn on_small_disk(wishes: Wishes) -> Wishes {
    Wishes { small_disk: true, ..wishes }
}

fn warns_of_disk(group: &GroupView) -> bool {
    group.warnings.iter().any(|warning| warning.contains("what changed of a seat is not on this node's disk"))
}

#[test]
fn x4_a_side_that_the_holders_disk_could_not_take_down_is_kept_through_a_takeover() {
    let mut rig = Rig::joined_with(&on_small_disk(Wishes::default()), &Wishes::default());
    let full = rig.a.fill_disk();
    rig.primary.kill();
    let failed_over = rig.a.proxy.settled_on(Side::Backup);
    within(Duration::from_secs(5), "the backup node knows", || {
        let pair = rig.b.proxy.pair();
        (pair.active_side == Side::Backup && pair.epoch == failed_over.epoch).then_some(())
    });
    rig.a.until("it warns", warns_of_disk);
    rig.lab.on("primary", || rig.primary.revive());
    rig.a.proxy.until_admissible("AGG_B");
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_B");
    let pair = rig.b.proxy.pair();
    assert_eq!((pair.active_side, pair.epoch), (Side::Backup, failed_over.epoch));
    full.make_room();
}

#[test]
fn x4_what_a_full_disk_did_not_take_is_there_after_room_was_made_and_a_restart() {
    let mut rig = Rig::joined_with(&on_small_disk(by_hand()), &by_hand());
    let full = rig.a.fill_disk();
    rig.primary.kill();
    let failed_over = rig.a.proxy.settled_on(Side::Backup);
    rig.a.until("it warns", warns_of_disk);
    full.make_room();
    rig.a.until("the warning is over", |group| !warns_of_disk(group));
    eventually("the others have it", || rig.a.seat(&rig.a)?.replicated.then_some(()));
    rig.lab.on("primary", || rig.primary.revive());
    rig.kill_a();
    rig.a.launch();
    rig.until_reached("AGG_B");
    let pair = rig.a.proxy.pair();
    assert_eq!((pair.active_side, pair.epoch), (Side::Backup, failed_over.epoch));
    assert!(rig.a.proxy.admin.resync(PAIR, "{}").accepted, "and goes on from there");
    eventually("the backup node follows", || (rig.b.proxy.pair().active_side == Side::Primary).then_some(()));
}

#[test]
fn g6_a_holder_whose_disk_is_full_refuses_to_reverse_and_goes_on_serving() {
    let mut rig = Rig::joined_with(&Wishes::default(), &on_small_disk(Wishes::default()));
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.a_returns();
    rig.synced_from_b(&rig.a);
    let full = rig.b.fill_disk();
    let said = rig.b.refuses(&["reverse", "A"]);
    assert!(said.contains("could not store its record"), "{said}");
    throughout(Duration::from_secs(3), "it goes on serving", || rig.serves().as_deref() == Some("AGG_P"));
    full.make_room();
    rig.b.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_P");
}

/// The first order finds it out, before anybody lets go.
#[test]
fn g3_an_order_to_take_a_seat_costs_nothing_where_the_disk_takes_nothing() {
    let rig = Rig::joined_with(&Wishes::default(), &on_small_disk(Wishes::default()));
    let full = rig.b.fill_disk();
    for order in [&["takeover", "A"][..], &["takeover", "A", "--force"]] {
        let said = rig.b.refuses(order);
        assert!(said.contains("this node could not store its record"), "{said}");
    }
    assert_eq!((rig.a.told_of("seat_left"), rig.serves().as_deref()), (0, Some("AGG_P")));
    full.make_room();
    // It is tried each second.
    eventually("it is taken", || rig.b.proxy.cli(&["takeover", "A"]).status.success().then_some(()));
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_P");
}

#[test]
fn b8_a_backup_whose_disk_is_full_says_that_it_could_not_take_over() {
    let rig = Rig::joined_with(&Wishes::default(), &on_small_disk(Wishes::default()));
    let full = rig.b.fill_disk();
    let warns = |group: &GroupView| {
        group.warnings.iter().any(|line| line.contains("could not take over seat A") && line.contains("is full"))
    };
    rig.b.until("it warns", warns);
    rig.a.until("and the holder says so, too", warns);
    full.make_room();
    rig.b.until("the warning is over", |group| !warns(group));
}

#[test]
fn g3_a_holder_that_is_well_and_cannot_listen_hands_its_seat_over_when_it_is_ordered() {
    let mut rig = Rig::joined_by_hand();
    rig.kill_a();
    let _in_the_way = rig.lab.server("OTHER", "a", "0.0.0.0:4100");
    rig.a.launch();
    let warned = |group: &GroupView| group.warnings.iter().any(|warning| warning.contains("can't serve seat A"));
    rig.a.until("it warns", warned);
    rig.b.order(&["takeover", "A"]);
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_P");
}

#[test]
fn b8_a_holder_that_is_well_and_cannot_listen_hands_its_seat_over_by_itself() {
    let mut rig = Rig::joined();
    rig.primary.kill();
    let failed_over = rig.a.proxy.settled_on(Side::Backup);
    rig.lab.on("primary", || rig.primary.revive());
    // Nobody is missed: the holder begins alone, and the other hears it from its own beginning.
    rig.b.proxy.kill();
    rig.kill_a();
    let in_the_way = rig.lab.server("OTHER", "a", "0.0.0.0:4100");
    rig.a.launch();
    rig.b.launch();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_B");
    assert!(rig.a.told_of("asked_to_come") > 0, "it was asked to");
    let pair = rig.b.proxy.pair();
    assert_eq!((pair.active_side, pair.epoch), (Side::Backup, failed_over.epoch));
    drop(in_the_way);
    throughout(Duration::from_secs(3), "it is not taken back", || rig.serves().as_deref() == Some("AGG_B"));
    rig.b.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_B");
}

#[test]
fn b1_a_primary_node_whose_disk_is_lost_comes_back_under_its_name_and_gets_its_seat_back() {
    let mut rig = Rig::joined();
    rig.primary.kill();
    let failed_over = rig.a.proxy.settled_on(Side::Backup);
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.lab.on("primary", || rig.primary.revive());
    // Another machine of its name, with its old configuration but for the role.
    std::fs::remove_dir_all(rig.a.proxy.dir().join("state")).expect("its disk is lost");
    rig.a.configure("backup", &crate::rig::seat(), &Wishes::default());
    rig.a.launch();
    rig.b.order(&["group", "role", "primary"]);
    rig.b.order(&["group", "leave", "--node", "A"]);
    rig.b.order(&["group", "join", &rig.a.peer(), "--reverse", &rig.b.peer()]);
    rig.synced_from_b(&rig.a);
    rig.a.order(&["group", "role", "primary"]);
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_B");
    let pair = rig.a.proxy.pair();
    assert_eq!(
        (pair.active_side, pair.epoch),
        (Side::Backup, failed_over.epoch),
        "nobody was sent to the stale server"
    );
    rig.b.until("it stands by", |group| group.state == NodeStateName::Standby);
    // The file is put right, and after a restart A knows no seat but its own.
    rig.a.configure("primary", &crate::rig::seat(), &Wishes::default());
    rig.a.order(&["reload"]);
    let roles = || std::fs::read_to_string(rig.a.proxy.dir().join("state/peers.json")).unwrap_or_default();
    eventually("it is known that B is a backup node", || roles().contains("\"backup\"").then_some(()));
    rig.a.proxy.kill();
    rig.b.until_serves(&rig.a);
    rig.a.launch();
    rig.a.until("it knows one seat", |group| group.seats.len() == 1 && group.nodes.len() == 2);
}
