//! An operator's orders, also at bad moments, and new configurations.

use super::*;

fn refused(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Refused(why) => why,
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn a_switch_leaves_the_primary_first_and_stays_on_the_backup() {
    let mut world = World::healthy(spec());
    assert!(matches!(world.switch(Side::Backup, false), Verdict::Done(_)));
    assert_eq!((world.admits(), world.epoch()), (None, 1));
    assert_eq!((world.closing().reason, world.closing().spare_upstream.as_deref()), (EndReason::Switch, Some("AGG_B")));
    world.progress(3);
    world.progress(0);
    world.run(Duration::from_millis(5));
    assert_eq!(world.transitions(), [(State::OnBackup, 2, Reason::OperatorSwitch)]);
    assert_eq!((world.admits(), world.status().pinned), (Some("AGG_B"), true));
    world.run(seconds(600.0));
    assert!(world.blockers().contains("an operator chose this side"), "{}", world.blockers());
    assert!(matches!(world.switch(Side::Backup, false), Verdict::Unchanged(_)));
}

#[test]
fn to_a_primary_without_a_signal_a_switch_needs_force() {
    let mut world = World::primary_back(spec());
    let verdict = world.switch(Side::Primary, false);
    assert!(refused(&verdict).contains("--force"), "{verdict:?}");
    assert!(refused(&verdict).contains("no valid resync signal says that AGG_P holds what AGG_B took"));
    assert_eq!((world.transitions(), world.admits()), (vec![], Some("AGG_B")));
    assert!(matches!(world.switch(Side::Primary, true), Verdict::Done(_)));
    world.progress(0);
    world.run(seconds(1.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnPrimary, Some("AGG_P"), 3));
}

#[test]
fn to_a_server_that_is_down_a_switch_needs_force() {
    let mut world = World::healthy(spec());
    world.set("AGG_B", Server::Killed);
    world.run(seconds(5.0));
    let verdict = world.switch(Side::Backup, false);
    assert!(refused(&verdict).contains("AGG_B does not pass its checks"), "{verdict:?}");
    assert!(matches!(world.switch(Side::Backup, true), Verdict::Done(_)));
    world.progress(0);
    world.run(seconds(1.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::NoServer, None, 2));
}

#[test]
fn a_pair_without_backups_has_nowhere_to_be_switched_to() {
    let mut spec = spec();
    spec.backups.clear();
    let mut world = World::healthy(spec);
    assert!(refused(&world.switch(Side::Backup, true)).contains("has no other backup"));
}

#[test]
fn a_pinned_pair_does_not_fail_over_and_says_why() {
    let mut world = World::healthy(spec());
    assert!(matches!(world.switch(Side::Primary, false), Verdict::Done(_)));
    world.set("AGG_P", Server::Killed);
    world.run(seconds(60.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::NoServer, None, 1));
    assert!(world.blockers().contains("failback switch AGG_V --auto"), "{}", world.blockers());
    let Verdict::Unchanged(words) = world.switch(Side::Primary, false) else { panic!("it has the turn already") };
    assert!(words.starts_with("AGG_P does not pass its checks, so nobody is served"), "{words}");
    assert!(matches!(world.order(Order::SwitchAuto), Verdict::Done(_)));
    world.run(seconds(3.0));
    assert_eq!((world.state(), world.admits()), (State::OnBackup, Some("AGG_B")));
    assert!(matches!(world.order(Order::SwitchAuto), Verdict::Unchanged(_)));
}

#[test]
fn a_frozen_pair_changes_no_side() {
    let mut world = World::healthy(spec());
    assert!(matches!(world.order(Order::Freeze(true)), Verdict::Done(_)));
    assert!(matches!(world.order(Order::Freeze(true)), Verdict::Unchanged(_)));
    world.set("AGG_P", Server::Killed);
    world.run(seconds(60.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::NoServer, None, 1));
    assert!(world.blockers().contains("the pair is frozen: `failback unfreeze AGG_V`"), "{}", world.blockers());
    world.set("AGG_P", Server::Alive);
    world.run(seconds(3.0));
    assert_eq!(world.admits(), Some("AGG_P"), "its return changes no side");
    world.set("AGG_P", Server::Killed);
    assert!(matches!(world.order(Order::Freeze(false)), Verdict::Done(_)));
    world.run(seconds(3.0));
    assert_eq!((world.state(), world.epoch()), (State::OnBackup, 2));
}

#[test]
fn a_frozen_pair_records_the_signal_and_does_not_return() {
    let mut world = World::primary_back(spec());
    assert!(matches!(world.order(Order::Freeze(true)), Verdict::Done(_)));
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    world.run(seconds(600.0));
    assert_eq!(world.state(), State::Resynced);
    assert!(matches!(world.order(Order::Freeze(false)), Verdict::Done(_)));
    assert_eq!(world.state(), State::Returning);
}

#[test]
fn switch_now_moves_without_a_pace() {
    let mut spec = spec();
    (spec.failback.overlap, spec.failback.pace) = (Overlap::Allow, 1);
    let mut world = World::healthy(spec);
    assert!(matches!(world.order(Order::Switch { to: Side::Backup, now: true, force: false }), Verdict::Done(_)));
    assert_eq!((world.admits(), world.closing().allowed), (Some("AGG_B"), None));
}

#[test]
fn a_switch_back_while_the_side_is_being_left_changes_nothing_but_the_pin() {
    let mut world = World::healthy(spec());
    world.switch(Side::Backup, false);
    world.progress(4);
    assert!(matches!(world.switch(Side::Primary, false), Verdict::Done(_)));
    world.progress(0);
    world.run(seconds(10.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnPrimary, Some("AGG_P"), 1));
    assert!(world.status().pinned);
}

#[test]
fn a_target_that_dies_while_the_side_is_being_left_is_turned_back_from() {
    let mut world = World::healthy(spec());
    world.switch(Side::Backup, false);
    world.progress(4);
    world.set("AGG_B", Server::Killed);
    world.run(seconds(5.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnPrimary, Some("AGG_P"), 1));
}

#[test]
fn from_a_dead_side_a_switch_goes_at_once() {
    let mut spec = spec();
    spec.backups.push(backup("AGG_C", "10.0.0.3:4100"));
    let mut world = World::failed_over(spec, Server::Killed);
    world.set("AGG_B", Server::Killed);
    world.run(seconds(5.0));
    let verdict = world.switch(Side::Backup, false);
    assert!(refused(&verdict).contains("AGG_C is not known to hold what AGG_B took"), "{verdict:?}");
    assert!(matches!(world.switch(Side::Backup, true), Verdict::Done(_)));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_C"), 3));
}

#[test]
fn orders_wait_for_the_disk_and_are_bounded() {
    let mut world = World::healthy(spec());
    world.disk = Disk::Stuck;
    for number in 0..30 {
        world.input(Input::Order { ticket: Ticket(100 + number), order: Order::Freeze(number % 2 == 0) });
    }
    let refused = world.answers.values().filter(|verdict| matches!(verdict, Verdict::Refused(_))).count();
    assert_eq!(refused, 30 - 17, "one is being stored, sixteen wait");
    world.disk = Disk::Quick;
    world.write();
    assert_eq!(world.answers.len(), 30);
}

#[test]
fn an_order_that_can_not_be_stored_is_refused_and_changes_nothing() {
    let mut world = World::healthy(spec());
    world.disk = Disk::Full;
    assert!(refused(&world.order(Order::Freeze(true))).contains("could not be stored"));
    assert!(!world.status().frozen);
}

#[test]
fn a_configuration_with_other_numbers_keeps_what_is_known() {
    let mut world = World::primary_back(spec());
    let mut other = spec();
    other.failback.pace = 7;
    let records = world.records.len();
    world.input(Input::Reconfigured(Box::new(other)));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_B"), 2));
    assert_eq!(world.records.len(), records + 1, "the addresses on the disk are those in force");
    assert!(world.status().upstreams.iter().all(|upstream| upstream.health == HealthName::Up));
}

#[test]
fn a_backup_that_is_added_is_watched_from_now_on() {
    let mut world = World::healthy(spec());
    let mut more = spec();
    more.backups.push(backup("AGG_C", "10.0.0.3:4100"));
    world.servers.insert("AGG_C".into(), Server::Alive);
    world.input(Input::Reconfigured(Box::new(more)));
    world.input(Input::Resolved("AGG_C".into(), Arc::new(["10.0.0.3:4100".parse().unwrap()])));
    world.run(seconds(10.0));
    assert!(world.status().upstreams[2].admissible);
}

#[test]
fn an_active_upstream_that_is_removed_is_treated_as_lost() {
    // Input: the primary is replaced by another server. Output: a failover, as nobody knows what the new one holds.
    let mut world = World::healthy(spec());
    let mut other = spec();
    other.primary = Some(backup("AGG_Q", "10.0.0.7:4100"));
    world.servers.insert("AGG_Q".into(), Server::Alive);
    world.input(Input::Reconfigured(Box::new(other)));
    assert_eq!(world.transitions(), [(State::OnBackup, 2, Reason::Reconfigured)]);
    assert_eq!(world.closing().spare_upstream.as_deref(), Some("AGG_B"));
    world.run(seconds(60.0));
    assert_eq!(world.state(), State::OnBackup);
}

#[test]
fn a_signal_does_not_hold_for_a_primary_that_took_the_place_of_another() {
    let mut manual = spec();
    manual.failback.when = FailbackWhen::Manual;
    let mut world = World::primary_back(manual.clone());
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    manual.primary = Some(backup("AGG_Q", "10.0.0.7:4100"));
    world.servers.insert("AGG_Q".into(), Server::Alive);
    world.input(Input::Reconfigured(Box::new(manual)));
    world.run(seconds(60.0));
    assert_eq!((world.state(), world.status().resynced_since), (State::OnBackup, None));
}

#[test]
fn servers_that_trade_places_keep_who_is_served() {
    // Input: on the primary; the configuration makes it the backup, and the backup the primary. Output: nobody is moved, and
    // the new primary needs a signal.
    let mut world = World::healthy(spec());
    let mut traded = spec();
    let primary = traded.primary.replace(traded.backups[0].clone()).unwrap();
    traded.backups = vec![primary];
    world.input(Input::Reconfigured(Box::new(traded)));
    world.run(seconds(60.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_P"), 1));
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    assert_eq!(world.state(), State::Returning);
}
