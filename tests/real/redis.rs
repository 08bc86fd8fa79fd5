//! Redis, primary and replica, through a failover and the gated way back, with the scripts of `docs/recipes/`.

use crate::{
    common::{
        eventually,
        process::{Process, command},
        proxy::{PAIR, Proxy},
        redis::{Redis, Reply},
        throughout,
    },
    ledger::Ledger,
    recipe,
};
use failback::model::{
    Side,
    view::{HealthName, PairStateName},
};
use std::time::Duration;

#[test]
fn no_acknowledged_write_is_lost_or_read_stale_through_failover_and_failback() {
    let (mut primary, backup) = (Redis::start("REDIS_P"), Redis::start("REDIS_B"));
    backup.replicate(&primary);
    backup.caught_up();
    let proxy = Proxy::with_pair(&pair(&primary, &backup));
    let promoter = promoter(&proxy, &primary, &backup);
    proxy.until_admissible("REDIS_B");
    benchmark(&proxy);
    let ledger = Ledger::start(proxy.route, primary.address());
    eventually("events are stored", || (ledger.acknowledged() > 200).then_some(()));

    primary.kill();
    proxy.settled_on(Side::Backup);
    let so_far = ledger.acknowledged();
    eventually("the promoted backup takes events", || (ledger.acknowledged() > so_far + 200).then_some(()));
    eventually("the script says so", || (promoter.printed() == "promoted\n").then_some(()));
    benchmark(&proxy);

    // The old primary comes back as it was: a healthy master with old data.
    let before = ledger.on_primary();
    primary.launch();
    assert!(primary.text(&["INFO", "replication"]).contains("role:master"));
    proxy.until_health("REDIS_P", HealthName::Up);
    throughout(Duration::from_secs(3), "the stale primary is used by nobody", || {
        proxy.pair().state == PairStateName::OnBackup && ledger.on_primary() == before
    });

    // Somebody makes it a replica; the rest happens by itself: it catches up, is prepared, and the clients return.
    primary.replicate(&backup);
    let pair = proxy.settled_on(Side::Primary);
    assert_eq!(pair.epoch.0, 3);
    let so_far = ledger.acknowledged();
    backup.caught_up();
    eventually("the primary takes events", || (ledger.acknowledged() > so_far + 200).then_some(()));
    assert!(ledger.on_backup() > 200);
    benchmark(&proxy);

    let last = ledger.stop();
    // Every acknowledged number is there. Some others are, too: written, but the answer was cut off.
    let stored = primary.text(&["GET", "last"]).parse::<u64>().expect("a number");
    assert!(stored >= last, "{last} was acknowledged, {stored} is stored");
    assert_eq!(primary.ask(&["GET", &format!("event:{last}")]).expect("an answer"), Reply::Text(last.to_string()));
    assert_eq!((proxy.failovers(), proxy.failbacks()), (1.0, 1.0));
    assert_eq!(promoter.printed(), "promoted\n", "once; a prepared return is no reason to promote");
}

#[test]
fn a_redis_that_answers_an_error_and_stays_connected_is_not_healthy() {
    let (primary, backup) = (Redis::start("REDIS_P"), Redis::start("REDIS_B"));
    let proxy = Proxy::with_pair(&pair(&primary, &backup));
    proxy.until_admissible("REDIS_B");

    // A server that accepts connections and answers an error, as one does that is still loading its data.
    primary.text(&["CONFIG", "SET", "requirepass", "secret"]);
    let pair = proxy.settled_on(Side::Backup);
    assert_eq!(pair.reason.as_str(), "upstream_wrong");
    let failure = pair.upstreams[0].last_failure.as_deref().unwrap_or_default();
    assert!(failure.contains("NOAUTH"), "what it answered is shown: {failure}");
}

fn pair(primary: &Redis, backup: &Redis) -> String {
    let (p, b) = (primary.address(), backup.address());
    format!(
        "primary = {}\nbackups = [{}]\n\
         health = {{ send = \"PING\\r\\n\", expect = \"+PONG\" }}\n\
         failback = {{ stable_for = \"500ms\", resync_every = \"200ms\", resync_command = [{:?}, \"{}\", \"{}\", \"{}\", \"{}\"] }}",
        primary.toml(),
        backup.toml(),
        recipe("redis-resync.sh"),
        p.ip(),
        p.port(),
        b.ip(),
        b.port(),
    )
}

fn promoter(proxy: &Proxy, primary: &Redis, backup: &Redis) -> Process {
    let (p, b) = (primary.address(), backup.address());
    let argv = [
        recipe("redis-promote.sh"),
        format!("http://{}", proxy.admin),
        PAIR.into(),
        p.ip().to_string(),
        p.port().to_string(),
        b.ip().to_string(),
        b.port().to_string(),
    ];
    Process::start(&argv, &proxy.dir().join("promoter.log"))
}

/// Redis's own load, all of it answered.
fn benchmark(proxy: &Proxy) {
    let (ip, port) = (proxy.route.ip().to_string(), proxy.route.port().to_string());
    let load = ["redis-benchmark", "-h", &ip, "-p", &port, "-c", "20", "-n", "5000", "-t", "set,get,incr,lpush", "-q"];
    let output = command(&load).output().expect("redis-benchmark runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    for test in ["SET", "GET", "INCR", "LPUSH"] {
        assert!(printed.contains(&format!("{test}: ")), "{test} is missing in {printed}");
    }
}
