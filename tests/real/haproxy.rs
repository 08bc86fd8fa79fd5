//! The PROXY protocol as HAProxy speaks it, on both sides: client → HAProxy → failback → HAProxy → server. The last one tells
//! the server who the client is by a line, which the server, an echo, tells the client.

use crate::common::{
    address::{own_address, own_ip},
    client::Client,
    eventually,
    process::Process,
    proxy::Proxy,
    server::Server,
    throughout,
};
use failback::model::view::HealthName;
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

#[test]
fn haproxy_tells_failback_and_failback_tells_haproxy_who_the_client_is() {
    for (told, send) in [("send-proxy", "v2"), ("send-proxy-v2", "v1"), ("send-proxy-v2", "v2")] {
        println!("{told}, {send}");
        let (server, first, last) = (Server::start("AGG_P"), own_address(), own_address());
        // The question gets its answer only if the last HAProxy lets the check's own header pass.
        let proxy = Proxy::with_pair(&format!(
            "primary = {{ name = \"AGG_P\", address = \"{last}\" }}\n\
             health = {{ send = \"who\\n\", expect = \"AGG_P:who\", interval = \"200ms\", timeout = \"2s\" }}\n\
             [routes.probes.proxy_protocol]\naccept_from = [\"127.0.0.0/8\"]\nsend = \"{send}\""
        ));
        let _haproxy = haproxy(&proxy, first, told, last, server.address());
        proxy.until_health("AGG_P", HealthName::Up);

        let from = own_ip();
        let (mut client, line) = eventually("a client is served", || introduced(from, first));
        let (beginning, end) = (format!("AGG_P:PROXY TCP4 {from} {} ", first.ip()), format!(" {}", first.port()));
        assert!(line.starts_with(&beginning) && line.ends_with(&end), "{line}");
        assert_eq!(client.server(), "AGG_P", "what follows the header is the client's");
        let known: Vec<String> = proxy.admin.sessions().into_iter().map(|session| session.client).collect();
        let port = line[beginning.len()..].split(' ').next().expect("a port");
        assert!(known.contains(&format!("{from}:{port}")), "{known:?}");

        // One failed check, and the first HAProxy would not lead anybody to failback for a while.
        throughout(Duration::from_secs(1), "HAProxy's checks of failback pass", || introduced(from, first).is_some());
        let refused = |reason| proxy.admin.metric("failback_refused_clients_total", &[("reason", reason)]);
        assert_eq!(refused("proxy_header"), 0.0);
    }
}

/// A client, and what it hears when it says something: whom the server takes it for.
fn introduced(from: IpAddr, route: SocketAddr) -> Option<(Client, String)> {
    let mut client = Client::connect_from(from, route);
    client.say("hello").ok()?;
    let line = client.hear().ok()?;
    let _hello = client.hear().ok()?;
    Some((client, line))
}

/// Before and behind `proxy`. The first one's checks ask the server, and begin with `LOCAL` or `UNKNOWN`.
fn haproxy(proxy: &Proxy, first: SocketAddr, told: &str, last: SocketAddr, server: SocketAddr) -> Process {
    let file = proxy.dir().join("haproxy.cfg");
    let config = format!(
        "global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 4s\n  timeout client 1h\n  timeout server 1h\n\
         listen first\n  bind {first}\n  option tcp-check\n  tcp-check send-lf who\\n\n  tcp-check expect string AGG_P:who\n  \
         server failback {} {told} check-send-proxy check inter 100ms fall 1 rise 2\n\
         listen last\n  bind {last} accept-proxy\n  server AGG_P {server} send-proxy\n",
        proxy.route
    );
    fs::write(&file, config).expect("the configuration can be written");
    let argv = ["haproxy", "-db", "-f", file.to_str().expect("a path in words")];
    Process::start(&argv, &proxy.dir().join("haproxy.log"))
}
