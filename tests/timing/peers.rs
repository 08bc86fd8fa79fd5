//! HAProxy beside failback, before the same two servers, through the same kill and return.

use crate::{
    alone,
    common::{
        address::own_address,
        eventually,
        process::Process,
        proxy::Proxy,
        redis::{Redis, RedisClient},
    },
};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What a plain load balancer does: as its manual has it, and as an expert would tune it.
const SETTINGS: [(&str, &str); 2] = [
    ("HAProxy, default", "check"),
    (
        "HAProxy, tuned",
        "check inter 100ms fastinter 5ms fall 2 rise 3 observe layer4 error-limit 1 on-error fastinter on-marked-down shutdown-sessions",
    ),
];

/// What one proxy did.
#[derive(Debug)]
struct Seen {
    proxy: &'static str,
    /// From the kill to the first answer of the backup.
    gap: Duration,
    /// From the primary's return, stale, to the first client that was led to it.
    stale: Option<Duration>,
}

#[test]
fn haproxy_leads_clients_back_to_the_stale_primary_and_failback_does_not() {
    let _machine = alone();
    let (mut primary, backup) = (Redis::start("AGG_P"), Redis::start("AGG_B"));
    let pair = format!("primary = {}\nbackups = [{}]\n", primary.toml(), backup.toml());
    let failback = Proxy::with_pair(&pair);
    failback.until_admissible("AGG_B");
    let dir = TempDir::new().expect("a directory");
    let peers: Vec<_> =
        SETTINGS.iter().map(|(name, check)| (*name, haproxy(dir.path(), name, check, &primary, &backup))).collect();
    let mut routes = vec![("failback, default", failback.route)];
    routes.extend(peers.iter().map(|(name, (_, route))| (*name, *route)));
    for (name, route) in &routes {
        eventually(name, || (served_by(*route)? == primary.address()).then_some(()));
    }

    let kill = Instant::now();
    primary.kill();
    let gaps = each(&routes, |route| until_led_to(route, backup.address(), kill, Duration::from_secs(20)));
    primary.launch();
    let back = Instant::now();
    let returns = each(&routes, |route| until_led_to(route, primary.address(), back, Duration::from_secs(8)));

    let seen: Vec<Seen> = routes
        .iter()
        .zip(gaps.into_iter().zip(returns))
        .map(|((proxy, _), (gap, stale))| Seen { proxy, gap: gap.expect("the backup serves in the end"), stale })
        .collect();
    for Seen { proxy, gap, stale } in &seen {
        println!("{proxy}: backup served after {gap:?}; led to the stale primary after {stale:?}");
    }
    assert_eq!(seen[0].stale, None, "failback waits for the signal");
    assert!(seen[0].gap < seen[1].gap, "{seen:?}");
    assert!(seen[1..].iter().all(|peer| peer.stale.is_some()), "what this program is for: {seen:?}");
}

/// Asks again and again through `route` until a server at `wanted` answers.
fn until_led_to(route: SocketAddr, wanted: SocketAddr, since: Instant, limit: Duration) -> Option<Duration> {
    while since.elapsed() < limit {
        if served_by(route) == Some(wanted) {
            return Some(since.elapsed());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// A new client, and not a patient one: what matters is when the next one is served.
fn served_by(route: SocketAddr) -> Option<SocketAddr> {
    let mut client = RedisClient::connect(route).ok()?;
    client.patience(Duration::from_millis(20));
    client.server().ok()
}

/// Does the same for all routes at once.
fn each<T: Send>(routes: &[(&str, SocketAddr)], act: impl Fn(SocketAddr) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let running: Vec<_> = routes.iter().map(|(_, route)| scope.spawn(|| act(*route))).collect();
        running.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    })
}

fn haproxy(dir: &Path, name: &str, check: &str, primary: &Redis, backup: &Redis) -> (Process, SocketAddr) {
    let (route, file) = (own_address(), dir.join(name));
    let (primary, backup) = (primary.address(), backup.address());
    let config = format!(
        "global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 4s\n  timeout client 1h\n  timeout server 1h\n\
         listen pair\n  bind {route}\n  server AGG_P {primary} {check}\n  server AGG_B {backup} {check} backup\n"
    );
    fs::write(&file, config).expect("the configuration can be written");
    let argv = ["haproxy", "-db", "-f", file.to_str().expect("a path in words")];
    (Process::start(&argv, &dir.join("haproxy.log")), route)
}
