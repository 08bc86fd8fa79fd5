//! Bytes through TLS at either end or both: all of them, in their order, both ways.

use crate::{authority::Authority, client::Client, common::proxy::Proxy, server::Server};
use std::io::{Read, Write};

/// A route's table that ends TLS with the certificate called `name`.
pub(crate) fn ending(authority: &Authority, name: &str) -> String {
    let path = authority.path(name);
    format!("tls = {{ cert = {:?}, key = {:?} }}\n", path.with_extension("pem"), path.with_extension("key"))
}

/// A pair's table that wants TLS from its servers.
pub(crate) fn begun(authority: &Authority, more: &str) -> String {
    format!("tls = {{ ca = {:?}{more} }}\n", authority.ca())
}

pub(crate) fn pair(primary: &Server, backup: &Server, more: &str) -> String {
    format!("primary = {}\nbackups = [{}]\n{more}\n", primary.toml(), backup.toml())
}

#[test]
fn a_line_goes_there_and_back_with_tls_at_the_clients_end_at_the_servers_and_at_both() {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V", "agg-v.example.net"]);
    let (secure, spare) = (Server::secure("AGG_P", &identity), Server::secure("AGG_B", &identity));
    let (plain, other) = (Server::plain("AGG_P"), Server::plain("AGG_B"));
    let ends = ending(&authority, "v");

    let both = Proxy::with_route(&pair(&secure, &spare, &begun(&authority, "")), &ends);
    let mut client = Client::connect(both.route, &authority.ca(), "agg-v.example.net").unwrap();
    assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");

    let terminate = Proxy::with_route(&pair(&plain, &other, ""), &ends);
    let mut client = Client::connect(terminate.route, &authority.ca(), "AGG_V").unwrap();
    assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");

    let originate = Proxy::with_pair(&pair(&secure, &spare, &begun(&authority, "")));
    assert_eq!(originate.client().ask("hello").unwrap(), "AGG_P:hello");

    let untouched = Proxy::with_pair(&pair(&secure, &spare, ""));
    let mut client = Client::connect(untouched.route, &authority.ca(), "AGG_V").unwrap();
    assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");
}

/// More than any buffer on the way takes, written before anything is read.
#[test]
fn megabytes_come_back_as_they_were_sent() {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V"]);
    let (primary, backup) = (Server::secure("AGG_P", &identity), Server::secure("AGG_B", &identity));
    let proxy = Proxy::with_route(&pair(&primary, &backup, &begun(&authority, "")), &ending(&authority, "v"));
    let mut client = Client::connect(proxy.route, &authority.ca(), "AGG_V").unwrap();
    let (mut sent, mut expected) = (Vec::<u8>::new(), Vec::<u8>::new());
    for number in 0..200_000_u32 {
        let line = format!("{number:08x}-{}\n", number.wrapping_mul(2_654_435_761));
        sent.extend(line.as_bytes());
        expected.extend(b"AGG_P:");
        expected.extend(line.as_bytes());
    }
    let mut came = vec![0; expected.len()];
    let (mut read, mut written) = (0, 0);
    while read < came.len() {
        let stream = client.stream();
        if written < sent.len() {
            let end = sent.len().min(written + 100_000);
            stream.write_all(&sent[written..end]).unwrap();
            written = end;
        }
        // As much as was sent has been answered, so this does not wait for ever.
        let upto = came.len().min(read + 100_000);
        read += stream.read(&mut came[read..upto]).unwrap();
    }
    assert!(came == expected, "the bytes differ");
}
