//! Conflicts that do not end by themselves: configured roles at odds, a seat released, one that serves and does not hear (`B14`).

use crate::{
    common::eventually,
    fleet::Fleet,
    node::{Node, PRIMARY_TIMEOUT, Wishes},
    rig::{LINK, Rig},
    told::telling,
};
use failback::model::group::{NodeStateName, Role};

/// Waits until this node says that roles are at odds.
#[track_caller]
fn says(node: &Node, words: &str) {
    node.until(words, |group| group.warnings.iter().any(|warning| warning.contains(words)));
    let status = node.order(&["status"]);
    assert!(status.contains(words), "{status}");
}

/// Waits until one is a primary node and serves its own seat, and the other its backup.
#[track_caller]
fn mended(rig: &Rig, primary: &Node, backup: &Node) {
    let seat = eventually("the seat is its holder's own", || {
        primary.seat(&rig.a).filter(|seat| seat.here && *seat.home == *primary.name && !seat.degraded)
    });
    primary.until("it is a primary node", |group| group.role == Role::Primary && group.warnings.is_empty());
    backup.until("it is a backup node", |group| group.role == Role::Backup && group.warnings.is_empty());
    backup.until_state(NodeStateName::Standby);
    let copy = || backup.seat(&rig.a).filter(|copy| copy.holder == seat.holder && copy.home == seat.home);
    eventually("both agree", || copy().map(drop));
    rig.until_reached("AGG_P");
}

#[test]
fn b14_all_nodes_backup_is_shown_and_told_and_mended_at_either_without_moving_the_seat() {
    let (mut rig, hook, _folder) = telling(Wishes::default(), &Wishes::default());
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.a_returns();
    let fleet = Fleet::start(&rig.lab);

    rig.a.order(&["group", "role", "backup"]);

    says(&rig.a, "all nodes are backup nodes");
    says(&rig.b, "all nodes are backup nodes");
    eventually("it is an alert", || {
        hook.alerts().iter().any(|alert| alert["kind"] == "conflict" && alert["about"] == "roles").then_some(())
    });
    // The one that does not serve tells the one that does.
    let said = rig.a.order(&["group", "resolve"]);
    assert!(said.contains("B is told to resolve it"), "{said}");
    mended(&rig, &rig.b, &rig.a);
    let ledger = fleet.stop();
    assert_eq!(ledger.turns(), ["AGG_P"]);
    assert!(ledger.gap() < PRIMARY_TIMEOUT, "nobody was served for {:?}", ledger.gap());
}

#[test]
fn b14_a_seat_released_while_all_are_backup_nodes_is_taken_by_the_one_that_is_told_to() {
    let mut rig = Rig::joined();
    rig.b.proxy.kill();
    rig.a.order(&["group", "role", "backup", "--force"]);
    rig.a.until_state(NodeStateName::Standby);
    rig.b.launch();
    says(&rig.b, "all nodes are backup nodes");
    rig.b.never_serves(&rig.a, PRIMARY_TIMEOUT);
    assert_eq!(rig.serves(), None);

    rig.b.order(&["group", "resolve"]);

    mended(&rig, &rig.b, &rig.a);
    let seat = rig.b.until_serves(&rig.a);
    assert_eq!(seat.reason.as_str(), "resolved");
}

/// Both took the role while they were parted; then only one of them hears the other again.
#[test]
fn b14_two_primaries_of_which_one_is_deaf_are_shown_and_end_at_an_order() {
    let (rig, hook, _folder) = telling(Wishes::default(), &Wishes::default());
    rig.deafen(&rig.a, "b", "");
    rig.deafen(&rig.b, "a", "");
    rig.b.never_serves(&rig.a, 2 * PRIMARY_TIMEOUT);
    // An operator who believes A to be dead.
    let said = rig.b.order(&["group", "role", "primary", "--force"]);
    assert!(said.contains("holds seat A"), "{said}");
    rig.b.until_serves(&rig.a);
    rig.a.until_serves(&rig.a);

    rig.heal(&rig.b);

    says(&rig.b, "A serves seat A too");
    says(&rig.b, "B and A are both primary nodes");
    eventually("it is told", || hook.alerts().iter().any(|alert| alert["kind"] == "conflict").then_some(()));
    let said = rig.b.refuses(&["group", "resolve"]);
    assert!(said.contains("group role backup --force"), "{said}");

    rig.a.order(&["group", "role", "backup", "--force"]);

    eventually("one has the address", || (!rig.a.has_address(&rig.lab)).then_some(()));
    rig.heal(&rig.a);
    mended(&rig, &rig.b, &rig.a);
    let said = rig.b.order(&["group", "resolve"]);
    assert!(said.contains("nothing to mend"), "{said}");
}

/// The one that took over is made a primary node; then the other returns and takes itself for one.
#[test]
fn b14_a_node_that_returns_as_a_primary_beside_its_successor_becomes_its_backup() {
    let mut rig = Rig::joined();
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.b.order(&["group", "role", "primary"]);
    rig.a.launch();
    mended(&rig, &rig.b, &rig.a);
    assert_eq!(rig.a.group().seats.len(), 1, "and there is no second seat");
}

/// Both took the role while they were parted, and the network heals altogether: it ends by itself, the one that was forced last is the
/// primary.
#[test]
fn b14_two_primaries_that_hear_each_other_again_end_as_one_and_its_backup() {
    let rig = Rig::joined();
    rig.deafen(&rig.a, "b", "");
    rig.deafen(&rig.b, "a", "");
    rig.b.never_serves(&rig.a, PRIMARY_TIMEOUT);
    rig.b.order(&["group", "role", "primary", "--force"]);
    rig.b.until_serves(&rig.a);
    rig.heal(&rig.b);
    rig.heal(&rig.a);
    mended(&rig, &rig.b, &rig.a);
    assert!(!rig.a.has_address(&rig.lab));
}

/// The peer link's heartbeats and orders are lost, beacons arrive: `--force` does without the holder's answer.
#[test]
fn b14_g3_an_order_that_the_holder_can_t_answer_is_refused_and_forced() {
    let rig = Rig::joined();
    rig.deafen(&rig.a, "b", LINK);
    rig.deafen(&rig.b, "a", LINK);
    rig.b.refuses(&["group", "role", "primary"]);
    rig.a.until_serves(&rig.a);
    rig.b.order(&["group", "role", "primary", "--force"]);
    mended_by_beacons(&rig);
    rig.heal(&rig.a);
    rig.heal(&rig.b);
    mended(&rig, &rig.b, &rig.a);
}

#[track_caller]
fn mended_by_beacons(rig: &Rig) {
    rig.b.until_serves(&rig.a);
    eventually("A has let go", || (!rig.a.has_address(&rig.lab)).then_some(()));
    rig.until_reached("AGG_P");
}
