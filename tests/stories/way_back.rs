//! The way back: never without a reason, then orderly.

use crate::{
    common::{
        client::{Client, alive},
        eventually,
        proxy::{PAIR, Proxy},
        throughout,
    },
    failed_over, servers,
};
use failback::model::{
    Side,
    view::{HealthName, PairStateName},
};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

#[test]
fn n3_a_primary_that_is_healthy_again_gets_nobody_without_a_signal() {
    let (primary, backup) = servers();
    let mut proxy = failed_over(&primary, &backup, "failback = { stable_for = \"100ms\" }");
    let mut probe = proxy.client();
    assert_eq!(probe.server(), "AGG_B");
    throughout(Duration::from_secs(2), "everybody stays on the backup", || {
        proxy.leads_to() == "AGG_B" && !probe.ended()
    });

    // Nor does a killed and restarted proxy forget it.
    proxy.restart();
    let pair = proxy.pair();
    assert_eq!((pair.active_side, pair.epoch.0), (Side::Backup, 2));
    throughout(Duration::from_secs(2), "everybody stays on the backup after a restart", || proxy.leads_to() == "AGG_B");
    assert_eq!((primary.served(), proxy.pair().epoch.0), (0, 2));
}

#[test]
fn n4_the_signal_closes_sessions_at_the_pace_oldest_first_and_spares_the_exempt() {
    let (primary, backup) = servers();
    let gateway: IpAddr = "127.9.9.9".parse().expect("an address");
    let proxy = failed_over(
        &primary,
        &backup,
        "failback = { stable_for = \"100ms\", overlap = \"allow\", pace = 20, exempt = [\"127.9.9.9/32\"] }",
    );
    let mut exempt = Client::connect_from(gateway, proxy.route);
    assert_eq!(exempt.server(), "AGG_B");
    let mut probes: Vec<Option<Client>> = (0..30).map(|_| Some(proxy.client())).collect();
    for probe in probes.iter_mut().flatten() {
        assert_eq!(probe.server(), "AGG_B");
    }

    let start = Instant::now();
    let answer = proxy.admin.resync(PAIR, "{}");
    assert!(answer.accepted, "{answer:?}");
    let mut order = Vec::new();
    eventually("all thirty are closed", || {
        for (number, probe) in probes.iter_mut().enumerate() {
            if probe.as_mut().is_some_and(Client::ended) {
                *probe = None;
                order.push(number);
            }
        }
        (order.len() == 30).then_some(())
    });

    // Twenty a second: thirty take 1.5 s but for the first burst and the jitter; more than one second in any case.
    assert!(start.elapsed() > Duration::from_secs(1), "faster than the pace: {:?}", start.elapsed());
    let mean = |numbers: &[usize]| numbers.iter().sum::<usize>() as f64 / numbers.len() as f64;
    assert!(mean(&order[..10]) < mean(&order[20..]), "not oldest first: {order:?}");
    assert_eq!(proxy.leads_to(), "AGG_P");
    assert_eq!(exempt.server(), "AGG_B", "an exempt client is left alone");
    let pair = proxy.settled_on(Side::Primary);
    assert_eq!(pair.epoch.0, 3);
    assert_eq!((proxy.failovers(), proxy.failbacks()), (1.0, 1.0));
    assert_eq!(exempt.server(), "AGG_B", "and stays when the return is over");
}

#[test]
fn n4_without_overlap_the_old_side_is_empty_before_the_new_one_gets_its_first_client() {
    let (primary, backup) = servers();
    let proxy = failed_over(&primary, &backup, "failback = { stable_for = \"100ms\" }");
    let mut probes: Vec<Client> = (0..50).map(|_| proxy.client()).collect();
    for probe in &mut probes {
        assert_eq!(probe.server(), "AGG_B");
    }

    assert!(proxy.admin.resync(PAIR, "{}").accepted);
    let left_behind = eventually("the primary serves", || proxy.reaches("AGG_P").then(|| alive(&mut probes)));

    assert_eq!(left_behind, 0, "sessions on the backup while the primary serves");
    eventually("the backup is left by all", || (backup.sessions() == 0).then_some(()));
    assert_eq!(proxy.settled_on(Side::Primary).epoch.0, 3);
}

#[test]
fn n6_poll_mode_returns_without_a_signal() {
    let (primary, backup) = servers();
    let proxy = failed_over(&primary, &backup, "failback = { when = \"poll\", stable_for = \"500ms\" }");
    let pair = proxy.settled_on(Side::Primary);
    assert_eq!((pair.epoch.0, pair.reason.as_str()), (3, "migration_done"));
    assert_eq!(proxy.leads_to(), "AGG_P");
    assert_eq!(proxy.admin.metric("failback_failbacks_total", &[("reason", "primary_polled")]), 1.0);
}

#[test]
fn n6_in_poll_mode_a_timeout_that_is_not_less_than_the_interval_is_a_configuration_error() {
    let (primary, backup) = servers();
    let pair = format!(
        "primary = {}\nbackups = [{}]\nhealth = {{ interval = \"1s\", timeout = \"1s\" }}\nfailback = {{ when = \"poll\" }}",
        primary.toml(),
        backup.toml()
    );
    let proxy = Proxy::prepared(&pair);
    let file = proxy.config();
    let check = proxy.program(&["check", "-c", file.to_str().expect("a path in words")]);
    let complaint = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(78), "{complaint}");
    for word in ["failback.toml", "timeout", "interval"] {
        assert!(complaint.contains(word), "`{word}` is not in {complaint}");
    }
}

#[test]
fn x1_a_relapse_revokes_the_signal() {
    let (primary, backup) = servers();
    let proxy = failed_over(&primary, &backup, "failback = { stable_for = \"5s\" }");
    assert!(proxy.admin.resync(PAIR, "{}").accepted);
    assert_eq!(proxy.pair().state, PairStateName::Resynced);

    primary.kill();
    let pair = proxy.until("the signal is revoked", |pair| pair.state == PairStateName::OnBackup);
    assert_eq!((pair.reason.as_str(), pair.epoch.0), ("signal_revoked", 2));

    // Healthy again, for longer than stable_for; but what it missed meanwhile nobody vouches for.
    primary.revive();
    proxy.until_health("AGG_P", HealthName::Up);
    throughout(Duration::from_secs(7), "the old signal is worth nothing", || proxy.pair().active_side == Side::Backup);

    let epoch = proxy.pair().epoch.0;
    assert!(proxy.admin.resync(PAIR, &format!("{{\"epoch\": {epoch}}}")).accepted);
    assert_eq!(proxy.settled_on(Side::Primary).epoch.0, epoch + 1);
}

#[test]
fn x1_a_restart_keeps_side_and_epoch_but_not_a_signal_given_before_it() {
    let (primary, backup) = servers();
    let mut proxy = failed_over(&primary, &backup, "failback = { stable_for = \"5s\" }");
    assert!(proxy.admin.resync(PAIR, "{}").accepted);

    // Nobody watched the primary while the proxy was away: it may have failed meanwhile.
    proxy.restart();
    throughout(Duration::from_secs(7), "on the backup still", || proxy.pair().active_side == Side::Backup);
    assert_eq!(proxy.pair().epoch.0, 2);
    assert_eq!(proxy.leads_to(), "AGG_B");

    assert!(proxy.admin.resync(PAIR, "{}").accepted);
    assert_eq!(proxy.settled_on(Side::Primary).epoch.0, 3);
    proxy.restart();
    let pair = proxy.settled_on(Side::Primary);
    assert_eq!(pair.epoch.0, 3);
}

#[test]
fn x1_every_client_of_a_failed_over_pair_finds_the_same_side_after_the_proxy_was_killed() {
    let (primary, backup) = servers();
    let mut proxy = failed_over(&primary, &backup, "failback = { stable_for = \"100ms\" }");
    let mut probes: Vec<Client> = (0..50).map(|_| proxy.client()).collect();
    for probe in &mut probes {
        assert_eq!(probe.server(), "AGG_B");
    }
    for round in 0..3 {
        proxy.restart();
        probes.iter_mut().for_each(Client::wait_end);
        probes = (0..50).map(|_| proxy.client()).collect();
        for probe in &mut probes {
            assert_eq!(probe.server(), "AGG_B", "round {round}");
        }
        let pair = proxy.pair();
        assert_eq!((pair.active_side, pair.epoch.0), (Side::Backup, 2));
    }
    assert_eq!(primary.served(), 0);
}
