use super::*;
use crate::model::is_short_enough;

fn settings(text: &str) -> Settings {
    Settings::of(&format!("[pairs.V]\nwhat = \"{text}\"\n")).unwrap()
}

fn store() -> (tempfile::TempDir, SeatStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = SeatStore::open(dir.path()).unwrap();
    (dir, store)
}

const SEAT: &str = "PROXY/P";

/// A holder's store with these settings written one after the other.
fn holder(changes: &[&str]) -> (tempfile::TempDir, SeatStore) {
    let (dir, mut store) = store();
    for change in changes {
        assert!(store.write_settings(&SEAT.into(), &settings(change)).unwrap());
    }
    (dir, store)
}

fn offered(store: &SeatStore) -> Copy {
    store.get(&SEAT.into()).unwrap().clone()
}

#[test]
fn b3_a_copy_is_taken_and_what_follows_from_it_too_and_both_outlive_a_restart() {
    let (_theirs, mut primary) = holder(&["one"]);
    let (dir, mut backup) = store();
    assert_eq!(backup.take(offered(&primary)).unwrap(), Ok(true));
    assert_eq!(backup.take(offered(&primary)).unwrap(), Ok(false), "nothing new");
    assert!(!primary.write_settings(&SEAT.into(), &settings("one")).unwrap(), "nothing changed");
    primary.write_settings(&SEAT.into(), &settings("two")).unwrap();
    assert_eq!(backup.take(offered(&primary)).unwrap(), Ok(true));
    drop(backup);
    assert_eq!(SeatStore::open(dir.path()).unwrap().get(&SEAT.into()), Some(&offered(&primary)));
}

#[test]
fn an_empty_or_reinstalled_primary_cannot_wipe_its_backups() {
    let (_theirs, primary) = holder(&["one", "two"]);
    let (_dir, mut backup) = store();
    backup.take(offered(&primary)).unwrap().unwrap();
    let (_other, reinstalled) = holder(&["nothing"]);
    let refused = backup.take(offered(&reinstalled)).unwrap();
    assert!(matches!(&refused, Err(Refusal::Unrelated { .. })), "{refused:?}");
    let (_other, older) = holder(&["one"]);
    assert!(backup.take(offered(&older)).unwrap().is_err(), "a copy from before");
    assert_eq!(backup.get(&SEAT.into()), Some(&offered(&primary)));
}

#[test]
fn x4_a_change_that_reached_no_other_node_gives_way_to_who_took_over_and_is_kept() {
    let seat: NodeName = SEAT.into();
    let held =
        |store: &mut SeatStore, epoch, by: &str| store.hold(&seat, Epoch(epoch), &by.into(), None, None).unwrap();
    let (dir, mut primary) = holder(&["one"]);
    held(&mut primary, 1, "P");
    let (_dir, mut backup) = store();
    backup.take(offered(&primary)).unwrap().unwrap();
    primary.write_settings(&seat, &settings("alone")).unwrap();
    // It is no later holder yet.
    assert!(matches!(primary.take(offered(&backup)).unwrap(), Err(Refusal::Unrelated { .. })));
    held(&mut backup, 2, "B");
    assert_eq!(primary.take(offered(&backup)).unwrap(), Ok(true));
    assert_eq!(offered(&primary), offered(&backup));
    let kept = set_aside_path(dir.path(), &seat);
    assert!(fs::read_to_string(kept).unwrap().contains("alone"));
    // Whoever began anew is no later holder of it, whatever it says.
    let (_dir, mut reinstalled) = holder(&["nothing"]);
    held(&mut reinstalled, 9, "P");
    assert!(matches!(primary.take(offered(&reinstalled)).unwrap(), Err(Refusal::Unrelated { .. })));
}

#[test]
fn settings_that_are_not_those_of_their_revision_are_refused() {
    let (_theirs, primary) = holder(&["one"]);
    let (_dir, mut backup) = store();
    let forged = Copy { settings: "[pairs.EVIL]\n".into(), ..offered(&primary) };
    assert_eq!(backup.take(forged).unwrap(), Err(Refusal::Forged(SEAT.into())));
}

#[test]
fn b5_a_seat_that_is_forgotten_is_gone_from_the_disk() {
    let (_theirs, primary) = holder(&["one"]);
    let (dir, mut backup) = store();
    backup.take(offered(&primary)).unwrap().unwrap();
    backup.forget(&SEAT.into()).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("seats")).unwrap().count(), 0);
    assert!(SeatStore::open(dir.path()).unwrap().get(&SEAT.into()).is_none());
}

/// What configuration and joining let pass as a name has a file, a draft, and what is kept beside that.
#[test]
fn the_longest_name_a_node_can_have_has_room_in_the_names_of_files() {
    let longest = "_".repeat(64);
    let seat = NodeName::from(longest.as_str());
    assert!(is_short_enough(&longest) && is_short_enough(&"ü".repeat(33)) && !is_short_enough(&"ü".repeat(34)));
    let (dir, mut store) = store();
    store.write_settings(&seat, &settings("one")).unwrap();
    fs::write(draft_path(dir.path(), &seat), "[pairs.MINE]\n").unwrap();
    store.write_settings(&seat, &settings("two")).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("seats")).unwrap().count(), 3);
}

#[test]
fn a_damaged_file_is_said_and_not_guessed() {
    let (dir, primary) = holder(&["one"]);
    drop(primary);
    let path = dir.path().join("seats").join("PROXY%2FP.json");
    fs::write(&path, b"{}").unwrap();
    let error = SeatStore::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
}
