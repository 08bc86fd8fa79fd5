//! Back-pressure: who does not read stalls who sends to him, and nobody else.

use crate::rig::{Rig, joined, server};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

/// What the kernel's buffers of four sockets may hold, and a pipe of ours.
const MOST_IN_FLIGHT: usize = 48 << 20;

/// Writes until nothing has been taken for a while; returns how much was.
fn write_until_stalled(socket: &mut TcpStream) -> usize {
    let chunk = vec![42; 1 << 20];
    let (mut total, mut last) = (0, Instant::now());
    socket.set_nonblocking(true).unwrap();
    while last.elapsed() < Duration::from_millis(500) {
        match socket.write(&chunk) {
            Ok(taken) => {
                total += taken;
                last = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
    }
    socket.set_nonblocking(false).unwrap();
    total
}

fn stalls(mut from: TcpStream, mut to: TcpStream) {
    let sent = write_until_stalled(&mut from);
    assert!(sent > 0 && sent < MOST_IN_FLIGHT, "{sent} bytes were taken from the sender");
    let reader = std::thread::spawn(move || {
        let mut arrived = Vec::new();
        to.read_to_end(&mut arrived).unwrap();
        arrived
    });
    from.write_all(b"and the rest").unwrap();
    from.shutdown(Shutdown::Write).unwrap();
    let arrived = reader.join().unwrap();
    assert_eq!(arrived.len(), sent + 12);
    assert!(arrived.ends_with(b"and the rest") && arrived[..sent].iter().all(|byte| *byte == 42));
}

#[test]
fn a_reader_that_stalls_stalls_its_sender_and_then_gets_everything() {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    let (client, upstream) = joined(&rig, &listener);
    stalls(client, upstream);
    let (client, upstream) = joined(&rig, &listener);
    stalls(upstream, client);
}

#[test]
fn the_other_direction_and_other_sessions_go_on_meanwhile() {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    let (mut client, mut upstream) = joined(&rig, &listener);
    let (mut lively, mut its_upstream) = joined(&rig, &listener);
    write_until_stalled(&mut upstream);
    for _ in 0..100 {
        client.write_all(b"the other way").unwrap();
        upstream.read_exact(&mut [0; 13]).unwrap();
        lively.write_all(b"?").unwrap();
        its_upstream.read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn a_stalled_client_that_resets_is_noticed() {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    let (client, mut upstream) = joined(&rig, &listener);
    write_until_stalled(&mut upstream);
    crate::rig::reset(client);
    let error = std::iter::repeat_with(|| upstream.write(&[1])).find_map(Result::err).unwrap();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}

#[test]
fn a_client_that_resets_while_its_upstream_does_not_read_is_noticed_too() {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    let (mut client, mut upstream) = joined(&rig, &listener);
    write_until_stalled(&mut client);
    crate::rig::reset(client);
    let mut buffer = vec![0; 1 << 20];
    let error = std::iter::repeat_with(|| upstream.read(&mut buffer)).find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
