//! `/metrics`: what Prometheus itself makes of it, and that it counts what happened.

use super::{
    common::{
        admin::{promtool_accepts, sum},
        eventually,
        proxy::PAIR,
    },
    node::Node,
    wire::send,
};
use std::fs;

#[test]
fn promtool_has_nothing_to_object_to() {
    let node = Node::start();
    let _session = node.proxy.client();
    promtool_accepts(&node.proxy.admin.get("/metrics").unwrap().1);
}

/// Names that dashboards and alerts rely on.
const PROMISED: [&str; 21] = [
    "sessions",
    "sessions_total",
    "session_ends_total",
    "bytes_total",
    "connect_duration_seconds_bucket",
    "upstream_up",
    "health_checks_total",
    "health_check_duration_seconds_bucket",
    "pair_state",
    "pair_active_side",
    "pair_epoch",
    "failovers_total",
    "failbacks_total",
    "resync_signals_total",
    "migration_remaining_sessions",
    "held_clients",
    "refused_clients_total",
    "build_info",
    "admin_requests_refused_total",
    "accept_pauses_total",
    "outcomes_dropped_total",
];

#[test]
fn a_quiet_node_reports_everything_it_may_ever_count() {
    let node = Node::start();
    let reply = send(node.api(), "GET /metrics", &[], "");
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for name in PROMISED {
        let sample = |line: &str| {
            line.strip_prefix("failback_")
                .and_then(|line| line.strip_prefix(name))
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        assert!(reply.body.lines().any(sample), "no failback_{name} in\n{}", reply.body);
    }
    for name in
        ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"]
    {
        assert!(reply.body.lines().any(|line| line.starts_with(name)), "no {name}");
    }
}

#[test]
fn what_happened_is_counted() {
    let node = Node::start();
    let metric = |name: &str, labels: &[(&str, &str)]| node.proxy.admin.metric(&format!("failback_{name}"), labels);
    let mut client = node.proxy.client();
    assert_eq!(client.server(), "AGG_P");
    eventually("the session is counted", || (metric("sessions", &[("side", "primary")]) == 1.0).then_some(()));
    assert!(metric("bytes_total", &[("direction", "to_upstream")]) > 0.0);
    assert!(metric("bytes_total", &[("direction", "to_client")]) > 0.0);
    assert_eq!(metric("connect_duration_seconds_count", &[("upstream", "AGG_P")]), 1.0);
    assert_eq!(metric("pair_state", &[("state", "on_primary")]), 1.0);
    eventually("the primary is up", || (metric("upstream_up", &[("upstream", "AGG_P")]) == 1.0).then_some(()));

    node.until_backup_is_ready();
    node.primary.kill();
    node.proxy.settled_on(failback::model::Side::Backup);
    assert_eq!(metric("failovers_total", &[("reason", "upstream_refused")]), 1.0);
    assert_eq!(metric("failovers_total", &[]), 1.0);
    assert_eq!(metric("pair_epoch", &[("pair", PAIR)]), 2.0);
    assert_eq!(metric("pair_state", &[]), 1.0, "one state holds");
    assert_eq!(metric("pair_active_side", &[("side", "backup")]), 1.0);
    assert_eq!(metric("upstream_up", &[("upstream", "AGG_P")]), 0.0);
    assert!(metric("health_checks_total", &[("upstream", "AGG_P"), ("result", "refused")]) >= 3.0);
    eventually("the session's end is counted", || {
        (metric("session_ends_total", &[]) == 1.0 && metric("sessions", &[]) == 0.0).then_some(())
    });

    assert!(!node.proxy.admin.resync(PAIR, "{}").accepted, "the primary is dead");
    assert_eq!(metric("resync_signals_total", &[("result", "primary_down")]), 1.0);
    assert!(!node.proxy.admin.resync(PAIR, "{\"epoch\":9}").accepted);
    assert_eq!(metric("resync_signals_total", &[("result", "wrong_epoch")]), 1.0);
    assert!(node.backup.sessions() == 0);
}

#[test]
fn who_is_turned_away_from_the_api_is_counted() {
    let node = Node::with_tokens();
    let refused = || {
        let page = send(node.api(), "GET /metrics", &["Authorization: Bearer r3ad"], "").body;
        ["unauthorized", "scope", "foreign"]
            .map(|reason| sum(&page, "failback_admin_requests_refused_total", &[("reason", reason)]))
    };
    assert_eq!(refused(), [0.0; 3]);
    send(node.api(), "GET /api/v1/status", &[], "").problem(401);
    send(node.api(), "GET /api/v1/status", &["Authorization: Bearer wrong"], "").problem(401);
    send(node.api(), "POST /api/v1/reload", &["Authorization: Bearer r3ad"], "").problem(403);
    let foreign = ["Authorization: Bearer 0perate", "Origin: http://evil.example"];
    send(node.api(), "POST /api/v1/reload", &foreign, "").problem(403);
    assert_eq!(refused(), [2.0, 1.0, 1.0]);
}

#[test]
fn the_extra_listener_serves_metrics_under_any_name_and_nothing_else() {
    let port = super::common::address::own_address();
    let node = Node::with(|config| format!("{config}\n[metrics]\nlisten = \"{port}\"\n"));
    let page = send(port, "GET /metrics", &["Host: prometheus.example:9901"], "");
    assert_eq!(page.code, 200);
    assert!(page.body.contains("failback_build_info"), "{page:?}");
    for path in ["/api/v1/status", "/healthz", "/", "/api/v1/openapi.json"] {
        send(port, &format!("GET {path}"), &[], "").problem(404);
    }
    send(port, "POST /metrics", &[], "").problem(405);
    send(port, "POST /api/v1/reload", &[], "").problem(404);
    assert_eq!(send(node.api(), "GET /metrics", &[], "").code, 200);
}

#[test]
fn a_pair_that_is_gone_from_the_configuration_is_gone_from_the_page() {
    let second = super::common::address::own_address();
    let with_second = |config: String| {
        let pair = "[pairs.SECOND]\nprimary = { name = \"A\", address = \"127.0.0.1:9\" }\nbackups = [{ name = \"B\", address = \"127.0.0.2:9\" }]";
        format!("{config}\n{pair}\n[routes.second]\nlisten = [\"{second}\"]\npair = \"SECOND\"\n")
    };
    let node = Node::with(with_second);
    let page = || node.proxy.admin.get("/metrics").unwrap().1;
    assert!(page().contains("SECOND") && page().contains("route=\"second\""));
    let config = fs::read_to_string(node.proxy.config()).unwrap();
    fs::write(node.proxy.config(), config.split("[pairs.SECOND]").next().unwrap()).unwrap();
    assert_eq!(send(node.api(), "POST /api/v1/reload", &[], "").code, 200);
    eventually("nothing speaks of it any more", || {
        let page = page();
        (!page.contains("SECOND") && !page.contains("route=\"second\"")).then_some(())
    });
    assert!(page().contains(PAIR));
}
