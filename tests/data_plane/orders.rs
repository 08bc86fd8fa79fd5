//! Closing orders: whom they concern, how fast, and the confirmation.

use crate::rig::{Rig, accept, close_all, eventually, joined, server, to};
use failback::model::{
    EndReason, Side,
    table::{Admit, CloseOrder, CloseRate},
};
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, atomic::AtomicU64, atomic::Ordering::Relaxed},
};

fn alive(client: &mut TcpStream, upstream: &mut TcpStream) {
    client.write_all(b"?").unwrap();
    upstream.read_exact(&mut [0]).unwrap();
    upstream.write_all(b"!").unwrap();
    client.read_exact(&mut [0]).unwrap();
}

fn at_pace(id: u64, allowed: u64, taken: &Arc<AtomicU64>) -> CloseOrder {
    CloseOrder {
        rate: CloseRate::Allowed { allowed, taken: Arc::clone(taken) },
        ..close_all(id, None, EndReason::Failback)
    }
}

#[test]
fn all_sessions_of_the_side_left_are_closed_and_those_of_the_new_side_are_not() {
    let (primary, primary_address) = server();
    let (backup, backup_address) = server();
    let mut rig = Rig::to(2, backup_address);
    rig.pair.admit = to("AGG_B", Side::Backup, backup_address);
    rig.publish();
    let old: Vec<_> = (0..20).map(|_| joined(&rig, &backup)).collect();
    rig.pair.admit = to("AGG_P", Side::Primary, primary_address);
    rig.publish();
    let (mut client, mut upstream) = joined(&rig, &primary);

    rig.pair.close = Some(close_all(5, Some("AGG_P"), EndReason::Failback));
    rig.publish();

    eventually("the old side is left", || rig.order(5).is_some_and(|order| order.left == 0));
    assert_eq!((rig.sessions("AGG_B"), rig.sessions("AGG_P")), (0, 1));
    assert_eq!(rig.ends(EndReason::Failback), 20);
    alive(&mut client, &mut upstream);
    for (mut client, mut upstream) in old {
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "a planned change is an orderly end for the client");
        let error = upstream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "nothing may reach the side left any more");
    }
}

#[test]
fn a_failed_sides_sessions_end_with_a_reset() {
    let (listener, address) = server();
    let mut rig = Rig::to(1, address);
    let (mut client, _upstream) = joined(&rig, &listener);
    rig.pair.admit = Admit::Hold;
    rig.pair.close = Some(close_all(1, None, EndReason::Failover));
    rig.publish();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    eventually("it is counted", || rig.ends(EndReason::Failover) == 1);
}

#[test]
fn who_comes_after_the_order_is_not_concerned_however_often_it_is_repeated() {
    let (listener, address) = server();
    let mut rig = Rig::to(2, address);
    let _first = joined(&rig, &listener);
    rig.pair.close = Some(close_all(3, None, EndReason::Switch));
    rig.publish();
    eventually("the first is closed", || rig.order(3).is_some_and(|order| order.left == 0));
    let (mut client, mut upstream) = joined(&rig, &listener);
    for _ in 0..3 {
        rig.publish();
    }
    alive(&mut client, &mut upstream);
    assert_eq!((rig.sessions("AGG_P"), rig.ends(EndReason::Switch)), (1, 1));
}

#[test]
fn the_oldest_are_closed_first_and_no_more_than_allowed() {
    let (listener, address) = server();
    let mut rig = Rig::to(1, address);
    let mut sessions: Vec<_> = (0..6).map(|_| joined(&rig, &listener)).collect();
    let taken = Arc::new(AtomicU64::new(0));
    for (allowed, left) in [(0, 6), (2, 4), (2, 4), (5, 1)] {
        rig.pair.close = Some(at_pace(1, allowed, &taken));
        rig.publish();
        eventually("as many are closed", || rig.order(1).is_some_and(|order| order.left == left));
        let gone = usize::try_from(6 - left).unwrap();
        for (client, upstream) in &mut sessions[gone..] {
            alive(client, upstream);
        }
        for (client, _) in &mut sessions[..gone] {
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
    }
    // Forced: the same order, at once.
    rig.pair.close = Some(close_all(1, None, EndReason::Failback));
    rig.publish();
    eventually("the last is closed", || rig.order(1).is_some_and(|order| order.left == 0));
    assert_eq!(taken.load(Relaxed), 5);
}

#[test]
fn the_workers_share_what_is_allowed() {
    let (listener, address) = server();
    let mut rig = Rig::to(2, address);
    let sessions: Vec<_> = (0..40).map(|_| joined(&rig, &listener)).collect();
    let taken = Arc::new(AtomicU64::new(0));
    for allowed in [1, 10, 30] {
        rig.pair.close = Some(at_pace(1, allowed, &taken));
        rig.publish();
        eventually("as many are closed", || rig.order(1).is_some_and(|order| order.left == 40 - allowed));
        assert_eq!((taken.load(Relaxed), rig.sessions("AGG_P")), (allowed, 40 - allowed));
    }
    drop(sessions);
    eventually("who leaves by himself is left too", || rig.order(1).is_some_and(|order| order.left == 0));
}

#[test]
fn exempt_clients_stay_and_are_counted() {
    let (listener, address) = server();
    let mut rig = Rig::to(1, address);
    let (_concerned, _) = joined(&rig, &listener);
    let exempt = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    exempt.bind(&"127.0.0.9:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    exempt.connect(&rig.address.into()).unwrap();
    let mut exempt = TcpStream::from(exempt);
    let mut upstream = accept(&listener);
    eventually("both are there", || rig.sessions("AGG_P") == 2);

    rig.pair.exempt = ["127.0.0.9/32".parse().unwrap()].into();
    rig.pair.close = Some(CloseOrder { spare_exempt: true, ..close_all(2, None, EndReason::Failback) });
    rig.publish();

    eventually("the other one is closed", || rig.order(2).is_some_and(|order| (order.left, order.exempt) == (0, 1)));
    alive(&mut exempt, &mut upstream);
    drop((exempt, upstream));
    eventually("the exempt one has left", || rig.order(2).is_some_and(|order| order.exempt == 0));
}

#[test]
fn a_newer_order_takes_the_place_of_the_older_one() {
    let (listener, address) = server();
    let mut rig = Rig::to(1, address);
    let mut sessions: Vec<_> = (0..5).map(|_| joined(&rig, &listener)).collect();
    rig.pair.close = Some(at_pace(1, 2, &Arc::default()));
    rig.publish();
    eventually("two are closed", || rig.order(1).is_some_and(|order| order.left == 3));

    // The migration is aborted: the sessions are where they belong again.
    rig.pair.close = Some(close_all(2, Some("AGG_P"), EndReason::Failback));
    rig.publish();

    eventually("the rest is spared", || rig.order(2).is_some_and(|order| order.left == 0));
    for (client, upstream) in &mut sessions[2..] {
        alive(client, upstream);
    }
    rig.pair.close = None;
    rig.publish();
    assert_eq!(rig.sessions("AGG_P"), 3);
}
