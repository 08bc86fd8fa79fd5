//! A holder that hangs, and comes to itself when another serves.

use crate::{
    common::{eventually, throughout},
    node::PRIMARY_TIMEOUT,
    rig::Rig,
};
use failback::model::group::NodeStateName;
use std::time::Duration;

#[test]
fn b11_a_holder_frozen_for_twice_the_timeout_does_not_serve_when_it_wakes() {
    let mut rig = Rig::joined();
    let mut session = rig.client();
    assert_eq!(session.server(), "AGG_P");

    rig.a.proxy.process().signal("STOP");
    std::thread::sleep(2 * PRIMARY_TIMEOUT);
    let taken = rig.b.until_serves(&rig.a);
    assert!(!rig.a.has_address(&rig.lab), "the kernel took the address from it");
    let asked = rig.primary.asked() + rig.backup.asked();

    // A line from before waits in its socket. It must not be relayed any more.
    let _buffered = session.say("written while it hung");
    rig.a.proxy.process().signal("CONT");

    rig.a.until_state(NodeStateName::Offline);
    rig.a.never_serves(&rig.a, 2 * PRIMARY_TIMEOUT);
    throughout(Duration::from_secs(1), "one has the address", || {
        rig.b.has_address(&rig.lab) && !rig.a.has_address(&rig.lab)
    });
    assert_eq!(rig.b.seat(&rig.a).expect("the seat").epoch, taken.epoch);
    assert!(session.hear().is_err(), "its sessions are over");
    // Only health checks, which say nothing, and nobody's line but what came by the new holder.
    assert_eq!(rig.primary.asked() + rig.backup.asked(), asked, "it relayed under an old epoch");
    assert_eq!(rig.serves().as_deref(), Some("AGG_P"));
}

#[test]
fn b8_a_pause_shorter_than_the_timeout_changes_nothing() {
    let mut rig = Rig::joined();
    let before = rig.b.seat(&rig.a).expect("the seat").epoch;
    for _ in 0..3 {
        rig.a.proxy.process().signal("STOP");
        std::thread::sleep(PRIMARY_TIMEOUT / 3);
        rig.a.proxy.process().signal("CONT");
        std::thread::sleep(Duration::from_millis(500));
    }
    rig.b.never_serves(&rig.a, PRIMARY_TIMEOUT);
    eventually("served as before", || (rig.serves().as_deref() == Some("AGG_P")).then_some(()));
    assert_eq!(rig.a.until_serves(&rig.a).epoch, before);
}
