//! What operators order, and when they are refused.

use crate::{
    authority::Authority,
    common::{eventually, process::Process, throughout, within},
    fleet::Fleet,
    node::{Node, PRIMARY_TIMEOUT},
    rig::{Rig, by_hand, seat},
};
use failback::model::group::{NodeStateName, Role};
use std::{fs, time::Duration};

#[test]
fn g3_g12_a_takeover_by_hand_needs_role_state_and_a_way_to_the_servers() {
    let mut rig = Rig::joined_by_hand();
    rig.b.refuses(&["takeover", "NOBODY"]);
    rig.kill_a();
    rig.b.never_serves(&rig.a, 2 * PRIMARY_TIMEOUT);

    rig.primary.kill();
    rig.backup.kill();
    eventually("it notices", || {
        let pair = rig.b.proxy.pair();
        pair.upstreams.iter().all(|upstream| !upstream.admissible).then_some(())
    });
    let said = rig.b.refuses(&["takeover", "A"]);
    assert!(said.contains("the seat's upstreams are not reached from here"), "{said}");
    rig.lab.on("primary", || rig.primary.revive());
    rig.lab.on("backup", || rig.backup.revive());
    eventually("the servers are back", || rig.b.proxy.cli(&["takeover", "A"]).status.success().then_some(()));

    let seat = rig.b.until_serves(&rig.a);
    assert_eq!(seat.reason.as_str(), "operator_takeover");
    assert!(seat.degraded);
    rig.until_reached("AGG_P");
}

/// What answers from there is not enough: it has to be the virtual pair (by its certificate), as seen with that node's own files.
#[test]
fn g12_a_takeover_by_hand_needs_certificates_that_are_good_from_there() {
    let (good, other) = (Authority::new(), Authority::called("somebody else"));
    let identity = good.server("AGG_V", &["AGG_V"]);
    let rig = Rig::strangers_by_hand();
    rig.primary.kill();
    rig.backup.kill();
    let speak_tls = |host: &str, at: &str| {
        let (cert, key) = (identity.with_extension("pem"), identity.with_extension("key"));
        let words = format!("ip netns exec {} openssl s_server -quiet -accept {at}", rig.lab.namespace(host));
        let files = [("-cert", cert), ("-key", key)].map(|(flag, file)| format!("{flag} {}", file.display()));
        let argv: Vec<String> = format!("{words} {}", files.join(" ")).split(' ').map(str::to_owned).collect();
        Process::start(&argv, &good.path(&format!("{host}.log")))
    };
    let _servers = [speak_tls("primary", "10.77.0.2:4100"), speak_tls("backup", "10.77.0.3:4100")];
    let trust = |node: &Node, authority: &Authority| {
        let (new, file) = (node.proxy.dir().join("ca.new"), node.proxy.dir().join("ca.pem"));
        fs::copy(authority.ca(), &new).and_then(|_| fs::rename(new, file)).expect("a file");
    };
    trust(&rig.a, &good);
    trust(&rig.b, &other);
    let tls = "tls = { ca = \"ca.pem\", names = [\"AGG_V\"] }\n[routes.probes]";
    rig.a.configure("primary", &seat().replace("[routes.probes]", tls), &by_hand());
    rig.a.order(&["reload"]);
    rig.join();
    rig.synced(&rig.b);
    rig.a.until_servers_known();

    let said = rig.b.refuses(&["takeover", "A"]);

    assert!(said.contains("the seat's upstreams are not reached from here"), "{said}");
    assert!(rig.b.told_of("preflight_failed") > 0);
    assert!(rig.a.seat(&rig.a).is_some_and(|seat| seat.here), "nothing changed");
    trust(&rig.b, &good);
    eventually("B believes them, too", || rig.b.proxy.cli(&["takeover", "A"]).status.success().then_some(()));
    rig.b.until_serves(&rig.a);
}

#[test]
fn g6_reverse_gives_the_seat_back_and_never_do_two_serve() {
    let mut rig = Rig::joined();
    rig.kill_a();
    let taken = rig.b.until_serves(&rig.a);
    rig.a_returns();
    let fleet = Fleet::start(&rig.lab);

    rig.b.order(&["reverse", "A"]);

    within(Duration::from_secs(20), "the roles are as configured", || {
        assert!(!rig.both_have_address(), "both have the address");
        let seat = rig.a.seat(&rig.a)?;
        (seat.here && !seat.degraded).then_some(())
    });
    rig.b.until_state(NodeStateName::Standby);
    rig.settled();
    let ledger = fleet.stop();
    assert_eq!(ledger.turns(), ["AGG_P"]);
    let seat = rig.a.until_serves(&rig.a);
    assert!(seat.epoch > taken.epoch);
    assert_eq!(seat.reason.as_str(), "reversed");
    // And there is redundancy again.
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_P");
}

/// What was changed during the takeover is what the repaired node serves.
#[test]
fn g6_what_changed_meanwhile_comes_back_with_the_seat() {
    let mut rig = Rig::joined();
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.primary.kill();
    let pair = rig.b.proxy.settled_on(failback::model::Side::Backup);
    rig.a_returns();
    rig.a.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    assert_eq!(rig.a.proxy.pair().epoch, pair.epoch);
    assert_eq!(rig.a.proxy.settled_on(failback::model::Side::Backup).epoch, pair.epoch);
    rig.until_reached("AGG_B");
}

#[test]
fn g7_replace_makes_the_seat_another_nodes_own_and_the_old_one_may_not_return() {
    let mut rig = Rig::joined();
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    let c = rig.third("backup");
    let joined = rig.b.proxy.cli(&["group", "join", &c.peer(), "--reverse", &rig.b.peer()]);
    assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
    rig.synced_from_b(&c);

    rig.b.order(&["replace", "A", "--with", "C"]);

    let seat = c.until_serves(&rig.a);
    assert_eq!(&*seat.home, "C");
    assert!(!seat.degraded);
    assert_eq!(c.group().role, Role::Primary);
    rig.b.until_state(NodeStateName::Standby);
    rig.until_reached("AGG_P");
    rig.a.launch();
    rig.a.never_serves(&rig.a, 2 * PRIMARY_TIMEOUT);
    assert_eq!(rig.serves().as_deref(), Some("AGG_P"));
}

#[test]
fn b12_b13_a_planned_swap_of_roles_syncs_first_and_is_serial() {
    let rig = Rig::joined();
    let fleet = Fleet::start(&rig.lab);
    rig.a.order(&["group", "role", "backup", "--sync-first"]);
    within(Duration::from_secs(20), "the other serves", || {
        assert!(!rig.both_have_address(), "both have the address");
        rig.b.seat(&rig.a).filter(|seat| seat.here).map(drop)
    });
    rig.until_reached("AGG_P");
    assert_eq!(fleet.stop().turns(), ["AGG_P"]);
    assert_eq!(rig.a.group().role, Role::Backup);
    rig.a.until_state(NodeStateName::Standby);
}

#[test]
fn b12_a_backup_that_is_ordered_to_be_primary_gets_the_seat_and_the_other_becomes_its_backup() {
    let rig = Rig::joined();
    rig.b.order(&["group", "role", "primary"]);
    rig.b.until_serves(&rig.a);
    rig.a.until_state(NodeStateName::Standby);
    assert_eq!((rig.a.group().role, rig.b.group().role), (Role::Backup, Role::Primary));
    rig.synced_from_b(&rig.a);
    rig.until_reached("AGG_P");
}

#[test]
fn b14_resolve_says_that_there_is_nothing_to_mend_and_changes_nothing() {
    let rig = Rig::joined();
    let before = rig.a.until_serves(&rig.a).epoch;
    let _words = rig.a.proxy.cli(&["group", "resolve"]);
    throughout(PRIMARY_TIMEOUT, "A serves", || rig.a.seat(&rig.a).is_some_and(|seat| seat.here));
    assert_eq!(rig.a.until_serves(&rig.a).epoch, before);
}

/// The configured role and the state are two things: a takeover changes the state. Redundancy returns with roles that fit it.
#[test]
fn g1_g5_a_change_of_roles_after_a_takeover_makes_the_backup_the_primary_and_brings_redundancy_back() {
    let mut rig = Rig::joined();
    rig.kill_a();
    assert!(rig.b.until_serves(&rig.a).degraded);
    let here = rig.b.group();
    assert_eq!((here.role, here.state), (Role::Backup, NodeStateName::Online));

    rig.b.order(&["group", "role", "primary"]);

    rig.b
        .until("it owns what it holds", |group| group.role == Role::Primary && group.seats.iter().all(|s| !s.degraded));
    rig.a.launch();
    rig.a.until("it is a backup node", |group| group.role == Role::Backup && group.state == NodeStateName::Standby);
    rig.synced_from_b(&rig.a);
    rig.b.proxy.kill();
    let seat = rig.a.until_serves(&rig.a);
    assert_eq!(&*seat.home, "B");
    rig.until_reached("AGG_P");
}
