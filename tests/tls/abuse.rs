//! Clients that do not shake hands as they should: closed at the deadline at the latest, and nobody else is harmed.

use crate::{
    authority::Authority,
    client::Client,
    common::{eventually, proxy::Proxy, within},
    passing::{ending, pair},
    server::Server,
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

#[test]
fn garbage_silence_and_one_byte_a_second_are_closed_and_others_are_served() {
    let authority = Authority::new();
    authority.server("v", &["AGG_V"]);
    let (primary, backup) = (Server::plain("AGG_P"), Server::plain("AGG_B"));
    let proxy = Proxy::with_route(&pair(&primary, &backup, ""), &ending(&authority, "v"));
    let failed =
        |reason| proxy.admin.metric("failback_tls_handshake_failures_total", &[("peer", "client"), ("reason", reason)]);

    let mut garbage = TcpStream::connect(proxy.route).unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n").unwrap();
    eventually("garbage is no TLS", || (failed("not_tls") == 1.0).then_some(()));
    assert!(matches!(garbage.read(&mut [0; 64]), Err(_) | Ok(0..=7)), "an alert at most");

    let silent: Vec<_> = (0..50).map(|_| TcpStream::connect(proxy.route).unwrap()).collect();
    let mut slow = TcpStream::connect(proxy.route).unwrap();
    let slow = std::thread::spawn(move || {
        let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
        for byte in hello.iter().cycle().take(60) {
            if slow.write_all(&[*byte]).is_err() {
                return true;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        false
    });
    let mut client = Client::connect(proxy.route, &authority.ca(), "AGG_V").unwrap();
    assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");
    within(Duration::from_secs(40), "all are closed at the deadline", || (failed("timed_out") >= 51.0).then_some(()));
    assert!(slow.join().unwrap(), "the slow one was closed");
    assert_eq!(client.ask("and now?").unwrap(), "AGG_P:and now?");
    let refused =
        proxy.admin.metric("failback_refused_clients_total", &[("route", "probes"), ("reason", "tls_handshake")]);
    assert_eq!(refused, 52.0);
    drop(silent);
}
