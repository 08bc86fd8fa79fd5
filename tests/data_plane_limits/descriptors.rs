//! No descriptors left: accepting pauses without burning the processor, whoever has a session keeps it, and the upstream is
//! not to blame.

use crate::{
    common::{
        address::{free_port, own_ip},
        admin::Admin,
        client::Client,
        eventually,
        proxy::Proxy,
        server::Server,
    },
    usage::processor_time,
};
use std::{net::TcpStream, thread, time::Duration};

#[test]
fn without_descriptors_accepting_pauses_and_recovers() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let ip = own_ip();
    let wrapper = ["prlimit", "--nofile=400:400", "--"].map(Into::into).to_vec();
    let pair = format!("primary = {}\nbackups = [{}]", primary.toml(), backup.toml());
    let mut proxy = Proxy::at(free_port(ip), Admin::Tcp(free_port(ip)), wrapper, &pair);
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
