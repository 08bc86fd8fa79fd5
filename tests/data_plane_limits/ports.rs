//! No local port left to dial from: the client waits, the upstream is not to blame.

use crate::common::{admin::Admin, eventually, process::run, proxy::Proxy};
use failback::model::view::HealthName;
use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

/// A network namespace with a link to ours; gone when dropped.
struct Host(String);

impl Host {
    /// `outer` is our end's address, `inner` the namespace's.
    fn new(name: &str, outer: IpAddr, inner: IpAddr) -> Self {
        let host = Self(format!("{name}{}", std::process::id()));
        let link = format!("{name}{}", std::process::id() % 100_000);
        host.ip(&["netns", "add", &host.0]);
        host.ip(&["link", "add", &link, "type", "veth", "peer", "name", "inner", "netns", &host.0]);
        host.ip(&["address", "add", &format!("{outer}/30"), "dev", &link]);
        host.ip(&["link", "set", &link, "up"]);
        host.ip(&["-n", &host.0, "address", "add", &format!("{inner}/30"), "dev", "inner"]);
        host.ip(&["-n", &host.0, "link", "set", "inner", "up"]);
        host.ip(&["-n", &host.0, "link", "set", "lo", "up"]);
        host
    }

    fn ip(&self, words: &[&str]) {
        run(&[&["ip"], words].concat());
    }

    fn wrapper(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.0].map(Into::into).to_vec()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.ip(&["netns", "delete", &self.0]);
    }
}

/// The next connection that says something: health checks don't.
fn session(listener: &TcpListener) -> Option<TcpStream> {
    listener.set_nonblocking(true).unwrap();
    std::iter::from_fn(|| listener.accept().ok()).find_map(|(mut upstream, _)| {
        upstream.set_nonblocking(false).unwrap();
        upstream.read_exact(&mut [0; 4]).ok().map(|()| upstream)
    })
}

#[test]
fn without_local_ports_clients_wait_and_nobody_fails_over() {
    let (outer, inner): (IpAddr, IpAddr) = ("10.213.77.1".parse().unwrap(), "10.213.77.2".parse().unwrap());
    let host = Host::new("fbports", outer, inner);
    let range = "net.ipv4.ip_local_port_range=40000 40011";
    run(&[host.wrapper(), ["sysctl", "-qw", range].map(Into::into).to_vec()].concat());
    let listener = TcpListener::bind((outer, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let route = SocketAddr::new(inner, 4100);
    let pair = format!(
        "primary = {{ name = \"AGG_P\", address = \"{address}\" }}\nbackups = [{{ name = \"AGG_B\", address = \"{outer}:1\" }}]\n\
         health = {{ interval = \"60s\" }}\nhold = {{ time = \"60s\", max = 10 }}"
    );
    let socket = tempfile::tempdir().unwrap();
    let wrapper = host.wrapper().into_iter().map(Into::into).collect();
    let mut proxy = Proxy::at(route, Admin::Unix(socket.path().join("admin.sock")), wrapper, &pair);
    proxy.launch();
    proxy.until_health("AGG_P", HealthName::Up);

    // Health checks have used some of the ports already; sessions take the rest.
    let mut sessions: Vec<(TcpStream, TcpStream)> = Vec::new();
    let mut waiting = loop {
        let mut client = TcpStream::connect(route).unwrap();
        client.write_all(b"who\n").unwrap();
        let upstream = eventually("the client has a session, or waits for a port", || {
            let held = proxy.admin.metric("failback_held_clients", &[("pair", "AGG_V")]) > 0.0;
            session(&listener).map(Some).or_else(|| held.then_some(None))
        });
        match upstream {
            Some(upstream) => sessions.push((client, upstream)),
            None => break client,
        }
    };
    assert!(!sessions.is_empty() && sessions.len() <= 12, "{} sessions", sessions.len());
    assert_eq!((proxy.failovers(), proxy.pair().active_upstream.as_ref()), (0.0, "AGG_P"));

    // The upstream resets some sessions, which gives their ports back at once; checks take one or two of them.
    assert!(sessions.len() > 4, "{} sessions", sessions.len());
    for (_client, upstream) in sessions.drain(..4) {
        socket2::SockRef::from(&upstream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let mut upstream = eventually("the waiting client is served", || session(&listener));
    upstream.write_all(b"AGG_P\n").unwrap();
    waiting.read_exact(&mut [0; 6]).unwrap();
}
