//! What servers are told of clients' TLS that ended at the proxy: the TLVs of the PROXY protocol, version 2 (specification §2.2).

use crate::{
    authority::{Authority, Wish},
    client::Client,
    common::{SOON, proxy::Proxy},
    passing::ending,
};
use rcgen::ExtendedKeyUsagePurpose;
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
};

/// What stands before the addresses, and those of two IPv4 ends.
const START: usize = 16;
const ADDRESSES: usize = 12;

type Tlvs = BTreeMap<u8, Vec<u8>>;

#[test]
fn a_server_is_told_of_the_tls_that_ended_at_the_proxy() {
    let authority = Authority::new();
    authority.server("v", &["AGG_V"]);
    let probe = authority
        .sign("probe", &Wish { common_name: "PROBE", usage: ExtendedKeyUsagePurpose::ClientAuth, ..Wish::default() });
    let (address, headers) = reader();
    let pair = format!("primary = {{ name = \"AGG_P\", address = \"{address}\" }}\n");
    let asking = format!(", client_ca = {:?} }}\nproxy_protocol = {{ send = \"v2\" }}\n", authority.ca());
    let proxy = Proxy::with_route(&pair, &ending(&authority, "v").replace(" }\n", &asking));

    let mut client = Client::showing(proxy.route, &authority.ca(), "AGG_V", &probe).unwrap();
    assert_eq!(client.ask("hello").unwrap(), "told:hello");

    let outer = headers.recv_timeout(SOON).unwrap();
    let ssl = &outer[&0x20];
    assert_eq!(ssl[0] & 0b111, 0b111, "by TLS, with a certificate, shown on this connection");
    assert_eq!(ssl[1..5], [0; 4], "which was believed");
    let inner = tlvs(&ssl[5..]);
    assert_eq!(inner[&0x21], b"TLSv1.3");
    assert_eq!(inner[&0x22], b"PROBE");
    assert!(inner[&0x23].starts_with(b"TLS_AES_") || inner[&0x23].starts_with(b"TLS_CHACHA20_"), "{inner:?}");
}

/// A server that reads a header, answers a line, and passes on what the header said.
fn reader() -> (std::net::SocketAddr, Receiver<Tlvs>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, headers) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A check says nothing.
            let Some(header) = header(&mut stream) else { continue };
            let mut line = [0; 6];
            stream.read_exact(&mut line).unwrap();
            stream.write_all(&[b"told:", &line[..]].concat()).unwrap();
            told.send(header).unwrap();
        }
    });
    (address, headers)
}

fn header(stream: &mut TcpStream) -> Option<Tlvs> {
    stream.set_read_timeout(Some(SOON)).ok()?;
    let mut start = [0; START];
    stream.read_exact(&mut start).ok()?;
    assert_eq!(start[..14], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11", "version 2, PROXY, TCP over IPv4");
    let mut rest = vec![0; usize::from(u16::from_be_bytes([start[14], start[15]]))];
    stream.read_exact(&mut rest).unwrap();
    Some(tlvs(&rest[ADDRESSES..]))
}

fn tlvs(mut bytes: &[u8]) -> Tlvs {
    let mut found = Tlvs::new();
    while let [kind, high, low, rest @ ..] = bytes {
        let (value, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        found.insert(*kind, value.to_vec());
        bytes = after;
    }
    found
}
