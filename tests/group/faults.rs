//! The laboratory itself: a fault that is none would make every story of it true.

use crate::{
    common::{eventually, server::Server},
    fleet::Fleet,
    lab::Lab,
    rig::{BEACONS, LINK, NETWORK, SHARED, deafen, hosts, route},
};
use std::{
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

/// A neighbour answers within milliseconds.
const WAIT: Duration = Duration::from_millis(500);

#[test]
fn a_deaf_host_hears_the_other_kind_and_other_hosts_and_is_healed() {
    let lab = hosts();
    let (stream, datagrams) = (listener(&lab), socket(&lab, "b", "10.77.0.22:9903"));
    assert_eq!((calls(&lab, "a"), sends(&lab, "a", &datagrams)), (true, true));

    deafen(&lab, "b", "a", LINK);
    assert_eq!((calls(&lab, "a"), sends(&lab, "a", &datagrams)), (false, true));
    assert_eq!((calls(&lab, "c"), sends(&lab, "c", &datagrams)), (true, true));
    lab.heal("b");

    deafen(&lab, "b", "a", BEACONS);
    assert_eq!((calls(&lab, "a"), sends(&lab, "a", &datagrams)), (true, false));
    lab.heal("b");

    deafen(&lab, "b", "a", "");
    assert_eq!((calls(&lab, "a"), sends(&lab, "a", &datagrams)), (false, false));
    lab.heal("b");
    assert_eq!((calls(&lab, "a"), sends(&lab, "a", &datagrams)), (true, true));
    drop(stream);
}

#[test]
fn a_pulled_cable_parts_a_host_from_all_others_until_it_is_put_back() {
    let lab = hosts();
    let _stream = listener(&lab);
    assert!(calls(&lab, "a") && calls(&lab, "c"));
    lab.cable("b", NETWORK, "down");
    assert!(!calls(&lab, "a") && !calls(&lab, "c"));
    lab.cable("b", NETWORK, "up");
    // A neighbour that failed is asked again only after a moment.
    eventually("it is reached again", || (calls(&lab, "a") && calls(&lab, "c")).then_some(()));
}

/// Two servers take turns at the shared address: each turn and the gap between are seen.
#[test]
fn the_fleet_sees_who_served_and_for_how_long_nobody_did() {
    let lab = hosts();
    let first = at_shared_address(&lab, "a", "FIRST");
    let fleet = Fleet::start(&lab);
    std::thread::sleep(Duration::from_secs(1));
    let fault = std::time::Instant::now();
    first.kill();
    lab.run("a", &format!("ip addr del {SHARED}/24 dev {NETWORK}"));
    std::thread::sleep(Duration::from_secs(1));
    let second = at_shared_address(&lab, "b", "SECOND");
    lab.run("client", &format!("ip neighbour flush to {SHARED}"));
    eventually("the second serves", || (second.asked() > 50).then_some(()));

    let ledger = fleet.stop();

    assert_eq!(ledger.turns(), ["FIRST", "SECOND"]);
    assert!(ledger.first_after(fault) > Duration::from_secs(1), "{:?}", ledger.first_after(fault));
    assert!(ledger.gap() > Duration::from_secs(1), "{:?}", ledger.gap());
    let (asked, answered) = (first.asked() + second.asked(), ledger.answers.len());
    assert!(answered <= asked && asked <= ledger.sent, "{answered} answers to {asked} of {} lines", ledger.sent);
}

fn at_shared_address(lab: &Lab, host: &str, name: &'static str) -> Server {
    lab.run(host, &format!("ip addr add {SHARED}/24 dev {NETWORK}"));
    lab.server(name, host, &route().to_string())
}

fn listener(lab: &Lab) -> TcpListener {
    lab.on("b", || TcpListener::bind("10.77.0.22:9902").expect("an address of the host"))
}

fn socket(lab: &Lab, host: &str, address: &str) -> UdpSocket {
    let socket = lab.on(host, || UdpSocket::bind(address).expect("an address of the host"));
    socket.set_read_timeout(Some(WAIT)).expect("a socket takes a timeout");
    socket
}

/// Does a connection from this host to `b` come about?
fn calls(lab: &Lab, from: &str) -> bool {
    let to: SocketAddr = "10.77.0.22:9902".parse().expect("an address");
    lab.on(from, || TcpStream::connect_timeout(&to, WAIT).is_ok())
}

/// Does a datagram from this host arrive?
fn sends(lab: &Lab, from: &str, at: &UdpSocket) -> bool {
    let own = socket(lab, from, "0.0.0.0:0");
    own.send_to(b"beacon", "10.77.0.22:9903").expect("it leaves");
    at.recv(&mut [0; 16]).is_ok()
}
