//! However the holder ends, the address is gone: by its guard, or by the kernel.

use crate::{
    common::{eventually, process::send_signal, throughout, within},
    holder::{Holder, SHARED, seen},
    lab::Lab,
};
use std::{fs, path::Path, time::Duration};

/// With these the kernel would keep the address for nine seconds: what is gone before was removed by the guard.
const PATIENT: Duration = Duration::from_secs(10);
const BY_THE_GUARD: Duration = Duration::from_secs(5);

#[test]
fn a_holder_that_is_killed_loses_the_address_at_once() {
    let lab = Lab::build();
    for address in SHARED {
        let mut holder = Holder::start(&lab, "primary", address, PATIENT);
        let guard = holder.guard();
        holder.signal("KILL");
        within(BY_THE_GUARD, "the guard removed it", || seen(&lab, "primary", address).is_empty().then_some(()));
        holder.wait();
        eventually("the guard is gone too", || (!Path::new(&format!("/proc/{guard}/exe")).exists()).then_some(()));
    }
}

#[test]
fn a_holder_that_hangs_loses_the_address_by_itself_and_does_not_take_it_back() {
    let lab = Lab::build();
    for address in SHARED {
        let holder = Holder::start(&lab, "primary", address, Duration::from_secs(2));
        holder.signal("STOP");
        eventually("the kernel removed it", || seen(&lab, "primary", address).is_empty().then_some(()));
        holder.signal("CONT");
        holder.says("lost: it was not renewed");
        throughout(Duration::from_secs(1), "it stays away", || seen(&lab, "primary", address).is_empty());
    }
}

#[test]
fn a_guard_has_nothing_of_its_parents_and_ends_with_it_only() {
    let lab = Lab::build();
    let [address, _] = SHARED;
    let holder = Holder::start(&lab, "primary", address, PATIENT);
    let guard = holder.guard();
    // Input, output, errors, and a socket to the kernel.
    let open: Vec<_> = fs::read_dir(format!("/proc/{guard}/fd")).unwrap().flatten().map(|entry| entry.path()).collect();
    assert_eq!(open.len(), 4, "{open:?}");
    let stat = fs::read_to_string(format!("/proc/{guard}/stat")).unwrap();
    // After the name in brackets: state, parent, process group, session (proc(5)).
    let session = stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap();
    assert_eq!(session, guard.to_string(), "a session of its own");

    for signal in ["TERM", "INT", "HUP"] {
        send_signal(signal, &guard.to_string());
    }
    throughout(Duration::from_millis(300), "it stays", || holder.children() == [guard]);
    holder.signal("KILL");
    within(BY_THE_GUARD, "the guard removed it", || seen(&lab, "primary", address).is_empty().then_some(()));
}

#[test]
fn a_guard_that_is_killed_is_replaced() {
    let lab = Lab::build();
    let [address, _] = SHARED;
    let holder = Holder::start(&lab, "primary", address, PATIENT);
    let first = holder.guard();
    send_signal("KILL", &first.to_string());
    eventually("there is another", || matches!(holder.children()[..], [guard] if guard != first).then_some(()));
    holder.signal("KILL");
    within(BY_THE_GUARD, "it does its work", || seen(&lab, "primary", address).is_empty().then_some(()));
}

#[test]
fn a_holder_told_to_end_takes_the_address_with_it() {
    let lab = Lab::build();
    for address in SHARED {
        let mut holder = Holder::start(&lab, "primary", address, PATIENT);
        // Whatever ends its loop drops what it holds.
        holder.order("end");
        holder.wait();
        assert_eq!(seen(&lab, "primary", address), "");
    }
}
