//! The classic figure: PROXY_P → AGG_P, PROXY_B → AGG_B (`N1`, `N11`). Here: what PROXY_B does.

use super::*;

fn proxy_b(pace: u32) -> PairSpec {
    let mut spec = spec();
    spec.elsewhere = spec.primary.take();
    spec.failback.pace = pace;
    spec
}

#[test]
fn n11_newcomers_are_always_accepted() {
    let mut world = World::healthy(proxy_b(0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_B"), 1));
    for how in [Server::Killed, Server::Silent, Server::Alive] {
        world.set("AGG_P", how);
        world.run(seconds(30.0));
        assert_eq!((world.transitions(), world.admits()), (vec![], Some("AGG_B")));
    }
}

#[test]
fn n11_after_the_signal_clients_are_closed_at_the_pace_and_newcomers_still_accepted() {
    // Input: a resync signal while AGG_P, reached through PROXY_P, is healthy. Output: sessions are closed, ten a second, exempt
    // clients spared, nobody refused, no epoch; when they are gone the signal is used up.
    let mut world = World::healthy(proxy_b(10));
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    let closing = world.closing().clone();
    assert_eq!((closing.reason, closing.spare_exempt, closing.spare_upstream), (EndReason::Failback, true, None));
    world.progress(25);
    world.run(seconds(1.0));
    assert!((7..=20).contains(&world.closing().allowed.unwrap()));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_B"), 1));
    world.progress(0);
    assert_eq!((world.status().migration, world.status().resynced_since), (None, None));
    assert_eq!(world.records.last().unwrap().signal, None);
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted, "a later signal closes who came since");
    assert!(world.closing().id > closing.id);
}

#[test]
fn n11_the_signal_is_ignored_while_the_other_primary_is_down() {
    let mut world = World::healthy(proxy_b(0));
    world.set("AGG_P", Server::Killed);
    world.run(seconds(10.0));
    assert!(matches!(world.resync(Side::Primary, None), Verdict::SignalIgnored(_)));
    assert_eq!(world.routing().close, None);
}

#[test]
fn n11_the_closing_stops_when_the_other_primary_fails_again() {
    let mut world = World::healthy(proxy_b(2));
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    world.progress(100);
    world.run(seconds(3.0));
    world.set("AGG_P", Server::Killed);
    world.run(seconds(2.0));
    let allowed = world.closing().allowed;
    world.run(seconds(30.0));
    assert_eq!((world.closing().allowed, world.status().migration, world.admits()), (allowed, None, Some("AGG_B")));
}

#[test]
fn n1_when_the_backup_itself_dies_newcomers_go_nowhere_and_sessions_are_closed() {
    let mut world = World::healthy(proxy_b(0));
    world.set("AGG_B", Server::Silent);
    world.run(seconds(10.0));
    assert_eq!((world.state(), world.admits()), (State::NoServer, None));
    assert_eq!(world.closing().reason, EndReason::Failover);
    world.set("AGG_B", Server::Alive);
    world.run(seconds(5.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_B"), 1));
}
