//! What an operator reads: why the pair is where it is, and what keeps it there.

use crate::{common::proxy::PAIR, failed_over, servers};
use failback::model::view::PairStateName;

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
