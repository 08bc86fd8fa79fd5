//! Of several backup nodes: the fittest, with the newest copy.

use super::*;

#[test]
fn of_two_backups_the_one_with_the_newer_copy_takes_over_and_no_other() {
    // Input: (charlie's copy, what bravo says of its own, seconds, does charlie serve then?). A head start takes 2.5 s.
    let cases = [
        (7, 6, 4.0, true),
        (7, 7, 4.0, false),
        (7, 7, 7.0, true),
        (7, 8, 60.0, false),
        (1 << 40, (1 << 40) - 1, 4.0, true),
        (0, 0, 60.0, false),
    ];
    for (here, there, seconds, serves) in cases {
        let mut world = beside_bravo(here, there);
        world.run(seconds);
        assert_eq!(!world.served.is_empty(), serves, "{here} beside {there}");
        let behind = there > here;
        assert_eq!(world.held_back().contains(&SeatRefusal::NewerElsewhere), behind, "{here} beside {there}");
        if behind {
            world.order(Order::Takeover { seat: ALPHA.into(), force: false });
            world.run(3.0);
            assert_eq!((world.refusal(), world.served.len()), (SeatRefusal::NewerElsewhere, 0));
            world.silence(BRAVO);
            world.run(7.0);
            assert_eq!(world.served.len(), 1, "who has the newer one is dead, too");
        }
    }
    let mut world = beside_bravo(7, 8);
    world.run(4.0);
    world.order(Order::Takeover { seat: ALPHA.into(), force: true });
    world.run(1.0);
    assert_eq!(world.served.len(), 1, "by force");
}

#[test]
fn of_two_backups_the_one_that_could_serve_takes_over() {
    // Input: equal copies; (is charlie fit, is bravo, seconds, does charlie serve then?). A head start takes 2.5 s.
    let cases = [
        (true, false, 4.0, true),
        (true, true, 4.0, false),
        (true, true, 7.0, true),
        (false, true, 30.0, false),
        (false, true, 40.0, true),
        (false, false, 4.0, false),
        (false, false, 7.0, true),
    ];
    for (here, there, seconds, serves) in cases {
        let mut world = beside_bravo(7, 7);
        world.other(BRAVO).claims = vec![Claim { copy: 7, fit: there, ..claim(ALPHA, 1, false) }];
        world.input(Input::Unfit(if here { BTreeSet::new() } else { [ALPHA.into()].into() }));
        world.run(seconds);
        assert_eq!(!world.served.is_empty(), serves, "{here} beside {there}");
        let outdone = !here && there;
        assert_eq!(world.held_back().contains(&SeatRefusal::FitterElsewhere), outdone, "{here} beside {there}");
        if outdone && !serves {
            world.silence(BRAVO);
            world.run(7.0);
            assert_eq!(world.served.len(), 1, "nobody else is there to try");
        }
    }
}

#[test]
fn who_serves_with_an_older_copy_than_another_had_says_so_until_that_one_has_what_is_served() {
    let mut world = beside_bravo(7, 8);
    world.run(4.0);
    world.order(Order::Takeover { seat: ALPHA.into(), force: true });
    world.run(1.0);
    let lacks = |world: &World| world.machine.seats().find_map(|(_, seat)| seat.lacks);
    let written = 2 << 40;
    world.input(Input::Synced { seat: ALPHA.into(), revision: written });
    assert_eq!(lacks(&world).as_deref(), Some(BRAVO));
    world.silence(BRAVO);
    world.run(60.0);
    assert_eq!(lacks(&world).as_deref(), Some(BRAVO), "also when it is silent");
    world.other(BRAVO).paths = vec![Path::PeerLink];
    world.other(BRAVO).claims = vec![Claim { copy: written + 3, ..claim(ALPHA, 2, false) }];
    world.run(1.0);
    assert_eq!(lacks(&world), None);
}

/// Charlie, a backup node of alpha's as bravo is, a moment after alpha fell silent, with such copies.
fn beside_bravo(here: u64, there: u64) -> World {
    let peers = [(ALPHA, Role::Primary), (BRAVO, Role::Backup)];
    let mut world = World::start("charlie", Role::Backup, true, Stored::Nothing, &peers, &[]);
    world.other(ALPHA).claims = vec![Claim { copy: here, ..claim(ALPHA, 1, true) }];
    world.other(BRAVO).claims = vec![Claim { copy: there, fit: true, ..claim(ALPHA, 1, false) }];
    if here > 0 {
        world.input(Input::Synced { seat: ALPHA.into(), revision: here });
    }
    world.run(2.0);
    world.silence(ALPHA);
    world
}

#[test]
fn x4_who_goes_on_where_it_stopped_takes_what_a_backup_has_of_its_own_before_it_serves() {
    // Input: (the copy here, the backup's). Output: is it pulled before this node serves? A pull brings revision 7.
    for (here, there, pulled) in [(7, 7, false), (8, 7, false), (5, 7, true)] {
        let mut world = World::returning();
        world.input(Input::Synced { seat: ALPHA.into(), revision: here });
        world.other(BRAVO).claims = vec![Claim { copy: there, ..claim(ALPHA, 1, false) }];
        world.run(2.0);
        assert_eq!((world.done.contains(&"pull"), &*world.served), (pulled, &[Epoch(1)][..]), "{here} {there}");
        // What the backup has later is from here.
        world.forget();
        world.other(BRAVO).claims = vec![Claim { copy: 9, ..claim(ALPHA, 1, false) }];
        world.input(Input::ServeFailed(ALPHA.into()));
        world.run(4.0);
        assert_eq!((world.served.len(), world.done.contains(&"pull")), (1, false));
    }
}

#[test]
fn x4_who_can_not_have_what_it_lacks_goes_on_under_another_epoch_and_says_so() {
    // Input: (a copy comes and can't be taken, seconds). Output: is it served then? Nobody answers for as long as a silence lasts.
    for (came, seconds, served) in [(true, 1.0, true), (false, 2.5, false), (false, 5.0, true)] {
        let mut world = World::returning();
        let there = (1 << 40) + 7;
        world.other(BRAVO).claims = vec![Claim { copy: there, ..claim(ALPHA, 1, false) }];
        world.pull_fails = Some(came);
        world.run(seconds);
        assert_eq!(!world.served.is_empty(), served, "{came} {seconds}");
        if !served {
            let hindrance = world.machine.seats().find_map(|(_, seat)| seat.hindrance);
            assert_eq!(hindrance, Some(SeatRefusal::NewerElsewhere));
            world.silence(BRAVO);
            world.run(4.0);
            assert_eq!(world.served, [Epoch(1)], "nothing better is to be had");
            continue;
        }
        let epoch = world.served[0];
        assert!(epoch > Epoch(1));
        world.input(Input::Synced { seat: ALPHA.into(), revision: epoch.0 << 40 });
        world.run(1.0);
        assert_eq!(world.machine.seats().find_map(|(_, seat)| seat.lacks).as_deref(), Some(BRAVO));
    }
}

#[test]
fn x4_a_stranger_with_a_newer_copy_keeps_nobody_from_asking_a_member() {
    let mut world = World::returning();
    world.overhear("charlie", vec![Claim { copy: 9, ..claim(ALPHA, 1, false) }]);
    world.input(Input::Synced { seat: ALPHA.into(), revision: 5 });
    world.other(BRAVO).claims = vec![Claim { copy: 7, ..claim(ALPHA, 1, false) }];
    world.run(2.0);
    assert_eq!((world.done.contains(&"pull"), world.served.len()), (true, 1));
}
