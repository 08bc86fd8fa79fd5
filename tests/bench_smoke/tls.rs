//! The modes in TLS: end to end, and where failback speaks it with clients, with servers, with both.

use crate::{
    common::{address::own_address, proxy::Proxy},
    end::{End, is_clean, load},
    harness::certs,
};
use std::path::Path;
use tempfile::TempDir;

const MODES: [&str; 6] = [
    "connect --concurrency 4",
    "ping-pong --sessions 20",
    "ping-pong --sessions 3 --size 65536",
    "bulk --streams 2 --direction up",
    "bulk --streams 2 --direction down",
    "bulk --streams 2 --direction both",
];

fn certificates() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    certs::make(dir.path(), certs::NAME).unwrap();
    dir
}

/// A proxy with one server; further lines for the pair and the route.
fn proxy(server: &End, pair: &str, route: &str) -> Proxy {
    Proxy::with_pair(&format!(
        "primary = {{ name = \"AGG_P\", address = \"{}\" }}\n{pair}\n[routes.probes.tls]\n{route}",
        server.address
    ))
}

fn every_mode(proxy: &mut Proxy, tls: &str) {
    let pid = proxy.process().id();
    for words in MODES {
        let report = load(proxy.route, &format!("{words} {tls} --pid {pid}"));
        is_clean(&report);
        assert!(report.operations > 0 || report.bytes > 0, "{words}: {}", report.table());
        assert!(report.proxy.is_some_and(|proxy| proxy.busy > 0.0), "{words}: {}", report.table());
    }
}

fn ca(certs: &Path) -> String {
    format!("--tls-ca {}", certs.join("ca.pem").display())
}

/// What makes the route end TLS, and the pair speak it.
fn lines(certs: &Path) -> (String, String) {
    let file = |name: &str| certs.join(name).display().to_string();
    let route = format!("cert = \"{}\"\nkey = \"{}\"", file("cert.pem"), file("key.pem"));
    (route, format!("tls = {{ ca = \"{}\", names = [\"{}\"] }}", file("ca.pem"), certs::NAME))
}

#[test]
fn every_mode_runs_in_tls_from_end_to_end() {
    let certs = certificates();
    let end = End::secure(own_address(), certs.path());
    for words in MODES {
        let report = load(end.address, &format!("{words} {}", ca(certs.path())));
        is_clean(&report);
        assert!(report.operations > 0 || report.bytes > 0, "{words}: {}", report.table());
    }
}

#[test]
fn every_mode_runs_where_the_proxy_ends_tls() {
    let certs = certificates();
    let server = End::at(own_address(), "AGG_P", None);
    let (route, _) = lines(certs.path());
    let mut proxy = proxy(&server, "", &route);
    every_mode(&mut proxy, &ca(certs.path()));
    every_mode(&mut proxy, &format!("{} --tls-resume", ca(certs.path())));
}

#[test]
fn every_mode_runs_where_the_proxy_speaks_tls_with_both() {
    let certs = certificates();
    let server = End::secure(own_address(), certs.path());
    let (route, pair) = lines(certs.path());
    every_mode(&mut proxy(&server, &pair, &route), &ca(certs.path()));
}

#[test]
fn every_mode_runs_where_the_proxy_speaks_tls_with_servers() {
    let certs = certificates();
    let server = End::secure(own_address(), certs.path());
    let (_, pair) = lines(certs.path());
    let pair = format!("primary = {{ name = \"AGG_P\", address = \"{}\" }}\n{pair}", server.address);
    every_mode(&mut Proxy::with_pair(&pair), "");
}

#[test]
fn an_idle_session_in_tls_costs_two_descriptors() {
    let certs = certificates();
    let server = End::at(own_address(), "AGG_P", None);
    let mut proxy = proxy(&server, "", &lines(certs.path()).0);
    let pid = proxy.process().id();
    let report = load(proxy.route, &format!("idle --sessions 300 --pid {pid} {}", ca(certs.path())));
    is_clean(&report);
    // A health check may have one open while they are counted.
    assert!((1.98..2.02).contains(&report.idle.unwrap().descriptors_each), "{}", report.table());
}
