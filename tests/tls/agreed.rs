//! What handshakes agree on: sessions that are resumed, and one application protocol from end to end.

use crate::{
    authority::Authority,
    client::{Client, config},
    common::{eventually, proxy::Proxy},
    passing::{begun, ending, pair},
    server::Server,
};

#[test]
fn sessions_are_resumed_with_clients_whichever_worker_they_meet_and_with_servers() {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V"]);
    let (primary, backup) = (Server::secure("AGG_P", &identity), Server::secure("AGG_B", &identity));
    let proxy = Proxy::with_route(&pair(&primary, &backup, &begun(&authority, "")), &ending(&authority, "v"));
    let config = config(&authority.ca(), None);
    let kinds: Vec<bool> = (0..8)
        .map(|_| {
            let mut client = Client::with(proxy.route, config.clone(), "AGG_V").unwrap();
            // Tickets come with the first words.
            assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");
            client.shaken().0
        })
        .collect();
    assert_eq!(kinds, [false, true, true, true, true, true, true, true]);
    // Checks shake hands, too, and never resume.
    let sessions = primary.shaken().iter().filter(|(resumed, _)| *resumed).count();
    assert!(sessions >= 6, "{:?}", primary.shaken());
}

#[test]
fn the_protocol_agreed_with_the_client_is_the_one_the_server_is_offered() {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V"]);
    let server = |name| Server::speaking(name, &identity, &["h2", "http/1.1"]);
    let (primary, backup) = (server("AGG_P"), server("AGG_B"));
    let alpn = "alpn = [\"h2\", \"http/1.1\"]";
    let route = ending(&authority, "v").replace(" }", &format!(", {alpn} }}"));
    let proxy = Proxy::with_route(&pair(&primary, &backup, &begun(&authority, &format!(", {alpn}"))), &route);
    for wanted in ["http/1.1", "h2"] {
        let mut config = config(&authority.ca(), None);
        config.alpn_protocols = vec![wanted.into()];
        let mut client = Client::with(proxy.route, config, "AGG_V").unwrap();
        assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");
        assert_eq!(client.shaken().1, wanted);
    }
    // What checks agree on is `h2`, so that only a session can have brought this one.
    eventually("the server heard of it", || {
        primary.shaken().iter().any(|(_, protocol)| protocol == "http/1.1").then_some(())
    });
}
