//! Settings that one node has and the other has not, through a takeover and back: what the pairs' states say is never older than they are.

use crate::{
    common::{eventually, proxy::PAIR},
    node::{Node, Wishes},
    rig::{Rig, seat},
};
use failback::model::{Side, view::group::SyncResult};
use std::fs;

/// Puts these tables into `A`'s file in place of those it has.
fn reload_a_with(rig: &Rig, tables: &str) {
    rig.a.configure("primary", tables, &Wishes::default());
    rig.a.order(&["reload"]);
}

fn line(node: &Node, words: &str) {
    node.until(&format!("it says: {words}"), |group| group.warnings.iter().any(|line| line.contains(words)));
}

/// Input: what `A` changed can't be run on `B` (a route at the address of its own peer link); then the pair changes sides, in one way or another, and
/// `A` dies. Output: `B` goes on from where the pair is, with the settings it could take.
#[test]
fn x4_a_backup_that_cannot_take_a_seats_settings_takes_its_pairs_states() {
    let mut rig = Rig::joined();
    let route = format!("{}[routes.more]\nlisten = [\"{}\"]\npair = \"{PAIR}\"\n", seat(), rig.b.peer());
    reload_a_with(&rig, &route);
    eventually("it can't be copied", || {
        let sync = rig.b.seat(&rig.a)?.last_sync?;
        (sync.result == SyncResult::Failed).then_some(())
    });
    rig.a.order(&["switch", PAIR, "--to", "backup"]);
    rig.until_reached("AGG_B");
    eventually("the other node knows", || (rig.b.proxy.pair().active_side == Side::Backup).then_some(()));
    let pair = rig.a.proxy.pair();
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_B");
    let there = rig.b.proxy.pair();
    assert_eq!((there.epoch, there.pinned), (pair.epoch, pair.pinned));
    line(&rig.b, "seat A is served with settings from before the last change, which could not be taken");

    // Back again: `A`'s change reached nobody, so what is served counts, and the change is kept for whoever wants it.
    rig.a_returns();
    rig.synced_from_b(&rig.a);
    rig.a.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_B");
    assert_eq!(rig.a.told_of("settings_set_aside"), 1);
    let kept = fs::read_to_string(rig.a.proxy.dir().join("state/seats/A.toml.set-aside")).expect("what was given up");
    assert!(kept.contains("[routes.more]"), "{kept}");
    line(&rig.a, "this node's file is behind");
}

/// The same where the change that could not be taken gave pair and servers other names.
#[test]
fn x4_a_backup_that_cannot_take_new_names_goes_on_with_the_servers_they_are_of() {
    let mut rig = Rig::joined();
    let route = format!("[routes.more]\nlisten = [\"{}\"]\npair = \"{PAIR}\"\n", rig.b.peer());
    let renamed =
        format!("{}{route}", seat()).replace("AGG_P", "NEW_P").replace("AGG_B", "NEW_B").replace(PAIR, "NEW_V");
    rig.a.configure("primary", &renamed, &Wishes::default());
    rig.a.order(&["reload", "--force"]);
    eventually("the pair has begun", || {
        rig.a.proxy.cli(&["switch", "NEW_V", "--to", "backup"]).status.success().then_some(())
    });
    rig.until_reached("AGG_B");
    eventually("the other node knows", || (rig.b.proxy.pair().active_side == Side::Backup).then_some(()));
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_B");
    assert_eq!(&*rig.b.proxy.pair().active_upstream, "AGG_B");
}

/// A rolling restart: the backup node is down while a harmless change is made.
#[test]
fn g6_a_change_that_reached_no_other_node_does_not_stand_in_the_way_back() {
    let mut rig = Rig::joined();
    rig.b.proxy.kill();
    reload_a_with(&rig, &seat().replace("[routes.probes]", "[routes.probes]\nidle_timeout = \"2h\""));
    rig.kill_a();
    rig.b.launch();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    rig.a_returns();
    rig.synced_from_b(&rig.a);
    rig.b.order(&["switch", PAIR, "--to", "backup"]);
    eventually("A knows", || (rig.a.proxy.pair().active_side == Side::Backup).then_some(()));
    rig.b.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_B");
    line(&rig.a, "this node's file is behind");
    // What the file says can be had again.
    rig.a.order(&["reload", "--force"]);
    rig.a.until("it is no more", |group| !group.warnings.iter().any(|line| line.contains("behind")));
    rig.synced(&rig.b);
    let text = fs::read_to_string(rig.b.proxy.dir().join("state/seats/A.toml")).expect("what B knows");
    assert!(text.contains("2h"), "{text}");
}
