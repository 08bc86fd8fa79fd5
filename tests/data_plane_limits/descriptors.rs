//! No descriptors left: accepting pauses without burning the processor, whoever has a session keeps it, and the upstream is
//! not to blame.

use crate::{
    common::{
        address::{free_ports, own_ip},
        admin::Admin,
        client::Client,
        eventually,
        proxy::Proxy,
        server::Server,
    },
    usage::processor_time,
};
use std::{
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

#[test]
fn without_descriptors_accepting_pauses_and_recovers() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let ip = own_ip();
    let wrapper = ["prlimit", "--nofile=400:400", "--"].map(Into::into).to_vec();
    let pair = format!("primary = {}\nbackups = [{}]", primary.toml(), backup.toml());
    let [route, api] = free_ports(ip);
    let mut proxy = Proxy::at(route, Admin::Tcp(api), wrapper, &pair);
    proxy.launch();
    let pid = proxy.process().id();
    let mut lives = proxy.client();
    assert_eq!(lives.server(), "AGG_P");

    // All of them connect, because the kernel queues whom the proxy does not accept.
    let mut crowd: Vec<_> = (0..300).map(|_| TcpStream::connect(proxy.route).unwrap()).collect();
    eventually("accepting is paused", || (proxy.admin.metric("failback_accept_pauses_total", &[]) > 0.0).then_some(()));
    let before = processor_time(pid);
    for _ in 0..20 {
        assert_eq!(lives.server(), "AGG_P");
        thread::sleep(Duration::from_millis(100));
    }
    let used = processor_time(pid) - before;
    assert!(used < Duration::from_millis(600), "{used:?} of 2 s while accepting was paused");
    assert_eq!((proxy.failovers(), proxy.pair().active_upstream.as_ref()), (0.0, "AGG_P"));

    crowd.drain(..250);
    let mut next = Client::connect(proxy.route);
    assert_eq!(next.server(), "AGG_P");
    assert_eq!(lives.server(), "AGG_P");
}

#[test]
fn clients_and_the_apis_clients_together_leave_the_checks_their_descriptors() {
    let primary = Server::start("AGG_P");
    let backup = TcpListener::bind((own_ip(), 0)).unwrap();
    let address = backup.local_addr().unwrap();
    let pair = format!(
        "primary = {}\nbackups = [{{ name = \"AGG_B\", address = \"{address}\" }}]\nhealth = {{ interval = \"100ms\", timeout = \"90ms\" }}",
        primary.toml()
    );
    let wrapper = ["prlimit", "--nofile=1024:1024", "--"].map(Into::into).to_vec();
    let ip = own_ip();
    let [route, api] = free_ports(ip);
    let mut proxy = Proxy::at(route, Admin::Tcp(api), wrapper, &pair);
    proxy.launch();

    let crowd: Vec<_> = (0..600).map(|_| TcpStream::connect(proxy.route).unwrap()).collect();
    eventually("accepting is paused", || (proxy.admin.metric("failback_accept_pauses_total", &[]) > 0.0).then_some(()));
    // Until the kernel's queue is full, too.
    let connect = |_| TcpStream::connect_timeout(&api, Duration::from_secs(1)).ok();
    let silent: Vec<_> = (0..300).map_while(connect).collect();
    // What was checked before the crowd came waits in the kernel's queue.
    for _ in 0..40 {
        backup.accept().unwrap();
    }
    drop((silent, crowd));
    let local =
        |upstream| proxy.admin.metric("failback_health_checks_total", &[("upstream", upstream), ("result", "local")]);
    assert_eq!((local("AGG_P"), local("AGG_B")), (0.0, 0.0), "every check could be tried");
}
