//! What an operator reads: why the pair is where it is, and what keeps it there.

use crate::{
    common::{
        proxy::{PAIR, Proxy},
        server::Server,
    },
    failed_over, servers,
};
use failback::model::{
    Side,
    view::{HealthName, PairStateName},
};

#[test]
fn n7_a_lost_signal_shows_as_failed_over_with_a_primary_healthy_since() {
    let (primary, backup) = servers();
    let proxy = failed_over(&primary, &backup, "failback = { stable_for = \"100ms\" }");

    let status = proxy.admin.status();
    let warning = status.warnings.iter().find(|warning| warning.contains(PAIR)).expect("a warning about the pair");
    for words in ["failed over", "primary AGG_P healthy since"] {
        assert!(warning.contains(words), "`{words}` is not in `{warning}`");
    }
    let status = proxy.cli_says(&["status"]);
    assert!(status.contains("primary AGG_P healthy since"), "{status}");
    let why = proxy.cli_says(&["why", PAIR]);
    assert!(why.contains("AGG_P") && why.contains("resync"), "{why}");
    // What an alert rule needs: on the backup, and the primary up.
    let metric = |name, labels: &[(&str, &str)]| proxy.admin.metric(name, labels);
    assert_eq!(metric("failback_pair_state", &[("pair", PAIR), ("state", "on_backup")]), 1.0);
    assert_eq!(metric("failback_upstream_up", &[("pair", PAIR), ("upstream", "AGG_P")]), 1.0);
}

/// What `status` says below its tables.
fn remarks(proxy: &Proxy) -> Vec<String> {
    proxy.cli_says(&["status"]).lines().filter(|line| line.starts_with("! ")).map(str::to_owned).collect()
}

#[test]
fn status_says_each_fact_once_and_a_failed_check_has_one_wording() {
    let (primary, backup) = (Server::start("AGG_P"), Server::dead("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, "");
    proxy.until_health("AGG_B", HealthName::Down);
    let once = |words: &str| {
        let lines = remarks(&proxy);
        assert_eq!(lines.iter().filter(|line| line.contains(words)).count(), 1, "`{words}` in {lines:#?}");
    };
    once("AGG_B");
    let failure = proxy.pair().upstreams[1].last_failure.clone().expect("it failed");
    once(&failure);
    let warnings = proxy.admin.status().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("AGG_B")), "all is not well: {warnings:?}");
    let told = format!("AGG_B is down: {failure}");
    assert!(proxy.events().iter().any(|event| event.message.ends_with(&told)), "{told}");

    proxy.cli_says(&["freeze", PAIR]);
    once("frozen");
    proxy.cli_says(&["switch", PAIR, "--to", "backup", "--force"]);
    proxy.until("switched", |pair| pair.active_side == Side::Backup);
    for words in ["frozen", "--auto", "AGG_P holds everything", "AGG_B, whose turn it is"] {
        once(words);
    }
    assert!(remarks(&proxy).iter().all(|line| !line.contains("pinned")), "{:?}", remarks(&proxy));
}

#[test]
fn x5_why_tells_side_reason_and_blockers_in_words() {
    let (primary, backup) = servers();
    let proxy = failed_over(&primary, &backup, "failback = { stable_for = \"100ms\" }");
    let mut probe = proxy.client();
    assert_eq!(probe.server(), "AGG_B");

    let pair = proxy.pair();
    assert_eq!((pair.state, pair.reason.as_str()), (PairStateName::OnBackup, "upstream_refused"));
    assert!(pair.blockers.iter().any(|blocker| blocker.contains("resync")), "{:?}", pair.blockers);
    assert_eq!((pair.sessions.primary, pair.sessions.backup), (0, 1));

    let why = proxy.cli_says(&["why", PAIR]);
    for words in ["AGG_B", "backup", "refused", "resync"] {
        assert!(why.contains(words), "`{words}` is not in: {why}");
    }

    proxy.admin.command(PAIR, "freeze", "{}");
    let why = proxy.cli_says(&["why", PAIR]);
    assert!(why.contains("frozen") || why.contains("freeze"), "{why}");
    let no_such = proxy.cli(&["why", "AGG_X"]);
    assert_eq!(no_such.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&no_such.stderr).contains(PAIR), "the mend names the pairs there are");
}
