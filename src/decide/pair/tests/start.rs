//! First starts and restarts: the same upstream and epoch as before, never a guess.

use super::*;
use crate::decide::effect::SignalRefusal;
use crate::decide::identity::Former;

#[test]
fn a_first_start_waits_for_the_disk_and_then_serves_the_primary() {
    let now = Time::from_start(seconds(1.0));
    let mut machine = PairMachine::new(
        Start { spec: spec(), stored: Stored::Nothing, origin: Origin::Own, incarnation: 1, seed: 1 },
        now,
    );
    let first = std::iter::from_fn(|| machine.poll_effect()).find_map(|effect| match effect {
        Effect::Persist(id, record) => Some((id, *record)),
        _ => None,
    });
    let (id, record) = first.expect("the first record is written before anybody is served");
    assert_eq!((record.epoch, &*record.upstream, record.state), (Epoch(1), "AGG_P", State::OnPrimary));
    machine.handle_input(now, Input::Resolved("AGG_P".into(), Arc::new(["10.0.0.1:4100".parse().unwrap()])));
    let admitted = |machine: &mut PairMachine| {
        std::iter::from_fn(|| machine.poll_effect())
            .filter_map(|effect| match effect {
                Effect::Publish(routing) => Some(routing.admit),
                _ => None,
            })
            .last()
    };
    assert_eq!(admitted(&mut machine), None, "newcomers wait at the door, also where nobody is to be held");
    machine.handle_input(now, Input::Persisted(id));
    assert!(matches!(admitted(&mut machine), Some(Admit::To { upstream, .. }) if *upstream == *"AGG_P"));
}

#[test]
fn x5_a_server_whose_name_was_never_resolved_is_said_to_be_why_nobody_is_served() {
    let now = Time::from_start(seconds(1.0));
    let mut machine = PairMachine::new(
        Start { spec: spec(), stored: Stored::Nothing, origin: Origin::Own, incarnation: 1, seed: 1 },
        now,
    );
    let words = |machine: &PairMachine| machine.status(now).blockers.join("; ");
    assert!(words(&machine).contains("AGG_P, whose turn it is,"), "{}", words(&machine));
    machine.handle_input(now, Input::Resolved("AGG_P".into(), Arc::new(["10.0.0.1:4100".parse().unwrap()])));
    assert_eq!(words(&machine), "if AGG_P failed now, nobody could stand in: no address is known for AGG_B");
}

#[test]
fn a_restart_on_the_backup_goes_on_there() {
    let world = World::primary_back(spec());
    let mut world = world.restart(spec());
    assert_eq!(world.admits(), Some("AGG_B"), "at once: nothing has changed that would have to be stored first");
    assert_eq!(world.transitions(), [(State::OnBackup, 2, Reason::Restarted)]);
    world.run(seconds(3600.0));
    assert_eq!((world.state(), world.epoch(), world.admits()), (State::OnBackup, 2, Some("AGG_B")));
}

#[test]
fn a_restart_on_the_primary_goes_on_there() {
    let world = World::healthy(spec());
    let world = world.restart(spec());
    assert_eq!((world.state(), world.epoch(), world.admits()), (State::OnPrimary, 1, Some("AGG_P")));
}

#[test]
fn a_restart_while_the_backup_is_being_left_goes_on_on_the_backup() {
    // Input: the pair is Returning, not every session has left the backup, and the proxy dies. Output: the backup was written
    // to last, so it is the backup's turn, and the signal is void.
    let mut world = World::primary_back(spec());
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    world.progress(7);
    assert_eq!(world.records.last().unwrap().state, State::Returning);
    let mut world = world.restart(spec());
    world.run(seconds(600.0));
    assert_eq!((world.state(), world.epoch(), world.admits()), (State::OnBackup, 2, Some("AGG_B")));
}

#[test]
fn a_restart_after_the_primary_was_entered_goes_on_on_the_primary() {
    let mut spec = spec();
    spec.failback.pace = 1;
    let mut world = World::primary_back(spec.clone());
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    world.progress(100);
    world.progress(0);
    world.run(seconds(1.0));
    assert_eq!((world.state(), world.epoch(), world.admits()), (State::Returning, 3, Some("AGG_P")));
    let world = world.restart(spec);
    assert_eq!((world.state(), world.epoch(), world.admits()), (State::OnPrimary, 3, Some("AGG_P")));
}

#[test]
fn a_restart_in_no_server_waits_for_the_upstream_whose_turn_it_is() {
    let mut world = World::failed_over(spec(), Server::Killed);
    world.set("AGG_B", Server::Killed);
    world.run(seconds(5.0));
    world.set("AGG_P", Server::Alive);
    let mut world = world.restart(spec());
    world.run(seconds(60.0));
    assert_eq!((world.state(), world.epoch(), world.admits()), (State::NoServer, 2, None));
    world.set("AGG_B", Server::Alive);
    world.run(seconds(5.0));
    assert_eq!((world.state(), world.epoch(), world.admits()), (State::OnBackup, 2, Some("AGG_B")));
}

#[test]
fn what_an_operator_ordered_outlives_a_restart() {
    let mut world = World::healthy(spec());
    assert!(matches!(world.switch(Side::Primary, false), Verdict::Done(_)));
    assert!(matches!(world.order(Order::Freeze(true)), Verdict::Done(_)));
    let status = world.restart(spec()).status();
    assert!(status.pinned && status.frozen && !status.latched);
}

#[test]
fn an_unreadable_journal_means_that_nobody_is_served_until_an_operator_decides() {
    // Input: the journal can't be read; both servers are healthy. Output: nobody; signals and other orders don't help; only
    // `switch --to … --force` does, under an epoch that can't have been used before.
    let mut world = World::start(spec(), Stored::Unreadable(Epoch(0)));
    world.run(seconds(600.0));
    assert_eq!((world.state(), world.admits(), world.records.len()), (State::NoServer, None, 0));
    assert_eq!(world.status().reason, Reason::StateUnreadable);
    assert!(world.blockers().contains("failback switch AGG_V --to primary --force"), "{}", world.blockers());
    assert!(matches!(world.resync(Side::Primary, None), Verdict::SignalIgnored(_)));
    assert!(matches!(world.order(Order::Freeze(true)), Verdict::Refused(_)));
    let Verdict::Refused(why) = world.switch(Side::Backup, false) else { panic!("not without --force") };
    assert!(why.contains("--force"), "{why}");
    assert!(matches!(world.switch(Side::Backup, true), Verdict::Done(_)));
    assert_eq!((world.state(), world.admits()), (State::OnBackup, Some("AGG_B")));
    assert!(world.epoch() > 1 << 24);
}

#[test]
fn the_epoch_does_not_fall_at_a_second_unreadable_journal() {
    let decided = |known: u64| {
        let mut world = World::start(spec(), Stored::Unreadable(Epoch(known)));
        world.run(seconds(60.0));
        assert!(matches!(world.switch(Side::Backup, true), Verdict::Done(_)));
        world.epoch()
    };
    let first = decided(7);
    assert!(decided(first) > first);
}

#[test]
fn addresses_that_were_swapped_while_the_proxy_was_down_are_noticed() {
    // Input: on its backup when it stopped; the new configuration gives each server the other's address. Output: the name
    // tells no more who holds the data, so nobody is served.
    let world = World::primary_back(spec());
    let mut swapped = spec();
    let backup = swapped.backups[0].address.clone();
    let primary = std::mem::replace(&mut swapped.primary.as_mut().unwrap().address, backup);
    swapped.backups[0].address = primary;
    let mut world = world.restart(swapped);
    world.run(seconds(60.0));
    assert_eq!((world.state(), world.admits()), (State::NoServer, None));
    assert!(matches!(world.switch(Side::Primary, true), Verdict::Done(_)));
    assert_eq!((world.admits(), world.epoch()), (Some("AGG_P"), 3));
}

#[test]
fn a_server_that_was_removed_while_it_was_active_is_not_replaced_by_a_guess() {
    // Input: on AGG_B when it stopped; the new configuration has AGG_C in its place. Output: nobody knows whether AGG_C or the
    // primary holds what AGG_B took.
    let world = World::primary_back(spec());
    let mut without = spec();
    without.backups = vec![backup("AGG_C", "10.0.0.3:4100")];
    let servers = world.records.last().unwrap().clone();
    let mut world = World::start(without, Stored::Record(Box::new(servers)));
    world.run(seconds(60.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::NoServer, None, 2));
    assert!(world.blockers().contains("AGG_B, whose turn it is, was removed"), "{}", world.blockers());
    assert!(matches!(world.switch(Side::Backup, true), Verdict::Done(_)));
    assert_eq!((world.admits(), world.epoch()), (Some("AGG_C"), 3));
}

/// `world` is started anew with this configuration, twice: nobody is served until an operator decides.
fn serves_nobody_anew(world: World, spec: &PairSpec, why: &str) -> World {
    let mut world = world.restart(spec.clone());
    for start in 0..2 {
        world.run(seconds(60.0));
        assert_eq!((world.state(), world.admits(), world.records.len()), (State::NoServer, None, 0), "start {start}");
        assert!(world.blockers().contains(why), "{}", world.blockers());
        assert!(world.notes.iter().any(|note| matches!(note, Note::Identity(words) if words.contains(why))));
        if start == 0 {
            let stored = Stored::Record(Box::new(on_the_backup()));
            let servers = world.servers;
            world = World::start(spec.clone(), stored);
            world.servers.extend(servers);
        }
    }
    world
}

/// The record of a pair on its backup.
fn on_the_backup() -> PairRecord {
    World::primary_back(spec()).records.last().unwrap().clone()
}

#[test]
fn an_active_server_that_got_another_ones_address_while_the_proxy_was_down_is_not_trusted() {
    // Input: on AGG_B when it stopped; AGG_B has the stale primary's address now, and the primary a new one. Output: nobody.
    let mut moved = spec();
    let primary = moved.primary.as_mut().unwrap();
    moved.backups[0].address = std::mem::replace(&mut primary.address, "10.0.0.9:4100".parse().unwrap());
    let mut world = serves_nobody_anew(World::primary_back(spec()), &moved, "10.0.0.1:4100 now, which was AGG_P's");
    assert!(matches!(world.switch(Side::Primary, true), Verdict::Done(_)));
    assert_eq!((world.admits(), world.epoch()), (Some("AGG_P"), 3));
}

#[test]
fn an_active_server_that_moved_while_the_proxy_was_down_is_not_trusted() {
    let mut moved = spec();
    moved.backups[0].address = "10.0.0.9:4100".parse().unwrap();
    let why = "clients were on AGG_B at 10.0.0.2:4100, and its address is 10.0.0.9:4100 now";
    serves_nobody_anew(World::primary_back(spec()), &moved, why);
}

#[test]
fn a_server_that_is_not_active_may_move_while_the_proxy_is_down() {
    let mut moved = spec();
    moved.primary.as_mut().unwrap().address = "10.0.0.9:4100".parse().unwrap();
    let mut world = World::primary_back(spec()).restart(moved);
    world.run(seconds(60.0));
    assert_eq!((world.state(), world.admits()), (State::OnBackup, Some("AGG_B")));
}

#[test]
fn a_pair_that_has_the_servers_of_one_that_is_gone_serves_nobody() {
    let renamed = Stored::Renamed { was: "AGG_OLD".into(), on: Some("AGG_B".into()) };
    let mut world = World::start(spec(), renamed);
    world.run(seconds(600.0));
    assert_eq!((world.state(), world.admits(), world.records.len()), (State::NoServer, None, 0));
    assert!(world.blockers().contains("those of AGG_OLD") && world.blockers().contains("on AGG_B"));
    assert!(matches!(world.switch(Side::Primary, false), Verdict::Refused(_)));
    assert!(matches!(world.switch(Side::Backup, true), Verdict::Done(_)));
    assert_eq!((world.state(), world.admits()), (State::OnBackup, Some("AGG_B")));
}

fn with_addresses(primary: &str, backup: &str) -> PairSpec {
    let mut spec = spec();
    spec.primary = Some(UpstreamSpec { name: "P".into(), address: primary.parse().unwrap() });
    spec.backups = vec![UpstreamSpec { name: "B".into(), address: backup.parse().unwrap() }];
    spec
}

fn former(turn: Option<&str>) -> Former {
    let server = |name: &str, text: &str| (name.into(), text.parse().unwrap());
    Former {
        turn: turn.map(Into::into),
        next: None,
        servers: vec![server("P", "10.0.0.1:1"), server("B", "10.0.0.2:1")],
    }
}

#[test]
fn a_pair_under_a_new_name_begins_where_clients_were_or_it_is_doubted() {
    for (turn, primary, backup, doubted) in [
        (Some("P"), "10.0.0.1:1", "10.0.0.2:1", false),
        (Some("B"), "10.0.0.1:1", "10.0.0.2:1", true),
        (None, "10.0.0.1:1", "10.0.0.2:1", true),
        (Some("B"), "10.0.0.2:1", "10.0.0.1:1", false),
        (Some("B"), "10.0.0.9:1", "10.0.0.2:1", true),
        (Some("B"), "10.0.0.8:1", "10.0.0.9:1", false),
    ] {
        let (name, new) = (crate::model::PairName::from("OLD"), with_addresses(primary, backup));
        let before = Former::predecessor(&new, [(&name, former(turn))]);
        assert_eq!(before.is_some(), doubted, "{turn:?} {primary} {backup}");
    }
}

#[test]
fn names_that_trade_addresses_are_noticed_and_others_only_if_clients_are_there() {
    let swaps = |turn, primary, backup| {
        let (former, new) = (former(turn), with_addresses(primary, backup));
        former.swaps(&new).map(|swap| swap.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(swaps(Some("B"), "10.0.0.2:1", "10.0.0.1:1"), ["P", "B"]);
    assert_eq!(swaps(Some("B"), "10.0.0.9:1", "10.0.0.2:1"), [""; 0]);
    assert_eq!(swaps(Some("P"), "10.0.0.9:1", "10.0.0.2:1"), ["P"]);
    assert_eq!(swaps(Some("P"), "10.0.0.1:1", "10.0.0.2:1"), [""; 0]);
}

#[test]
fn x4_an_epoch_that_another_node_acted_under_is_not_used_again() {
    // Input: while nodes were parted, one that is given up now had failed over twice. Output: same side, same sessions, a higher epoch, on
    // the disk; a signal about what the other one did is void.
    let mut world = World::primary_back(spec());
    let (epoch, routing) = (world.epoch(), world.routing().clone());
    world.input(Input::Outnumbered(Epoch(epoch - 1)));
    assert_eq!(world.epoch(), epoch, "that is no news");
    world.input(Input::Outnumbered(Epoch(epoch + 1)));
    assert_eq!((world.epoch(), world.admits()), (epoch + 2, Some("AGG_B")));
    assert_eq!((world.records.last().unwrap().epoch, &world.routing().close), (Epoch(epoch + 2), &routing.close));
    assert_eq!(
        world.resync(Side::Primary, Some(epoch + 1)),
        Verdict::SignalIgnored(SignalRefusal::WrongEpoch { given: Epoch(epoch + 1), have: Epoch(epoch + 2) })
    );
    assert_eq!(world.resync(Side::Primary, Some(epoch + 2)), Verdict::SignalAccepted);
    world.input(Input::Outnumbered(Epoch(u64::MAX)));
    assert!(world.epoch() < epoch + 10, "nor is that a number of anybody's");
}
