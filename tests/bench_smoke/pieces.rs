//! The harness's pieces, each by itself.

use crate::harness::{
    pace::Pace,
    process::{Usage, family},
    store::{Store, Union},
    wire::{Ask, Event, Hello, Kind, ServerName},
};
use std::{
    process::Command,
    time::{Duration, Instant},
};

#[test]
fn every_frame_is_read_back_as_it_was_written() {
    for kind in [Kind::Echo, Kind::Sink, Kind::Source, Kind::SourceAndSink, Kind::Store] {
        let ask = Ask { kind, id: u64::MAX - 7 };
        assert_eq!(Ask::decode(&ask.encode()).unwrap(), ask);
    }
    let hello = Hello { id: 9, name: ServerName::new("AGG_P"), stale: true };
    assert_eq!(Hello::decode(&hello.encode()).unwrap(), hello);
    assert_eq!(hello.name.to_string(), "AGG_P");
    let event = Event { probe: 3, seq: u64::MAX, attempt: u32::MAX };
    assert_eq!(Event::decode(&event.encode()).unwrap(), event);
}

#[test]
fn one_kind_of_frame_is_not_taken_for_another() {
    let ask = Ask { kind: Kind::Echo, id: 1 }.encode();
    assert!(Hello::decode(&ask).is_err());
    assert!(Event::decode(&ask).is_err());
}

#[test]
fn operations_fall_due_at_the_rate_and_in_turn() {
    let start = Instant::now();
    let after = |ms| start + Duration::from_millis(ms);
    let mut pace = Pace::new(start, 100.0, 3);
    assert_eq!([pace.due(start), pace.due(start)], [Some(0), None]);
    assert_eq!(pace.next_due(), after(10));
    // After a stall everything that was due meanwhile is still owed.
    let owed = std::iter::from_fn(|| pace.due(after(45))).collect::<Vec<_>>();
    assert_eq!(owed, [1, 2, 0, 1]);
    assert_eq!(pace.due_time(1, 1), after(40));
}

#[test]
fn a_child_counts_with_its_parent() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let family = family(&[std::process::id()]).unwrap();
    let alone = Usage::of(&[child.id()]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(family.contains(&child.id()));
    assert!(alone.descriptors >= 3 && alone.rss_kib > 0 && alone.pss_kib <= alone.rss_kib);
}

#[test]
fn a_process_that_is_gone_is_an_error() {
    assert!(Usage::of(&[u32::MAX - 1]).is_err());
}

#[test]
fn a_restarted_server_is_stale_until_it_is_resynchronised() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("AGG_P");
    let mut first = Store::open(Some(&path)).unwrap();
    assert!(!first.is_stale());
    first.keep(Event { probe: 1, seq: 1, attempt: 0 });
    first.flush().unwrap();
    let mut restarted = Store::open(Some(&path)).unwrap();
    assert!(restarted.is_stale());
    std::fs::write(room.path().join("AGG_P.resynced"), "").unwrap();
    assert!(!restarted.is_stale());
}

#[test]
fn an_event_sent_twice_is_no_duplicate_but_one_stored_twice_is() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("AGG_P");
    let event = |attempt| Event { probe: 1, seq: 1, attempt }.encode();
    std::fs::write(&path, [event(0), event(1)].concat()).unwrap();
    let union = Union::read(std::slice::from_ref(&path)).unwrap();
    assert_eq!((union.len(), union.duplicates()), (1, 0));
    std::fs::write(&path, [event(0), event(1), event(1)].concat()).unwrap();
    let union = Union::read(&[path]).unwrap();
    assert_eq!((union.len(), union.duplicates()), (1, 1));
    assert!(union.has(1, 1) && !union.has(1, 2));
}
