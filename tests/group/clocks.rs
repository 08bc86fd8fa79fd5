//! Nodes whose clocks have nothing to do with each other. Clocks are no reason for anything.

use crate::{
    common::{process::run, throughout},
    node::{PRIMARY_TIMEOUT, Wishes},
    rig::Rig,
};
use std::{fs, time::Duration};
use tempfile::TempDir;

/// The wall clock of whatever it is loaded into is this many hours ahead.
const AHEAD: &str = "#define _GNU_SOURCE\n#include <sys/syscall.h>\n#include <time.h>\n#include <unistd.h>\n\
    int clock_gettime(clockid_t id, struct timespec *now) {\n  long failed = syscall(SYS_clock_gettime, id, now);\n\
    if (!failed && id == CLOCK_REALTIME) now->tv_sec += 7 * 3600;\n  return failed;\n}\n";

/// `B` thinks that its machine was started hours before, or that it is hours later.
fn elsewhen(wrapper: Vec<String>) -> Rig {
    Rig::joined_with(&Wishes::default(), &Wishes { wrapper, ..Wishes::default() })
}

/// Nothing happens that should not, and what should does, both ways.
#[track_caller]
fn lives(mut rig: Rig) {
    throughout(PRIMARY_TIMEOUT, "A serves", || rig.a.seat(&rig.a).is_some_and(|seat| seat.here));
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    rig.a_returns();
    rig.a.never_serves(&rig.a, PRIMARY_TIMEOUT);
    rig.b.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.settled();
}

#[test]
fn b8_a_node_whose_machine_runs_for_hours_longer_is_no_other_node() {
    let words = ["unshare", "--time", "--monotonic", "20000", "--boottime", "20000"];
    let mut rig = elsewhen(words.map(Into::into).to_vec());
    let offsets = fs::read_to_string(format!("/proc/{}/timens_offsets", rig.b.proxy.process().id())).expect("offsets");
    assert!(offsets.contains("20000"), "its clock began earlier: {offsets}");
    lives(rig);
}

#[test]
fn b8_a_node_whose_wall_clock_is_hours_ahead_is_no_other_node() {
    let folder = TempDir::new().expect("a folder");
    let (source, library) = (folder.path().join("ahead.c"), folder.path().join("ahead.so"));
    fs::write(&source, AHEAD).expect("it can be written");
    run(&["cc", "-shared", "-fPIC", "-o", library.to_str().expect("a path"), source.to_str().expect("a path")]);
    let rig = elsewhen(vec!["env".into(), format!("LD_PRELOAD={}", library.display())]);
    let at = rig.b.seat(&rig.a).and_then(|seat| seat.last_sync).map(|sync| sync.at).expect("a sync");
    let at = humantime::parse_rfc3339(&at).expect("a time");
    assert!(at > std::time::SystemTime::now() + Duration::from_secs(6 * 3600), "its clock is ahead");
    lives(rig);
}
