//! The resync signal: valid, void, early, late, twice, never (`X1`, `N3`, `N5`, `N7`).

use super::*;
use crate::decide::effect::SignalRefusal;

fn ignored(refusal: SignalRefusal) -> Verdict {
    Verdict::SignalIgnored(refusal)
}

/// A pair that stays `Resynced` until somebody switches it.
fn by_hand() -> PairSpec {
    let mut spec = spec();
    spec.failback.when = FailbackWhen::Manual;
    spec
}

#[test]
fn n3_without_a_signal_everybody_stays_on_the_backup() {
    // Input: the primary is healthy again for six hours. Output: nothing.
    let mut world = World::primary_back(spec());
    world.run(seconds(6.0 * 3600.0));
    assert_eq!((world.transitions(), world.admits()), (vec![], Some("AGG_B")));
}

#[test]
fn n7_the_status_says_that_the_primary_is_healthy_and_the_signal_is_missing() {
    let mut world = World::primary_back(spec());
    world.run(seconds(3660.0));
    let status = world.status();
    assert!(
        status.blockers[0].starts_with(
            "no valid resync signal says that AGG_P holds everything again, though it has been healthy for 61 min"
        ),
        "{}",
        status.blockers[0]
    );
    assert_eq!(status.upstreams[0].note.as_deref(), Some("not known to hold what AGG_B took"));
    assert!(!status.upstreams[0].admissible);
}

#[test]
fn n5_a_signal_while_on_the_primary_is_a_no_op_with_a_reason() {
    let mut world = World::healthy(spec());
    assert_eq!(world.resync(Side::Primary, None), ignored(SignalRefusal::NotFailedOver));
    assert_eq!(world.transitions(), []);
    let journalled = Note::Signal { of: Side::Primary, verdict: ignored(SignalRefusal::NotFailedOver) };
    assert!(world.notes.contains(&journalled), "every signal is journalled");
}

#[test]
fn n5_a_signal_while_the_primary_is_down_is_a_no_op_with_a_reason() {
    for how in [Server::Killed, Server::Silent, Server::Confused] {
        let mut world = World::failed_over(spec(), how);
        assert_eq!(world.resync(Side::Primary, None), ignored(SignalRefusal::PrimaryDown), "{how:?}");
        assert_eq!(world.state(), State::OnBackup);
    }
}

#[test]
fn n5_a_signal_of_another_epoch_is_a_no_op_with_a_reason() {
    let mut world = World::primary_back(spec());
    for given in [1, 3] {
        let refusal = SignalRefusal::WrongEpoch { given: Epoch(given), have: Epoch(2) };
        assert_eq!(world.resync(Side::Primary, Some(given)), ignored(refusal));
    }
    assert_eq!(world.resync(Side::Primary, Some(2)), Verdict::SignalAccepted);
}

#[test]
fn n5_a_repeated_signal_is_harmless() {
    let mut world = World::primary_back(by_hand());
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    let records = world.records.len();
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalRepeated);
    assert_eq!((world.records.len(), world.state()), (records, State::Resynced));
}

#[test]
fn n5_a_signal_about_a_side_the_pair_does_not_have_is_refused() {
    let mut spec = spec();
    spec.backups.clear();
    let mut world = World::healthy(spec);
    assert_eq!(world.resync(Side::Backup, None), ignored(SignalRefusal::NoSuchSide(Side::Backup)));
}

#[test]
fn a_signal_that_comes_before_we_noticed_the_return_starts_checks_and_is_valid() {
    // Input: the primary answers again since this instant, still called down. Output: two checks, then accepted.
    let mut world = World::failed_over(spec(), Server::Killed);
    world.set("AGG_P", Server::Alive);
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    assert_eq!(world.state(), State::Resynced);
}

#[test]
fn signals_that_come_together_are_answered_together_and_bounded() {
    let mut world = World::primary_back(spec());
    for number in 0..20 {
        world.input(Input::ResyncSignal { ticket: Ticket(100 + number), of: Side::Primary, epoch: None });
    }
    world.run(seconds(1.0));
    let count = |wanted: &Verdict| world.answers.values().filter(|verdict| *verdict == wanted).count();
    assert_eq!((count(&Verdict::SignalAccepted), count(&ignored(SignalRefusal::Busy))), (16, 4));
}

#[test]
fn x1_the_signal_is_revoked_by_one_failed_check() {
    // Input: a valid signal, then one check of the primary fails. Output: revoked, and it stays so when the primary is healthy.
    let mut world = World::primary_back(by_hand());
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    assert!(world.status().resynced_since.is_some());
    world.set("AGG_P", Server::Silent);
    world.run_until(seconds(3.0), "a failure", |world| world.status().resynced_since.is_none());
    world.set("AGG_P", Server::Alive);
    world.run(seconds(600.0));
    let revoked = (State::OnBackup, 2, Reason::SignalRevoked);
    assert_eq!(world.transitions().last(), Some(&revoked));
    assert_eq!(world.records.last().unwrap().signal, None);
}

#[test]
fn x1_the_signal_is_revoked_by_a_gap_in_our_watching() {
    // Input: a valid signal, then the process is stopped for ten seconds. Output: the primary may have died and come back
    // stale meanwhile, so the signal is void.
    let mut world = World::primary_back(by_hand());
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    world.now = world.now + seconds(10.0);
    world.run(seconds(600.0));
    assert_eq!(world.transitions().last(), Some(&(State::OnBackup, 2, Reason::SignalRevoked)));
}

#[test]
fn x1_the_signal_is_revoked_when_nothing_was_known_of_the_primary_for_too_long() {
    // Input: a valid signal, then checks of the primary can't be tried for ten seconds, and pass again. Output: revoked.
    let mut world = World::primary_back(by_hand());
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    world.set("AGG_P", Server::Untried);
    world.run(seconds(10.0));
    world.set("AGG_P", Server::Alive);
    world.run(seconds(3.0));
    assert_eq!(world.transitions().last(), Some(&(State::OnBackup, 2, Reason::SignalRevoked)));
}

#[test]
fn x1_the_signal_does_not_outlive_a_restart() {
    let mut world = World::primary_back(by_hand());
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    let stored = world.records.last().unwrap().clone();
    assert_eq!((stored.state, stored.signal), (State::Resynced, Some(stored.generation)));
    let mut world = world.restart(by_hand());
    let said = |world: &World| world.notes.iter().filter(|note| matches!(note, Note::SignalLost(_))).count();
    assert_eq!(said(&world), 1, "whoever sent it has to know");
    world.run(seconds(600.0));
    assert_eq!((world.state(), world.epoch(), world.status().resynced_since), (State::OnBackup, 2, None));
    assert!(world.records.last().unwrap().generation > stored.generation);
    assert_eq!(said(&world.restart(by_hand())), 0, "nothing is lost twice");
}

#[test]
fn a_signal_overtaken_by_a_change_of_side_is_void() {
    // Input: a signal; while its checks are under way an operator forces the pair to its primary. Output: overtaken.
    let mut world = World::primary_back(spec());
    world.input(Input::ResyncSignal { ticket: Ticket(100), of: Side::Primary, epoch: None });
    world.switch(Side::Primary, true);
    world.progress(0);
    world.run(seconds(1.0));
    assert_eq!(world.answers[&100], ignored(SignalRefusal::Overtaken));
}

#[test]
fn a_signal_that_can_not_be_stored_is_not_accepted() {
    let mut world = World::primary_back(spec());
    world.disk = Disk::Full;
    assert_eq!(world.resync(Side::Primary, None), ignored(SignalRefusal::NotStored));
    assert_eq!((world.state(), world.status().resynced_since), (State::OnBackup, None));
}

#[test]
fn a_primary_that_fails_while_its_signal_is_being_stored_is_not_resynced() {
    let mut world = World::primary_back(spec());
    world.disk = Disk::Stuck;
    world.input(Input::ResyncSignal { ticket: Ticket(100), of: Side::Primary, epoch: None });
    world.run(seconds(1.0));
    world.set("AGG_P", Server::Killed);
    world.run(seconds(2.0));
    world.disk = Disk::Quick;
    world.write();
    assert_eq!(world.answers[&100], ignored(SignalRefusal::PrimaryDown));
    assert_eq!((world.state(), world.admits()), (State::OnBackup, Some("AGG_B")));
}

#[test]
fn a_signal_nobody_can_check_is_given_up() {
    let mut world = World::primary_back(spec());
    world.set("AGG_P", Server::Untried);
    world.input(Input::ResyncSignal { ticket: Ticket(100), of: Side::Primary, epoch: None });
    world.run(seconds(10.0));
    assert_eq!(world.answers[&100], ignored(SignalRefusal::PrimaryDown));
}

/// The default pair with a source that is polled every two seconds.
fn polled() -> PairSpec {
    let mut spec = spec();
    let (every, timeout) = (seconds(2.0), seconds(5.0));
    spec.failback.source = Some(SignalSource::Command { argv: Arc::new(["is-it-whole".to_owned()]), every, timeout });
    spec
}

#[test]
fn a_polled_source_counts_only_once_it_was_seen_not_done_in_this_failover() {
    // Input: the source says "done" from the start (left over from the last time), then not, then done. Output: accepted at
    // the third answer; "no clear answer" counts for nothing.
    let mut world = World::primary_back(polled());
    let mut answer = |done| {
        world.input(Input::SignalPolled { done });
        world.run(seconds(2.5));
        world.status().resynced_since.is_some()
    };
    assert!(!answer(Some(true)));
    assert!(!answer(None));
    assert!(!answer(Some(false)));
    assert!(!answer(None));
    assert!(answer(Some(true)));
}

#[test]
fn the_source_is_polled_only_on_the_backup_while_the_primary_answers() {
    let mut world = World::healthy(polled());
    world.run(seconds(30.0));
    assert_eq!(world.polls, 0, "nothing to ask on the primary");
    world.set("AGG_P", Server::Killed);
    world.run(seconds(30.0));
    assert_eq!(world.polls, 0, "the primary does not answer");
    world.set("AGG_P", Server::Alive);
    for _ in 0..10 {
        world.run(seconds(2.1));
        world.input(Input::SignalPolled { done: Some(false) });
    }
    assert!((9..=11).contains(&world.polls), "one every two seconds, {} polls", world.polls);
}

#[test]
fn an_answer_to_what_was_asked_before_the_primary_failed_again_is_void() {
    let mut world = World::primary_back(polled());
    world.input(Input::SignalPolled { done: Some(false) });
    world.run(seconds(2.1));
    world.set("AGG_P", Server::Silent);
    world.run_until(seconds(3.0), "a failure", |world| world.machine.primary().unwrap().health.is_failing());
    world.set("AGG_P", Server::Alive);
    world.run(Duration::from_millis(400));
    world.input(Input::SignalPolled { done: Some(true) });
    world.run(seconds(1.0));
    assert_eq!(world.status().resynced_since, None);
}

#[test]
fn a_backup_may_need_a_signal_of_its_own() {
    // Input: `admission = "resynced"`, the primary dies. Output: nobody, until the backup was said to hold everything; its
    // signal, too, is void after a failed check.
    let mut spec = spec();
    spec.admission = crate::model::spec::Admission::Resynced;
    let mut world = World::healthy(spec);
    world.set("AGG_P", Server::Killed);
    world.run(seconds(10.0));
    assert_eq!((world.state(), world.admits()), (State::NoServer, None));
    assert!(world.blockers().contains("failback resync AGG_V --of backup"), "{}", world.blockers());
    assert_eq!(world.resync(Side::Backup, None), Verdict::SignalAccepted);
    world.run(seconds(1.0));
    assert_eq!((world.state(), world.admits()), (State::OnBackup, Some("AGG_B")));
}

#[test]
fn a_backup_s_own_signal_is_void_after_a_failed_check() {
    let mut spec = spec();
    spec.admission = crate::model::spec::Admission::Resynced;
    let mut world = World::healthy(spec);
    assert_eq!(world.resync(Side::Backup, None), Verdict::SignalAccepted);
    assert_eq!(world.resync(Side::Backup, None), Verdict::SignalRepeated);
    assert!(world.status().upstreams[1].admissible);
    world.set("AGG_B", Server::Silent);
    world.run(seconds(2.0));
    world.set("AGG_B", Server::Alive);
    world.run(seconds(30.0));
    assert!(!world.status().upstreams[1].admissible);
}

#[test]
fn that_a_backup_was_down_while_the_primary_took_traffic_is_shown() {
    let mut world = World::healthy(spec());
    world.set("AGG_B", Server::Killed);
    world.run(seconds(5.0));
    world.set("AGG_B", Server::Alive);
    world.run(seconds(30.0));
    let note = |world: &World| world.status().upstreams[1].note.clone();
    assert_eq!(note(&world).as_deref(), Some("was down while the primary took traffic"));
    assert_eq!(world.resync(Side::Backup, None), Verdict::SignalAccepted);
    assert_eq!(note(&world), None);
}

/// The upstream's name leads to these addresses now.
fn resolve(world: &mut World, name: &str, addresses: &[&str]) {
    let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    world.input(Input::Resolved(name.into(), addresses.into()));
}

/// On its backup, with a valid signal that must wait for an operator.
fn resynced_and_waiting() -> World {
    let mut manual = spec();
    manual.failback.when = FailbackWhen::Manual;
    let mut world = World::primary_back(manual);
    resolve(&mut world, "AGG_P", &["10.0.0.1:4100", "10.0.1.1:4100"]);
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    world
}

#[test]
fn x1_a_signal_does_not_hold_for_the_machine_that_a_name_is_moved_to() {
    // Input: the primary's name leads to an address it never had. Output: nobody said anything about that machine.
    let mut world = resynced_and_waiting();
    resolve(&mut world, "AGG_P", &["10.0.0.9:4100"]);
    assert_eq!((world.state(), world.status().resynced_since), (State::OnBackup, None));
    assert!(world.notes.iter().any(|note| matches!(note, Note::Identity(words) if words.contains("10.0.0.9"))));
    world.run(seconds(60.0));
    assert!(matches!(world.switch(Side::Primary, false), Verdict::Refused(_)));
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted, "a new one is about the new machine");
    resolve(&mut world, "AGG_P", &["10.0.0.1:4100", "10.0.1.1:4100"]);
    assert_eq!(world.state(), State::OnBackup, "the old machine is another one again");
}

#[test]
fn a_signal_holds_though_addresses_come_in_another_order_or_one_is_missing_for_a_while() {
    let mut world = resynced_and_waiting();
    for addresses in [&["10.0.1.1:4100", "10.0.0.1:4100"][..], &["10.0.0.1:4100"], &["10.0.0.1:4100", "10.0.1.1:4100"]]
    {
        resolve(&mut world, "AGG_P", addresses);
        assert_eq!(world.state(), State::Resynced, "{addresses:?}");
    }
}

#[test]
fn x1_a_name_that_moves_while_its_signal_is_validated_gets_no_valid_one() {
    let mut world = World::primary_back(spec());
    let (number, ticket) = world.ticket();
    world.input(Input::ResyncSignal { ticket, of: Side::Primary, epoch: None });
    resolve(&mut world, "AGG_P", &["10.0.0.9:4100"]);
    world.run(seconds(1.0));
    assert_eq!(world.answers.remove(&number), Some(Verdict::SignalIgnored(SignalRefusal::Overtaken)));
    assert_eq!(world.state(), State::OnBackup);
}

#[test]
fn a_server_whose_name_moves_while_clients_are_on_it_stays_active() {
    let mut world = World::healthy(spec());
    resolve(&mut world, "AGG_P", &["10.0.0.9:4100"]);
    world.run(seconds(60.0));
    assert_eq!((world.state(), world.epoch(), world.admits()), (State::OnPrimary, 1, Some("AGG_P")));
    assert!(world.notes.is_empty(), "{:?}", world.notes);
}

#[test]
fn x1_a_primary_whose_name_leads_to_the_active_backup_is_no_place_to_return_to() {
    for when in [FailbackWhen::Resync, FailbackWhen::Poll] {
        let mut polled = spec();
        polled.failback.when = when;
        let mut world = World::failed_over(polled, Server::Killed);
        resolve(&mut world, "AGG_P", &["10.0.0.2:4100"]);
        world.set("AGG_P", Server::Alive);
        world.run(seconds(60.0));
        assert_eq!(world.resync(Side::Primary, None), Verdict::SignalIgnored(SignalRefusal::SameServer));
        world.run(seconds(60.0));
        assert_eq!((world.state(), world.admits()), (State::OnBackup, Some("AGG_B")), "{when:?}");
        assert!(world.blockers().contains("AGG_P resolves to an address of AGG_B"), "{}", world.blockers());
        assert!(world.status().upstreams[0].note.as_deref().is_some_and(|note| note.contains("an address of AGG_B")));
        let Verdict::Refused(why) = world.switch(Side::Primary, false) else { panic!("not without --force") };
        assert!(why.contains("an address of AGG_B"), "{why}");
    }
}

#[test]
fn n5_where_nobody_is_served_the_answer_to_a_signal_says_why() {
    // Input: a signal while neither server answers and it is the primary's turn. Output: ignored, with what keeps the pair from
    // serving.
    let mut world = World::start(spec(), Stored::Nothing);
    world.set("AGG_P", Server::Killed);
    world.set("AGG_B", Server::Killed);
    world.run(seconds(30.0));
    assert_eq!(world.state(), State::NoServer);
    let why = world.status().blockers.join("; ");
    assert!(why.contains("AGG_P, whose turn it is, fails its checks") && why.contains("AGG_B"), "{why}");
    assert_eq!(world.resync(Side::Primary, None), ignored(SignalRefusal::NobodyServed(why)));
}
