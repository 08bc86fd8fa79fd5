//! No free local port is the proxy's own trouble, never the server's.

use crate::{
    common::{
        client::{Client, alive},
        eventually, throughout,
    },
    lab::{Lab, pair},
};
use failback::model::Side;
use std::time::Duration;

#[test]
fn running_out_of_local_ports_is_no_failover_and_ends_when_ports_are_free_again() {
    let lab = Lab::build();
    let (primary, backup) = lab.servers();
    lab.run("proxy", "sysctl -qw net.ipv4.ip_local_port_range=40000\t40011");
    let proxy = lab.proxy(&pair("failback = { stable_for = \"100ms\" }\nhold = { time = \"60s\" }"));
    proxy.until_admissible("AGG_B");

    // Twelve ports lead to the primary, and checks need some of them now and then.
    let mut clients: Vec<Client> = (0..30).map(|_| lab.client()).collect();
    for client in &mut clients {
        client.say("who").expect("the proxy's kernel takes it");
    }
    eventually("the ports are used up", || (primary.sessions() >= 8).then_some(()));
    throughout(Duration::from_secs(6), "no failover for want of ports", || {
        let pair = proxy.pair();
        pair.active_side == Side::Primary && pair.epoch.0 == 1
    });
    assert_eq!((proxy.failovers(), backup.served()), (0.0, 0));
    assert!(alive(&mut clients) >= 8, "those that have a port keep it");

    drop(clients);
    let mut late = eventually("served again", || {
        let mut client = lab.client();
        client.ask("who").ok().map(|_| client)
    });
    assert_eq!(late.server(), "AGG_P");
    assert_eq!(proxy.settled_on(Side::Primary).epoch.0, 1);
}
