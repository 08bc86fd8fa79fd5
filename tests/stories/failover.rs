//! The gap: the primary fails, clients reach the backup, and those that come in between wait instead of being refused.

use crate::{
    common::{
        SOON,
        client::Client,
        proxy::{PAIR, Proxy},
        server::Server,
        throughout,
    },
    servers,
};
use failback::model::{
    Side,
    view::{HealthName, PairStateName},
};
use std::time::Duration;

#[test]
fn n2_primary_fails_new_clients_reach_the_backup_and_old_sessions_are_closed() {
    let (primary, backup) = servers();
    let proxy = Proxy::start(&primary, &backup, "failback = { stable_for = \"100ms\" }");
    proxy.until_admissible("AGG_B");
    let mut probes: Vec<Client> = (0..20).map(|_| proxy.client()).collect();
    for probe in &mut probes {
        assert_eq!(probe.server(), "AGG_P");
    }

    primary.kill();

    probes.iter_mut().for_each(Client::wait_end);
    assert_eq!(proxy.leads_to(), "AGG_B");
    let pair = proxy.settled_on(Side::Backup);
    assert_eq!((pair.epoch.0, &*pair.active_upstream), (2, "AGG_B"));
    assert_eq!(proxy.failovers(), 1.0);
    assert_eq!(proxy.events_of("failover").len(), 1);
}

#[test]
fn x3_a_client_that_comes_in_the_gap_never_notices_it() {
    let (primary, backup) = servers();
    let proxy = Proxy::start(&primary, &backup, "failback = { stable_for = \"100ms\" }");
    proxy.until_admissible("AGG_B");

    primary.kill();
    // These come before, during and after the change of side; a dial that is refused is not their business.
    let answers: Vec<_> = (0..30).map(|_| proxy.client().ask("event 1")).collect();

    for answer in answers {
        assert_eq!(answer.expect("served, not refused"), "AGG_B:event 1");
    }
    assert_eq!(proxy.admin.metric("failback_refused_clients_total", &[]), 0.0);
}

#[test]
fn x3_with_no_usable_side_clients_are_held_unread_and_served_by_whose_turn_it_is() {
    let (primary, backup) = servers();
    let proxy = Proxy::start(&primary, &backup, "failback = { stable_for = \"100ms\" }\nhold = { time = \"30s\" }");
    proxy.until_admissible("AGG_B");
    backup.kill();
    proxy.until_health("AGG_B", HealthName::Down);
    primary.kill();
    proxy.until_health("AGG_P", HealthName::Down);

    let mut held: Vec<Client> = (0..5).map(|_| proxy.client()).collect();
    for client in &mut held {
        client.say("sent before anybody served").expect("the proxy's kernel takes it");
    }
    proxy.until("five clients are held", |pair| pair.held == 5);
    assert_eq!(proxy.admin.metric("failback_held_clients", &[("pair", "AGG_V")]), 5.0);
    throughout(Duration::from_millis(500), "held, neither served nor refused", || {
        held.iter_mut().all(|client| !client.ended())
    });

    // The backup was never used, so the primary is whose turn it is, and it is not stale: nobody else served.
    primary.revive();
    for client in &mut held {
        assert_eq!(client.hear().expect("served"), "AGG_P:sent before anybody served");
    }
    let pair = proxy.settled_on(Side::Primary);
    assert_eq!((pair.epoch.0, pair.held), (1, 0));
}

#[test]
fn x3_whoever_waits_longer_than_hold_time_is_refused() {
    let (primary, backup) = (Server::dead("AGG_P"), Server::dead("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, "hold = { time = \"500ms\", max = 2 }");
    proxy.until_health("AGG_P", HealthName::Down);

    let mut held = [proxy.client(), proxy.client()];
    proxy.until("two clients are held", |pair| pair.held == 2);
    assert!(proxy.refuses(), "a third is too many");
    held.iter_mut().for_each(Client::wait_end);

    let refused = |reason| proxy.admin.metric("failback_refused_clients_total", &[("reason", reason)]);
    assert_eq!((refused("hold_full"), refused("hold_expired")), (1.0, 2.0));
}

#[test]
fn x3_a_backup_that_dies_too_leaves_clients_waiting_and_its_return_ends_that() {
    let (primary, backup) = servers();
    let proxy = Proxy::start(&primary, &backup, "failback = { stable_for = \"100ms\" }\nhold = { time = \"30s\" }");
    proxy.until_admissible("AGG_B");
    primary.kill();
    proxy.settled_on(Side::Backup);
    backup.kill();
    proxy.until("nobody serves", |pair| pair.state == PairStateName::NoServer);

    // The primary is stale now: the backup took traffic without it.
    primary.revive();
    proxy.until_health("AGG_P", HealthName::Up);
    let mut waiting = proxy.client();
    waiting.say("who").expect("the proxy's kernel takes it");
    throughout(Duration::from_secs(1), "the stale primary is not used", || primary.served() == 0 && !waiting.ended());

    backup.revive();
    waiting.patience(SOON);
    assert_eq!(waiting.hear().expect("served"), "AGG_B:who");
    assert_eq!(proxy.settled_on(Side::Backup).epoch.0, 2, "the same upstream as before: no new epoch");
}

#[test]
fn x3_when_both_died_the_first_healthy_backup_serves_and_the_primary_is_stale_from_then_on() {
    let (primary, backup) = servers();
    let proxy = Proxy::start(&primary, &backup, "failback = { stable_for = \"200ms\" }\nhold = { time = \"30s\" }");
    proxy.until_admissible("AGG_B");
    backup.kill();
    proxy.until_health("AGG_B", HealthName::Down);
    primary.kill();
    proxy.until("nobody serves", |pair| pair.state == PairStateName::NoServer);
    let mut waiting = proxy.client();

    backup.revive();
    assert_eq!(waiting.server(), "AGG_B");
    let pair = proxy.settled_on(Side::Backup);
    assert_eq!((pair.epoch.0, pair.reason.as_str()), (2, "backup_admitted"));

    primary.revive();
    proxy.until_health("AGG_P", HealthName::Up);
    throughout(Duration::from_secs(1), "the primary missed something", || proxy.leads_to() == "AGG_B");
    assert_eq!(primary.served(), 0);
}

#[test]
fn a_backup_that_needs_a_signal_of_its_own_gets_nobody_before_it() {
    let (primary, backup) = servers();
    let more = "failback = { stable_for = \"200ms\" }\nadmission = \"resynced\"\nhold = { time = \"30s\" }";
    let proxy = Proxy::start(&primary, &backup, more);
    proxy.until_health("AGG_B", HealthName::Up);
    primary.kill();
    proxy.until("nobody serves", |pair| pair.state == PairStateName::NoServer);
    let mut waiting = proxy.client();
    throughout(Duration::from_secs(1), "a backup nobody vouched for is not used", || {
        backup.served() == 0 && !waiting.ended() && proxy.pair().active_side == Side::Primary
    });

    proxy.cli_says(&["resync", PAIR, "--of", "backup"]);
    assert_eq!(waiting.server(), "AGG_B");
    assert_eq!(proxy.settled_on(Side::Backup).epoch.0, 2);
}
