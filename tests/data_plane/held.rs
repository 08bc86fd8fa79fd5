//! Clients in the gap: held, released, expired, refused, gone (`X3`, `N1`).

use crate::rig::{Rig, SOON, accept, eventually, reset, server, to};
use failback::model::{EndReason, RefuseReason, Side, ports::Evidence, spec::HoldSpec};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    time::{Duration, Instant},
};

#[track_caller]
fn is_reset(client: &mut TcpStream) {
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_held_client_is_released_when_a_side_is_usable_and_has_lost_nothing() {
    let (listener, address) = server();
    let mut rig = Rig::holding(2);
    let mut client = rig.client();
    client.write_all(b"sent into the gap").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    eventually("the client is held although it has half-closed", || rig.held() == 1);

    rig.pair.admit = to("AGG_B", Side::Backup, address);
    rig.publish();

    let mut upstream = accept(&listener);
    let mut question = String::new();
    upstream.read_to_string(&mut question).unwrap();
    assert_eq!(question, "sent into the gap");
    upstream.write_all(b"answer").unwrap();
    drop(upstream);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
    eventually("nobody is held", || rig.held() == 0);
}

#[test]
fn a_held_client_that_vanishes_is_forgotten_at_once() {
    let rig = Rig::holding(1);
    let client = rig.client();
    eventually("the client is held", || rig.held() == 1);
    reset(client);
    eventually("it is forgotten", || rig.held() == 0);
    assert_eq!(rig.refused(RefuseReason::ClientGone), 1);
}

#[test]
fn a_client_is_held_for_hold_time_and_then_refused() {
    let mut rig = Rig::holding(1);
    rig.pair.hold.time = Duration::from_millis(300);
    rig.publish();
    let began = Instant::now();
    is_reset(&mut rig.client());
    assert!(began.elapsed() >= Duration::from_millis(290), "{:?}", began.elapsed());
    assert_eq!(rig.refused(RefuseReason::HoldExpired), 1);
    assert_eq!(rig.held(), 0);
}

#[test]
fn no_more_than_hold_max_are_held_over_all_workers() {
    let mut rig = Rig::holding(2);
    rig.pair.hold.max = 3;
    rig.publish();
    let mut clients: Vec<_> = (0..3).map(|_| rig.client()).collect();
    eventually("three are held", || rig.held() == 3);
    for _ in 0..5 {
        is_reset(&mut rig.client());
    }
    assert_eq!((rig.held(), rig.refused(RefuseReason::HoldFull)), (3, 5));
    reset(clients.remove(0));
    eventually("one is gone", || rig.held() == 2);
    clients.push(rig.client());
    eventually("another takes its place", || rig.held() == 3);
}

#[test]
fn n1_without_holding_a_client_is_refused_promptly_so_that_it_goes_to_its_second_address() {
    let mut rig = Rig::holding(2);
    for hold in [HoldSpec { time: Duration::ZERO, max: 10 }, HoldSpec { time: Duration::from_secs(9), max: 0 }] {
        rig.pair.hold = hold;
        rig.publish();
        let began = Instant::now();
        is_reset(&mut rig.client());
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(rig.refused(RefuseReason::NoServer), 2);
}

#[test]
fn n1_a_dead_server_means_refusal_when_nobody_is_held() {
    let (listener, address) = server();
    drop(listener);
    let mut rig = Rig::to(1, address);
    rig.pair.hold = HoldSpec { time: Duration::ZERO, max: 0 };
    rig.publish();
    is_reset(&mut rig.client());
    assert_eq!(rig.refused(RefuseReason::NoServer), 1);
    let outcome = rig.outcomes.lock().unwrap().try_recv().unwrap();
    assert_eq!((&*outcome.upstream, outcome.evidence), ("AGG_P", Evidence::DialRefused));
}

#[test]
fn a_failed_dial_is_repeated_to_the_same_side_before_any_byte_and_the_client_never_notices() {
    let (listener, address) = server();
    drop(listener);
    let rig = Rig::to(1, address);
    let mut client = rig.client();
    client.write_all(b"hello").unwrap();
    eventually("it is held", || rig.held() == 1);
    eventually("the failed dials are evidence", || rig.outcomes.lock().unwrap().len() >= 2);

    let listener = TcpListener::bind(address).unwrap();
    let mut upstream = accept(&listener);
    let mut heard = [0; 5];
    upstream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    assert_eq!((rig.held(), rig.sessions("AGG_P")), (0, 1));
}

#[test]
fn max_sessions_counts_all_workers_and_the_held() {
    let (listener, address) = server();
    let mut rig = Rig::holding(2);
    rig.max_sessions = 4;
    rig.publish();
    let held: Vec<_> = (0..4).map(|_| rig.client()).collect();
    eventually("four are held", || rig.held() == 4);
    is_reset(&mut rig.client());
    rig.pair.admit = to("AGG_P", Side::Primary, address);
    rig.publish();
    let upstreams: Vec<_> = (0..4).map(|_| accept(&listener)).collect();
    is_reset(&mut rig.client());
    assert_eq!(rig.refused(RefuseReason::MaxSessions), 2);

    drop((held, upstreams));
    eventually("their places are free", || {
        rig.ends(EndReason::ClientClosed) + rig.ends(EndReason::UpstreamClosed) == 4
    });
    let _client = rig.client();
    accept(&listener);
}

#[test]
fn newcomers_are_admitted_at_the_pace_over_all_workers() {
    const PACE: u32 = 40;
    let (listener, address) = server();
    let mut rig = Rig::holding(2);
    let clients: Vec<_> = (0..60).map(|_| rig.client()).collect();
    eventually("all are held", || rig.held() == 60);
    rig.pair.admit = to("AGG_P", Side::Primary, address);
    if let failback::model::table::Admit::To { pace, .. } = &mut rig.pair.admit {
        *pace = PACE;
    }
    let began = Instant::now();
    rig.publish();
    let mut upstreams = Vec::new();
    for number in 1..=60_u32 {
        upstreams.push(accept(&listener));
        let allowed = began.elapsed().as_secs_f64() * f64::from(PACE) + 3.0;
        assert!(f64::from(number) <= allowed, "{number} after {:?}", began.elapsed());
    }
    assert!(began.elapsed() < SOON);
    eventually("nobody is held", || rig.held() == 0);
    drop(clients);
}

#[test]
fn those_who_wait_for_the_pace_are_let_in_once_it_is_lifted() {
    let (listener, address) = server();
    let mut rig = Rig::holding(1);
    let clients: Vec<_> = (0..30).map(|_| rig.client()).collect();
    eventually("all are held", || rig.held() == 30);
    rig.pair.admit = to("AGG_P", Side::Primary, address);
    let pace_of = |rig: &mut Rig, wanted| {
        if let failback::model::table::Admit::To { pace, .. } = &mut rig.pair.admit {
            *pace = wanted;
        }
        rig.publish();
    };
    // Half a minute for all of them: longer than they are held.
    pace_of(&mut rig, 1);
    let mut upstreams = vec![accept(&listener)];
    pace_of(&mut rig, 0);
    upstreams.extend((1..30).map(|_| accept(&listener)));
    eventually("nobody is held", || rig.held() == 0);
    assert_eq!(rig.refused(RefuseReason::HoldExpired), 0);
    drop(clients);
}
