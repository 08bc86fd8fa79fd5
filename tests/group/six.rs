//! A seat whose address is an IPv6 one: neighbour discovery in place of ARP, all else alike.

use crate::{
    common::{eventually, throughout, within},
    node::{PRIMARY_TIMEOUT, Wishes},
    rig::Rig,
};
use failback::model::group::NodeStateName;
use std::time::{Duration, Instant};

/// From the fault to the first answer.
const LIMIT: Duration = PRIMARY_TIMEOUT.saturating_add(Duration::from_secs(1));

fn joined() -> Rig {
    let six = || Wishes { shared: "fd77::10", ..Wishes::default() };
    Rig::joined_with(&six(), &six())
}

/// No client asks meanwhile: what its host believes is mended by the unsolicited advertisement alone.
#[test]
fn b8_peers_21_an_ipv6_address_moves_with_a_takeover_and_back_with_reverse_and_caches_follow() {
    let mut rig = joined();
    let session = rig.client();
    assert_eq!(rig.believed(), rig.mac(&rig.a));
    let fault = Instant::now();

    rig.kill_a();

    rig.b.until_serves(&rig.a);
    rig.follows(&rig.b);
    rig.until_reached("AGG_P");
    assert!(fault.elapsed() <= LIMIT, "served {:?} after the fault", fault.elapsed());
    assert!(rig.b.has_address(&rig.lab) && !rig.a.has_address(&rig.lab), "the address moved");
    drop(session);

    rig.a_returns();
    eventually("it is manageable at its fallback address", || rig.a.has(&rig.lab, "fd77::121").then_some(()));
    rig.b.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.follows(&rig.a);
    assert!(rig.a.has_address(&rig.lab) && !rig.b.has_address(&rig.lab), "the address is back");
    rig.settled();
}

#[test]
fn b11_an_ipv6_address_of_a_frozen_holder_is_gone_by_itself_and_is_not_its_again_when_it_wakes() {
    let mut rig = joined();
    let line = rig.a.addresses(&rig.lab).lines().find(|line| line.contains("fd77::10/")).map(str::to_owned);
    let line = line.expect("the holder has it");
    assert!(line.contains("valid_lft 1sec"), "the kernel was told to forget it soon: {line}");

    rig.a.proxy.process().signal("STOP");
    within(PRIMARY_TIMEOUT, "the kernel took it", || (!rig.a.has_address(&rig.lab)).then_some(()));
    rig.b.until_serves(&rig.a);
    eventually("B has it", || rig.b.has_address(&rig.lab).then_some(()));
    rig.a.proxy.process().signal("CONT");

    rig.a.until_state(NodeStateName::Offline);
    throughout(PRIMARY_TIMEOUT, "one has the address", || rig.b.has_address(&rig.lab) && !rig.a.has_address(&rig.lab));
    rig.until_reached("AGG_P");
}
