//! Headers of the PROXY protocol: taken from those who must send one, to the byte; written to servers before anything else.

use crate::rig::{Rig, SOON, accept, close_all, eventually, reset, server, to};
use failback::{
    model::{
        EndReason, RefuseReason, Side,
        proxy_protocol::{HeaderVersion, ProxyProtocolSpec},
    },
    net::proxy_protocol::{Endpoints, Tlv, header},
};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

const BOTH: [HeaderVersion; 2] = [HeaderVersion::V1, HeaderVersion::V2];
const CLIENT: &str = "192.0.2.7:51234";

/// A rig that leads to `upstream`, believes clients from `accept_from` and sends `send`.
fn rig(upstream: SocketAddr, accept_from: &[&str], send: Option<HeaderVersion>) -> Rig {
    let mut rig = Rig::to(2, upstream);
    let accept_from = accept_from.iter().map(|net| net.parse().unwrap()).collect();
    rig.proxy_protocol = ProxyProtocolSpec { accept_from, send };
    rig.publish();
    rig
}

fn trusting(upstream: SocketAddr) -> Rig {
    rig(upstream, &["127.0.0.0/8"], None)
}

fn endpoints(source: &str, destination: &str) -> Option<Endpoints> {
    Endpoints::new(source.parse().unwrap(), destination.parse().unwrap())
}

/// Of a client at [`CLIENT`].
fn clients_header(version: HeaderVersion) -> Vec<u8> {
    header(version, endpoints(CLIENT, "203.0.113.1:4100"), &[])
}

/// Whom the workers have as clients.
fn clients(rig: &Rig) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(rig.workers.sessions(None, 10)).into_iter().map(|session| session.client).collect()
}

#[track_caller]
fn hears(socket: &mut TcpStream, words: &[u8]) {
    let mut heard = vec![0; words.len()];
    socket.read_exact(&mut heard).unwrap();
    assert_eq!(heard.escape_ascii().to_string(), words.escape_ascii().to_string());
}

#[track_caller]
fn nobody_came(listener: &TcpListener) {
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[track_caller]
fn is_reset(client: &mut TcpStream) {
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_header_is_taken_and_what_follows_in_the_same_segment_is_the_sessions() {
    for version in BOTH {
        let (listener, address) = server();
        let rig = trusting(address);
        let mut client = rig.client();
        client.write_all(&[&clients_header(version)[..], b"question"].concat()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();

        let mut upstream = accept(&listener);
        let mut heard = String::new();
        upstream.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "question");
        assert_eq!(clients(&rig), [CLIENT]);
        upstream.write_all(b"answer").unwrap();
        hears(&mut client, b"answer");
        eventually("a header is nobody's bytes", || rig.bytes() == (8, 6));
    }
}

#[test]
fn a_header_may_come_a_byte_at_a_time() {
    for version in BOTH {
        let (listener, address) = server();
        let rig = trusting(address);
        let mut client = rig.client();
        client.set_nodelay(true).unwrap();
        for byte in [&clients_header(version)[..], b"x"].concat() {
            client.write_all(&[byte]).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        hears(&mut accept(&listener), b"x");
        assert_eq!(clients(&rig), [CLIENT]);
    }
}

#[test]
fn the_longest_header_is_taken_and_one_byte_more_is_refused() {
    let long = |length: usize| {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x20\0".to_vec();
        bytes.extend(u16::try_from(length - 16).unwrap().to_be_bytes());
        bytes.resize(length, 0);
        bytes
    };
    let (listener, address) = server();
    let rig = trusting(address);
    for follows in [&b""[..], b"x"] {
        let mut client = rig.client();
        client.write_all(&[&long(4096)[..], follows].concat()).unwrap();
        let mut upstream = accept(&listener);
        client.write_all(b"yz").unwrap();
        hears(&mut upstream, follows);
        hears(&mut upstream, b"yz");
    }
    let mut client = rig.client();
    client.write_all(&long(4097)[..16]).unwrap();
    is_reset(&mut client);
    assert_eq!(rig.refused(RefuseReason::ProxyHeader), 1);
}

#[test]
fn a_server_that_speaks_first_is_reached_once_the_header_is_there() {
    let (listener, address) = server();
    let rig = trusting(address);
    let mut client = rig.client();
    client.write_all(&clients_header(HeaderVersion::V2)).unwrap();
    accept(&listener).write_all(b"220 ready").unwrap();
    hears(&mut client, b"220 ready");
}

#[test]
fn what_comes_from_elsewhere_is_not_looked_at_even_if_it_is_a_header() {
    let (listener, address) = server();
    let rig = rig(address, &["10.0.0.0/8", "127.0.0.99/32"], None);
    let mut client = rig.client();
    let words = clients_header(HeaderVersion::V1);
    client.write_all(&words).unwrap();
    hears(&mut accept(&listener), &words);
    assert_eq!(clients(&rig), [client.local_addr().unwrap().to_string()]);
}

#[test]
fn checks_of_other_proxies_are_served_as_who_they_are() {
    let (listener, address) = server();
    let rig = trusting(address);
    for local in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0"] {
        let mut client = rig.client();
        client.write_all(&[local, b"ping"].concat()).unwrap();
        let mut upstream = accept(&listener);
        hears(&mut upstream, b"ping");
        assert_eq!(clients(&rig), [client.local_addr().unwrap().to_string()]);
        drop((client, upstream));
        eventually("the session is gone", || rig.clients() == 0);
    }
}

#[test]
fn what_is_no_header_ends_with_a_reset_and_no_server_hears_of_it() {
    let (listener, address) = server();
    let rig = trusting(address);
    let bad: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01",
        b"PROXY TCP4 192.0.2.7 203.0.113.1 51234 99999\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\0\0\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x31",
    ];
    for bytes in bad {
        let mut client = rig.client();
        client.write_all(bytes).unwrap();
        is_reset(&mut client);
    }
    let mut client = rig.client();
    client.write_all(b"PROXY TCP4 192.0.2.7").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    is_reset(&mut client);
    assert_eq!(rig.refused(RefuseReason::ProxyHeader), 6);
    nobody_came(&listener);
    assert_eq!(rig.clients(), 0);
}

#[test]
fn a_header_that_does_not_come_is_waited_for_5_seconds_while_others_are_served() {
    let (listener, address) = server();
    let mut rig = trusting(address);
    rig.max_sessions = 3;
    rig.publish();
    let began = Instant::now();
    let (mut silent, mut slow) = (rig.client(), rig.client());
    slow.write_all(b"PROXY TCP4 192.0.2.7 ").unwrap();
    eventually("they are clients", || rig.clients() == 2);
    let mut client = rig.client();
    client.write_all(&[&clients_header(HeaderVersion::V1)[..], b"x"].concat()).unwrap();
    hears(&mut accept(&listener), b"x");
    is_reset(&mut rig.client());
    assert_eq!(rig.refused(RefuseReason::MaxSessions), 1, "who is waited for counts");

    is_reset(&mut silent);
    is_reset(&mut slow);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(4_900) && took < SOON, "{took:?}");
    assert_eq!(rig.refused(RefuseReason::ProxyHeader), 2);
    nobody_came(&listener);
}

#[test]
fn a_client_that_leaves_before_it_has_said_a_byte_has_sent_no_bad_header() {
    let (listener, address) = server();
    let rig = trusting(address);
    drop(rig.client());
    eventually("one has left", || rig.refused(RefuseReason::ClientGone) == 1);
    let mut client = rig.client();
    client.write_all(b"PROXY ").unwrap();
    eventually("it is a client", || rig.clients() == 1);
    reset(client);
    eventually("another one has left", || rig.refused(RefuseReason::ClientGone) == 2);
    assert_eq!(rig.refused(RefuseReason::ProxyHeader), 0);
    nobody_came(&listener);
}

#[test]
fn a_client_whose_header_is_awaited_ends_with_its_route() {
    let (_listener, address) = server();
    let mut rig = trusting(address);
    let mut client = rig.client();
    eventually("it is a client", || rig.clients() == 1);
    rig.without_routes();
    is_reset(&mut client);
}

#[test]
fn n4_a_client_is_exempt_by_the_address_in_its_header() {
    let (listener, address) = server();
    let mut rig = trusting(address);
    rig.pair.exempt = ["192.0.2.7/32".parse().unwrap()].into();
    rig.publish();
    let join = |source: &str| {
        let mut client = rig.client();
        client.write_all(&header(HeaderVersion::V2, endpoints(source, "203.0.113.1:4100"), &[])).unwrap();
        (client, accept(&listener))
    };
    let ((mut exempt, mut its_upstream), (mut other, _)) = (join(CLIENT), join("192.0.2.8:51234"));
    eventually("both are served", || rig.sessions("AGG_P") == 2);

    let mut order = close_all(1, None, EndReason::Failback);
    order.spare_exempt = true;
    rig.pair.close = Some(order);
    rig.publish();

    assert!(matches!(other.read(&mut [0]), Ok(0) | Err(_)), "the other one is closed");
    exempt.write_all(b"still here").unwrap();
    hears(&mut its_upstream, b"still here");
}

#[test]
fn a_server_is_told_who_the_client_is_before_the_client_has_said_a_byte() {
    for version in BOTH {
        let (listener, address) = server();
        let rig = rig(address, &[], Some(version));
        let mut client = rig.client();
        let mut upstream = accept(&listener);
        let source = client.local_addr().unwrap().to_string();
        hears(&mut upstream, &header(version, endpoints(&source, &rig.address.to_string()), &[]));
        upstream.write_all(b"220 ready").unwrap();
        hears(&mut client, b"220 ready");
        client.write_all(b"EHLO").unwrap();
        hears(&mut upstream, b"EHLO");
        client.write_all(b"QUIT").unwrap();
        hears(&mut upstream, b"QUIT");
        eventually("a header is nobody's bytes", || rig.bytes() == (8, 9));
    }
}

#[test]
fn a_server_is_told_once_and_first_however_much_the_client_has_sent_already() {
    for version in BOTH {
        let (listener, address) = server();
        let mut rig = rig(address, &[], Some(version));
        rig.pair.admit = failback::model::table::Admit::Hold;
        rig.publish();
        let mut client = rig.client();
        let words: Vec<u8> = (0..100_000_u32).map(|at| (at >> 4) as u8).collect();
        client.write_all(&words).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        eventually("the client is held", || rig.held() == 1);

        rig.pair.admit = to("AGG_B", Side::Backup, address);
        rig.publish();

        let source = client.local_addr().unwrap().to_string();
        let expected = [header(version, endpoints(&source, &rig.address.to_string()), &[]), words].concat();
        let mut heard = vec![];
        accept(&listener).read_to_end(&mut heard).unwrap();
        assert!(heard == expected, "{} bytes", heard.len());
    }
}

#[test]
fn every_dial_begins_with_a_header_of_its_own() {
    let (listener, address) = server();
    drop(listener);
    let rig = rig(address, &["127.0.0.0/8"], Some(HeaderVersion::V1));
    let mut client = rig.client();
    client.write_all(&[&clients_header(HeaderVersion::V2)[..], b"x"].concat()).unwrap();
    eventually("its dial was refused", || rig.held() == 1);
    let listener = TcpListener::bind(address).unwrap();
    hears(&mut accept(&listener), b"PROXY TCP4 192.0.2.7 203.0.113.1 51234 4100\r\nx");
}

#[test]
fn what_was_told_is_told_on_in_the_other_version_but_for_what_only_the_teller_knows() {
    let told = endpoints("[2001:db8::7]:51234", "[2001:db8::1]:4100");
    for (version, other) in [(HeaderVersion::V1, HeaderVersion::V2), (HeaderVersion::V2, HeaderVersion::V1)] {
        let (listener, address) = server();
        let rig = rig(address, &["127.0.0.1/32"], Some(other));
        let mut client = rig.client();
        client.write_all(&header(version, told, &[Tlv { kind: 0x02, value: b"agg.example.net" }])).unwrap();
        client.write_all(b"x").unwrap();
        hears(&mut accept(&listener), &[&header(other, told, &[])[..], b"x"].concat());
        assert_eq!(clients(&rig), ["[2001:db8::7]:51234"]);
    }
}
