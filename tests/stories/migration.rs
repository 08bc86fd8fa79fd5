//! `X2`: the existing sessions' way to the other side, in the operator's hands.

use crate::{
    common::{
        client::{Client, alive},
        eventually,
        proxy::{PAIR, Proxy},
        server::Server,
        throughout,
    },
    failed_over, servers,
};
use failback::model::{
    Side,
    view::{MigrationView, PairStateName},
};
use std::time::Duration;

const SLOW: &str = "failback = { stable_for = \"100ms\", overlap = \"allow\", pace = 4 }";

#[test]
fn x2_a_migration_shows_its_progress_and_can_be_paused_resumed_and_forced() {
    let (primary, backup) = servers();
    let (proxy, mut probes) = returning(&primary, &backup);

    let first = moving(&proxy);
    assert_eq!((first.from, first.total, first.pace, first.paused), (Side::Backup, 40, 4, false));
    assert!(first.eta_seconds.is_some_and(|eta| (1.0..=15.0).contains(&eta)), "{first:?}");
    proxy.until("some have moved", |pair| pair.migration.as_ref().is_some_and(|it| it.remaining < first.remaining));

    proxy.cli_says(&["migration", PAIR, "pause"]);
    let paused = moving(&proxy);
    assert!(paused.paused && paused.eta_seconds.is_none(), "{paused:?}");
    // What was on its way when the order came may still arrive; from then on nothing moves.
    let settled = eventually("the figure stands still", || {
        let before = moving(&proxy).remaining;
        std::thread::sleep(Duration::from_millis(300));
        (moving(&proxy).remaining == before).then_some(before)
    });
    throughout(Duration::from_secs(1), "nobody moves while paused", || moving(&proxy).remaining == settled);
    assert!(settled > 0);
    let metric = proxy.admin.metric("failback_migration_remaining_sessions", &[("pair", PAIR)]);
    assert_eq!(metric, settled as f64);

    proxy.cli_says(&["migration", PAIR, "resume"]);
    proxy.until("they move again", |pair| pair.migration.as_ref().is_none_or(|it| it.remaining < settled));

    proxy.cli_says(&["migration", PAIR, "force"]);
    probes.iter_mut().for_each(Client::wait_end);
    let pair = proxy.settled_on(Side::Primary);
    assert_eq!((pair.epoch.0, pair.migration), (3, None));
}

#[test]
fn x2_an_aborted_migration_leads_newcomers_to_the_side_left_again() {
    let (primary, backup) = servers();
    let (proxy, mut probes) = returning(&primary, &backup);
    assert_eq!(proxy.leads_to(), "AGG_P");

    proxy.cli_says(&["migration", PAIR, "abort"]);
    let pair = proxy.until("back on the backup", |pair| pair.state == PairStateName::OnBackup);
    assert_eq!((pair.active_side, pair.epoch.0, pair.reason.as_str()), (Side::Backup, 4, "migration_aborted"));
    assert_eq!(proxy.leads_to(), "AGG_B");
    let stayed = alive(&mut probes);
    assert!(stayed > 0, "those not moved yet stay where they are");
    throughout(Duration::from_secs(1), "and are moved no more", || alive(&mut probes) == stayed);
}

/// A proxy in the middle of its return to the primary, and forty sessions that have to move.
fn returning(primary: &Server, backup: &Server) -> (Proxy, Vec<Client>) {
    let proxy = failed_over(primary, backup, SLOW);
    let mut probes: Vec<Client> = (0..40).map(|_| proxy.client()).collect();
    for probe in &mut probes {
        assert_eq!(probe.server(), "AGG_B");
    }
    assert!(proxy.admin.resync(PAIR, "{}").accepted);
    proxy.until("on its way back", |pair| pair.migration.is_some());
    (proxy, probes)
}

#[track_caller]
fn moving(proxy: &Proxy) -> MigrationView {
    proxy.pair().migration.expect("a migration is under way")
}

#[test]
fn x2_with_drain_sessions_may_end_by_themselves_until_the_deadline() {
    let (primary, backup) = servers();
    let more = "failback = { stable_for = \"100ms\", migrate = \"drain\", drain_deadline = \"4s\" }";
    let proxy = failed_over(&primary, &backup, more);
    let (mut quick, mut slow) = (proxy.client(), proxy.client());
    assert_eq!((quick.server(), slow.server()), ("AGG_B".into(), "AGG_B".into()));

    assert!(proxy.admin.resync(PAIR, "{}").accepted);
    proxy.until("newcomers go to the primary", |pair| pair.active_side == Side::Primary);
    assert_eq!(proxy.leads_to(), "AGG_P");
    throughout(Duration::from_secs(2), "nobody is closed before the deadline", || {
        quick.ask("still here").is_ok() && slow.ask("still here").is_ok()
    });
    drop(quick);
    proxy.until("one is left", |pair| pair.migration.as_ref().is_some_and(|it| it.remaining == 1));

    slow.wait_end();
    assert_eq!(proxy.settled_on(Side::Primary).epoch.0, 3);
}
