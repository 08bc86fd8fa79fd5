//! Dials in flight: cancelled when the table changes, timed out, and never mistaken for the upstream's fault when the fault
//! is ours.

use crate::rig::{Rig, Silent, accept, close_all, eventually, reset, server, to};
use failback::model::{EndReason, RefuseReason, Side, ports::Evidence, spec::HoldSpec, table::Admit};
use std::{
    io::{ErrorKind, Read, Write},
    time::Duration,
};

#[test]
fn a_dial_that_hangs_is_given_up_when_the_pair_changes_sides_and_the_client_is_served_there() {
    let silent = Silent::server();
    let (backup, backup_address) = server();
    let mut rig = Rig::to(2, silent.address);
    let mut client = rig.client();
    client.write_all(b"to whom it may concern").unwrap();
    eventually("the client has been accepted", || rig.clients() == 1);

    rig.pair.admit = to("AGG_B", Side::Backup, backup_address);
    rig.pair.epoch = rig.pair.epoch.next();
    rig.pair.close = Some(close_all(1, Some("AGG_B"), EndReason::Failover));
    rig.publish();

    let mut upstream = accept(&backup);
    let mut heard = [0; 22];
    upstream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"to whom it may concern");
    eventually("the old side is left", || rig.order(1).is_some_and(|order| order.left == 0));
    assert_eq!(rig.sessions("AGG_B"), 1);
}

#[test]
fn an_order_waits_for_a_dial_that_hangs_and_confirms_that_it_was_given_up() {
    let silent = Silent::server();
    let mut rig = Rig::to(2, silent.address);
    let clients: Vec<_> = (0..10).map(|_| rig.client()).collect();
    eventually("the clients have been accepted", || rig.clients() == 10);

    rig.pair.admit = Admit::Hold;
    rig.pair.epoch = rig.pair.epoch.next();
    rig.pair.close = Some(close_all(7, None, EndReason::Failback));
    rig.publish();

    eventually("no dial is left", || rig.order(7).is_some_and(|order| order.left == 0));
    eventually("the clients are held, not closed", || rig.held() == 10);
    // What the silent server would see if it woke up now: nobody who still wants it.
    silent.wake();
    assert_eq!(silent.clients_that_wait(), 0);
    drop(clients);
}

#[test]
fn the_epoch_alone_makes_a_dial_start_anew() {
    let silent = Silent::server();
    let mut rig = Rig::to(1, silent.address);
    let _client = rig.client();
    // Begun any later, it might be answered, and given up, with its place in the server's queue taken for good.
    eventually("its dial hangs", || silent.is_dialled());
    silent.wake();
    rig.pair.epoch = rig.pair.epoch.next();
    rig.publish();
    eventually("it is dialled again, under the new epoch", || rig.sessions("AGG_P") == 1);
}

#[test]
fn a_dial_without_an_answer_ends_at_its_deadline_and_is_evidence() {
    let silent = Silent::server();
    let mut rig = Rig::holding(1);
    rig.pair.admit = to("AGG_P", Side::Primary, silent.address);
    rig.pair.transport.connect_timeout = Duration::from_millis(200);
    rig.publish();
    let _client = rig.client();
    eventually("the client is held", || rig.held() == 1);
    let outcome = rig.outcomes.lock().unwrap().try_recv().unwrap();
    assert_eq!(outcome.evidence, Evidence::DialTimedOut);
}

#[test]
fn a_client_that_vanishes_while_its_dial_hangs_is_noticed() {
    let silent = Silent::server();
    let rig = Rig::to(1, silent.address);
    let client = rig.client();
    eventually("the client has been accepted", || rig.clients() == 1);
    reset(client);
    eventually("it is gone", || rig.refused(RefuseReason::ClientGone) == 1);
    assert!(rig.outcomes.lock().unwrap().is_empty());
}

#[test]
fn what_fails_on_this_machine_is_no_evidence_against_the_upstream() {
    // There is no TCP to everybody: connect fails here, before a packet is sent.
    let mut rig = Rig::to(1, "255.255.255.255:9".parse().unwrap());
    let client = rig.client();
    eventually("the client is held", || rig.held() == 1);
    drop(client);
    rig.pair.hold = HoldSpec { time: Duration::ZERO, max: 0 };
    rig.publish();
    eventually("who is held no longer is refused", || rig.held() == 0);
    let refused = rig.client().read(&mut [0]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionReset);
    assert!(rig.refused(RefuseReason::LocalTrouble) >= 1);
    assert!(rig.outcomes.lock().unwrap().is_empty());
}
