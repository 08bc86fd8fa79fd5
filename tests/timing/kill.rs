//! The primary's process is killed: how long until the backup serves.

use crate::{
    alone,
    common::{
        proxy::{PAIR, Proxy},
        redis::{Redis, RedisClient},
    },
};
use failback::model::{Side, view::HealthName};
use std::time::{Duration, Instant};

const ROUNDS: usize = 20;
const BATCHES: usize = 5;
const LIMIT: Duration = Duration::from_millis(50);

/// Detection has its default settings; `stable_for` and `flap` concern the ways back, of which this test needs twenty.
const DEFAULTS: &str = "failback = { stable_for = \"100ms\" }\nflap = { failovers = 1000 }";

#[test]
fn a_killed_primary_is_left_within_fifty_milliseconds_in_the_median_of_twenty() {
    let _machine = alone();
    let (mut primary, backup) = (Redis::start("AGG_P"), Redis::start("AGG_B"));
    let proxy = Proxy::with_pair(&format!("primary = {}\nbackups = [{}]\n{DEFAULTS}", primary.toml(), backup.toml()));
    proxy.until_admissible("AGG_B");

    // The machine may be busy with something else for a while; a proxy that is slow is so in every batch.
    let batch = || {
        let mut gaps: Vec<Duration> = (0..ROUNDS).map(|_| one_kill(&proxy, &mut primary, &backup)).collect();
        gaps.sort();
        println!("kill -9 to the backup's first byte: median {:?}, all {gaps:?}", gaps[ROUNDS / 2]);
        gaps[ROUNDS / 2]
    };
    let good = std::iter::repeat_with(batch).take(BATCHES).any(|median| median <= LIMIT);
    assert!(good, "slower than {LIMIT:?} in {BATCHES} batches");
}

/// From the kill until both have happened: the old session is cut, and a new client has its first byte from the backup.
fn one_kill(proxy: &Proxy, primary: &mut Redis, backup: &Redis) -> Duration {
    let mut session = RedisClient::connect(proxy.route).expect("the proxy listens");
    assert_eq!(session.server().expect("served"), primary.address());

    let start = Instant::now();
    primary.kill();
    let mut newcomer = RedisClient::connect(proxy.route).expect("the proxy listens");
    assert_eq!(newcomer.server().expect("served"), backup.address());
    session.wait_end();
    let gap = start.elapsed();

    primary.launch();
    proxy.until_health("AGG_P", HealthName::Up);
    assert!(proxy.admin.resync(PAIR, "{}").accepted);
    proxy.settled_on(Side::Primary);
    proxy.until_admissible("AGG_B");
    gap
}
