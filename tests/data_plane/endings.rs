//! A connection ends on one side as it was ended on the other: FIN as FIN, RST as RST, and nothing sent before is lost
//! to an orderly end.

use crate::rig::{Rig, SOON, accept, eventually, joined, reset, server};
use failback::model::{EndReason, ports::Evidence};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Actor {
    Client,
    Upstream,
}

/// What has happened before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Nothing,
    BothTalked,
    /// The other side has sent FIN.
    OtherFinished,
    /// The actor has sent more than the other has read.
    InFlight,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    HalfClose,
    Close,
    Reset,
    HalfCloseThenReset,
}

const IN_FLIGHT: usize = 100_000;

/// Reads to the end; says how much came, and whether the end was a reset.
fn read_to_end(socket: &mut TcpStream) -> (usize, bool) {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return (total, false),
            Ok(got) => total += got,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (total, true),
            Err(error) => panic!("neither an end nor a reset: {error}"),
        }
    }
}

fn say(from: &mut TcpStream, to: &mut TcpStream, words: &[u8]) {
    from.write_all(words).unwrap();
    let mut heard = vec![0; words.len()];
    to.read_exact(&mut heard).unwrap();
    assert_eq!(heard, words);
}

fn cell(actor: Actor, moment: Moment, act: Act) {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    let (client, upstream) = joined(&rig, &listener);
    let (mut one, mut other) = if actor == Actor::Client { (client, upstream) } else { (upstream, client) };
    let mut sent = 0;
    match moment {
        Moment::Nothing => {}
        Moment::BothTalked => {
            say(&mut one, &mut other, b"question");
            say(&mut other, &mut one, b"answer");
        }
        Moment::OtherFinished => {
            other.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_to_end(&mut one), (0, false));
        }
        Moment::InFlight => {
            one.write_all(&vec![7; IN_FLIGHT]).unwrap();
            sent = IN_FLIGHT;
        }
    }

    let began = Instant::now();
    match act {
        Act::HalfClose => {
            one.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_to_end(&mut other), (sent, false));
            if moment != Moment::OtherFinished {
                say(&mut other, &mut one, b"still here");
            }
        }
        Act::Close => {
            drop(one);
            assert_eq!(read_to_end(&mut other), (sent, false));
        }
        Act::Reset => {
            reset(one);
            let (arrived, by_reset) = read_to_end(&mut other);
            assert!(by_reset && arrived <= sent);
        }
        Act::HalfCloseThenReset => {
            one.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_to_end(&mut other), (sent, false));
            reset(one);
            // After FIN a read says no more than "end"; the reset is the socket's pending error.
            if moment != Moment::OtherFinished {
                eventually("the reset is passed on", || other.take_error().unwrap().is_some());
            }
        }
    }
    assert!(began.elapsed() < SOON);
    drop(other);
    eventually("the session is gone", || rig.sessions("AGG_P") == 0);
}

#[test]
fn thirty_two_ways_to_end_are_passed_on_as_what_they_were() {
    for actor in [Actor::Client, Actor::Upstream] {
        for moment in [Moment::Nothing, Moment::BothTalked, Moment::OtherFinished, Moment::InFlight] {
            for act in [Act::HalfClose, Act::Close, Act::Reset, Act::HalfCloseThenReset] {
                println!("{actor:?} {moment:?} {act:?}");
                cell(actor, moment, act);
            }
        }
    }
}

#[test]
fn ends_are_counted_by_who_ended_and_the_upstreams_are_evidence() {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    let evidence = || rig.outcomes.lock().unwrap().try_recv().ok().map(|outcome| outcome.evidence);

    let (client, mut upstream) = joined(&rig, &listener);
    drop(client);
    assert_eq!(read_to_end(&mut upstream), (0, false));
    drop(upstream);
    eventually("the client closed", || rig.ends(EndReason::ClientClosed) == 1);

    let (client, upstream) = joined(&rig, &listener);
    reset(client);
    eventually("the client reset", || rig.ends(EndReason::ClientReset) == 1);
    drop(upstream);
    assert_eq!(evidence(), None);

    let (client, upstream) = joined(&rig, &listener);
    drop(upstream);
    let mut seen = None;
    eventually("FIN from the upstream is evidence before the client does anything", || {
        seen = seen.or_else(evidence);
        seen == Some(Evidence::Ended)
    });
    drop(client);
    eventually("the upstream closed", || rig.ends(EndReason::UpstreamClosed) == 1);

    let (_client, upstream) = joined(&rig, &listener);
    reset(upstream);
    eventually("the upstream reset", || rig.ends(EndReason::UpstreamReset) == 1);
    assert_eq!(evidence(), Some(Evidence::Reset));
}

#[test]
fn what_a_server_said_before_it_slammed_the_door_is_still_heard() {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    let (mut client, mut upstream) = joined(&rig, &listener);
    client.write_all(b"something nobody reads").unwrap();
    eventually("it has arrived", || rig.bytes().0 == 22);
    upstream.write_all(b"go away").unwrap();
    // Closing with unread bytes sends RST instead of FIN.
    drop(upstream);

    let mut heard = [0; 7];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"go away");
    assert_eq!(read_to_end(&mut client), (0, true));
}

#[test]
fn a_session_ends_when_no_byte_passed_either_way_for_the_idle_timeout() {
    let (listener, address) = server();
    let mut rig = Rig::to(1, address);
    rig.idle_timeout = Duration::from_secs(2);
    rig.publish();
    let (mut idle, _its_upstream) = joined(&rig, &listener);
    let (mut talks, mut hears) = joined(&rig, &listener);
    let (mut told, mut tells) = joined(&rig, &listener);

    let began = Instant::now();
    idle.set_nonblocking(true).unwrap();
    let mut byte = [0];
    while !matches!(idle.read(&mut byte), Ok(0)) {
        assert!(began.elapsed() < SOON, "the idle session is still there");
        say(&mut talks, &mut hears, b"to the upstream");
        say(&mut tells, &mut told, b"to the client");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() >= Duration::from_millis(1_900), "too early: {:?}", began.elapsed());
    assert_eq!((rig.ends(EndReason::Idle), rig.sessions("AGG_P")), (1, 2));
    say(&mut talks, &mut hears, b"alive");
    say(&mut tells, &mut told, b"alive");
}

#[test]
fn a_refused_write_to_a_dead_client_ends_its_session() {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    let client = rig.client();
    let mut upstream = accept(&listener);
    drop(client);
    assert_eq!(read_to_end(&mut upstream), (0, false));
    // The client has closed both ways: what is sent to it now is answered with RST.
    let _first = upstream.write_all(b"anybody there?");
    eventually("the upstream learns of it", || {
        let _again = upstream.write_all(b"?");
        upstream.take_error().unwrap().is_some() || rig.ends(EndReason::ClientReset) == 1
    });
}
