//! The pages to the letter.

use super::{sessions, status, top, why};
use crate::model::{
    Epoch, Side, TransitionReason,
    view::{
        HealthName, MigrationView, PairStateName, PairView, RouteView, SessionView, SideCounts, StatusView,
        UpstreamRole, UpstreamView,
    },
};
use std::time::{Duration, SystemTime};

pub(super) fn now() -> SystemTime {
    humantime::parse_rfc3339("2026-03-01T12:00:00Z").unwrap()
}

fn upstream(name: &str, role: UpstreamRole, health: HealthName) -> UpstreamView {
    UpstreamView {
        name: name.into(),
        role,
        address: format!("{}.example.net:4100", name.to_lowercase()),
        resolved: vec!["10.0.0.1:4100".into()],
        health,
        since: "2026-03-01T11:57:00Z".into(),
        last_failure: (health == HealthName::Down).then(|| "it refused the connection".into()),
        last_check_seconds: Some(0.000_4),
        admissible: health == HealthName::Up,
        note: None,
    }
}

pub(super) fn failed_over() -> PairView {
    PairView {
        pair: "AGG_V".into(),
        active_side: Side::Backup,
        active_upstream: "AGG_B".into(),
        state: PairStateName::OnBackup,
        epoch: Epoch(7),
        since: "2026-03-01T11:57:00Z".into(),
        reason: TransitionReason::UpstreamRefused,
        blockers: vec!["AGG_P fails its checks".into(), "no valid resync signal has come".into()],
        frozen: false,
        pinned: false,
        latched: false,
        resynced_since: None,
        upstreams: vec![
            upstream("AGG_P", UpstreamRole::Primary, HealthName::Down),
            upstream("AGG_B", UpstreamRole::Backup, HealthName::Up),
        ],
        sessions: SideCounts { primary: 0, backup: 120 },
        held: 2,
        migration: None,
        watched_for: None,
    }
}

fn returning() -> PairView {
    let migration = MigrationView {
        from: Side::Backup,
        total: 120,
        remaining: 80,
        exempt: 1,
        pace: 20,
        admitting: false,
        paused: false,
        eta_seconds: Some(3.2),
    };
    PairView {
        active_side: Side::Primary,
        active_upstream: "AGG_P".into(),
        state: PairStateName::Returning,
        epoch: Epoch(8),
        reason: TransitionReason::PrimaryResynced,
        blockers: vec![],
        frozen: true,
        sessions: SideCounts { primary: 40, backup: 80 },
        held: 0,
        migration: Some(migration),
        ..failed_over()
    }
}

pub(super) fn node(pair: PairView) -> StatusView {
    StatusView {
        node: "PROXY_P".into(),
        version: "0.1.0".into(),
        uptime_seconds: 349_200.0,
        config_loaded_at: "2026-03-01T00:00:00Z".into(),
        warnings: vec!["AGG_V: AGG_P fails its checks".into(), "the journal's disk is slow\u{1b}[2J".into()],
        pairs: vec![pair],
        routes: vec![RouteView {
            route: "probes".into(),
            pair: "AGG_V".into(),
            listen: vec!["0.0.0.0:4100".into(), "[::]:4100".into()],
            sessions: 120,
            max_sessions: 20_000,
        }],
        group: None,
    }
}

/// As it arrives where nobody sees colours.
pub(super) fn plain(page: &str) -> String {
    anstream::adapter::strip_str(page).to_string()
}

#[test]
fn status_shows_the_tables_and_then_what_needs_somebody() {
    let expected = "\
PROXY_P  failback 0.1.0, up 4d 1h

PAIR   STATE      SIDE    UPSTREAM  EPOCH  SINCE   PRIMARY  BACKUP  HELD
AGG_V  on_backup  backup  AGG_B         7  3m ago        0     120     2

PAIR   UPSTREAM  ROLE     HEALTH  SINCE   CHECK  ADDRESS                                 NOTE
AGG_V  AGG_P     primary  down    3m ago  0.4ms  agg_p.example.net:4100 (10.0.0.1:4100)  it refused the connection
AGG_V  AGG_B     backup   up      3m ago  0.4ms  agg_b.example.net:4100 (10.0.0.1:4100)

ROUTE   PAIR   LISTEN                   SESSIONS    MAX
probes  AGG_V  0.0.0.0:4100, [::]:4100       120  20000

! AGG_V: AGG_P fails its checks
! AGG_V: no valid resync signal has come
! the journal's disk is slow\\u{1b}[2J
";
    let page = status::page(&node(failed_over()), &[], now(), None);
    assert_eq!(plain(&page), expected);
    assert!(page.contains("\u{1b}[33mon_backup\u{1b}[0m"), "the state has a colour: {page:?}");
}

#[test]
fn in_a_window_notes_are_wrapped_and_a_servers_note_is_short() {
    let mut pair = failed_over();
    let words = "wrong answer: the certificate carries none of the wanted names: wanted AGG_V";
    pair.upstreams[0].last_failure = Some(words.into());
    pair.blockers = vec![format!("AGG_P fails its checks: {words}")];
    let page = plain(&status::page(&node(pair.clone()), &[], now(), Some(60)));
    let notes = "\n! AGG_V: AGG_P fails its checks: wrong answer: the\n  certificate carries none of the wanted names: wanted AGG_V\n";
    assert!(page.contains(notes), "{page}");
    assert!(page.contains("  wrong answer: the certificate carries n…\n"), "{page}");
    let page = plain(&why::page(&pair, None, now(), Some(60)));
    assert!(page.contains("\n  1. AGG_P fails its checks: wrong answer: the certificate\n     carries none"), "{page}");
}

#[test]
fn x2_status_shows_a_migrations_progress_and_what_an_operator_put_on_top() {
    let page = plain(&status::page(&node(returning()), &[], now(), None));
    assert!(page.contains("AGG_V  returning, frozen  primary  AGG_P         8"), "{page}");
    let line =
        "→ AGG_V: moving sessions off the backup: 80 of 120 sessions left, 20 a second, done in 4s; 1 exempt stay\n";
    assert!(page.contains(line), "{page}");
}

#[test]
fn x2_once_the_old_side_is_closed_who_waits_is_what_counts() {
    let mut pair = PairView { held: 5, ..returning() };
    if let Some(migration) = &mut pair.migration {
        (migration.remaining, migration.admitting, migration.pace, migration.exempt) = (0, true, 2, 0);
    }
    let words = "old side closed; admitting: 5 wait, 2 a second, done in 4s";
    let page = plain(&status::page(&node(pair.clone()), &[], now(), None));
    assert!(page.contains(&format!("→ AGG_V: {words}\n")), "{page}");
    let page = plain(&why::page(&pair, None, now(), None));
    assert!(page.contains(&format!("Migration: {words}.\n")) && !page.contains("moving"), "{page}");
}

#[test]
fn x5_why_says_side_time_reason_blockers_and_sessions() {
    let expected = "\
AGG_V is on a backup, AGG_B (epoch 7).
Since 2026-03-01T11:57:00Z (3m ago): the upstream refused its checks.

What keeps it from its primary:
  1. AGG_P fails its checks
  2. no valid resync signal has come

Sessions: 0 on the primary, 120 on a backup; 2 clients held.
Servers:
  AGG_P (primary) has been down for 3m: it refused the connection
  AGG_B (backup) has been up for 3m
";
    assert_eq!(plain(&why::page(&failed_over(), None, now(), None)), expected);
}

#[test]
fn x5_why_knows_every_state() {
    let first_line = |state| {
        let page = plain(&why::page(&PairView { state, ..failed_over() }, None, now(), None));
        page.lines().next().unwrap().to_owned()
    };
    let lines: Vec<String> = PairStateName::ALL.iter().map(|state| first_line(*state)).collect();
    assert_eq!(
        lines,
        [
            "AGG_V is on its primary, AGG_B (epoch 7).",
            "AGG_V is on a backup, AGG_B (epoch 7).",
            "AGG_V is on a backup, AGG_B, and its primary is resynchronised (epoch 7).",
            "AGG_V is returning to its primary, AGG_B (epoch 7).",
            "AGG_V has no usable server; clients wait. It is the turn of its backup, AGG_B (epoch 7).",
        ]
    );
    let page = plain(&why::page(&PairView { latched: true, pinned: true, ..returning() }, None, now(), None));
    for words in
        ["It is frozen", "An operator chose this side", "Its flap budget is spent", "Migration: moving sessions off"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn sessions_are_listed_with_those_that_wait() {
    let session = |id: &str, upstream: Option<&str>| SessionView {
        id: id.into(),
        route: "probes".into(),
        pair: "AGG_V".into(),
        client: "10.1.2.3:5000".into(),
        upstream: upstream.map(Into::into),
        epoch: Epoch(7),
        age: Duration::from_secs(185),
        idle: Duration::from_millis(900),
        bytes_to_upstream: 1536,
        bytes_to_client: 7,
    };
    let expected = "\
ID   ROUTE   PAIR   CLIENT         UPSTREAM  EPOCH    AGE  IDLE  TO UPSTREAM  TO CLIENT
0-1  probes  AGG_V  10.1.2.3:5000  AGG_B         7  3m 5s    0s      1.5 KiB        7 B
0-2  probes  AGG_V  10.1.2.3:5000  waiting       7  3m 5s    0s      1.5 KiB        7 B
";
    assert_eq!(plain(&sessions::page(&[session("0-1", Some("AGG_B")), session("0-2", None)])), expected);
}

#[test]
fn top_shows_rates_and_a_restarted_node_has_none_below_zero() {
    let sample = |begun: u32, bytes: u32| {
        top::Sample::parse(&format!(
            "failback_sessions_total{{route=\"probes\",pair=\"AGG_V\",upstream=\"AGG_B\"}} {begun}\n\
             failback_bytes_total{{route=\"probes\",direction=\"to_client\"}} {bytes}\n"
        ))
    };
    let expected = "\
ROUTE   SESSIONS  NEW/S  ENDED/S  REFUSED/S  TO UPSTREAM/S  TO CLIENT/S
probes       120    5.0      0.0        0.0            0 B      1.0 KiB
";
    let page = plain(&top::page(&node(failed_over()), &sample(10, 0), &sample(20, 2048), 2.0, now()));
    assert!(page.ends_with(expected), "{page}");
    let page = plain(&top::page(&node(failed_over()), &sample(10, 2048), &sample(0, 0), 2.0, now()));
    assert!(page.contains("probes       120    0.0"), "{page}");
}
