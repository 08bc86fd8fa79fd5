//! Takeovers by a node's own decision; starts, gaps, conflicts.

use super::*;

#[test]
fn b8_the_countdown_is_told_and_then_the_backup_takes_over() {
    // Input: the holder is silent on both paths, a witness answers, nobody owns the address. Output: four notes that count
    // down; the epoch raised and stored, then served.
    let mut world = World::backup(true);
    world.silence(ALPHA);
    world.run(4.0);
    let left = |note: &Note| if let Note::Countdown { left, .. } = note { Some(left.as_millis()) } else { None };
    let series: Vec<_> = world.notes.iter().filter_map(left).collect();
    assert_eq!(series.len(), 4, "{series:?}");
    assert!(series.windows(2).all(|pair| pair[0] > pair[1]) && series[3] == 0, "{series:?}");
    assert_eq!((world.served.as_slice(), world.machine.state()), (&[Epoch(2)][..], NodeStateName::Online));
    let order: Vec<_> = world.done.iter().filter(|done| ["persist", "serve"].contains(done)).collect();
    assert_eq!(order, [&"persist", &"serve"], "on the disk before it is served");
}

#[test]
fn b8_the_address_is_asked_for_before_the_silence_is_over_and_not_by_who_may_not_take_it() {
    // Input: the holder is silent, but not for long enough yet. Output: the question only; by the time the silence is over, its
    // answer is here.
    for (auto, asked) in [(true, true), (false, false)] {
        let mut world = World::backup(auto);
        world.silence(ALPHA);
        world.run(2.3);
        assert!(!world.done.contains(&"probe"), "a question at every late heartbeat");
        world.run(0.5);
        assert_eq!((world.done.contains(&"probe"), world.served.len()), (asked, 0));
    }
}

#[test]
fn b8_without_auto_an_operator_must() {
    let mut world = World::backup(false);
    world.silence(ALPHA);
    world.run(60.0);
    assert_eq!((world.served.len(), world.held_back()), (0, vec![SeatRefusal::AutoOff]));
    world.order(Order::Takeover { seat: ALPHA.into(), force: false });
    world.run(1.0);
    assert!(matches!(world.answers.pop(), Some(Verdict::Done(_))));
    assert_eq!(world.served, [Epoch(2)]);
}

#[test]
fn g7_a_node_that_takes_another_ones_place_has_no_seat_of_its_own_name() {
    // Input: it says that it is a primary node and that the seat is its own, and does not serve it yet. Output: no other seat is supposed.
    let peers = [(ALPHA, Role::Primary), ("charlie", Role::Backup)];
    let mut world = World::start(BRAVO, Role::Backup, true, Stored::Nothing, &peers, &[ALPHA]);
    world.other(ALPHA).claims = vec![claim(ALPHA, 1, true)];
    world.run(2.0);
    let own = |holds: bool| vec![Claim { home: Some("charlie".into()), ..claim(ALPHA, 2, holds) }];
    for holds in [false, true] {
        world.other("charlie").role = Role::Primary;
        world.other("charlie").claims = own(holds);
        world.run(1.0);
        assert_eq!(world.machine.seats().count(), 1, "{:?}", world.machine.seats().collect::<Vec<_>>());
    }
}

#[test]
fn g2_a_stranger_that_serves_a_known_seat_is_heeded_and_else_ignored() {
    // Input: another backup node of the same primary, which is no peer, took its seat; its beacons say so. Output: this one does not take it.
    let overheard = |number: u64, claims: Vec<Claim>| {
        let (node, role, state) = ("charlie".into(), Role::Backup, NodeStateName::Online);
        Input::Overheard(Heartbeat { node, boot: 1, sequence: number, role, state, claims })
    };
    for (heard, taken) in [(true, 0), (false, 1)] {
        let mut world = World::backup(true);
        world.silence(ALPHA);
        for number in 1..40 {
            world.run(0.2);
            if heard && number > 5 {
                world.input(overheard(number, vec![claim(ALPHA, 3, true), claim("other people's", 9, true)]));
            }
        }
        assert_eq!((world.served.len(), world.machine.seats().count()), (taken, 1));
    }
    // Whoever serves under a lower epoch lets go.
    let mut world = World::primary();
    world.input(overheard(1, vec![claim(ALPHA, 5, true)]));
    assert_eq!((world.machine.state(), world.holder()), (NodeStateName::Offline, Some("charlie".into())));
}

#[test]
fn a_record_that_cannot_be_stored_is_said_once() {
    let mut world = World::primary();
    world.disk_full = true;
    world.input(Input::Joined("charlie".into(), Role::Backup));
    world.run(10.0);
    assert_eq!(world.notes.iter().filter(|note| **note == Note::NotStored).count(), 1);
    world.disk_full = false;
    world.run(2.0);
    world.disk_full = true;
    world.input(Input::Joined("delta".into(), Role::Backup));
    assert_eq!(
        world.notes.iter().filter(|note| **note == Note::NotStored).count(),
        2,
        "and again when it is another time"
    );
}

#[test]
fn b10_without_a_witness_it_is_this_node_that_is_cut_off() {
    let mut world = World::backup(true);
    world.silence(ALPHA);
    world.witness = false;
    world.run(60.0);
    assert_eq!((world.served.len(), world.held_back()), (0, vec![SeatRefusal::CutOff]));
    assert!(!world.machine.may_change_sides(), "no pair changes its side meanwhile");
    world.witness = true;
    world.run(3.0);
    assert_eq!((world.served.len(), world.machine.may_change_sides()), (1, true));
}

#[test]
fn b10_an_address_that_somebody_owns_is_not_taken() {
    let mut world = World::backup(true);
    world.silence(ALPHA);
    world.owner = Owner::Somebody;
    world.run(60.0);
    assert_eq!((world.served.len(), world.held_back()), (0, vec![SeatRefusal::AddressOwned]));
}

#[test]
fn g8_a_heartbeat_on_either_path_holds_the_takeover_back() {
    for path in [Path::PeerLink, Path::Beacon] {
        let mut world = World::backup(true);
        world.other(ALPHA).paths = vec![path];
        world.run(60.0);
        assert_eq!(world.served.len(), 0, "{path:?}");
    }
}

#[test]
fn g8_what_another_node_hears_holds_the_takeover_back() {
    // Input: charlie does not hear the holder, but bravo does and says so. Output: nothing.
    let peers = [(ALPHA, Role::Primary), (BRAVO, Role::Backup)];
    let mut world = World::start("charlie", Role::Backup, true, Stored::Nothing, &peers, &[ALPHA]);
    world.other(ALPHA).claims = vec![claim(ALPHA, 1, true)];
    world.other(BRAVO).claims = vec![Claim { hears: true, ..claim(ALPHA, 1, false) }];
    world.run(2.0);
    world.silence(ALPHA);
    world.run(60.0);
    assert_eq!((world.served.len(), world.held_back()), (0, vec![SeatRefusal::StillHeard]));
    world.other(BRAVO).claims = vec![claim(ALPHA, 1, false)];
    world.run(1.0);
    assert_eq!(world.served.len(), 1, "bravo had its head start");
}

#[test]
fn g5_after_a_takeover_nobody_takes_over_by_himself() {
    let peers = [(ALPHA, Role::Primary), (BRAVO, Role::Backup)];
    let mut world = World::start("charlie", Role::Backup, true, Stored::Nothing, &peers, &[ALPHA]);
    world.silence(ALPHA);
    world.other(BRAVO).claims = vec![claim(ALPHA, 2, true)];
    world.run(2.0);
    world.silence(BRAVO);
    world.run(60.0);
    assert_eq!((world.served.len(), world.held_back()), (0, vec![SeatRefusal::Degraded]));
}

#[test]
fn a_returning_node_with_a_lower_epoch_stays_offline() {
    let mut world = World::returning();
    world.other(BRAVO).claims = vec![claim(ALPHA, 2, true)];
    world.run(60.0);
    assert_eq!((world.served.len(), world.machine.state()), (0, NodeStateName::Offline));
    assert_eq!((world.machine.role(), world.holder()), (Role::Primary, Some(BRAVO.into())), "its role survives");
}

#[test]
fn b14_of_two_holders_the_lower_lets_go_at_once_and_says_so() {
    let mut world = World::primary();
    world.other(BRAVO).claims = vec![claim(ALPHA, 2, true)];
    world.run(0.3);
    assert!(world.done.contains(&"let go"));
    assert!(world.notes.iter().any(|note| matches!(note, Note::Conflict { lets_go: true, .. })));
}

#[test]
fn b14_the_higher_of_two_holders_stays_and_announces_itself_again() {
    let mut world = World::backup(true);
    world.silence(ALPHA);
    world.run(4.0);
    world.forget();
    world.other(ALPHA).paths = vec![Path::Beacon];
    world.run(0.5);
    assert!(world.notes.iter().any(|note| matches!(note, Note::Conflict { lets_go: false, .. })));
    assert!(world.done.contains(&"announce") && !world.done.contains(&"let go"));
    // Equal wishes never flip a seat: it stays where it is for an hour.
    world.other(ALPHA).claims = vec![claim(ALPHA, 2, false)];
    world.run(600.0);
    assert!(!world.done.contains(&"let go") && !world.done.contains(&"serve"));
}

#[test]
fn a_frozen_node_rechecks_before_it_serves_again() {
    let mut world = World::primary();
    world.now = world.now + Duration::from_secs(5);
    world.machine.handle_timeout(world.now);
    world.drain();
    assert_eq!((world.done.first(), world.served.len()), (Some(&"let go"), 0));
    world.run(1.0);
    assert_eq!(world.served, [Epoch(1)], "its peer does not hold the seat, nobody owns the address");
}

#[test]
fn a_process_that_its_host_calls_gone_is_succeeded_sooner() {
    let mut world = World::backup(true);
    world.silence(ALPHA);
    world.input(Input::PeerGone(ALPHA.into()));
    assert!(world.done.contains(&"probe"), "who owns the address is asked at once");
    world.run(0.2);
    assert_eq!(world.served.len(), 0, "not before a heartbeat is missing");
    world.run(0.2);
    assert_eq!(world.served, [Epoch(2)]);
}

#[test]
fn what_can_not_be_stored_is_not_acted_on() {
    let mut world = World::backup(true);
    world.silence(ALPHA);
    world.disk_full = true;
    world.run(10.0);
    assert_eq!(world.served.len(), 0);
    world.disk_full = false;
    world.run(5.0);
    assert_eq!(world.served, [Epoch(2)]);
}

#[test]
fn x4_a_holder_that_is_cut_off_serves_on_but_changes_no_side() {
    let mut world = World::primary();
    world.silence(BRAVO);
    world.witness = false;
    world.run(30.0);
    assert_eq!((world.machine.state(), world.machine.may_change_sides()), (NodeStateName::Online, false));
}

#[test]
fn x4_a_holder_whose_only_peer_falls_silent_is_not_cut_off_before_a_witness_was_asked() {
    let mut world = World::primary();
    world.silence(BRAVO);
    world.run(5.0);
    assert!(!world.done.contains(&"cut off"), "the witness answers");
    world.witness = false;
    world.run(5.0);
    assert!(world.done.contains(&"cut off"));
}

#[test]
fn x4_a_node_that_was_just_joined_is_not_missed_before_it_could_be_heard() {
    let mut world = World::start(ALPHA, Role::Primary, true, Stored::Nothing, &[], &[ALPHA]);
    world.witness = false;
    world.run(1.0);
    world.input(Input::Joined(BRAVO.into(), Role::Backup));
    assert!(world.machine.may_change_sides());
    world.run(1.0);
    assert!(!world.machine.may_change_sides(), "after three heartbeats it is");
}

/// Two primary nodes, both synced and heard to serve.
fn backup_of_two() -> World {
    let peers = [(ALPHA, Role::Primary), ("charlie", Role::Primary)];
    let mut world = World::start(BRAVO, Role::Backup, true, Stored::Nothing, &peers, &[ALPHA, "charlie"]);
    world.other(ALPHA).claims = vec![claim(ALPHA, 1, true)];
    world.other("charlie").claims = vec![claim("charlie", 1, true)];
    world.run(2.0);
    world
}

#[test]
fn g2_a_backup_that_serves_one_seat_takes_another_when_its_holder_falls_silent() {
    let mut world = backup_of_two();
    world.silence(ALPHA);
    world.run(4.0);
    assert_eq!(world.served.len(), 1);
    world.silence("charlie");
    world.run(4.0);
    assert_eq!(world.served.len(), 2);
    assert!(world.machine.seats().all(|(_, seat)| seat.serving && seat.degraded));
}

#[test]
fn g2_a_seat_known_by_hearsay_counts_only_while_a_known_node_holds_it() {
    // Input: alpha's backup says of charlie's seat that it does not hold it. Output: alpha has nothing to do with it.
    let mut world = World::primary();
    world.other(BRAVO).claims = vec![claim(ALPHA, 1, false), claim("charlie", 1, false)];
    world.run(1.0);
    let seats = |world: &World| world.machine.seats().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    assert_eq!(seats(&world), [ALPHA]);
    assert!(!world.machine.has_use_for(&ALPHA.into(), &"charlie".into()), "and copies nothing of it");
    assert!(world.machine.has_use_for(&BRAVO.into(), &"charlie".into()));
    // Input: it took that seat over. Output: whom it serves now is worth knowing.
    world.other(BRAVO).claims = vec![claim(ALPHA, 1, false), claim("charlie", 2, true)];
    world.run(1.0);
    assert_eq!(seats(&world), [ALPHA, "charlie"]);
}

#[test]
fn g11_what_keeps_a_holder_from_its_seat_is_shown_until_it_serves() {
    // Input: it did not run for long, and somebody has the address; then nobody can say who has; then nobody has it. Output: the reason each time,
    // and none once it serves.
    let mut world = World::primary();
    let hindrance = |world: &World| world.machine.seats().next().and_then(|(_, status)| status.hindrance);
    world.owner = Owner::Somebody;
    world.input(Input::Gap(Duration::from_secs(10)));
    world.run(2.0);
    assert_eq!(hindrance(&world), Some(SeatRefusal::AddressOwned));
    world.owner = Owner::Unknown;
    world.run(2.0);
    assert_eq!(hindrance(&world), Some(SeatRefusal::NoProof));
    world.owner = Owner::Nobody;
    world.run(2.0);
    assert_eq!((hindrance(&world), world.served.len()), (None, 1));
}
