//! The operator's hand: switch, freeze, and the budget that ends a pair's flapping.

use crate::{
    common::{
        proxy::{PAIR, Proxy},
        throughout,
    },
    failed_over, servers,
};
use failback::model::{Side, view::HealthName};
use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

const QUICK: &str = "failback = { stable_for = \"100ms\" }";

#[test]
fn a_frozen_pair_does_not_fail_over_until_it_is_thawed() {
    let (primary, backup) = servers();
    let proxy = Proxy::start(&primary, &backup, &format!("{QUICK}\nhold = {{ time = \"30s\" }}"));
    proxy.until_admissible("AGG_B");
    proxy.cli_says(&["freeze", PAIR]);
    primary.kill();
    proxy.until_health("AGG_P", HealthName::Down);
    let mut waiting = proxy.client();
    waiting.say("who").expect("the proxy's kernel takes it");
    throughout(Duration::from_secs(1), "frozen on the primary", || {
        let pair = proxy.pair();
        pair.frozen && pair.active_side == Side::Primary && !waiting.ended()
    });

    proxy.cli_says(&["unfreeze", PAIR]);
    assert_eq!(waiting.hear().expect("served"), "AGG_B:who");
    assert_eq!(proxy.settled_on(Side::Backup).epoch.0, 2);
}

#[test]
fn a_side_chosen_by_switch_stays_until_switch_auto() {
    let (primary, backup) = servers();
    let proxy = Proxy::start(&primary, &backup, "failback = { when = \"poll\", stable_for = \"200ms\" }");
    proxy.until_admissible("AGG_B");
    let mut probe = proxy.client();
    assert_eq!(probe.server(), "AGG_P");

    proxy.cli_says(&["switch", PAIR, "--to", "backup"]);
    probe.wait_end();
    let pair = proxy.settled_on(Side::Backup);
    assert_eq!((pair.reason.as_str(), pair.epoch.0, pair.pinned), ("operator_switch", 2, true));
    throughout(Duration::from_secs(1), "pinned, though the primary is healthy", || proxy.leads_to() == "AGG_B");

    proxy.cli_says(&["switch", PAIR, "--auto"]);
    assert_eq!(proxy.settled_on(Side::Primary).epoch.0, 3);
}

#[test]
fn a_switch_to_a_primary_nobody_vouches_for_needs_force() {
    let (primary, backup) = servers();
    let proxy = failed_over(&primary, &backup, QUICK);
    let refused = proxy.cli(&["switch", PAIR, "--to", "primary"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"), "{refused:?}");
    assert_eq!(proxy.leads_to(), "AGG_B");

    proxy.cli_says(&["switch", PAIR, "--to", "primary", "--force"]);
    let pair = proxy.settled_on(Side::Primary);
    assert_eq!((pair.epoch.0, proxy.leads_to().as_str()), (3, "AGG_P"));
}

#[test]
fn a_flapping_primary_costs_one_failover_and_never_a_failback() {
    let (primary, backup) = servers();
    // The mode that would fall for it: failing back as soon as the primary is healthy. Everything else is the default.
    let proxy = Proxy::start(&primary, &backup, "failback = { when = \"poll\" }");
    proxy.until_admissible("AGG_B");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                primary.kill();
                std::thread::sleep(Duration::from_secs(1));
                primary.revive();
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        proxy.settled_on(Side::Backup);
        let stayed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            throughout(Duration::from_secs(40), "everybody stays on the backup", || proxy.leads_to() == "AGG_B");
        }));
        stop.store(true, SeqCst);
        stayed.unwrap_or_else(|complaint| std::panic::resume_unwind(complaint));
    });
    assert_eq!((proxy.failovers(), proxy.failbacks()), (1.0, 0.0));
}

#[test]
fn a_spent_flap_budget_latches_the_pair_on_its_backup_until_switch_auto() {
    let (primary, backup) = servers();
    let proxy = failed_over(
        &primary,
        &backup,
        "failback = { when = \"poll\", stable_for = \"100ms\" }\nflap = { failovers = 1, window = \"10m\" }",
    );
    proxy.settled_on(Side::Primary);
    proxy.until_admissible("AGG_B");
    primary.kill();
    proxy.until("latched on the backup", |pair| pair.latched && pair.active_side == Side::Backup);

    primary.revive();
    proxy.until_health("AGG_P", HealthName::Up);
    throughout(Duration::from_secs(1), "latched, though the primary is healthy", || proxy.leads_to() == "AGG_B");
    proxy.cli_says(&["switch", PAIR, "--auto"]);
    assert!(!proxy.settled_on(Side::Primary).latched);
}
