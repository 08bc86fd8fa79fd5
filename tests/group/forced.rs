//! A takeover that is ordered where it must not be, and one that is forced.

use crate::{
    common::eventually,
    node::{HEARTBEAT, PRIMARY_TIMEOUT},
    rig::{LINK, Rig},
};
use failback::model::group::NodeStateName;
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// What a forced takeover of a holder that is heard may overlap with, on a busy machine: it lets go once it hears of it.
const OVERLAP: Duration = HEARTBEAT.saturating_mul(2).saturating_add(Duration::from_millis(500));

/// Runs an order while watching that no two nodes have the address for longer than `overlap`; how it ended.
#[track_caller]
fn watched(rig: &Rig, overlap: Duration, order: impl Fn() -> bool + Sync) -> bool {
    thread::scope(|scope| {
        let order = scope.spawn(&order);
        let (began, mut both_since) = (Instant::now(), None);
        while !order.is_finished() || began.elapsed() < PRIMARY_TIMEOUT {
            let both = rig.a.has_address(&rig.lab) && rig.b.has_address(&rig.lab);
            both_since = both.then(|| both_since.unwrap_or_else(Instant::now));
            let lasted = both_since.map(|since: Instant| since.elapsed()).unwrap_or_default();
            assert!(lasted <= overlap, "both have the address for {lasted:?}");
        }
        order.join().expect("the order does not panic")
    })
}

#[test]
fn g3_b15_a_forced_takeover_of_a_holder_that_is_well_is_serial_and_audited() {
    let rig = Rig::joined_by_hand();
    rig.primary.kill();
    rig.backup.kill();
    eventually("B does not reach the servers", || {
        rig.b.proxy.pair().upstreams.iter().all(|upstream| !upstream.admissible).then_some(())
    });
    let said = rig.b.refuses(&["takeover", "A"]);
    assert!(said.contains("not reached from here") && said.contains("--force"), "{said}");
    rig.a.until_serves(&rig.a);

    assert!(watched(&rig, Duration::ZERO, || rig.b.proxy.cli(&["takeover", "A", "--force"]).status.success()));

    let seat = rig.b.until_serves(&rig.a);
    assert_eq!(seat.reason.as_str(), "operator_force");
    rig.a.until_state(NodeStateName::Offline);
    // Who, what, and what became of it.
    let events = rig.b.order(&["events"]);
    for words in
        ["order by unix socket: takeover A: refused", "order by unix socket: takeover A --force: B holds seat A"]
    {
        assert!(events.contains(words), "{words}: {events}");
    }
    rig.lab.on("primary", || rig.primary.revive());
    rig.lab.on("backup", || rig.backup.revive());
    eventually("clients are served", || rig.serves());
}

/// Its answers are lost: it does not hand over, it hears of the higher epoch and lets go.
#[test]
fn g3_a_forced_takeover_of_a_holder_that_can_t_answer_ends_with_one_within_two_heartbeats() {
    let rig = Rig::joined_by_hand();
    rig.deafen(&rig.a, "b", LINK);
    rig.deafen(&rig.b, "a", LINK);
    rig.b.refuses(&["takeover", "A"]);
    rig.a.until_serves(&rig.a);

    assert!(watched(&rig, OVERLAP, || rig.b.proxy.cli(&["takeover", "A", "--force"]).status.success()));

    rig.b.until_serves(&rig.a);
    assert!(!rig.a.has_address(&rig.lab));
    rig.a.never_serves(&rig.a, PRIMARY_TIMEOUT);
    rig.until_reached("AGG_P");
}

#[test]
fn g3_a_takeover_is_refused_where_it_makes_no_sense_each_time_with_its_reason() {
    let mut rig = Rig::joined_by_hand();
    // Of a seat that is not there.
    let said = rig.b.refuses(&["takeover", "NOBODY"]);
    assert!(said.contains("there is no seat `NOBODY`; the seats are: A"), "{said}");
    let (code, body) = rig.b.proxy.admin.post("/api/v1/seats/NOBODY/takeover", "{}").expect("an answer");
    assert_eq!(code, 404, "{body}");
    // On the holder.
    let said = rig.a.order(&["takeover", "A"]);
    assert!(said.contains("serves seat A already"), "{said}");
    // Of its own seat, which another order takes back.
    rig.b.order(&["takeover", "A"]);
    rig.b.until_serves(&rig.a);
    rig.a.until_state(NodeStateName::Offline);
    let said = rig.a.refuses(&["takeover", "A"]);
    assert!(said.contains("failback reverse"), "{said}");
    rig.b.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.b.until_state(NodeStateName::Standby);
    // Of a seat of which there is no copy: it was lost, and beacons alone say that there is one.
    rig.b.proxy.kill();
    fs::remove_dir_all(rig.b.proxy.dir().join("state/seats")).expect("what was copied is there");
    rig.deafen(&rig.b, "a", LINK);
    rig.b.launch();
    rig.b.until("it hears of the seat", |group| {
        group.seats.iter().any(|seat| seat.holder.as_deref() == Some("A") && seat.revision.is_none())
    });
    let said = rig.b.refuses(&["takeover", "A"]);
    assert!(said.contains("never synced that seat"), "{said}");
    rig.a.until_serves(&rig.a);
}
