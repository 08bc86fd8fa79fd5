//! Holders that are well and can't serve.

use super::{orders::displaced, *};
use crate::decide::seat::AskId;

#[test]
fn b8_a_holder_that_is_well_and_cannot_serve_asks_the_backup_to_come() {
    // Input: its address or its routes can't be brought up, again and again. Output: a call for help after as long as a silence lasts, and now and then another.
    let mut world = World::primary();
    for _ in 0..10 {
        world.input(Input::ServeFailed(ALPHA.into()));
        world.run(2.2);
    }
    let come = Message::Come { seat: ALPHA.into(), adopt: false, unable: true };
    assert_eq!(world.told, [(BRAVO.into(), come.clone()), (BRAVO.into(), come.clone())]);
    assert_eq!(world.notes.iter().filter(|note| matches!(note, Note::AskedToCome { .. })).count(), 1, "said once");
    let refuse = |why| Message::Refuse { seat: ALPHA.into(), ask: AskId(0), why };
    for why in [SeatRefusal::NotStored, SeatRefusal::NotStored, SeatRefusal::NeverSynced] {
        world.input(Input::Told(BRAVO.into(), refuse(why)));
    }
    world.input(Input::Told("charlie".into(), refuse(SeatRefusal::Busy)));
    let why = |note: &Note| if let Note::NotComing { why, .. } = note { Some(*why) } else { None };
    let said: Vec<_> = world.notes.iter().filter_map(why).collect();
    assert_eq!(said, [SeatRefusal::NotStoredThere, SeatRefusal::NeverSynced], "once for each reason of who was asked");

    // Of two backups each in turn, and nobody's turn is lost while nobody is heard.
    let peers = [(BRAVO, Role::Backup), ("charlie", Role::Backup)];
    let mut world = World::start(ALPHA, Role::Primary, true, Stored::Nothing, &peers, &[ALPHA]);
    world.run(2.0);
    world.silence(BRAVO);
    world.silence("charlie");
    world.forget();
    for round in 0..20 {
        world.input(Input::ServeFailed(ALPHA.into()));
        world.run(2.2);
        if round == 5 {
            assert!(world.told.is_empty());
            world.other(BRAVO).paths = vec![Path::PeerLink];
            world.other("charlie").paths = vec![Path::PeerLink];
        }
    }
    let asked: Vec<&str> = world.told.iter().map(|(whom, _)| &**whom).collect();
    assert_eq!(asked, [BRAVO, "charlie"]);

    // A failure now and then is no reason.
    let mut world = World::primary();
    for _ in 0..5 {
        world.input(Input::ServeFailed(ALPHA.into()));
        world.run(30.0);
    }
    assert!(world.told.is_empty());

    // The backup looks whether it reaches the servers, and asks for the seat; not where an operator has to order it.
    for (auto, done) in [(true, &["preflight", "pull", "persist", "tell"][..]), (false, &["tell"][..])] {
        let mut world = World::backup(auto);
        world.other(ALPHA).claims = vec![claim(ALPHA, 1, false)];
        world.run(1.0);
        world.forget();
        world.input(Input::Told(ALPHA.into(), come.clone()));
        assert_eq!(world.done, done);
        let wanted = matches!(world.told.pop(), Some((_, Message::Want { .. })));
        assert_eq!(wanted, auto);
    }
}

#[test]
fn g3_a_holder_that_cannot_serve_gives_the_seat_away_when_it_is_asked() {
    // Input: it is well and can't bring up the address. Output: it promises the seat, and does not try any more meanwhile.
    let mut world = World::primary();
    world.input(Input::ServeFailed(ALPHA.into()));
    world.forget();
    world.input(Input::Told(BRAVO.into(), want(9)));
    assert!(matches!(world.told.pop(), Some((_, Message::Grant { .. }))));
    world.run(3.5);
    assert_eq!((world.done.as_slice(), world.served.len()), (&["persist", "tell"][..], 0));

    // And the other asks it, although it is heard to serve nothing.
    let mut world = World::backup(false);
    world.other(ALPHA).claims = vec![claim(ALPHA, 1, false)];
    world.run(1.0);
    world.forget();
    world.order(Order::Takeover { seat: ALPHA.into(), force: false });
    assert!(matches!(world.told.pop(), Some((_, Message::Want { .. }))));
}

#[test]
fn g3_whoever_asked_for_a_seat_that_had_to_be_let_go_meanwhile_is_refused_at_once() {
    // Input: asked in the moment in which it is served and can't be, while the promise is on its way to the disk. Output: a refusal.
    let mut world = World::primary();
    world.machine.handle_input(world.now, Input::Told(BRAVO.into(), want(9)));
    world.machine.handle_input(world.now, Input::ServeFailed(ALPHA.into()));
    world.drain();
    let refused =
        |(_, message): &(NodeName, Message)| matches!(message, Message::Refuse { why: SeatRefusal::Busy, .. });
    assert!(world.told.iter().any(refused), "{:?}", world.told);
}

#[test]
fn g6_a_seat_that_its_holder_cannot_serve_can_be_given_back() {
    // Input: the backup holds it and can't bring it up. Output: the repaired node pulls it there and asks; told at the holder, that invites.
    let mut world = displaced();
    world.other(BRAVO).claims = vec![claim(ALPHA, 2, false)];
    world.run(1.0);
    world.forget();
    world.order(Order::Reverse { seat: ALPHA.into() });
    assert_eq!(world.done, ["preflight", "pull", "persist", "tell"]);
    assert!(matches!(world.told.pop(), Some((_, Message::Want { .. }))));

    let mut world = World::successor();
    world.input(Input::ServeFailed(ALPHA.into()));
    world.forget();
    world.order(Order::Reverse { seat: ALPHA.into() });
    assert!(matches!(world.told.pop(), Some((_, Message::Come { unable: false, .. }))));
}

#[test]
fn g6_a_takeover_of_its_own_seat_is_refused_with_the_order_that_takes_it_back() {
    let mut world = displaced();
    world.order(Order::Takeover { seat: ALPHA.into(), force: false });
    assert_eq!(world.refusal(), SeatRefusal::OwnSeat);
}

#[test]
fn g3_a_node_whose_disk_takes_nothing_asks_nobody_to_let_go() {
    for (known, force) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut world = World::backup(true);
        world.disk_full = true;
        if known {
            // It had something to store before.
            world.input(Input::Joined("charlie".into(), Role::Backup));
        }
        world.order(Order::Takeover { seat: ALPHA.into(), force });
        assert_eq!((world.refusal(), world.told.len()), (SeatRefusal::NotStored, 0), "{known} {force}");
    }
}

/// What this node says of the seat at this moment.
fn said(world: &World) -> Claim {
    world.machine.claims(world.now).into_iter().find(|claim| *claim.seat == *ALPHA).unwrap()
}

#[test]
fn b8_who_took_a_seat_and_never_served_it_yields_it_to_another_backup_in_turns_with_trying_again() {
    for rival in [true, false] {
        let peers = [(ALPHA, Role::Primary), (BRAVO, Role::Backup)];
        let mut world = World::start("charlie", Role::Backup, true, Stored::Nothing, &peers, &[ALPHA]);
        world.other(ALPHA).claims = vec![claim(ALPHA, 1, true)];
        world.other(BRAVO).claims = vec![Claim { copy: u64::from(rival), ..claim(ALPHA, 1, false) }];
        world.run(2.0);
        world.silence(ALPHA);
        let (mut yields, mut tries) = (0, 0);
        for _ in 0..400 {
            world.run(0.05);
            if std::mem::take(&mut world.served).pop().is_some() {
                tries += 1;
                assert!(!said(&world).yields, "not while it may be serving");
                world.input(Input::ServeFailed(ALPHA.into()));
            }
            yields += u32::from(said(&world).yields);
        }
        assert_eq!(yields > 150, rival, "{yields} of 400");
        assert!(tries > 3, "{tries}");
    }

    // A failure once its routes were open is none of these, however soon: the seat stays.
    let mut world = World::successor();
    world.input(Input::Synced { seat: ALPHA.into(), revision: 2 << 40 });
    world.other(ALPHA).claims = vec![Claim { copy: 1, ..claim(ALPHA, 2, false) }];
    for _ in 0..10 {
        world.input(Input::ServeFailed(ALPHA.into()));
        world.run(2.2);
        assert!(!said(&world).yields);
    }
}

#[test]
fn b8_a_seat_that_is_yielded_is_taken_by_the_next_backup_joined_with_its_holder_or_not() {
    // Input: (is the holder a stranger, does it yield, could this node serve, is a takeover automatic, the holder's copy). Output: is it taken?
    let cases = [
        (false, true, true, true, 1, true),
        (true, true, true, true, 1, true),
        (true, false, true, true, 1, false),
        (true, true, false, true, 1, false),
        (true, true, true, false, 1, false),
        (true, true, true, true, 2, false),
    ];
    for (stranger, yields, fit, auto, copy, taken) in cases {
        let mut peers = vec![(ALPHA, Role::Primary)];
        peers.extend((!stranger).then_some((BRAVO, Role::Backup)));
        let mut world = World::start("charlie", Role::Backup, auto, Stored::Nothing, &peers, &[ALPHA]);
        world.other(ALPHA).claims = vec![claim(ALPHA, 1, true)];
        if stranger {
            world.overhear(BRAVO, vec![]);
        }
        world.input(Input::Unfit(if fit { BTreeSet::new() } else { [ALPHA.into()].into() }));
        world.run(2.0);
        world.silence(ALPHA);
        // It serves for so short a time that nobody hears of it.
        world.other(BRAVO).claims = vec![Claim { copy, ..claim(ALPHA, 2, false) }];
        world.run(8.0);
        world.forget();
        world.other(BRAVO).claims = vec![Claim { copy, yields, ..claim(ALPHA, 2, false) }];
        world.run(1.0);
        assert_eq!(world.served.len(), usize::from(taken), "{stranger} {yields} {fit} {auto} {copy}");
        world.other(BRAVO).claims = vec![Claim { copy, ..claim(ALPHA, 2, false) }];
        world.run(20.0);
        assert_eq!(world.served.len(), usize::from(taken), "only while it is yielded");
    }
}

#[test]
fn b8_a_seat_that_is_yielded_goes_back_to_its_own_node_which_pulls_first_what_it_lacks() {
    // Input: (the holder's copy, could this node serve?). Output: (is it pulled, is it served?). A pull brings revision 7.
    for (copy, able, pulled, served) in [(1, true, false, true), (7, true, true, true), (1, false, false, false)] {
        let mut world = World::returning();
        world.input(Input::Unfit(if able { BTreeSet::new() } else { [ALPHA.into()].into() }));
        world.other(BRAVO).claims = vec![Claim { copy, ..claim(ALPHA, 2, false) }];
        world.run(2.0);
        assert_eq!(world.served.len(), 0, "it was taken over");
        world.other(BRAVO).claims = vec![Claim { copy, yields: true, ..claim(ALPHA, 2, false) }];
        world.run(2.0);
        assert_eq!((world.done.contains(&"pull"), !world.served.is_empty()), (pulled, served), "{copy} {able}");
    }

    // A backup node leaves it to the node whose own it is for a moment, and then takes it.
    let mut world = World::start("charlie", Role::Backup, true, Stored::Nothing, &[(ALPHA, Role::Primary)], &[ALPHA]);
    world.other(ALPHA).claims = vec![claim(ALPHA, 2, false)];
    world.overhear(BRAVO, vec![Claim { copy: 1, yields: true, ..claim(ALPHA, 2, false) }]);
    world.run(0.8);
    assert_eq!(world.served.len(), 0);
    world.run(1.0);
    assert_eq!(world.served.len(), 1);
}

#[test]
fn b8_who_could_not_serve_a_seat_itself_does_not_take_it_back_at_once() {
    let mut world = World::successor();
    world.input(Input::ServeFailed(ALPHA.into()));
    world.other(ALPHA).claims = vec![Claim { copy: 1, yields: true, ..claim(ALPHA, 3, false) }];
    world.run(110.0);
    world.forget();
    world.run(5.0);
    assert_eq!(world.served.len(), 0);
    world.run(10.0);
    assert_eq!(world.served.len(), 1);
}
