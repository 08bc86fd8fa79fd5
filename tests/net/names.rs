//! Servers called by names: two families, addresses that change, answers that fail.

use crate::{
    common::{eventually, throughout},
    lab::Lab,
};
use failback::model::view::HealthName;
use std::time::{Duration, Instant};

const BY_NAME: &str = "primary = { name = \"AGG_P\", address = \"agg-p.test:4100\" }\n\
                       backups = [{ name = \"AGG_B\", address = \"agg-b.test:4100\" }]\n\
                       failback = { stable_for = \"100ms\" }";

#[test]
fn a_dead_ipv6_address_costs_a_new_session_a_blink() {
    let lab = Lab::build();
    let _servers = lab.servers();
    // The IPv6 address is nobody's: packets to it vanish, as behind a broken tunnel.
    lab.names("proxy", "fd77::2 agg-p.test\n10.77.0.2 agg-p.test\n10.77.0.3 agg-b.test\n");
    lab.filter("primary", "chain in { type filter hook input priority 0; ip6 daddr fd77::2 tcp dport 4100 drop; }");
    let proxy = lab.proxy(BY_NAME);
    let pair = proxy.until_health("AGG_P", HealthName::Up);
    let resolved = &pair.upstreams[0].resolved;
    assert!(
        resolved.iter().any(|it| it.contains("fd77::2")) && resolved.iter().any(|it| it.contains("10.77.0.2")),
        "{resolved:?}"
    );

    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(lab.client().server(), "AGG_P");
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("new sessions with a dead AAAA: {times:?}");
    assert!(times[2] < Duration::from_millis(600), "IPv4 is tried 250 to 300 ms after IPv6: {times:?}");
    assert_eq!(proxy.failovers(), 0.0);
}

#[test]
fn a_changed_address_gets_the_newcomers_and_cuts_nobody_and_an_empty_answer_changes_nothing() {
    let lab = Lab::build();
    let _servers = lab.servers();
    let _spare = lab.server("AGG_S", "spare", "10.77.0.4:4100");
    lab.names("proxy", "10.77.0.2 agg-p.test\n10.77.0.3 agg-b.test\n");
    let proxy = lab.proxy(BY_NAME);
    proxy.until_health("AGG_P", HealthName::Up);
    let mut old = lab.client();
    assert_eq!(old.server(), "AGG_P");

    lab.names("proxy", "10.77.0.4 agg-p.test\n10.77.0.3 agg-b.test\n");
    eventually("newcomers go to the new address", || (lab.client().server() == "AGG_S").then_some(()));
    assert_eq!(old.server(), "AGG_P", "the live session is not cut");
    let resolved = proxy.pair().upstreams[0].resolved.clone();
    assert!(resolved.iter().all(|it| it.contains("10.77.0.4")), "{resolved:?}");

    lab.names("proxy", "127.0.0.1 localhost\n");
    throughout(Duration::from_secs(12), "the last good answer is kept", || lab.client().server() == "AGG_S");
    assert_eq!(old.server(), "AGG_P");
    assert_eq!((proxy.pair().epoch.0, proxy.failovers()), (1, 0.0));
}
