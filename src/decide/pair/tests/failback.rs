//! The way back to the primary, and migrations (`N4`, `N6`, `X1`, `X2`).

use super::*;
use crate::decide::input::MigrationOrder;

/// A valid signal was accepted; the primary is healthy since long.
fn signalled(spec: PairSpec) -> World {
    let mut world = World::primary_back(spec);
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    world
}

fn migrate(world: &mut World, order: MigrationOrder) -> Verdict {
    world.order(Order::Migration(order))
}

fn overlapping(pace: u32) -> PairSpec {
    let mut spec = spec();
    (spec.failback.overlap, spec.failback.pace) = (Overlap::Allow, pace);
    spec
}

#[test]
fn n4_the_signal_closes_the_backup_s_sessions_and_the_primary_is_entered_when_all_have_left() {
    // Input: the signal; then every worker confirms. Output: newcomers wait, all but exempt clients are closed with the reason
    // "failback"; the primary admits under epoch 3 only after the last has left.
    let mut world = signalled(spec());
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::Returning, None, 2));
    let closing = world.closing().clone();
    assert_eq!((closing.allowed, closing.reason, closing.spare_exempt), (None, EndReason::Failback, true));
    assert_eq!(closing.spare_upstream.as_deref(), Some("AGG_P"));
    for left in [30, 12, 1] {
        world.progress(left);
        world.run(seconds(5.0));
        assert_eq!((world.admits(), world.epoch()), (None, 2), "{left} are still to be closed");
    }
    assert!(world.blockers().contains("1 sessions on AGG_B are still to be closed"), "{}", world.blockers());
    world.progress(0);
    world.run(Duration::from_millis(5));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnPrimary, Some("AGG_P"), 3));
    let transitions = [
        (State::Resynced, 2, Reason::ResyncSignal),
        (State::Returning, 2, Reason::PrimaryResynced),
        (State::Returning, 3, Reason::PrimaryResynced),
        (State::OnPrimary, 3, Reason::MigrationDone),
    ];
    assert_eq!(world.transitions(), transitions);
}

#[test]
fn the_report_of_another_order_confirms_nothing() {
    let mut world = signalled(spec());
    let order = world.closing().id - 1;
    world.input(Input::Progress { order, left: 0, exempt: 0, complete: true, confirmed: true });
    world.run(seconds(10.0));
    assert_eq!((world.state(), world.admits()), (State::Returning, None));
}

#[test]
fn x1_a_primary_that_dies_while_the_backup_is_being_left_is_never_entered() {
    // Input: Returning; the primary fails one check before the last session has left. Output: back to the backup, on the same
    // epoch as nothing has changed, and the signal is void.
    let mut world = signalled(spec());
    world.progress(5);
    world.set("AGG_P", Server::Killed);
    world.run(seconds(1.5));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_B"), 2));
    world.set("AGG_P", Server::Alive);
    world.progress(0);
    world.run(seconds(60.0));
    assert_eq!((world.state(), world.epoch()), (State::OnBackup, 2));
}

#[test]
fn x1_the_primary_must_pass_a_check_that_starts_after_the_last_has_left() {
    // Input: the primary dies unnoticed in the moment the last session leaves. Output: it is asked, and not entered.
    let mut world = signalled(spec());
    world.set("AGG_P", Server::Silent);
    world.progress(0);
    world.run(seconds(5.0));
    assert!(!world.routings.iter().any(|(_, routing)| routing.epoch == Epoch(3)));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_B"), 2));
}

#[test]
fn stable_for_is_kept_before_the_failback() {
    // Input: the signal a second after the primary came back. Output: Resynced until it was healthy for `stable_for`.
    let mut world = World::failed_over(spec(), Server::Killed);
    world.set("AGG_P", Server::Alive);
    world.run(seconds(1.5));
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    assert_eq!((world.state(), world.admits()), (State::Resynced, Some("AGG_B")));
    assert!(world.blockers().contains("of the 5.0 s that stable_for asks"), "{}", world.blockers());
    let took = world.run_until(seconds(5.0), "return", |world| world.state() == State::Returning);
    assert!(took > seconds(1.5), "{took:?}");
}

#[test]
fn n6_in_poll_mode_a_primary_healthy_for_stable_for_is_returned_to_without_a_signal() {
    let mut spec = spec();
    spec.failback.when = FailbackWhen::Poll;
    let mut world = World::failed_over(spec, Server::Killed);
    world.forget();
    world.set("AGG_P", Server::Alive);
    let took = world.run_until(seconds(10.0), "return", |world| world.state() == State::Returning);
    assert!(took >= seconds(5.0), "{took:?}");
    world.progress(0);
    world.run(Duration::from_millis(5));
    assert_eq!(world.transitions()[0], (State::Returning, 2, Reason::PrimaryPolled));
    assert_eq!((world.state(), world.epoch()), (State::OnPrimary, 3));
}

#[test]
fn n6_in_poll_mode_a_failed_check_starts_stable_for_anew() {
    let mut spec = spec();
    spec.failback.when = FailbackWhen::Poll;
    let mut world = World::failed_over(spec, Server::Killed);
    world.forget();
    for _ in 0..5 {
        world.set("AGG_P", Server::Alive);
        world.run(seconds(4.0));
        world.set("AGG_P", Server::Confused);
        world.run(seconds(1.1));
    }
    assert_eq!(world.transitions(), []);
}

#[test]
fn in_manual_mode_the_signal_is_recorded_and_an_operator_decides() {
    let mut spec = spec();
    spec.failback.when = FailbackWhen::Manual;
    let mut world = signalled(spec);
    world.run(seconds(3600.0));
    assert_eq!(world.state(), State::Resynced);
    assert!(world.blockers().contains("failback.when is \"manual\""), "{}", world.blockers());
    assert!(matches!(world.switch(Side::Primary, false), Verdict::Done(_)), "no --force: the signal is valid");
    world.progress(0);
    world.run(seconds(1.0));
    assert_eq!((world.state(), world.status().pinned), (State::OnPrimary, true));
}

#[test]
fn x2_with_a_pace_the_primary_admits_so_many_a_second_and_the_pair_is_returning_meanwhile() {
    let mut spec = spec();
    spec.failback.pace = 10;
    let mut world = signalled(spec);
    world.progress(45);
    world.progress(0);
    world.run(Duration::from_millis(5));
    let admission = world.routing().admit.clone();
    assert!(matches!(admission, Admit::To { pace: 10, side: Side::Primary, .. }), "{admission:?}");
    world.run(seconds(4.5));
    assert_eq!(world.state(), State::Returning);
    world.run(seconds(0.6));
    assert_eq!(world.state(), State::OnPrimary);
    assert!(matches!(world.routing().admit, Admit::To { pace: 0, .. }), "no limit any more");
}

#[test]
fn x2_with_overlap_newcomers_go_to_the_primary_at_once_and_sessions_are_moved_at_the_pace() {
    // Input: `overlap = "allow"`, 10 a second, 40 sessions. Output: epoch 3 at once; the allowance grows by 10 a second; the pair
    // is on its primary when none is left.
    let mut world = World::primary_back(overlapping(10));
    world.input(Input::ResyncSignal { ticket: Ticket(100), of: Side::Primary, epoch: None });
    world.run_until(seconds(1.0), "return", |world| world.state() == State::Returning);
    let began = world.now;
    assert_eq!((world.admits(), world.epoch(), world.closing().allowed), (Some("AGG_P"), 3, Some(0)));
    world.progress(40);
    for _ in 0..30 {
        world.run(seconds(0.1));
        let (span, allowed) = (world.now.since(began).as_secs_f64(), world.closing().allowed.unwrap());
        assert!((allowed as f64) <= span * 10.0 && allowed as f64 >= span * 10.0 - 4.0, "{allowed} after {span} s");
    }
    let migration = world.status().migration.expect("under way");
    assert_eq!((migration.from, migration.total, migration.pace), (Side::Backup, 40, 10));
    world.progress(0);
    assert_eq!((world.state(), world.epoch(), world.status().migration), (State::OnPrimary, 3, None));
}

#[test]
fn x2_exempt_clients_stay_and_do_not_hold_up_the_end() {
    let mut world = signalled(overlapping(0));
    let order = world.closing().id;
    world.input(Input::Progress { order, left: 3, exempt: 2, complete: true, confirmed: false });
    assert_eq!(world.status().migration.map(|migration| migration.exempt), Some(2));
    world.input(Input::Progress { order, left: 0, exempt: 2, complete: true, confirmed: true });
    assert_eq!(world.state(), State::OnPrimary);
}

#[test]
fn draining_closes_nobody_before_the_deadline() {
    let mut spec = spec();
    spec.failback.migrate = Migrate::Drain { deadline: seconds(30.0) };
    let mut world = signalled(spec);
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::Returning, Some("AGG_P"), 3));
    world.progress(9);
    world.run(seconds(28.0));
    assert_eq!(world.closing().allowed, Some(0));
    world.run(seconds(3.0));
    assert_eq!(world.closing().allowed, None, "pace = 0: all that are left at once");
}

#[test]
fn x2_a_migration_is_paused_resumed_and_forced() {
    let mut world = signalled(overlapping(2));
    world.progress(100);
    world.run(seconds(5.0));
    assert_eq!(migrate(&mut world, MigrationOrder::Pause), Verdict::Done("paused".into()));
    assert!(matches!(migrate(&mut world, MigrationOrder::Pause), Verdict::Unchanged(_)));
    let allowed = world.closing().allowed;
    world.run(seconds(60.0));
    assert_eq!((world.closing().allowed, world.admits()), (allowed, Some("AGG_P")));
    assert!(matches!(migrate(&mut world, MigrationOrder::Resume), Verdict::Done(_)));
    world.run(seconds(5.0));
    assert!(world.closing().allowed > allowed);
    assert!(matches!(migrate(&mut world, MigrationOrder::Force), Verdict::Done(_)));
    assert_eq!(world.closing().allowed, None);
}

#[test]
fn x2_an_aborted_migration_goes_back_to_the_side_left_and_stays_there() {
    // Input: abort while sessions are being moved. Output: newcomers to the backup under a new epoch; those already moved are
    // moved back; no new attempt until `switch --auto` and a new signal.
    let mut world = signalled(overlapping(2));
    world.progress(100);
    world.run(seconds(5.0));
    assert!(matches!(migrate(&mut world, MigrationOrder::Abort), Verdict::Done(_)));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_B"), 4));
    assert_eq!(world.closing().spare_upstream.as_deref(), Some("AGG_B"));
    world.progress(0);
    world.run(seconds(600.0));
    assert_eq!((world.state(), world.epoch(), world.status().pinned), (State::OnBackup, 4, true));
    assert!(matches!(world.order(Order::SwitchAuto), Verdict::Done(_)));
    world.run(seconds(600.0));
    assert_eq!(world.state(), State::OnBackup, "the signal was about the epoch that was aborted");
}

#[test]
fn an_abort_while_the_backup_is_being_left_keeps_the_epoch() {
    let mut world = signalled(spec());
    world.progress(5);
    assert!(matches!(migrate(&mut world, MigrationOrder::Abort), Verdict::Done(_)));
    assert_eq!((world.admits(), world.epoch(), world.status().pinned), (Some("AGG_B"), 2, true));
    world.progress(0);
    world.run(seconds(60.0));
    assert_eq!((world.admits(), world.epoch()), (Some("AGG_B"), 2));
}

#[test]
fn without_a_migration_there_is_nothing_to_pause() {
    let mut world = World::healthy(spec());
    for order in [MigrationOrder::Pause, MigrationOrder::Resume, MigrationOrder::Abort, MigrationOrder::Force] {
        assert!(matches!(migrate(&mut world, order), Verdict::Refused(_)));
    }
}

#[test]
fn a_primary_that_fails_after_it_was_entered_is_failed_over_from() {
    let mut world = signalled(overlapping(2));
    world.progress(100);
    world.run(seconds(5.0));
    world.set("AGG_P", Server::Killed);
    world.run(seconds(3.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_B"), 4));
    assert_eq!((world.closing().allowed, world.closing().reason), (None, EndReason::Failover));
    assert_eq!(world.status().migration, None);
}

#[test]
fn a_migration_to_a_server_that_is_lost_goes_on_when_it_returns() {
    // Input: an operator moves the pair to its primary by force, sessions still on the backup; the primary falls silent.
    // Output: newcomers wait (the side is pinned); when the primary answers again, the rest is moved.
    let mut world = World::primary_back(overlapping(2));
    assert!(matches!(world.switch(Side::Primary, true), Verdict::Done(_)));
    world.progress(100);
    world.set("AGG_P", Server::Silent);
    world.run(seconds(10.0));
    assert_eq!((world.state(), world.admits(), world.status().migration), (State::NoServer, None, None));
    world.set("AGG_P", Server::Alive);
    world.run(seconds(5.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::Returning, Some("AGG_P"), 3));
    assert!(world.status().migration.is_some());
    world.progress(0);
    assert_eq!(world.state(), State::OnPrimary);
}
