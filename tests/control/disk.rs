//! The journal on a real file system, written by a real process that is killed.

use crate::again::{again, is_second};
use failback::{
    control::journal::{Journal, News, Receipt},
    decide::{
        effect::{PairRecord, PersistId},
        input::Stored,
    },
    model::{Epoch, PairName, TransitionReason, view::PairStateName},
};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::mpsc::{Receiver, channel};

fn pair() -> PairName {
    "AGG_V".into()
}

fn record(epoch: u64) -> Box<PairRecord> {
    Box::new(PairRecord {
        epoch: Epoch(epoch),
        upstream: "AGG_P".into(),
        state: PairStateName::OnPrimary,
        reason: TransitionReason::FirstStart,
        generation: 0,
        signal: None,
        pinned: false,
        latched: false,
        frozen: false,
        addresses: Vec::new(),
    })
}

fn open(dir: &Path) -> (Journal, Receiver<News>, u64) {
    let (out, news) = channel(64);
    let (journal, recovered, _thread) = Journal::open(dir, out).expect("the journal opens");
    assert_eq!(recovered.remarks, Vec::<String>::new());
    let epoch = match recovered.stored(&pair()) {
        Stored::Record(record) => record.epoch.0,
        Stored::Nothing | Stored::Renamed { .. } => 0,
        Stored::Unreadable(_) => panic!("a crash made the journal unreadable"),
    };
    (journal, news, epoch)
}

/// Asks for the record of `epoch` to be stored and says whether it was; what else the journal said goes to `remarks`.
fn store(journal: &Journal, news: &mut Receiver<News>, epoch: u64, remarks: &mut Vec<News>) -> bool {
    let receipt = Receipt { incarnation: 1, id: PersistId(epoch) };
    assert!(journal.store(&pair(), receipt, record(epoch)));
    loop {
        match news.blocking_recv().expect("the journal's thread lives") {
            News::Stored(_, stored) if stored == receipt => return true,
            News::NotStored(_, stored) if stored == receipt => return false,
            other => remarks.push(other),
        }
    }
}

#[test]
fn kill_9_at_any_moment_loses_nothing_that_was_confirmed() {
    if let Some(dir) = is_second() {
        write_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().expect("a directory");
    for round in 0..12_u64 {
        let mut child = again("disk::kill_9_at_any_moment_loses_nothing_that_was_confirmed", &[], dir.path());
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let started = lines.find(|line| line.as_ref().is_ok_and(|line| line == "begin"));
        assert!(started.is_some());
        std::thread::sleep(Duration::from_micros(700 * round * round));
        child.kill().expect("it can be killed");
        let confirmed = lines.map_while(Result::ok).filter_map(|line| line.parse::<u64>().ok()).last();
        child.wait().expect("it ends");
        let (journal, _news, epoch) = open(dir.path());
        let confirmed = confirmed.unwrap_or(0);
        assert!(epoch >= confirmed, "round {round}: {confirmed} was confirmed, {epoch} is there");
        assert!(epoch <= confirmed.max(1) + 1 || confirmed == 0, "round {round}: {epoch} was never written");
        drop(journal);
    }
}

fn write_until_killed(dir: &Path) -> ! {
    let (journal, mut news, mut epoch) = open(dir);
    let mut out = std::io::stdout();
    writeln!(out, "\nbegin").expect("the parent listens");
    loop {
        epoch += 1;
        assert!(store(&journal, &mut news, epoch, &mut Vec::new()));
        writeln!(out, "{epoch}").and_then(|()| out.flush()).expect("the parent listens");
    }
}

/// A small file system of its own, in a mount namespace of its own.
const SMALL_DISK: [&str; 6] =
    ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=6m tmpfs \"$FAILBACK_TEST_DIRECTORY\" && exec \"$@\"", "sh"];

#[test]
fn a_full_disk_stops_no_change_of_side_for_thousands_of_records_and_is_said_after_that() {
    if let Some(dir) = is_second() {
        write_on_a_full_disk(Path::new(&dir));
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let name = "disk::a_full_disk_stops_no_change_of_side_for_thousands_of_records_and_is_said_after_that";
    let ended = again(name, &SMALL_DISK, dir.path()).wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
}

fn write_on_a_full_disk(dir: &Path) {
    let (journal, mut news, mut epoch) = open(dir);
    let mut remarks = Vec::new();
    let filler = fill(dir);
    let stored = loop {
        epoch += 1;
        if !store(&journal, &mut news, epoch, &mut remarks) {
            break epoch - 1;
        }
        // Whatever a compaction gives back is taken by others.
        fill(dir);
        assert!(epoch < 20_000, "the disk never became full");
    };
    assert!(stored > 2_000, "only {stored} records on a full disk");
    assert!(!store(&journal, &mut news, epoch, &mut remarks));
    let troubles = remarks.iter().filter(|news| matches!(news, News::Trouble(_))).count();
    assert!(troubles == 2 && remarks.len() == 2, "said once when the reserve is gone and once at the end: {remarks:?}");
    fs::remove_file(filler).expect("room again");
    assert!(store(&journal, &mut news, epoch, &mut remarks));
    while remarks.last() != Some(&News::Recovered) {
        remarks.push(news.blocking_recv().expect("the journal's thread lives"));
    }
    drop(journal);
    while news.blocking_recv().is_some() {}
    assert_eq!(open(dir).2, epoch);
}

/// Takes every byte that is left.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("filler");
    let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).expect("a file");
    for size in [64 * 1024, 4096, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    path
}
