//! Two backup nodes of one primary node. They are joined with it and not with each other: what they know of each other they hear by beacon,
//! and that must be enough for one of them to serve, and no more than one.

use crate::{
    common::{eventually, proxy::PAIR, throughout, within},
    node::{Node, PRIMARY_TIMEOUT, Wishes},
    rig::{Rig, by_hand},
    unfit::says,
};
use failback::model::view::group::GroupView;
use std::{net::TcpListener, time::Duration};

/// `A` with its backups `B` and `C`.
fn star() -> (Rig, Node) {
    star_with(&Wishes::default())
}

fn star_with(of_c: &Wishes) -> (Rig, Node) {
    let rig = Rig::joined();
    let c = rig.third_with("backup", "", of_c);
    rig.a.order(&["group", "join", &c.peer(), "--reverse", &rig.a.peer()]);
    rig.synced(&c);
    c.until_servers_known();
    (rig, c)
}

/// Which of the two serves what is `A`'s.
fn serving(rig: &Rig, c: &Node) -> Vec<&'static str> {
    [&rig.b, c]
        .into_iter()
        .filter(|node| node.seat(&rig.a).is_some_and(|seat| seat.here))
        .map(|node| node.name)
        .collect()
}

/// One serves, and stays the only one.
#[track_caller]
fn one_alone(rig: &Rig, c: &Node) -> &'static str {
    let who = within(Duration::from_secs(10), "one of them serves", || serving(rig, c).pop());
    throughout(Duration::from_secs(5), "no other does", || {
        let both = rig.b.has_address(&rig.lab) && c.has_address(&rig.lab);
        serving(rig, c) == [who] && !both
    });
    assert_eq!(rig.serves().as_deref(), Some("AGG_P"));
    who
}

#[test]
fn g2_of_two_backups_that_are_strangers_to_each_other_one_takes_over() {
    let (mut rig, c) = star();
    for _ in 0..3 {
        rig.kill_a();
        let who = one_alone(&rig, &c);
        assert_eq!((rig.b.told_of("held_back"), c.told_of("held_back")), (0, 0), "it went as it should");
        rig.a.launch();
        let heard = || rig.a.seat(&rig.a).is_some_and(|seat| seat.holder.as_deref() == Some(who));
        eventually("it has heard who serves", || heard().then_some(()));
        rig.a.order(&["reverse", "A"]);
        rig.a.until_serves(&rig.a);
        rig.until_reached("AGG_P");
        rig.synced(&rig.b);
        rig.synced(&c);
    }
    rig.cable(&rig.a, "down");
    one_alone(&rig, &c);
    rig.cable(&rig.a, "up");
    eventually("who was cut off lets go", || rig.a.seat(&rig.a).is_some_and(|seat| !seat.here).then_some(()));
    one_alone(&rig, &c);
}

/// `B` hangs while the pair changes sides, and comes to itself when the holder has died: what it has leads clients to the server that was left.
fn a_side_that_only_c_knows(rig: &mut Rig, c: &Node) {
    rig.b.proxy.process().signal("STOP");
    rig.a.order(&["switch", PAIR, "--to", "backup"]);
    rig.until_reached("AGG_B");
    eventually("C has it", || (&*c.proxy.pair().active_upstream == "AGG_B").then_some(()));
    rig.kill_a();
    rig.b.proxy.process().signal("CONT");
}

#[test]
fn the_backup_that_has_the_newer_copy_takes_over_and_not_the_first_by_name() {
    let (mut rig, c) = star();
    a_side_that_only_c_knows(&mut rig, &c);
    c.until_serves(&rig.a);
    rig.until_reached("AGG_B");
    throughout(Duration::from_secs(5), "nobody is led to the server that was left", || {
        serving(&rig, &c) == ["C"] && rig.serves().as_deref() == Some("AGG_B")
    });
}

#[test]
fn a_backup_does_not_take_over_with_an_older_copy_than_another_has_and_says_where_to_order_it() {
    let (mut rig, c) = star_with(&by_hand());
    a_side_that_only_c_knows(&mut rig, &c);
    eventually("B says why not", || (rig.b.told_of("held_back") == 1).then_some(()));
    let refusal = rig.b.refuses(&["takeover", "A"]);
    assert!(refusal.contains("newer copy"), "{refusal}");
    let named = |view: &GroupView| view.warnings.iter().any(|line| line.contains("failback takeover A on C"));
    rig.b.until("it names the node to order it at", named);
    rig.b.never_serves(&rig.a, Duration::from_secs(2));
    c.order(&["takeover", "A"]);
    c.until_serves(&rig.a);
    rig.until_reached("AGG_B");
}

#[test]
fn of_two_backups_with_equal_copies_the_one_that_could_serve_takes_over() {
    let (mut rig, c) = star();
    let _taken = rig.lab.on("b", || TcpListener::bind("0.0.0.0:4100").expect("a free port"));
    says(&rig.b, &["B could not take over seat A", "4100 is in use"]);
    rig.kill_a();
    c.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    assert_eq!(rig.b.told_of("seat_taken"), 0);
    std::thread::sleep(2 * PRIMARY_TIMEOUT);
    assert_eq!((rig.b.told_of("held_back"), c.told_of("held_back")), (0, 0), "nobody is called for what is well");
}

#[test]
fn b8_a_backup_that_took_a_seat_it_can_not_serve_leaves_it_to_the_other_as_soon_as_that_one_could() {
    let (mut rig, c) = star();
    let _taken = rig.lab.on("b", || TcpListener::bind("0.0.0.0:4100").expect("a free port"));
    let in_the_way = rig.lab.on("c", || TcpListener::bind("0.0.0.0:4100").expect("a free port"));
    says(&rig.b, &["B could not take over seat A", "4100 is in use"]);
    says(&c, &["C could not take over seat A", "4100 is in use"]);
    rig.kill_a();
    says(&rig.b, &["B can't serve seat A", "4100"]);
    c.never_serves(&rig.a, 3 * PRIMARY_TIMEOUT);
    drop(in_the_way);
    c.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    assert_eq!(one_alone(&rig, &c), "C");
}

#[test]
fn who_was_forced_to_serve_an_older_copy_says_so_until_the_other_has_what_is_served() {
    let (mut rig, c) = star_with(&by_hand());
    a_side_that_only_c_knows(&mut rig, &c);
    rig.b.until("it names the order", |view| view.warnings.iter().any(|line| line.contains("--force here")));
    rig.b.order(&["takeover", "A", "--force"]);
    rig.until_reached("AGG_P");
    says(&rig.b, &["B serves seat A with an older copy than C had"]);
    rig.b.order(&["group", "join", &c.peer(), "--reverse", &rig.b.peer()]);
    eventually("it is over", || (rig.b.told_of("copies_agree") == 1).then_some(()));
}
