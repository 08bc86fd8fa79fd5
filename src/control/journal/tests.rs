//! A journal that was hurt in every way: what it says afterwards is the truth, or that it does not know.

use super::{
    StateLock,
    frame::{self, FILE_HEADER, HEADER},
    store::{Entry, Store},
};
use crate::{
    decide::{effect::PairRecord, input::Stored},
    model::{Epoch, PairName, TransitionReason, view::EventView, view::PairStateName},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

fn record(epoch: u64) -> Box<PairRecord> {
    Box::new(PairRecord {
        epoch: Epoch(epoch),
        upstream: "AGG_P".into(),
        state: PairStateName::OnPrimary,
        reason: TransitionReason::FirstStart,
        generation: epoch,
        signal: None,
        pinned: false,
        latched: false,
        frozen: false,
        addresses: vec![("AGG_P".into(), "10.0.0.1:4100".parse().unwrap())],
    })
}

fn state(pair: &str, epoch: u64) -> Entry {
    Entry::State(pair.into(), record(epoch))
}

fn event(seq: u64) -> Entry {
    Entry::Event(EventView {
        seq,
        time: "2026-01-01T00:00:00.000Z".into(),
        kind: "health".into(),
        pair: None,
        epoch: None,
        reason: None,
        message: format!("event {seq}"),
    })
}

/// What the journal in `dir` says of a pair: its epoch, nothing, or that it can't tell.
fn said(store: &Store, pair: &str) -> String {
    match store.sum().stored(&PairName::from(pair)) {
        Stored::Record(record) => record.epoch.to_string(),
        Stored::Nothing | Stored::Renamed { .. } => "nothing".into(),
        Stored::Unreadable(_) => "unreadable".into(),
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("journal")
}

/// In memory where there is such a place: thousands of syncs take minutes on a disk.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn open(dir: &Path) -> (Store, Vec<String>) {
    Store::open(dir).unwrap()
}

/// A journal that holds what is given, each entry written and synced by itself; where each frame begins; the file.
fn journal(entries: &[Entry]) -> (TempDir, Vec<usize>, Vec<u8>) {
    let dir = scratch();
    let (mut store, remarks) = open(dir.path());
    assert_eq!(remarks, Vec::<String>::new());
    for entry in entries {
        store.write(std::slice::from_ref(entry)).unwrap();
        store.sync().unwrap();
    }
    drop(store);
    let bytes = fs::read(path(dir.path())).unwrap();
    let mut starts = vec![FILE_HEADER];
    while let Some(header) = frame::header_at(&bytes, starts[starts.len() - 1]) {
        starts.push(starts[starts.len() - 1] + HEADER + header.length);
    }
    assert_eq!(starts.len(), entries.len() + 1);
    (dir, starts, bytes)
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let (dir, ..) = journal(&[state("A", 1), event(1), state("B", 5), state("A", 2), event(2)]);
    let (store, remarks) = open(dir.path());
    assert!(remarks.is_empty(), "{remarks:?}");
    assert_eq!([said(&store, "A"), said(&store, "B"), said(&store, "C")], ["2", "5", "nothing"]);
    assert_eq!(store.sum().events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2]);
}

/// What is too long for a frame is not stored, and what came with it is.
#[test]
fn an_entry_that_is_too_long_takes_nothing_else_along() {
    let dir = scratch();
    let (mut store, _) = open(dir.path());
    let Entry::Event(mut long) = event(2) else { unreachable!() };
    long.message = "x".repeat(70_000);
    let mut large = record(7);
    large.addresses = vec![("AGG_P".into(), "10.0.0.1:4100".parse().unwrap()); 4_000];
    let entries = [state("A", 1), Entry::Event(long), Entry::State("B".into(), large), event(3), state("C", 1)];
    let unfit = store.write(&entries).unwrap();
    assert_eq!(unfit.into_keys().collect::<Vec<_>>(), [1, 2]);
    drop(store);
    let (store, remarks) = open(dir.path());
    assert_eq!(remarks, Vec::<String>::new());
    assert_eq!([said(&store, "A"), said(&store, "B"), said(&store, "C")], ["1", "nothing", "1"]);
    assert_eq!(store.sum().events.iter().map(|event| event.seq).collect::<Vec<_>>(), [3]);
}

/// No crash shortens the file, whose space was taken in advance: a copy that failed does, and what it lost was acted on.
#[test]
fn a_file_that_was_cut_off_is_no_guess() {
    let (dir, starts, bytes) = journal(&[state("A", 1), state("B", 1), state("A", 2)]);
    for cut in [FILE_HEADER, starts[2], starts[2] + 5, starts[3] - 1, starts[3], bytes.len() - 1] {
        fs::write(path(dir.path()), &bytes[..cut]).unwrap();
        let (mut store, remarks) = open(dir.path());
        assert_eq!([said(&store, "A"), said(&store, "B")], ["unreadable", "unreadable"], "cut at {cut}");
        assert!(!remarks.is_empty(), "cut at {cut}");
        store.write(&[state("A", 3)]).unwrap();
        drop(store);
        let (store, remarks) = open(dir.path());
        assert_eq!([said(&store, "A"), said(&store, "B")], ["3", "unreadable"], "cut at {cut}");
        assert_eq!(remarks, Vec::<String>::new(), "cut at {cut}");
    }
}

/// Zeros in the middle are a torn write only if nothing later says that they were on stable storage. The record next to
/// them need not say it: it was written in one go with what was lost.
#[test]
fn a_hole_in_what_was_synced_is_damage_and_takes_nothing_later_along() {
    let dir = scratch();
    let (mut store, _) = open(dir.path());
    store.write(&[state("A", 1), state("B", 1)]).unwrap();
    store.write(&[event(1), event(2), state("A", 2)]).unwrap();
    store.write(&[event(3)]).unwrap();
    drop(store);
    let bytes = fs::read(path(dir.path())).unwrap();
    let mut starts = vec![FILE_HEADER];
    while let Some(header) = frame::header_at(&bytes, starts[starts.len() - 1]) {
        starts.push(starts[starts.len() - 1] + HEADER + header.length);
    }
    for hole in [starts[2]..starts[3], starts[2] + HEADER..starts[3]] {
        let mut damaged = bytes.clone();
        damaged[hole.clone()].fill(0);
        fs::write(path(dir.path()), &damaged).unwrap();
        let (store, remarks) = open(dir.path());
        assert_eq!(said(&store, "A"), "2", "hole {hole:?}: {remarks:?}");
        assert!(!remarks.is_empty(), "hole {hole:?}");
    }
}

/// The file keeps its length, because its space was taken in advance: what was not written is zero.
#[test]
fn a_last_record_whose_end_was_never_written_never_happened() {
    let (dir, starts, bytes) = journal(&[state("A", 1), state("A", 2)]);
    for cut in starts[1]..starts[2] {
        let mut torn = bytes.clone();
        torn[cut..starts[2]].fill(0);
        fs::write(path(dir.path()), &torn).unwrap();
        let (mut store, _) = open(dir.path());
        assert_eq!(said(&store, "A"), "1", "cut at {cut}");
        store.write(&[state("A", 3)]).unwrap();
        drop(store);
        let (store, remarks) = open(dir.path());
        assert_eq!((said(&store, "A"), remarks), ("3".into(), vec![]), "cut at {cut}");
    }
}

/// A power loss may let the second half of a batch reach the disk and not the first.
#[test]
fn a_hole_in_the_last_batch_drops_the_whole_batch() {
    let dir = scratch();
    let (mut store, _) = open(dir.path());
    store.write(&[state("A", 1), state("B", 1)]).unwrap();
    let batch: Vec<Entry> = (2..12).map(|epoch| state("A", epoch)).chain([state("B", 2)]).collect();
    store.write(&batch).unwrap();
    drop(store);
    let mut bytes = fs::read(path(dir.path())).unwrap();
    bytes[1024..1536].fill(0);
    fs::write(path(dir.path()), &bytes).unwrap();
    let (store, remarks) = open(dir.path());
    assert_eq!(said(&store, "B"), "1");
    assert!(said(&store, "A").parse::<u64>().unwrap() < 12);
    assert_eq!(remarks.len(), 1, "{remarks:?}");
}

#[test]
fn no_flipped_bit_makes_the_journal_say_what_is_not_true() {
    let entries = [state("A", 1), state("B", 1), event(1), state("A", 2), state("B", 2)];
    let (dir, starts, bytes) = journal(&entries);
    // Every byte of the headers, and some of the payloads: those are all alike.
    let is_header = |at: usize| at < FILE_HEADER || starts.iter().any(|start| (*start..start + HEADER).contains(&at));
    for at in (0..starts[entries.len()]).filter(|at| is_header(*at) || at % 7 == 0) {
        let mut rotten = bytes.clone();
        rotten[at] ^= 1 << (at % 8);
        fs::write(path(dir.path()), &rotten).unwrap();
        let (mut store, remarks) = match Store::open(dir.path()) {
            Ok(opened) => opened,
            // The version is what was hit, and its checksum with it is not: can't happen with a single bit.
            Err(error) => panic!("bit at {at}: {error}"),
        };
        let seen = [said(&store, "A"), said(&store, "B")];
        assert!(seen.iter().all(|said| said == "2" || said == "unreadable"), "bit at {at}: {seen:?}");
        let frame = starts.iter().rposition(|start| *start <= at);
        match frame {
            // Later records of both are intact.
            None | Some(0..=2) => assert_eq!(seen, ["2", "2"], "bit at {at}"),
            Some(3) => assert_eq!(seen, ["unreadable", "2"], "bit at {at}"),
            Some(_) if at < starts[4] + HEADER => assert_eq!(seen, ["unreadable", "unreadable"], "bit at {at}"),
            Some(_) => assert_eq!(seen, ["2", "unreadable"], "bit at {at}"),
        }
        assert!(!remarks.is_empty(), "bit at {at}");
        drop(store);
        if at % 9 != 0 {
            continue;
        }
        // What is not known stays unknown over the next start, until a new record says how it is.
        (store, _) = open(dir.path());
        assert_eq!([said(&store, "A"), said(&store, "B")], seen, "bit at {at}, second start");
        store.write(&[state("A", 9), state("B", 9)]).unwrap();
        drop(store);
        let (store, _) = open(dir.path());
        assert_eq!([said(&store, "A"), said(&store, "B")], ["9", "9"], "bit at {at}, third start");
    }
}

#[test]
fn a_file_that_is_no_journal_at_all_is_no_guess() {
    let dir = scratch();
    fs::write(path(dir.path()), "{}").unwrap();
    let (store, remarks) = open(dir.path());
    assert_eq!(said(&store, "A"), "unreadable");
    assert!(!remarks.is_empty());
    assert_eq!(fs::read(dir.path().join("journal.damaged")).unwrap(), b"{}");
}

/// Frames that are intact tell how high epochs were, over compactions and restarts, until the pair's next record.
#[test]
fn what_was_lost_had_no_lower_epoch_than_what_is_left() {
    let (dir, starts, mut bytes) = journal(&[state("A", 70), state("B", 3), state("A", 71)]);
    bytes[starts[2]] ^= 1;
    fs::write(path(dir.path()), &bytes).unwrap();
    for start in ["first", "second", "third"] {
        let (store, _) = open(dir.path());
        let stored = store.sum().stored(&PairName::from("A"));
        assert!(matches!(stored, Stored::Unreadable(Epoch(70))), "{start} start: {stored:?}");
    }
}

#[test]
fn a_journal_of_another_version_is_left_alone() {
    let (dir, _, mut bytes) = journal(&[state("A", 1)]);
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(path(dir.path()), &bytes).unwrap();
    assert!(Store::open(dir.path()).unwrap_err().to_string().contains("format 2"));
    assert_eq!(fs::read(path(dir.path())).unwrap(), bytes);
}

#[test]
fn it_is_compacted_and_stays_small() {
    let dir = scratch();
    let (mut store, _) = open(dir.path());
    for epoch in 1..20_000 {
        store.write(&[state(["A", "B", "C"][epoch as usize % 3], epoch), event(epoch)]).unwrap();
        if store.wants_compaction() {
            store.tidy().unwrap();
        }
    }
    drop(store);
    assert!(fs::metadata(path(dir.path())).unwrap().len() <= 1024 * 1024);
    let (store, remarks) = open(dir.path());
    assert_eq!([said(&store, "A"), said(&store, "B"), said(&store, "C")], ["19998", "19999", "19997"]);
    assert!(remarks.is_empty(), "{remarks:?}");
    assert_eq!(store.sum().events.back().unwrap().seq, 19_999);
}

#[test]
fn many_pairs_make_it_larger() {
    let dir = scratch();
    let (mut store, _) = open(dir.path());
    for epoch in 1..4 {
        for pair in 0..2_000 {
            store.write(&[state(&format!("PAIR_{pair}"), epoch)]).unwrap();
        }
        store.tidy().unwrap();
    }
    drop(store);
    let (store, _) = open(dir.path());
    assert_eq!(store.sum().states.len(), 2_000);
    assert!(store.sum().states.values().all(|record| record.epoch == Epoch(3)));
}

#[test]
fn what_is_removed_under_it_is_made_anew() {
    let dir = scratch();
    let home = dir.path().join("state");
    fs::create_dir(&home).unwrap();
    let (mut store, _) = open(&home);
    store.write(&[state("A", 1), state("B", 2)]).unwrap();

    fs::remove_dir_all(&home).unwrap();
    store.write(&[state("B", 3)]).unwrap();
    assert!(StateLock::take(&home).is_err(), "and nobody else may have the new directory");
    fs::remove_file(home.join("journal.spare")).unwrap_or_default();
    fs::remove_file(path(&home)).unwrap();
    store.tidy().unwrap();

    drop(store);
    let (store, remarks) = open(&home);
    assert_eq!([said(&store, "A"), said(&store, "B")], ["1", "3"]);
    assert!(remarks.is_empty(), "{remarks:?}");
}

#[test]
fn a_pipe_in_its_place_is_an_error_at_once() {
    let dir = scratch();
    rustix::fs::mknodat(rustix::fs::CWD, path(dir.path()), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(Store::open(dir.path()).is_err());
}
