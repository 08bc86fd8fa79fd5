//! The figure of the product's document: two proxies with one server each, and probes that know both proxies' addresses.

use crate::{
    common::{
        client::{Client, first_that_serves},
        eventually,
        proxy::Proxy,
        throughout,
    },
    servers,
};
use failback::model::view::HealthName;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Far less than a client is held, with room for a busy machine.
const PROMPTLY: Duration = Duration::from_secs(4);

#[test]
fn n1_a_proxy_whose_only_server_is_down_refuses_promptly_so_that_probes_go_to_the_other() {
    let (agg_p, agg_b) = servers();
    let proxy_p = Proxy::with_pair(&format!("primary = {}", agg_p.toml()));
    let proxy_b = Proxy::with_pair(&format!("primary = {}", agg_b.toml()));
    proxy_p.until_health("AGG_P", HealthName::Up);
    proxy_b.until_health("AGG_B", HealthName::Up);
    let addresses = [proxy_p.route, proxy_b.route];
    let (mut probe, served_by) = first_that_serves(&addresses);
    assert_eq!(served_by, "AGG_P");

    agg_p.kill();

    probe.wait_end();
    let before = Instant::now();
    let (_probe, served_by) = first_that_serves(&addresses);
    assert_eq!(served_by, "AGG_B");
    assert!(before.elapsed() < PROMPTLY, "refused promptly, not after {:?}", before.elapsed());

    // And so it stays as long as the server is away: a refusal each time, no client is held.
    proxy_p.until_health("AGG_P", HealthName::Down);
    let before = Instant::now();
    assert!((0..10).all(|_| proxy_p.refuses()), "nobody serves here");
    assert!(before.elapsed() < PROMPTLY * 2, "ten refusals took {:?}", before.elapsed());

    agg_p.revive();
    eventually("PROXY_P serves again", || (!proxy_p.refuses()).then_some(()));
}

#[test]
fn n11_probes_left_on_the_second_proxy_find_their_way_back_after_the_signal() {
    let (agg_p, agg_b) = servers();
    let proxy_p = Proxy::with_pair(&format!("primary = {}", agg_p.toml()));
    let proxy_b = Proxy::with_pair(&format!(
        "backups = [{}]\nelsewhere = {}\nfailback = {{ stable_for = \"200ms\", pace = 20 }}",
        agg_b.toml(),
        agg_p.toml()
    ));
    proxy_b.until_health("AGG_P", HealthName::Up);
    agg_p.kill();
    proxy_b.until_health("AGG_P", HealthName::Down);
    let addresses = [proxy_p.route, proxy_b.route];
    let mut probes: Vec<Client> = (0..10).map(|_| probe_on("AGG_B", &addresses)).collect();

    agg_p.revive();
    proxy_p.until_health("AGG_P", HealthName::Up);
    proxy_b.until_health("AGG_P", HealthName::Up);
    throughout(Duration::from_secs(1), "nobody moves before the signal", || {
        probes.iter_mut().all(|probe| !probe.ended())
    });

    let answer = proxy_b.admin.resync("AGG_V", "{}");
    assert!(answer.accepted, "{answer:?}");
    probes.iter_mut().for_each(Client::wait_end);
    let _back: Vec<Client> = (0..10).map(|_| probe_on("AGG_P", &addresses)).collect();
    assert_eq!(agg_p.sessions(), 10);

    // PROXY_B goes on serving whoever comes to it.
    assert_eq!(proxy_b.leads_to(), "AGG_B");
}

#[track_caller]
fn probe_on(server: &str, addresses: &[SocketAddr]) -> Client {
    let (client, served_by) = first_that_serves(addresses);
    assert_eq!(served_by, server);
    client
}
