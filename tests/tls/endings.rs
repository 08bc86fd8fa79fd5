//! How an end at one side looks at the other: an orderly one as an orderly one, one that was cut short never so.

use crate::{
    authority::Authority,
    client::Client,
    common::proxy::Proxy,
    passing::{begun, ending, pair},
    server::{End, Server},
};

struct Lab {
    authority: Authority,
    proxy: Proxy,
    primary: Server,
    _backup: Server,
}

/// TLS with the client; with the servers, too, if `both`.
fn lab(both: bool) -> Lab {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V"]);
    let server = |name| if both { Server::secure(name, &identity) } else { Server::plain(name) };
    let (primary, backup) = (server("AGG_P"), server("AGG_B"));
    let tls = if both { begun(&authority, "") } else { String::new() };
    let proxy = Proxy::with_route(&pair(&primary, &backup, &tls), &ending(&authority, "v"));
    Lab { authority, proxy, primary, _backup: backup }
}

#[test]
fn close_notify_is_passed_on_and_the_last_word_comes_back() {
    for both in [false, true] {
        let lab = lab(both);
        let mut client = Client::connect(lab.proxy.route, &lab.authority.ca(), "AGG_V").unwrap();
        assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");
        assert_eq!(client.say_end().unwrap(), "AGG_P:the end\n", "both: {both}");
        assert_eq!(lab.primary.first_end(), End::Orderly, "both: {both}");
    }
}

#[test]
fn an_end_without_close_notify_is_no_orderly_one() {
    for both in [false, true] {
        let lab = lab(both);
        let mut client = Client::connect(lab.proxy.route, &lab.authority.ca(), "AGG_V").unwrap();
        assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");
        client.cut();
        assert_eq!(lab.primary.first_end(), End::CutShort, "both: {both}");
        assert!(client.hear().is_err(), "both: {both}");
    }
}

#[test]
fn a_plain_clients_fin_is_close_notify_to_the_server() {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V"]);
    let (primary, backup) = (Server::secure("AGG_P", &identity), Server::secure("AGG_B", &identity));
    let proxy = Proxy::with_pair(&pair(&primary, &backup, &begun(&authority, "")));
    let mut client = std::net::TcpStream::connect(proxy.route).unwrap();
    std::io::Write::write_all(&mut client, b"hello\n").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = String::new();
    std::io::Read::read_to_string(&mut client, &mut heard).unwrap();
    assert_eq!(heard, "AGG_P:hello\nAGG_P:the end\n");
    assert_eq!(primary.first_end(), End::Orderly);
}
