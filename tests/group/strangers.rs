//! Two backup nodes of one primary node. They are joined with it and not with each other: what they know of each other they hear by beacon,
//! and that must be enough for one of them to serve, and no more than one.

use crate::{
    common::{eventually, throughout, within},
    node::{Node, Wishes},
    rig::Rig,
};
use std::time::Duration;

/// `A` with its backups `B` and `C`.
fn star() -> (Rig, Node) {
    let rig = Rig::joined();
    let c = rig.third_with("backup", "", &Wishes::default());
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
