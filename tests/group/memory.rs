//! Nodes that know less than they think: one that lost its disk, one that was parted or stopped while the other served. They say so, and what
//! they served meanwhile is told.

use crate::{
    common::{eventually, proxy::PAIR, throughout, within},
    node::Node,
    rig::{Rig, by_hand},
    unfit::{fit, says},
};
use failback::model::{Side, group::NodeStateName, seat::SeatReason};
use std::{fs, net::TcpListener, path::Path, process::Command, time::Duration};

#[track_caller]
fn line(node: &Node, words: &str) {
    within(Duration::from_secs(30), &format!("{} says: {words}", node.name), || {
        node.group().warnings.iter().any(|line| line.contains(words)).then_some(())
    });
}

/// `B` serves, on the other server.
#[track_caller]
fn b_serves_from_the_backup(rig: &mut Rig) {
    rig.b.until_serves(&rig.a);
    rig.primary.kill();
    rig.until_reached("AGG_B");
    rig.lab.on("primary", || rig.primary.revive());
}

/// Input: a primary node comes back with an empty disk and its old file, while the other serves. Output: it says who does, and takes nothing, not even
/// by force: it would begin on the server that the pair has left.
#[test]
fn g3_a_primary_node_that_lost_its_disk_is_led_to_who_serves() {
    let mut rig = Rig::joined();
    rig.kill_a();
    b_serves_from_the_backup(&mut rig);
    fs::remove_dir_all(rig.a.proxy.dir().join("state")).expect("a disk is lost");
    rig.a.launch();
    line(&rig.a, "B serves seat A, and is not joined with this node");
    for order in [&["takeover", "A"][..], &["takeover", "A", "--force"]] {
        let said = rig.a.refuses(order);
        assert!(said.contains("not joined with"), "{said}");
    }
    throughout(Duration::from_secs(3), "B serves", || rig.serves().as_deref() == Some("AGG_B"));
    assert!(!rig.a.has_address(&rig.lab));
}

#[test]
fn b13_a_backup_on_which_a_routes_port_is_taken_is_unfit_on_both_nodes() {
    let rig = Rig::joined();
    fit(&rig.b);
    let taken = rig.lab.on("b", || TcpListener::bind("0.0.0.0:4100").expect("a free port"));
    for node in [&rig.b, &rig.a] {
        says(node, &["B could not take over seat A", "route probes", "4100 is in use"]);
    }
    drop(taken);
    fit(&rig.b);
    fit(&rig.a);
}

/// Its state was put back from an image: it counts its runs, and what it says, from before again.
#[test]
fn g8_a_node_whose_count_of_runs_was_put_back_is_heard_at_once() {
    let mut rig = Rig::joined();
    let count = rig.b.proxy.dir().join("state/boot");
    let run: u64 = fs::read_to_string(&count).expect("a count").trim().parse().expect("a number");
    std::thread::sleep(Duration::from_secs(9));
    rig.b.proxy.kill();
    fs::write(&count, format!("{}\n", run - 1)).expect("it can be put back");
    rig.b.launch();
    let heard = || rig.a.row(&rig.b).is_some_and(|row| row.state == NodeStateName::Standby);
    // It was silent for a moment; it is not for as long as its run before had lasted.
    std::thread::sleep(Duration::from_secs(2));
    throughout(Duration::from_secs(3), "A hears it", heard);
}

/// Its state is put back from an image made before its pair changed sides; nobody took over meanwhile.
#[test]
fn x4_a_holder_whose_state_was_put_back_takes_what_its_backup_has_before_it_serves() {
    let mut rig = Rig::joined_with(&by_hand(), &by_hand());
    let (state, image) = (rig.a.proxy.dir().join("state"), rig.a.proxy.dir().join("image"));
    let copy = |from: &Path, to: &Path| {
        let done = Command::new("cp").arg("-a").args([from, to]).status().expect("cp runs");
        assert!(done.success());
    };
    copy(&state, &image);
    rig.a.order(&["switch", PAIR, "--to", "backup"]);
    rig.until_reached("AGG_B");
    eventually("B has it", || (&*rig.b.proxy.pair().active_upstream == "AGG_B").then_some(()));
    rig.kill_a();
    fs::remove_dir_all(&state).expect("the state is lost");
    copy(&image, &state);
    rig.a.launch();
    let reached = within(Duration::from_secs(15), "it serves again", || rig.serves());
    assert_eq!(reached, "AGG_B");
    throughout(Duration::from_secs(3), "nobody is led to the server that was left", || {
        rig.serves().as_deref() == Some("AGG_B")
    });
    fit(&rig.a);
    rig.synced(&rig.b);
}

#[test]
fn g6_a_seat_is_not_handed_to_a_node_on_which_its_port_is_taken() {
    let mut rig = Rig::joined();
    let taken = rig.lab.on("b", || TcpListener::bind("0.0.0.0:4100").expect("a free port"));
    for order in [&["takeover", "A"][..], &["group", "role", "primary"], &["replace", "A", "--with", "B"]] {
        let said = rig.b.refuses(order);
        assert!(said.contains("could not bring up the seat's routes"), "{said}");
    }
    rig.a.until_serves(&rig.a);
    drop(taken);
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.a_returns();
    let taken = rig.lab.on("a", || TcpListener::bind("0.0.0.0:4100").expect("a free port"));
    for node in [&rig.a, &rig.b] {
        let said = node.refuses(&["reverse", "A"]);
        assert!(said.contains("could not bring up the seat's routes"), "{said}");
    }
    assert!(rig.a.told_of("preflight_failed") > 0);
    assert_eq!(rig.b.until_serves(&rig.a).reason, SeatReason::HolderSilent, "it was never let go");
    drop(taken);
    rig.b.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_P");
}

/// A failover that a watching node has decided is told as what it is.
#[test]
fn x4_a_server_that_dies_with_the_node_is_a_failover_in_events_and_figures() {
    let rig = Rig::joined();
    rig.cable(&rig.a, "down");
    rig.primary.kill();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_B");
    eventually("it is told", || (rig.b.told_of("failover") == 1).then_some(()));
    let told = rig.b.proxy.events_of("failover").pop().expect("it was told").message;
    assert!(told.contains("AGG_P") && told.contains("AGG_B") && !told.contains("left it so"), "{told}");
}

#[test]
fn x4_a_pair_that_both_nodes_served_on_two_servers_is_told_when_they_meet() {
    let mut rig = Rig::joined();
    rig.cable(&rig.a, "down");
    b_serves_from_the_backup(&mut rig);
    rig.cable(&rig.a, "up");
    eventually("it lets go", || rig.a.seat(&rig.a).is_some_and(|seat| !seat.here).then_some(()));
    eventually("it is told", || (rig.a.told_of("diverged") == 1).then_some(()));
    let told = rig.a.proxy.events_of("diverged").pop().expect("it was told").message;
    assert!(told.contains("AGG_P") && told.contains("AGG_B"), "{told}");
    rig.until_reached("AGG_B");
}

/// Input: both nodes are stopped, the one that served last after the other; only the other comes back. Output: it serves as it knew, and says
/// that it can't know more; the two-node limit. When they meet, what was served meanwhile is told.
#[test]
fn b10_a_node_that_comes_back_alone_says_that_the_other_may_know_better() {
    let mut rig = Rig::joined_with(&by_hand(), &by_hand());
    rig.kill_a();
    rig.b.order(&["takeover", "A"]);
    b_serves_from_the_backup(&mut rig);
    rig.b.proxy.kill();
    rig.a.launch();
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    line(&rig.a, "serves seat A as it knew it when it stopped, and has heard no other node since");
    rig.b.launch();
    rig.until_reached("AGG_B");
    eventually("it is told", || (rig.a.told_of("diverged") == 1).then_some(()));
    assert_eq!(rig.b.proxy.pair().active_side, Side::Backup);
    rig.a.until("it has heard", |group| !group.warnings.iter().any(|line| line.contains("as it knew it")));
}
