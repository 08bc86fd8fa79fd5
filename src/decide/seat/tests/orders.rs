//! Operators' orders, also at bad moments, and hand-overs.

use super::*;

fn takeover(force: bool) -> Order {
    Order::Takeover { seat: ALPHA.into(), force }
}

#[test]
fn g3_a_takeover_needs_role_state_sync_and_preflight_each_with_its_own_refusal() {
    let mut world = World::primary();
    world.other(BRAVO).claims = vec![claim("elsewhere", 2, true)];
    world.run(1.0);
    world.order(Order::Takeover { seat: "elsewhere".into(), force: false });
    assert_eq!(world.refusal(), SeatRefusal::NotBackup);

    let mut world = World::start(BRAVO, Role::Backup, true, Stored::Nothing, &[(ALPHA, Role::Primary)], &[]);
    world.run(1.0);
    world.order(takeover(false));
    assert_eq!(world.refusal(), SeatRefusal::NeverSynced);
    world.order(Order::Takeover { seat: "nobody".into(), force: false });
    assert_eq!(world.refusal(), SeatRefusal::NoSuchSeat);

    let mut world = World::backup(true);
    world.preflight = Err(SeatRefusal::PreflightFailed);
    world.order(takeover(false));
    assert_eq!(world.refusal(), SeatRefusal::PreflightFailed);

    let peers = [(ALPHA, Role::Primary), ("charlie", Role::Primary)];
    let mut world = World::start(BRAVO, Role::Backup, true, Stored::Nothing, &peers, &[ALPHA, "charlie"]);
    world.other("charlie").claims = vec![claim("charlie", 1, true)];
    world.run(2.0);
    world.silence(ALPHA);
    world.run(4.0);
    world.order(Order::Takeover { seat: "charlie".into(), force: false });
    assert_eq!(world.refusal(), SeatRefusal::NotStandby);
}

#[test]
fn g3_a_holder_that_dies_while_it_is_pulled_from_stands_in_no_takeovers_way() {
    // Input: the order is given while the holder is heard, and nobody answers the pull. Output: it is asked for a proof, and served.
    let mut world = World::backup(false);
    world.pull_fails = Some(false);
    world.silence(ALPHA);
    world.order(takeover(false));
    world.run(4.5);
    assert_eq!((world.served.as_slice(), world.answers.len()), (&[Epoch(2)][..], 1));
    // One that is alive and can't be reached keeps it.
    let mut world = World::backup(false);
    world.pull_fails = Some(false);
    world.order(takeover(false));
    world.run(6.0);
    assert_eq!((world.refusal(), world.served.len()), (SeatRefusal::NoAnswer, 0));
    let mut world = World::backup(false);
    world.pull_fails = Some(true);
    world.order(takeover(false));
    assert_eq!((world.refusal(), world.served.len()), (SeatRefusal::SyncFailed, 0));
}

#[test]
fn g3_force_overrides_and_is_audited() {
    let peers = [(ALPHA, Role::Primary)];
    let mut world = World::start(BRAVO, Role::Backup, true, Stored::Nothing, &peers, &[ALPHA]);
    world.silence(ALPHA);
    (world.witness, world.owner) = (false, Owner::Somebody);
    world.order(takeover(true));
    world.run(1.0);
    assert_eq!(world.served, [Epoch(2)]);
    assert!(world.notes.iter().any(|note| matches!(note, Note::Order { forced: true, .. })));
    // Of what was never copied there is nothing to serve, whoever wants it.
    let mut world = World::start(BRAVO, Role::Backup, true, Stored::Nothing, &peers, &[]);
    world.silence(ALPHA);
    world.order(takeover(true));
    assert_eq!(world.refusal(), SeatRefusal::NothingCopied);
}

#[test]
fn g3_a_seat_that_a_stranger_is_heard_to_serve_is_not_taken_by_force_either() {
    // Input: this node lost its memory, and is joined with nobody; by beacon it hears who serves its seat. Output: a refusal that says so, until
    // that one is silent.
    let mut world = World::start(ALPHA, Role::Primary, true, Stored::Nothing, &[], &[]);
    let claims = vec![claim(ALPHA, 4, true)];
    let (node, role, state) = (BRAVO.into(), Role::Backup, NodeStateName::Online);
    world.input(Input::Overheard(Heartbeat { node, boot: 1, sequence: 1, role, state, claims }));
    for force in [false, true] {
        world.order(takeover(force));
        assert_eq!(world.refusal(), SeatRefusal::HeldByStranger, "{force}");
    }
    assert!(world.machine.is_served_elsewhere(world.now, &ALPHA.into()));
    world.run(5.0);
    assert!(!world.machine.is_served_elsewhere(world.now, &ALPHA.into()));
}

#[test]
fn b12_a_planned_takeover_is_serial() {
    // Input: the holder is heard. Output: it is asked; nothing is served until it has granted the seat.
    let mut world = World::backup(true);
    world.order(takeover(false));
    let Some((_, Message::Want { seat, ask, .. })) = world.told.pop() else { panic!("it was not asked") };
    assert_eq!(world.served.len(), 0);
    world.other(ALPHA).claims = vec![claim(ALPHA, 1, false)];
    world.input(Input::Told(ALPHA.into(), Message::Grant { seat, ask, epoch: Epoch(2), revision: 7 }));
    world.run(1.0);
    assert!(world.done.contains(&"pull"), "it had revision 1, the holder wrote up to 7");
    assert_eq!((world.served.as_slice(), world.holder()), (&[Epoch(2)][..], Some(BRAVO.into())));
}

/// Alpha holds its seat no more; bravo serves it under epoch 2.
pub(super) fn displaced() -> World {
    let mut world = World::primary();
    world.other(BRAVO).claims = vec![claim(ALPHA, 2, true)];
    world.run(1.0);
    world.forget();
    world
}

#[test]
fn g4_after_a_takeover_the_states_change_and_the_roles_stay() {
    let world = displaced();
    assert_eq!((world.machine.state(), world.machine.role()), (NodeStateName::Offline, Role::Primary));
    assert!(world.machine.seats().all(|(_, seat)| seat.degraded), "`auto` is off and the display says so");
}

#[test]
fn g6_reverse_pulls_first_then_asks_and_serves_under_a_new_epoch() {
    let mut world = displaced();
    world.order(Order::Reverse { seat: ALPHA.into() });
    assert_eq!(world.done, ["preflight", "pull", "persist", "tell"]);
    let Some((_, Message::Want { seat, ask, adopt: false })) = world.told.pop() else { panic!("it was not asked") };
    world.other(BRAVO).claims = vec![claim(ALPHA, 2, false)];
    world.input(Input::Told(BRAVO.into(), Message::Grant { seat, ask, epoch: Epoch(3), revision: 7 }));
    world.run(1.0);
    assert_eq!((world.served.as_slice(), world.machine.state()), (&[Epoch(3)][..], NodeStateName::Online));
    assert!(world.machine.seats().all(|(_, seat)| !seat.degraded));
}

#[test]
fn g6_a_node_that_could_not_bring_its_seat_up_asks_nobody_for_it() {
    let mut world = displaced();
    world.preflight = Err(SeatRefusal::CannotServe);
    world.order(Order::Reverse { seat: ALPHA.into() });
    assert_eq!((world.refusal(), world.done.as_slice()), (SeatRefusal::CannotServe, &["preflight"][..]));
    // Whoever gave the order to the holder learns it, too.
    world.input(Input::Told(BRAVO.into(), Message::Come { seat: ALPHA.into(), adopt: false, unable: false }));
    let Some((_, Message::Refuse { why, .. })) = world.told.pop() else { panic!("it was not refused") };
    assert_eq!(why, SeatRefusal::CannotServe);
}

#[test]
fn g6_a_second_reverse_changes_nothing() {
    let mut world = displaced();
    world.order(Order::Reverse { seat: ALPHA.into() });
    let Some((_, Message::Want { seat, ask, .. })) = world.told.pop() else { panic!("it was not asked") };
    world.other(BRAVO).claims = vec![claim(ALPHA, 2, false)];
    // The address is not free yet: it has the seat, and is about to serve it.
    world.owner = Owner::Somebody;
    world.input(Input::Told(BRAVO.into(), Message::Grant { seat, ask, epoch: Epoch(3), revision: 7 }));
    world.run(0.5);
    world.answers.clear();
    world.order(Order::Reverse { seat: ALPHA.into() });
    assert!(matches!(world.answers.pop(), Some(Verdict::Unchanged(_))));

    let mut world = World::backup(true);
    world.order(Order::Reverse { seat: ALPHA.into() });
    assert!(matches!(world.answers.pop(), Some(Verdict::Unchanged(_))), "nor at the other node");
}

#[test]
fn g6_a_returning_node_that_hears_no_holder_yet_says_so() {
    // Input: its record says that it holds its seat, which may be long ago. Output: it does not claim to.
    let mut world = World::returning();
    world.order(Order::Reverse { seat: ALPHA.into() });
    assert_eq!(world.refusal(), SeatRefusal::HolderNotHeard);
    world.input(Input::Told(BRAVO.into(), Message::Come { seat: ALPHA.into(), adopt: false, unable: false }));
    let Some((_, Message::Refuse { why, .. })) = world.told.pop() else { panic!("it was not refused") };
    assert_eq!(why, SeatRefusal::NotHeardThere);
}

#[test]
fn g6_who_told_a_node_to_come_learns_why_nothing_comes_of_it() {
    let mut world = displaced();
    world.input(Input::Told(BRAVO.into(), Message::Come { seat: ALPHA.into(), adopt: false, unable: false }));
    let Some((_, Message::Want { seat, ask, .. })) = world.told.pop() else { panic!("it was not asked") };
    world.input(Input::Told(BRAVO.into(), Message::Refuse { seat, ask, why: SeatRefusal::NotStored }));
    assert!(
        matches!(world.told.pop(), Some((_, Message::Refuse { why: SeatRefusal::NotStoredThere, .. }))),
        "it is our disk"
    );
}

#[test]
fn g6_a_grant_that_comes_too_late_is_not_taken_up() {
    let mut world = displaced();
    world.order(Order::Reverse { seat: ALPHA.into() });
    let Some((_, Message::Want { seat, ask, .. })) = world.told.pop() else { panic!("it was not asked") };
    world.run(4.0);
    assert_eq!(world.refusal(), SeatRefusal::NoAnswer);
    world.input(Input::Told(BRAVO.into(), Message::Grant { seat, ask, epoch: Epoch(3), revision: 1 }));
    world.run(5.0);
    assert_eq!(world.served.len(), 0);
}

#[test]
fn g6_a_grant_that_is_not_taken_up_is_taken_back() {
    let mut world = World::successor();
    world.forget();
    world.input(Input::Told(ALPHA.into(), want(9)));
    let grant = world.told.pop();
    assert!(matches!(grant, Some((_, Message::Grant { epoch: Epoch(3), .. }))), "{grant:?}");
    assert_eq!(world.done, ["persist", "let go", "tell"], "promised on the disk, then gone, then granted");
    world.run(3.5);
    assert_eq!(world.served.len(), 0);
    world.run(2.0);
    assert_eq!(world.served, [Epoch(4)], "neither its old epoch nor the one it gave away");
}

#[test]
fn g6_a_holder_that_cannot_store_its_promise_goes_on_serving() {
    let mut world = World::primary();
    world.disk_full = true;
    world.input(Input::Told(BRAVO.into(), want(9)));
    assert!(matches!(world.told.pop(), Some((_, Message::Refuse { why: SeatRefusal::NotStored, .. }))));
    world.run(2.0);
    assert_eq!((world.machine.state(), world.done.contains(&"let go")), (NodeStateName::Online, false));
    world.disk_full = false;
    world.input(Input::Told(BRAVO.into(), want(10)));
    assert!(matches!(world.told.pop(), Some((_, Message::Grant { .. }))), "asked again, it is granted");
}

#[test]
fn a_full_disk_keeps_no_holder_from_serving_under_the_epoch_that_it_has() {
    // Input: the disk is full, and the node did not run for so long that it has to look again. Output: it serves again.
    let mut world = World::primary();
    world.disk_full = true;
    world.input(Input::Joined("charlie".into(), Role::Backup));
    world.input(Input::Gap(Duration::from_secs(5)));
    assert!(world.done.contains(&"let go"));
    world.run(5.0);
    assert_eq!((world.served.last(), world.machine.state()), (Some(&Epoch(1)), NodeStateName::Online));
}

#[test]
fn nobody_takes_an_epoch_that_the_others_would_not_believe() {
    let mut world = World::backup(true);
    let last = crate::model::seat::HIGHEST_EPOCH.0;
    world.other(ALPHA).claims = vec![claim(ALPHA, last, true)];
    world.run(1.0);
    world.silence(ALPHA);
    world.run(6.0);
    world.order(takeover(true));
    assert_eq!((world.refusal(), world.served.len()), (SeatRefusal::EpochsSpent, 0));

    let mut world = displaced();
    world.order(Order::Reverse { seat: ALPHA.into() });
    let Some((_, Message::Want { seat, ask, .. })) = world.told.pop() else { panic!("it was not asked") };
    world.other(BRAVO).claims = vec![claim(ALPHA, 2, false)];
    world.input(Input::Told(BRAVO.into(), Message::Grant { seat, ask, epoch: Epoch(last + 1), revision: 7 }));
    world.run(1.0);
    assert_eq!((world.refusal(), world.served.len()), (SeatRefusal::EpochsSpent, 0));
}

#[test]
fn g7_replace_gives_the_seat_a_new_home_and_the_old_node_may_not_return() {
    let peers = [(ALPHA, Role::Primary), ("charlie", Role::Primary)];
    let mut world = World::start(BRAVO, Role::Backup, true, Stored::Nothing, &peers, &[ALPHA]);
    world.other(ALPHA).claims = vec![claim(ALPHA, 1, true)];
    world.run(2.0);
    world.silence(ALPHA);
    world.run(5.0);
    assert_eq!(world.served.len(), 1);
    world.forget();
    world.order(Order::Replace { seat: ALPHA.into(), with: "charlie".into() });
    assert!(matches!(world.told.pop(), Some((_, Message::Come { adopt: true, .. }))));
    let ask = crate::decide::seat::effect::AskId(9);
    world.input(Input::Told("charlie".into(), Message::Want { seat: ALPHA.into(), ask, adopt: true }));
    let Some((_, Message::Grant { epoch, .. })) = world.told.pop() else { panic!("it was not granted") };
    let home = Some("charlie".into());
    world.other("charlie").claims = vec![Claim { home, ..claim(ALPHA, epoch.0, true) }];
    world.run(1.0);
    assert!(world.done.contains(&"dismiss"));
    assert!(matches!(world.answers.pop(), Some(Verdict::Done(_))));
    assert_eq!((world.machine.state(), world.machine.role()), (NodeStateName::Standby, Role::Backup));
}

#[test]
fn b13_a_change_of_roles_makes_what_is_held_its_own() {
    let mut world = World::backup(true);
    world.silence(ALPHA);
    world.run(4.0);
    assert!(world.machine.seats().any(|(_, seat)| seat.degraded));
    world.order(Order::Role { role: Role::Primary, sync_first: false, force: false });
    assert!(matches!(world.answers.pop(), Some(Verdict::Done(_))));
    assert_eq!(world.machine.role(), Role::Primary);
    assert!(world.machine.seats().all(|(_, seat)| !seat.degraded), "redundancy may be set up again");
}

#[test]
fn b15_one_order_at_a_time() {
    let mut world = World::backup(true);
    world.order(takeover(false));
    world.order(takeover(true));
    assert_eq!(world.refusal(), SeatRefusal::Busy);
}

#[test]
fn g1_a_node_that_holds_a_seat_does_not_leave() {
    let mut world = World::primary();
    world.order(Order::Leave);
    assert_eq!(world.refusal(), SeatRefusal::HoldsForGroup);
    let mut world = World::backup(true);
    world.order(Order::Leave);
    assert!(matches!(world.answers.pop(), Some(Verdict::Done(_))));
    assert_eq!(world.machine.seats().count(), 0);
}

#[test]
fn b14_a_node_that_became_a_primary_by_anothers_seat_has_no_second_one() {
    // Input: bravo, a backup node so far, is heard to be a primary node and to own alpha's seat. Output: there is one seat, not two.
    let mut world = World::primary();
    world.other(BRAVO).role = Role::Primary;
    let home = Some(BRAVO.into());
    world.other(BRAVO).claims = vec![Claim { home, ..claim(ALPHA, 2, true) }, claim("nobody", 0, false)];
    world.run(1.0);
    assert_eq!(world.machine.seats().map(|(name, _)| &**name).collect::<Vec<_>>(), [ALPHA]);
    assert_eq!((world.machine.role(), world.machine.role_conflict(world.now)), (Role::Backup, None));
}

#[test]
fn b14_where_all_are_backup_nodes_resolve_makes_the_one_that_serves_the_primary_node() {
    // Input: bravo took alpha's seat over, alpha is a backup node now. Output: the seat becomes bravo's own, without a hand-over.
    let mut world = World::backup(true);
    world.silence(ALPHA);
    world.run(4.0);
    assert_eq!(world.served.len(), 1);
    world.other(ALPHA).paths = vec![Path::PeerLink, Path::Beacon];
    world.other(ALPHA).role = Role::Backup;
    world.other(ALPHA).claims = vec![claim(ALPHA, 2, false)];
    world.run(1.0);
    assert_eq!(world.machine.role_conflict(world.now), Some(RoleConflict::NoPrimary));
    world.order(Order::Resolve);
    assert_eq!((world.machine.role(), world.machine.role_conflict(world.now)), (Role::Primary, None));
    assert_eq!(world.served.len(), 1, "it went on serving");
    assert!(world.machine.seats().all(|(_, seat)| seat.serving && !seat.degraded));
}

#[test]
fn b14_of_two_primary_nodes_the_one_that_serves_nothing_steps_back_and_is_told_to() {
    let mut world = World::primary();
    world.other(BRAVO).role = Role::Primary;
    world.run(1.0);
    assert_eq!(world.machine.role_conflict(world.now), Some(RoleConflict::TwoPrimaries(BRAVO.into())));
    // It is said to be online, so it serves something of its own.
    world.order(Order::Resolve);
    assert_eq!(world.refusal(), SeatRefusal::BothServe);
    // Input: it is the other's operator who says so, and this one serves nothing. Output: it steps back.
    let mut world = displaced();
    world.other(BRAVO).role = Role::Primary;
    world.run(1.0);
    world.input(Input::Told(BRAVO.into(), Message::Resolve));
    assert_eq!((world.machine.role(), world.machine.role_conflict(world.now)), (Role::Backup, None));
}

#[test]
fn b14_a_seat_that_its_holder_released_is_nobodys() {
    let mut world = World::backup(true);
    world.other(ALPHA).role = Role::Backup;
    world.other(ALPHA).claims = vec![Claim { vacant: true, ..claim(ALPHA, 1, false) }];
    world.run(1.0);
    assert_eq!((world.holder(), world.served.len()), (None, 0), "nobody takes it by himself");
    world.order(Order::Resolve);
    world.run(1.0);
    assert_eq!((world.holder(), world.machine.role()), (Some(BRAVO.into()), Role::Primary));
}

#[test]
fn b14_where_all_are_backup_nodes_and_the_holder_died_resolve_takes_its_place() {
    // Input: bravo, which took the seat over, falls silent; alpha, whose own it was, is a backup node. Output: nothing by itself, since
    // the seat is degraded; by the order, with proof, it is alpha's own again.
    let mut world = displaced();
    world.order(Order::Role { role: Role::Backup, sync_first: false, force: false });
    world.silence(BRAVO);
    world.run(5.0);
    assert_eq!((world.served.len(), world.held_back()), (0, vec![SeatRefusal::Degraded]));
    world.order(Order::Resolve);
    world.run(1.0);
    assert_eq!((world.holder(), world.machine.role()), (Some(ALPHA.into()), Role::Primary));
    assert!(world.done.contains(&"probe"));
}

#[test]
fn b14_roles_are_not_at_odds_while_one_differs_or_there_is_nothing_to_serve() {
    // Bravo became a primary node while it backs up charlie, too: alpha, its backup now, is one.
    let peers = [(ALPHA, Role::Backup), ("charlie", Role::Primary)];
    let mut world = World::start(BRAVO, Role::Primary, true, Stored::Nothing, &peers, &[]);
    world.run(1.0);
    assert_eq!(world.machine.role_conflict(world.now), None);
    let mut world = World::start(BRAVO, Role::Backup, true, Stored::Nothing, &[(ALPHA, Role::Backup)], &[]);
    world.run(1.0);
    assert_eq!(world.machine.role_conflict(world.now), None);
}
