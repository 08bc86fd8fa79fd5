//! What strangers get at the peer port, and who pretends to be somebody else.

use crate::{
    common::{SOON, eventually, throughout},
    node::{Node, Wanted, nobody},
};
use failback::{
    control::peer::PeerEvent,
    model::group::{HeartbeatPath::Link, Role},
    net::tls::{peer_client, peer_server},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

fn pair(one: &Path, two: &Path) -> (Node, Node) {
    // Strangers have 127.0.0.1: bounds are for each address.
    let p = Node::start(&Wanted::new("P", Role::Primary, "127.0.0.1:0"), one);
    let b = Node::start(&Wanted::new("B", Role::Backup, "127.0.0.1:0"), two);
    p.join(&b.address, &p.address).unwrap();
    (p, b)
}

fn socket(node: &Node) -> SocketAddr {
    node.address.to_string().parse().unwrap()
}

/// A connection from another address of this host, as from another host.
fn from_elsewhere(to: SocketAddr) -> TcpStream {
    from_address(2, to)
}

/// A connection from 127.0.0.`last`.
fn from_address(last: u8, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.into()
}

/// A key nobody knows, in a certificate of the right name.
fn stranger() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["P".into()]).unwrap().self_signed(&key).unwrap();
    (certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

/// Says `request` by TLS as a stranger, and reads to the end.
fn ask_as_stranger(to: SocketAddr, request: &str) -> String {
    let (certificate, key) = stranger();
    let tls = Arc::new(peer_client(certificate, key, None).unwrap());
    let nobody = ServerName::IpAddress(std::net::IpAddr::from([0, 0, 0, 0]).into());
    let mut connection = rustls::ClientConnection::new(tls, nobody).unwrap();
    let mut socket = from_elsewhere(to);
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        answer.extend(&piece[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_stranger_says_hello_and_learns_nothing() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());
    let heard = |method: &str, path: &str, body: &str| {
        let length = body.len();
        ask_as_stranger(
            socket(&p),
            &format!(
                "{method} {path} HTTP/1.1\r\nHost: p\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        )
    };
    assert!(heard("GET", "/peer/v1/hello", "").starts_with("HTTP/1.1 204"));
    for path in ["/peer/v1/heartbeat", "/peer/v1/leave", "/peer/v1/echo"] {
        assert!(heard("POST", path, "{}").starts_with("HTTP/1.1 403"), "{path}");
    }
    assert!(heard("GET", "/api/v1/status", "").starts_with("HTTP/1.1 403"), "not even what there is");
    assert!(heard("POST", "/peer/v1/join", "{\"a\":1}").starts_with("HTTP/1.1 400"));
    let long = "x".repeat(20_000);
    assert!(heard("POST", "/peer/v1/join", &long).starts_with("HTTP/1.1 413"));
    let greedy = "GET /peer/v1/hello HTTP/1.1\r\nHost: p\r\n\r\n".repeat(12);
    let answers = ask_as_stranger(socket(&p), &greedy);
    assert_eq!((answers.matches("HTTP/1.1 204").count(), answers.matches("HTTP/1.1 429").count()), (8, 1), "{answers}");
    assert_eq!((p.peers().len(), b.peers().len()), (1, 1));
}

/// Garbage is closed at once, silence soon, a crowd to the last few; those who are joined feel none of it.
#[test]
fn garbage_and_floods_are_closed_and_no_peer_is_kept_out() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());
    p.hears(&b, Link, |_| true);

    let mut garbage = from_elsewhere(socket(&p));
    garbage.write_all(&[0xff; 4096]).unwrap();
    assert!(matches!(garbage.read_to_end(&mut Vec::new()), Ok(_) | Err(_)), "it ends");
    eventually("it is counted", || (p.counts().failed_handshakes >= 1).then_some(()));

    let mut crowd: Vec<TcpStream> = (0..200).map(|_| from_elsewhere(socket(&p))).collect();
    eventually("most of the crowd is turned away", || (p.counts().turned_away >= 150).then_some(()));
    b.forget_events();
    b.hears(&p, Link, |_| true);
    assert_eq!(b.echo(&p.name, "in spite of them", 100).unwrap().0, 200);
    for stream in &mut crowd {
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "not closed at the deadline"),
        }
    }
    assert!(!b.events().iter().any(|event| matches!(event, PeerEvent::LinkLost { .. })));
}

/// More of them than there are places, from a peer's own address too (behind one router, or on its host); whoever is closed comes
/// again. Still a peer that was away is let in, and so is a stranger who speaks.
#[test]
fn a_crowd_that_says_nothing_keeps_nobody_out() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());
    let (listen, to) = (b.address.to_string(), socket(&p));
    b.stop();
    let over = AtomicBool::new(false);
    let crowd = |last: u8| {
        while !over.load(Ordering::Relaxed) {
            let _closed = from_address(last, to).read(&mut [0; 16]);
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    std::thread::scope(|threads| {
        let _ends_if_we_fail = Ending(&over);
        for number in 0..100 {
            threads.spawn(move || crowd(if number < 50 { 1 } else { number }));
        }
        eventually("the places are taken", || (p.counts().turned_away >= 100).then_some(()));
        let back = Node::start(&Wanted::new("B", Role::Backup, &listen), two.path());
        p.forget_events();
        p.hears(&back, Link, |_| true);
        assert!(
            ask_as_stranger(to, "GET /peer/v1/hello HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n").contains("204")
        );
    });
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn who_does_not_ask_for_a_handshake_at_once_is_hung_up_on() {
    let dir = tempfile::tempdir().unwrap();
    let p = Node::start(&Wanted::new("P", Role::Primary, "127.0.0.1:0"), dir.path());
    let (mut silent, mut slow) = (from_elsewhere(socket(&p)), from_elsewhere(socket(&p)));
    // The beginning of a ClientHello of 256 bytes.
    slow.write_all(&[22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3]).unwrap();
    // One who asked has longer to go on.
    let mut asks = from_elsewhere(socket(&p));
    asks.write_all(&client_hello()).unwrap();
    let asks = std::thread::spawn(move || asks.read_to_end(&mut Vec::new()).is_ok());
    for stream in [&mut silent, &mut slow] {
        let _closed = stream.read_to_end(&mut Vec::new());
    }
    assert!(!asks.is_finished(), "they had as long as a handshake may take");
    eventually("both are counted", || (p.counts().failed_handshakes == 2).then_some(()));
}

fn client_hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let mut client = rustls::ClientConnection::new(Arc::new(config), "p.example".try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Somebody with another key listens where the primary was: he gets no heartbeat, and nobody hears one of his.
#[test]
fn b2_who_shows_another_certificate_is_not_the_peer() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());
    b.hears(&p, Link, |_| true);
    let address = socket(&p);
    p.stop();
    b.forget_events();
    let (certificate, key) = stranger();
    let tls = Arc::new(peer_server(certificate, key).unwrap());
    let listener = eventually("the port is free", || TcpListener::bind(address).ok());
    let in_the_middle = std::thread::spawn(move || {
        let mut heard = Vec::new();
        for _ in 0..3 {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(SOON)).unwrap();
            let mut connection = rustls::ServerConnection::new(Arc::clone(&tls)).unwrap();
            let _refused = rustls::Stream::new(&mut connection, &mut socket).read_to_end(&mut heard);
        }
        heard
    });
    assert_eq!(in_the_middle.join().unwrap(), b"", "nothing was said to him");
    let is_up = |event: &PeerEvent| matches!(event, PeerEvent::LinkUp { .. });
    throughout(Duration::from_millis(200), "the link is down", || !b.events().iter().any(is_up));
}

/// Somebody in the middle ends TLS on both sides and passes the bytes on: the proof is bound to a channel that he is an end of.
#[test]
fn b2_a_proof_passed_on_by_somebody_in_the_middle_proves_nothing() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let p = Node::start(&Wanted::new("P", Role::Primary, "127.0.0.1:0"), one.path());
    let b = Node::start(&Wanted::new("B", Role::Backup, "127.0.0.1:0"), two.path());
    let middle = nobody("127.0.0.1");
    let listener = TcpListener::bind(middle.to_string()).unwrap();
    let there = socket(&b);
    let relay = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let (certificate, key) = stranger();
        let mut connection = rustls::ServerConnection::new(Arc::new(peer_server(certificate, key).unwrap())).unwrap();
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        let mut request = [0; 8192];
        let mut length = 0;
        while !request[..length].ends_with(b"]}") {
            length += stream.read(&mut request[length..]).unwrap();
        }
        let request = String::from_utf8(request[..length].into()).unwrap();
        let answer = ask_as_stranger(there, &request.replacen("\r\n", "\r\nConnection: close\r\n", 1));
        stream.write_all(answer.as_bytes()).unwrap();
        answer
    });

    let joined = p.join(&middle, &p.address);

    assert!(relay.join().unwrap().contains("key_differs"));
    assert_eq!(joined.unwrap_err().reason.as_str(), "key_differs");
    assert!(p.peers().is_empty() && b.peers().is_empty());
}
