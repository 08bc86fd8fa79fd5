//! What the pages show: who is who, what is yellow, what is doubtful in a configuration.

use crate::{
    common::{
        admin::{promtool_accepts, sum},
        eventually,
        process::run,
        within,
    },
    node::{Node, PRIMARY_TIMEOUT, Wishes},
    rig::{Rig, by_hand},
};
use failback::model::{
    group::{NodeStateName, Role},
    view::{StatusView, group::SyncResult},
};
use std::{fs, io::Write, net::TcpStream, time::Duration};

/// The page as a terminal would show it.
fn colourful(node: &Node) -> String {
    let admin = node.proxy.admin.to_string();
    run(&["env", "CLICOLOR_FORCE=1", "TERM=xterm", env!("CARGO_BIN_EXE_failback"), "status", "--admin", &admin])
}

/// The row that this node's page has for a member: its words, and whether it is yellow.
#[track_caller]
fn row(page: &str, of: &str) -> (String, bool) {
    let members = page.split("NODE").nth(1).expect("the table of members");
    let plain = |line: &str| {
        let parts = line.split('\u{1b}').map(|part| part.split_once('m').map_or(part, |(_, rest)| rest));
        parts.collect::<String>()
    };
    let found = members.lines().find(|line| plain(line).starts_with(&format!("{of} ")));
    let line = found.unwrap_or_else(|| panic!("no row of {of}: {page}"));
    let words = plain(line).split_whitespace().collect::<Vec<_>>().join(" ");
    (words, line.contains("\u{1b}[33m"))
}

#[test]
fn g4_g11_after_a_takeover_the_rows_say_who_is_where_and_are_yellow_on_both_pages() {
    let mut rig = Rig::joined();
    let sound = colourful(&rig.b);
    for of in ["A", "B"] {
        assert!(!row(&sound, of).1, "nothing to care for: {sound}");
    }
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.a_returns();

    for node in [&rig.a, &rig.b] {
        within(Duration::from_secs(60), "the rows are as they must be", || {
            let page = colourful(node);
            let ((a, a_yellow), (b, b_yellow)) = (row(&page, "A"), row(&page, "B"));
            let offline =
                a.contains("A primary offline") && a.contains("10.77.0.121/24") && !a.contains("10.77.0.10/24");
            let online = b.contains("B backup online") && b.contains("10.77.0.10/24");
            let told = page.contains("the seat A is degraded: B holds it, not its own node A");
            // No takeover by itself any more.
            (offline && online && a_yellow && b_yellow && told && page.contains("degraded, auto off")).then_some(())
        });
        let group = within(Duration::from_secs(60), "the same as JSON", || {
            let status: StatusView = serde_json::from_str(&node.order(&["status", "--json"])).expect("a status");
            let group = status.group.expect("a group");
            let synced = group
                .nodes
                .iter()
                .any(|its| its.last_sync.as_ref().is_some_and(|sync| sync.result == SyncResult::Done));
            synced.then_some(group)
        });
        let seat = group.seats.iter().find(|seat| &*seat.seat == "A").expect("the seat");
        assert!(seat.degraded && seat.auto_off && seat.holder.as_deref() == Some("B"));
        let member = |name: &str| group.nodes.iter().find(|node| &*node.node == name).expect("a member");
        let (a, b) = (member("A"), member("B"));
        assert_eq!(
            (a.role, a.state, b.role, b.state),
            (Role::Primary, NodeStateName::Offline, Role::Backup, NodeStateName::Online)
        );
        assert_eq!((a.shared_addresses.len(), &*b.shared_addresses), (0, &["10.77.0.10/24".to_owned()][..]));
        assert_eq!(a.fallback_address.as_deref(), Some("10.77.0.121/24"));
    }
}

#[test]
fn g11_the_metrics_of_a_group_say_who_is_what_and_prometheus_takes_them() {
    let mut rig = Rig::joined();
    let page = || rig.b.proxy.admin.get("/metrics").expect("a page").1;
    promtool_accepts(&page());
    assert_eq!(sum(&page(), "failback_node_state", &[("node", "A"), ("state", "online")]), 1.0);
    assert_eq!(sum(&page(), "failback_seat_epoch", &[("seat", "A")]), 1.0);
    assert!(sum(&page(), "failback_sync_last_success_timestamp_seconds", &[("node", "A")]) > 1e9);
    rig.lab
        .on("c", || TcpStream::connect("10.77.0.22:9902")?.write_all(b"GET / HTTP/1.1\r\n\r\n"))
        .expect("it is open");
    let failed = || sum(&page(), "failback_peer_dropped_total", &[("reason", "handshake_failed")]) >= 1.0;
    eventually("what is no TLS is counted", || failed().then_some(()));

    rig.kill_a();
    rig.b.until_serves(&rig.a);
    let page = || rig.b.proxy.admin.get("/metrics").expect("a page").1;
    let shown = |name, labels: &[(&str, &str)], value: f64| sum(&page(), name, labels) == value;
    eventually("it says who serves", || {
        let online = shown("failback_node_state", &[("node", "B"), ("state", "online")], 1.0);
        (online && shown("failback_seat_epoch", &[("seat", "A")], 2.0)).then_some(())
    });
}

#[test]
fn g6_a_fallback_address_of_another_network_is_doubted_by_check_and_status() {
    let rig = Rig::strangers(&Wishes::default(), &Wishes::default());
    assert!(rig.a.proxy.admin.status().warnings.is_empty());
    let config = rig.a.proxy.config();
    let text = fs::read_to_string(&config).expect("a configuration").replace("10.77.0.121/24", "10.78.0.121/24");
    fs::write(&config, text).expect("it can be written");

    let checked = rig.a.proxy.program(&["check", "-c", config.to_str().expect("a path")]);

    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success() && said.contains("in another network than the shared address"), "{said}");
    let mut rig = rig;
    rig.a.proxy.kill();
    rig.a.launch();
    let status = rig.a.order(&["status"]);
    assert!(status.contains("fallback_address") && status.contains("in another network"), "{status}");
}

/// Whether a node takes over by itself is its own setting, and that of the other does not count.
#[test]
fn g8_takeover_auto_of_the_one_is_nothing_to_the_other() {
    let mut rig = Rig::joined_with(&by_hand(), &Wishes::default());
    assert!(!rig.b.order(&["status"]).contains("auto off"));
    rig.kill_a();
    rig.b.until_serves(&rig.a);

    let mut rig = Rig::joined_with(&Wishes::default(), &by_hand());
    let status = rig.b.order(&["status"]);
    assert!(status.contains("auto off"), "{status}");
    rig.kill_a();
    rig.b.never_serves(&rig.a, 2 * PRIMARY_TIMEOUT);
    rig.b.order(&["takeover", "A"]);
    rig.b.until_serves(&rig.a);
}
