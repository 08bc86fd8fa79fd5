//! Clients that do not shake hands as they should: closed at the deadline at the latest, and nobody else is harmed.

use crate::{
    authority::Authority,
    client::Client,
    common::{
        address::{own_address, own_ip},
        client::Client as PlainClient,
        eventually,
        proxy::Proxy,
        within,
    },
    passing::{begun, ending, pair},
    server::{Server, config},
};
use failback::model::view::HealthName;
use rustls::{ServerConfig, ServerConnection};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

#[test]
fn garbage_silence_and_one_byte_a_second_are_closed_and_others_are_served() {
    let authority = Authority::new();
    authority.server("v", &["AGG_V"]);
    let (primary, backup) = (Server::plain("AGG_P"), Server::plain("AGG_B"));
    let mut proxy = Proxy::with_route(&pair(&primary, &backup, ""), &ending(&authority, "v"));
    let process = proxy.process().id();
    let failed =
        |reason| proxy.admin.metric("failback_tls_handshake_failures_total", &[("peer", "client"), ("reason", reason)]);

    let mut garbage = TcpStream::connect(proxy.route).unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n").unwrap();
    eventually("garbage is no TLS", || (failed("not_tls") == 1.0).then_some(()));
    assert!(matches!(garbage.read(&mut [0; 64]), Err(_) | Ok(0..=7)), "an alert at most");

    let mut client = Client::connect(proxy.route, &authority.ca(), "AGG_V").unwrap();
    assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");
    let (began, before) = (Instant::now(), resident(process));
    let endless = TcpStream::connect(proxy.route).unwrap();
    let endless = std::thread::spawn(move || hello_without_end(endless));
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
    let (mut took, mut most) = (Vec::new(), before);
    within(Duration::from_secs(40), "all are closed at the deadline", || {
        let asked = Instant::now();
        assert_eq!(client.ask("and now?").unwrap(), "AGG_P:and now?");
        took.push(asked.elapsed());
        most = most.max(resident(process));
        (failed("timed_out") >= 51.0).then_some(())
    });
    assert!(began.elapsed() > Duration::from_secs(8), "nobody is closed before the deadline");
    assert!(slow.join().unwrap(), "the slow one was closed");
    assert!(endless.join().unwrap() < 8 << 20, "a hello without an end is not read for ever");
    for mut client in silent {
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let end = client.read(&mut [0; 64]).map_err(|error| error.kind());
        assert!(!matches!(end, Err(ErrorKind::WouldBlock)), "a silent one is closed too");
    }
    assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");
    // Half of the answers, so that a busy machine's pauses don't count.
    took.sort();
    assert!(took[took.len() / 2] < Duration::from_millis(50), "others are not slowed down: {:?}", took[took.len() / 2]);
    assert!(most - before < 4 << 20, "{} bytes more", most - before);
    let refused =
        proxy.admin.metric("failback_refused_clients_total", &[("route", "probes"), ("reason", "tls_handshake")]);
    assert_eq!(refused, 53.0);
}

/// How many bytes of memory a process has.
fn resident(process: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Sends pieces of a first message that says it has 16 MiB, and says how many bytes were taken.
fn hello_without_end(mut client: TcpStream) -> usize {
    let mut record = vec![0x16, 0x03, 0x01, 0x40, 0x00, 0x01, 0xff, 0xff, 0xff];
    record.resize(5 + 0x4000, 0);
    let mut sent = 0;
    while sent < 16 << 20 && client.write_all(&record).is_ok() {
        sent += record.len();
    }
    sent
}

/// Before the rest of such a message has come nothing can be sent to that end, and it may never come.
#[test]
fn a_session_does_not_wait_for_ever_for_the_rest_of_a_message_of_tls_itself() {
    let authority = Authority::new();
    let address = never_done(&authority.server("v", &["AGG_V"]));
    let pair = format!("primary = {{ name = \"AGG_P\", address = \"{address}\" }}\n{}", begun(&authority, ""));
    let proxy = Proxy::with_pair(&pair);
    proxy.until_health("AGG_P", HealthName::Up);
    let mut client = TcpStream::connect(proxy.route).unwrap();
    within(Duration::from_secs(60), "the session is reset", || {
        // In vain once it is reset.
        let _sent = client.write_all(b"hello\n");
        let ended = [("route", "probes"), ("reason", "upstream_reset")];
        (proxy.admin.metric("failback_session_ends_total", &ended) == 1.0).then_some(())
    });
}

/// A server that keeps the last record of its last session ticket to itself.
fn never_done(identity: &Path) -> SocketAddr {
    let mut config = config(identity, None);
    config.max_fragment_size = Some(32);
    let config = Arc::new(config);
    let listener = TcpListener::bind((own_ip(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || shake_and_stop(stream.unwrap(), config));
        }
    });
    address
}

fn shake_and_stop(mut stream: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<()> {
    let mut tls = ServerConnection::new(config).unwrap();
    while tls.is_handshaking() {
        while tls.wants_write() {
            tls.write_tls(&mut stream)?;
        }
        if tls.read_tls(&mut stream)? == 0 {
            return Ok(());
        }
        tls.process_new_packets().map_err(std::io::Error::other)?;
    }
    let mut tickets = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut tickets)?;
    }
    let mut last = 0;
    loop {
        let length = u16::from_be_bytes([tickets[last + 3], tickets[last + 4]]);
        let next = last + 5 + usize::from(length);
        if next == tickets.len() {
            break;
        }
        last = next;
    }
    assert!(last > 0, "several records");
    stream.write_all(&tickets[..last])?;
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

/// More than a worker shakes hands with at a time, half of them with a first byte and no second.
#[test]
fn clients_that_never_speak_keep_nobody_else_waiting() {
    const MUTE: usize = 1_300;
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V", "OTHER_V"]);
    let (primary, backup) = (Server::plain("AGG_P"), Server::plain("AGG_B"));
    let secure = Server::secure("OTHER_P", &identity);
    let mut proxy = Proxy::prepared(&pair(&primary, &backup, ""));
    let (encrypted, plain) = (own_address(), own_address());
    let text = fs::read_to_string(proxy.config()).unwrap().replace("[node]\n", "[node]\nworkers = 1\n");
    let more = format!(
        "{ends}[routes.encrypted]\nlisten = \"{encrypted}\"\npair = \"AGG_V\"\n{ends}\
         [routes.plain]\nlisten = \"{plain}\"\npair = \"OTHER_V\"\n\
         [pairs.OTHER_V]\nprimary = {}\n{}",
        secure.toml(),
        begun(&authority, ""),
        ends = ending(&authority, "v"),
    );
    fs::write(proxy.config(), text + &more).unwrap();
    proxy.launch();
    assert_eq!(PlainClient::connect(plain).server(), "OTHER_P");

    let failed =
        |peer| proxy.admin.metric("failback_tls_handshake_failures_total", &[("peer", peer), ("reason", "timed_out")]);
    let closed_meanwhile = || {
        let mute: Vec<_> = (0..MUTE).map(|number| mute(proxy.route, number % 2 == 0)).collect();
        let before = failed("client");
        let mut client = Client::connect(encrypted, &authority.ca(), "AGG_V").unwrap();
        assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");
        assert_eq!(PlainClient::connect(plain).server(), "OTHER_P");
        let mut client = Client::connect(proxy.route, &authority.ca(), "AGG_V").unwrap();
        assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");
        let after = failed("client");
        drop(mute);
        after - before
    };
    // Whoever waits behind the mute ones waits until hundreds of them are closed, with every crowd anew. On a busy machine
    // their time may be over just then; with one crowd in five it is not.
    assert!((0..5).any(|_| closed_meanwhile() < 200.0));
    assert_eq!(failed("upstream"), 0.0);
}

/// A client that says nothing, or one byte and no second.
fn mute(route: SocketAddr, begins: bool) -> TcpStream {
    let mut client = TcpStream::connect(route).unwrap();
    if begins {
        client.write_all(&[0x16]).unwrap();
    }
    client
}
