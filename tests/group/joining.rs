//! Two strangers become a seat and its backup, or are told why not; and they part again. What a join refuses for reasons that
//! need other versions or groups is in `tests/peer/joining.rs`.

use crate::{
    common::{eventually, proxy::PAIR, throughout, within},
    node::{Node, Wishes},
    rig::Rig,
};
use failback::model::{
    group::{NodeStateName, Role},
    seat::Suspicion,
};
use std::{fs, time::Duration};

/// Also: the first sync is a matter of seconds (`B3`), and one page lists who is who (`G11`).
#[test]
fn b1_joined_from_the_intended_primary_the_backup_has_a_copy_within_seconds() {
    let rig = Rig::strangers(&Wishes::default(), &Wishes::default());
    rig.a.until_serves(&rig.a);

    rig.join();

    rig.settled();
    for node in [&rig.a, &rig.b] {
        let (a, b) = (node.row(&rig.a).expect("a row"), node.row(&rig.b).expect("a row"));
        assert_eq!((a.role, a.state), (Role::Primary, NodeStateName::Online), "as {} sees it", node.name);
        assert_eq!((b.role, b.state), (Role::Backup, NodeStateName::Standby), "as {} sees it", node.name);
        assert_eq!((&*a.address, &*b.address), (&*rig.a.peer(), &*rig.b.peer()));
        assert_eq!(node.told_of("cut_off"), 0, "{} was started and joined, and missed nobody", node.name);
    }
    let seat = rig.b.seat(&rig.a).expect("the seat");
    assert_eq!((seat.here, seat.degraded, seat.holder.as_deref()), (false, false, Some("A")));
    assert_eq!((seat.routes.len(), seat.pairs.len()), (1, 1));
    let status = rig.b.order(&["status"]);
    assert!(status.contains('A') && status.contains('B'), "{status}");
}

#[test]
fn b2_other_keys_are_refused_with_that_reason_and_b16_seen_by_their_fingerprints() {
    let other = Wishes { key: "the pairing key of other people", ..Wishes::default() };
    let rig = Rig::strangers(&Wishes::default(), &other);
    assert_ne!(rig.a.group().key_fingerprint, rig.b.group().key_fingerprint);

    let said = rig.a.refuses(&["group", "join", &rig.b.peer(), "--reverse", &rig.a.peer()]);

    assert!(said.contains("the pairing keys differ"), "{said}");
    assert_eq!(rig.a.group().nodes.len(), 1, "only itself");
}

#[test]
fn b16_nodes_with_one_key_show_one_fingerprint() {
    let rig = Rig::strangers(&Wishes::default(), &Wishes::default());
    assert_eq!(rig.a.group().key_fingerprint, rig.b.group().key_fingerprint);
}

#[test]
fn b1_a1_what_cannot_be_joined_is_refused_with_its_reason() {
    let rig = Rig::strangers(&Wishes::default(), &Wishes::default());
    let (a, b) = (rig.a.peer(), rig.b.peer());
    let nowhere = "10.77.0.22:9";

    let said = rig.b.refuses(&["group", "join", &a, "--reverse", &b]);
    assert!(said.contains("a backup node has no backups"), "{said}");
    let said = rig.a.refuses(&["group", "join", &a, "--reverse", &a]);
    assert!(said.contains("it is the same node"), "{said}");
    let said = rig.a.refuses(&["group", "join", nowhere, "--reverse", &a]);
    assert!(said.contains("its address is not reached"), "{said}");
    let said = rig.a.refuses(&["group", "join", &b, "--reverse", "10.77.0.21:9"]);
    assert!(said.contains("the reverse address is not reached"), "{said}");
    let c = rig.third("primary");
    let said = rig.a.refuses(&["group", "join", &c.peer(), "--reverse", &a]);
    assert!(said.contains("it is no backup node"), "{said}");

    assert_eq!((rig.a.group().nodes.len(), rig.b.group().nodes.len()), (1, 1), "nobody was joined");
}

#[test]
fn b5_leaving_removes_from_the_backup_what_came_from_the_primary() {
    let rig = Rig::joined();
    assert_eq!(rig.b.proxy.admin.status().pairs.len(), 1);

    rig.b.order(&["group", "leave"]);

    eventually("nothing of the seat is left", || {
        let group = rig.b.group();
        (rig.b.proxy.admin.status().pairs.is_empty() && group.seats.iter().all(|seat| &*seat.seat != "A")).then_some(())
    });
    let traces = files(&rig.b.proxy.dir().join("state")).into_iter().filter(|text| text.contains("AGG_P")).count();
    assert_eq!(traces, 0, "no file of its state knows the servers any more");
    eventually("the primary knows", || (rig.a.group().nodes.len() == 1).then_some(()));
    assert_eq!(rig.serves().as_deref(), Some("AGG_P"), "clients notice nothing");
}

/// A backup node may be the one that its seat is called by: the seat was given to another.
#[test]
fn b5_b14_a_node_that_left_has_no_copy_of_the_seat_that_is_called_by_its_name_either() {
    let rig = Rig::joined();
    rig.a.order(&["group", "role", "backup"]);
    rig.b.until_serves(&rig.a);
    rig.synced_from_b(&rig.a);
    rig.a.order(&["group", "leave"]);
    eventually("nothing of it is left", || rig.a.proxy.admin.status().pairs.is_empty().then_some(()));
    assert!(!rig.a.proxy.dir().join("state/seats/A.json").exists());
    rig.b.order(&["switch", PAIR, "--to", "backup"]);
    rig.until_reached("AGG_B");
    rig.b.order(&["group", "join", &rig.a.peer(), "--reverse", &rig.b.peer()]);
    rig.synced_from_b(&rig.a);
    assert_eq!(&*rig.a.proxy.pair().active_upstream, "AGG_B", "it knows the side that the pair is on now");
}

#[test]
fn b16_a_refused_join_of_a_node_with_a_members_name_deafens_nobody_to_the_member() {
    let rig = Rig::joined();
    let mut twin = Node::prepare(&rig.lab, "C", "10.77.0.23", "backup", "", &Wishes::default());
    let text = fs::read_to_string(twin.proxy.config()).expect("a file");
    fs::write(twin.proxy.config(), text.replace("name = \"C\"", "name = \"B\"")).expect("a file");
    // Its process was started more often than B's.
    for _ in 0..3 {
        twin.launch();
        twin.proxy.kill();
    }
    twin.launch();
    let refused = rig.a.refuses(&["group", "join", &twin.peer(), "--reverse", &rig.a.peer()]);
    assert!(refused.contains("by the name B"), "{refused}");
    throughout(Duration::from_secs(5), "B is heard", || {
        rig.a
            .row(&rig.b)
            .is_some_and(|row| row.state == NodeStateName::Standby && row.suspicion != Some(Suspicion::Red))
    });
    rig.b.order(&["takeover", "A"]);
    rig.b.until_serves(&rig.a);
    rig.a.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
}

#[test]
fn b5_who_holds_a_seat_that_others_protect_does_not_leave() {
    let rig = Rig::joined();
    rig.a.refuses(&["group", "leave"]);
    assert_eq!(rig.b.group().nodes.len(), 2);
}

#[test]
fn b3_g9_sync_now_forces_one_and_its_time_is_shown_and_b4_otherwise_the_interval_is_the_backups_own() {
    let often = Wishes { sync: "interval = \"1s\", alert_after = \"15m\"", ..Wishes::default() };
    let rig = Rig::joined_with(&Wishes::default(), &often);
    let last = |rig: &Rig| rig.b.seat(&rig.a).and_then(|seat| seat.last_sync).map(|sync| sync.at);
    let first = last(&rig).expect("a first one");
    within(Duration::from_secs(10), "pulled by itself", || (last(&rig)? > first).then_some(()));

    // None by itself.
    let by_hand = Wishes { sync: "interval = \"0s\"", ..Wishes::default() };
    let rig = Rig::joined_with(&Wishes::default(), &by_hand);
    let first = last(&rig).expect("a first one");
    throughout(Duration::from_secs(3), "none by itself", || last(&rig).as_ref() == Some(&first));
    // The shown time counts whole seconds, so this one is later.
    rig.b.order(&["sync"]);
    eventually("one was forced", || (last(&rig)? > first).then_some(()));
    let pulled = eventually("the primary shows it, too", || {
        rig.a.seat(&rig.a)?.pulled_by.into_iter().find(|pull| &*pull.node == "B")
    });
    assert!(pulled.synchronized);
}

#[test]
fn b3_a_change_on_the_primary_is_on_the_backup_at_once() {
    // Far longer than this test.
    let seldom = Wishes { sync: "interval = \"5m\"", ..Wishes::default() };
    let rig = Rig::joined_with(&Wishes::default(), &seldom);
    let more = "[pairs.NEW]\nprimary = { name = \"NEW_P\", address = \"10.77.0.2:4200\" }\n\
                [routes.new]\nlisten = [\"10.77.0.10:4200\"]\npair = \"NEW\"\n";
    rig.a.configure("primary", &format!("{}\n{more}", crate::rig::seat()), &Wishes::default());
    rig.a.order(&["reload"]);
    within(Duration::from_secs(5), "the new pair is on the backup", || {
        let seat = rig.b.seat(&rig.a)?;
        seat.pairs.iter().any(|pair| &**pair == "NEW").then_some(())
    });
    // What is gone there goes here.
    rig.a.configure("primary", &crate::rig::seat(), &Wishes::default());
    rig.a.order(&["reload"]);
    within(Duration::from_secs(5), "it is gone again", || {
        rig.b.seat(&rig.a)?.pairs.iter().all(|pair| &**pair != "NEW").then_some(())
    });
}

/// A reinstalled machine has another key under the old name.
#[test]
fn b1_a_backup_that_is_gone_for_good_is_parted_from_and_joined_anew() {
    let mut rig = Rig::joined();
    rig.b.proxy.kill();
    fs::remove_dir_all(rig.b.proxy.dir().join("state")).expect("it can be removed");
    rig.b.launch();
    let again = ["group", "join", &rig.b.peer(), "--reverse", &rig.a.peer()];
    let refused = rig.a.refuses(&again);
    assert!(refused.contains("failback group leave --node B"), "{refused}");
    let refused = rig.a.refuses(&["group", "leave"]);
    assert!(refused.contains("--node"), "{refused}");
    let refused = rig.a.refuses(&["group", "leave", "--node", "nobody"]);
    assert!(refused.contains("the nodes are"), "{refused}");

    rig.a.order(&["group", "leave", "--node", "B"]);
    assert_eq!(rig.a.group().nodes.len(), 1);
    assert_eq!(rig.serves().as_deref(), Some("AGG_P"), "clients notice nothing");

    rig.join();
    rig.settled();
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    let refused = rig.b.refuses(&["group", "leave"]);
    assert!(refused.contains("holds a seat"), "{refused}");
}

/// All files of a folder and those in it, as text as far as they are.
fn files(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let read = |path: std::path::PathBuf| match path.is_dir() {
        true => files(&path),
        false => vec![String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned()],
    };
    entries.flat_map(read).collect()
}
