//! What a node says when nobody serves, when a witness says nothing, and when a stranger has the address: to whoever looks, before he
//! has to ask.

use crate::{
    common::{eventually, proxy::PAIR, throughout, within},
    node::Node,
    rig::{NETWORK, Rig, SHARED},
    told::telling,
};
use std::{net::UdpSocket, time::Duration};

/// Waits until a line of `status` says all of this.
#[track_caller]
fn line(node: &Node, words: &[&str]) -> String {
    within(Duration::from_secs(40), &format!("{} says: {words:?}", node.name), || {
        let mut warnings = node.group().warnings.into_iter();
        warnings.find(|warning| words.iter().all(|words| warning.contains(words)))
    })
}

#[test]
fn g5_a_seat_that_nobody_serves_is_told_with_the_order_that_mends_it_and_so_is_each_step_after_it() {
    let (mut rig, hook, _folder) = telling(crate::rig::by_hand(), &crate::rig::by_hand());
    rig.kill_a();
    line(
        &rig.b,
        &[
            "no node is heard to serve seat A: A, which holds it, is silent",
            "takeover.auto is off",
            "failback takeover A",
        ],
    );
    let why = rig.b.order(&["why", PAIR]);
    assert!(
        why.contains("As far as is known here nobody is served: no node is heard to serve seat A")
            && !why.contains("Nothing is in its way"),
        "{why}"
    );
    eventually("it is told", || {
        hook.alerts().iter().any(|alert| alert["kind"] == "not_served" && alert["about"] == "A").then_some(())
    });

    rig.b.order(&["takeover", "A"]);
    rig.b.until_serves(&rig.a);
    line(&rig.b, &["seat A is A's own, which is silent", "`failback reverse A`"]);
    rig.b.until("nobody is at a loss", |group| group.seats.iter().all(|seat| seat.not_served.is_none()));
    rig.a_returns();
    line(&rig.b, &["seat A is A's own, which is heard: `failback reverse A` gives it back"]);
    line(&rig.a, &["B serves seat A, which is this node's own: `failback reverse A` takes it back"]);
    rig.synced_from_b(&rig.a);
    rig.a.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    for node in [&rig.a, &rig.b] {
        node.until("nothing is to be ordered", |group| !group.warnings.iter().any(|line| line.contains("reverse")));
    }
}

#[test]
fn b10_a_witness_that_does_not_answer_is_told_before_it_is_needed() {
    let rig = Rig::joined();
    rig.lab.cable("witness", NETWORK, "down");
    for node in [&rig.a, &rig.b] {
        line(node, &["witness icmp:10.77.0.1 does not answer"]);
        assert_eq!(node.told_of("witness_silent"), 1);
    }
    rig.lab.cable("witness", NETWORK, "up");
    within(Duration::from_secs(40), "it answers again", || (rig.b.told_of("witness_back") == 1).then_some(()));
}

/// RFC 5227 would have it defended once. Input: a host that claims the address once, and then only answers for it. Output: the conflict lasts as
/// long as it does that, and clients are told again and again whose it is.
#[test]
fn b14_a_stranger_that_has_the_address_is_told_for_as_long_as_it_answers_for_it() {
    let rig = Rig::joined();
    rig.lab.run("c", &format!("ip address add {SHARED}/32 dev {NETWORK}"));
    rig.lab.on("c", || {
        let socket = UdpSocket::bind((SHARED, 0)).expect("an address of this host");
        socket.send_to(b"here", "10.77.0.9:9").expect("it is sent");
    });
    let said = line(&rig.a, &["another host", "claims the shared address of seat A"]);
    throughout(Duration::from_secs(8), "it is said", || rig.a.group().warnings.contains(&said));
    assert_eq!((rig.a.told_of("address_conflict"), rig.a.told_of("address_conflict_over")), (1, 0));
    rig.lab.run("c", &format!("ip address del {SHARED}/32 dev {NETWORK}"));
    eventually("it is over", || (rig.a.told_of("address_conflict_over") == 1).then_some(()));
    rig.until_reached("AGG_P");
}
