//! The table as a whole: stopping, losing control, spreading over workers, questions about sessions.

use crate::rig::{Rig, accept, eventually, joined, server};
use failback::{
    model::{EndReason, RefuseReason, table::ListenerSet},
    net::listen::bind_set,
};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

#[test]
fn stopping_ends_sessions_and_held_clients_and_then_the_workers() {
    let (listener, address) = server();
    let mut rig = Rig::to(2, address);
    let (mut client, mut upstream) = joined(&rig, &listener);
    rig.pair.admit = failback::model::table::Admit::Hold;
    rig.publish();
    let mut held = rig.client();
    eventually("one is held", || rig.held() == 1);

    rig.stop();

    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    assert_eq!(upstream.read(&mut [0]).unwrap(), 0);
    assert_eq!(held.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!((rig.ends(EndReason::Shutdown), rig.refused(RefuseReason::Shutdown)), (1, 1));
}

#[test]
fn workers_whose_control_is_gone_serve_the_last_table() {
    let (listener, address) = server();
    let mut rig = Rig::to(2, address);
    rig.lose_control();
    for _ in 0..20 {
        let (mut client, mut upstream) = joined(&rig, &listener);
        client.write_all(b"x").unwrap();
        upstream.read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn sessions_spread_evenly_even_if_all_of_them_knock_at_one_workers_door() {
    let (listener, address) = server();
    // A set made for one worker: all clients come to worker 0.
    let set = Arc::new(bind_set("127.0.0.1:0".parse().unwrap(), 1).unwrap());
    let mut rig = Rig::to(2, address);
    rig.listen_on(vec![Arc::clone(&set)]);
    let sessions: Vec<_> = (0..200).map(|_| joined(&rig, &listener)).collect();
    let load = |worker: usize| rig.workers.stats[worker].flows().iter().map(|flow| flow.sessions.get()).sum::<u64>();
    eventually("all are counted", || load(0) + load(1) == 200);
    assert!(load(0) <= load(1) + load(1) / 8 + 9, "{} to {}", load(0), load(1));
    // The other worker may have counted a session before this one counts that it gave it away.
    eventually("what was handed over is counted", || rig.workers.stats[0].handed_over.get() == load(1));
    drop(sessions);
}

#[test]
fn a_listener_that_stays_is_not_disturbed_and_one_that_goes_is_closed_at_once() {
    let (listener, address) = server();
    let mut rig = Rig::to(2, address);
    let (mut client, mut upstream) = joined(&rig, &listener);
    let old = rig.address;
    let set: Arc<ListenerSet> = Arc::new(bind_set("127.0.0.1:0".parse().unwrap(), 2).unwrap());
    rig.listen_on(vec![set]);
    eventually("the old address is closed", || TcpStream::connect(old).is_err());
    client.write_all(b"x").unwrap();
    upstream.read_exact(&mut [0]).unwrap();
    joined(&rig, &listener);
}

#[test]
fn a_route_that_goes_ends_its_sessions() {
    let (listener, address) = server();
    let mut rig = Rig::to(2, address);
    let (mut client, _upstream) = joined(&rig, &listener);
    rig.without_routes();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    eventually("it is counted", || rig.ends(EndReason::Removed) == 1);
    eventually("nobody listens", || TcpStream::connect(rig.address).is_err());
}

#[test]
fn questions_are_answered_oldest_first_and_not_beyond_the_limit() {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    let mut sessions: Vec<_> = (0..5).map(|_| joined(&rig, &listener)).collect();
    sessions[1].0.write_all(b"four").unwrap();
    sessions[1].1.read_exact(&mut [0; 4]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

    let views = runtime.block_on(rig.workers.sessions(None, 3));
    let clients: Vec<_> = sessions.iter().map(|(client, _)| client.local_addr().unwrap().to_string()).collect();
    assert_eq!(views.iter().map(|view| view.client.clone()).collect::<Vec<_>>(), clients[..3]);
    assert_eq!((views[1].bytes_to_upstream, views[1].bytes_to_client), (4, 0));
    assert_eq!(views[1].upstream.as_deref(), Some("AGG_P"));

    let nobodys = "another".into();
    assert!(runtime.block_on(rig.workers.sessions(Some(&nobodys), 3)).is_empty());
    let probes = "probes".into();
    assert_eq!(runtime.block_on(rig.workers.sessions(Some(&probes), 100)).len(), 5);
}

#[test]
fn busy_polling_workers_serve_just_the_same() {
    let (listener, address) = server();
    let mut rig = Rig::with_busy_poll(1, Duration::from_millis(1));
    rig.pair.admit = crate::rig::to("AGG_P", failback::model::Side::Primary, address);
    rig.publish();
    let mut client = rig.client();
    let mut upstream = accept(&listener);
    for _ in 0..1_000 {
        client.write_all(b"ping").unwrap();
        upstream.read_exact(&mut [0; 4]).unwrap();
        upstream.write_all(b"pong").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
    }
}
