//! The pages about nodes that protect each other, to the letter.

use super::{
    golden::{failed_over, node, now, plain},
    status, top, why,
};
use crate::model::{
    Epoch,
    group::{NodeStateName, Role},
    seat::{SeatReason, Suspicion},
    view::{
        PairStateName, PairView,
        group::{GroupView, NodeView, PulledView, SeatView, SyncResult, SyncView},
    },
};

fn sync(result: SyncResult) -> SyncView {
    SyncView {
        result,
        at: "2026-03-01T11:59:30Z".into(),
        from: "PROXY_P".into(),
        revision: Some("0123456789ab".into()),
        error: (result == SyncResult::Failed).then(|| "the link broke".into()),
    }
}

/// As the backup node sees it when all is well.
fn sound() -> GroupView {
    let member = |name: &str, role: Role, state: NodeStateName, address: &str| NodeView {
        node: name.into(),
        this: role == Role::Backup,
        role,
        state,
        suspicion: (role == Role::Primary).then_some(Suspicion::Green),
        address: address.into(),
        shared_addresses: vec![],
        fallback_address: None,
        version: Some("0.1.0".into()),
        last_sync: None,
    };
    let primary = NodeView {
        shared_addresses: vec!["10.0.0.10/24".into()],
        fallback_address: Some("10.0.0.11/24".into()),
        ..member("PROXY_P", Role::Primary, NodeStateName::Online, "10.0.0.2:9902")
    };
    let backup = NodeView {
        last_sync: Some(sync(SyncResult::Done)),
        ..member("PROXY_B", Role::Backup, NodeStateName::Standby, "10.0.0.3:9902")
    };
    GroupView {
        key_fingerprint: "ab:cd".into(),
        role: Role::Backup,
        state: NodeStateName::Standby,
        warnings: vec![],
        seats: vec![SeatView {
            seat: "PROXY_P".into(),
            epoch: Epoch(3),
            holder: Some("PROXY_P".into()),
            home: "PROXY_P".into(),
            here: false,
            degraded: false,
            auto_off: false,
            reason: SeatReason::FirstStart,
            shared_address: Some("10.0.0.10/24".into()),
            revision: Some("0123456789ab".into()),
            routes: vec!["probes".into()],
            pairs: vec!["AGG_V".into()],
            last_sync: Some(sync(SyncResult::Done)),
            pulled_by: vec![],
            replicated: true,
            not_served: None,
        }],
        nodes: vec![backup, primary],
    }
}

/// The same after a takeover, while the primary node is offline.
fn taken_over() -> GroupView {
    let mut group = sound();
    group.state = NodeStateName::Online;
    group.warnings = vec!["the seat PROXY_P is degraded".into()];
    let seat = &mut group.seats[0];
    (seat.epoch, seat.holder, seat.here, seat.degraded) = (Epoch(4), Some("PROXY_B".into()), true, true);
    seat.auto_off = true;
    seat.last_sync = Some(sync(SyncResult::Failed));
    (group.nodes[1].state, group.nodes[1].suspicion) = (NodeStateName::Offline, Some(Suspicion::Red));
    group
}

fn page(group: GroupView, pair: PairView) -> String {
    page_with(group, &[], pair)
}

fn page_with(group: GroupView, reasons: &[String], pair: PairView) -> String {
    let mut view = node(pair);
    view.group = Some(group);
    status::page(&view, reasons, now(), None)
}

#[test]
fn g11_status_shows_seats_and_members() {
    let expected = "\
PROXY_P  failback 0.1.0, up 4d 1h

backup node, standby; key ab:cd

SEAT     EPOCH  HOLDER     ADDRESS       REVISION      LAST SYNC
PROXY_P      3  PROXY_P    10.0.0.10/24  0123456789ab  30s ago from PROXY_P

NODE     ROLE     STATE    HEARD      ADDRESS        SERVES ON     FALLBACK      LAST SYNC
PROXY_B  backup   standby  this node  10.0.0.3:9902  -             -             30s ago from PROXY_P
PROXY_P  primary  online   green      10.0.0.2:9902  10.0.0.10/24  10.0.0.11/24  -

PAIR   STATE";
    let page = page(sound(), failed_over());
    assert!(plain(&page).starts_with(expected), "{}", plain(&page));
    assert!(!page.contains("\u{1b}[33mPROXY_P"), "nothing to care for: {page:?}");
}

#[test]
fn g9_the_holder_shows_who_has_copied_its_seat() {
    let mut group = sound();
    let pull = |node: &str, synchronized, error: Option<&str>| PulledView {
        node: node.into(),
        at: "2026-03-01T11:59:30Z".into(),
        synchronized,
        error: error.map(Into::into),
    };
    (group.seats[0].here, group.seats[0].last_sync) = (true, None);
    group.seats[0].pulled_by = vec![pull("B", true, None), pull("C", false, None), pull("D", false, Some("no"))];
    let page = page(group, failed_over());
    let text = "30s ago by B; 30s ago by C, which lags; FAILED 30s ago by D: no\n";
    assert!(plain(&page).contains(text), "{}", plain(&page));
    assert!(page.contains("\u{1b}[1m\u{1b}[33mPROXY_P"), "somebody has to look at D: {page:?}");
}

#[test]
fn g4_after_a_takeover_the_rows_are_yellow() {
    let page = page(taken_over(), failed_over());
    let text = plain(&page);
    for line in [
        "\nPROXY_P      4  PROXY_B  here, degraded, auto off  10.0.0.10/24  0123456789ab  FAILED 30s ago from PROXY_P: the link broke\n",
        "\nPROXY_P  primary  offline  red        10.0.0.2:9902  10.0.0.10/24  10.0.0.11/24  -\n",
        "\n! the seat PROXY_P is degraded\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    for yellow in
        ["\u{1b}[1m\u{1b}[33mPROXY_P", "\u{1b}[33mhere, degraded, auto off", "\u{1b}[33moffline", "\u{1b}[33mred"]
    {
        assert!(page.contains(yellow), "{yellow:?}: {page:?}");
    }
    assert!(page.contains("\u{1b}[1m\u{1b}[33mPROXY_B"), "the backup node stands in for it: {page:?}");
}

#[test]
fn b13_status_says_why_the_node_is_not_fit_each_reason_once() {
    let reasons = ["no other node is heard", "the seat PROXY_P is degraded"].map(String::from);
    let page = plain(&page_with(taken_over(), &reasons, failed_over()));
    let told: Vec<&str> = page.lines().filter(|line| reasons.iter().any(|reason| line.contains(reason))).collect();
    assert_eq!(told, ["! no other node is heard", "! the seat PROXY_P is degraded"], "{page}");
}

#[test]
fn a_pair_that_is_only_watched_is_marked_and_says_whom_to_ask() {
    let watched = || PairView { watched_for: Some("PROXY_P".into()), ..failed_over() };
    let status = page(sound(), watched());
    assert!(plain(&status).contains("AGG_V  on_backup, standby  backup"), "{status}");
    let sample = top::Sample::parse("");
    let top = plain(&top::page(&node(watched()), &sample, &sample, 1.0, now()));
    assert!(top.contains("AGG_V  on_backup, standby  AGG_B"), "{top}");
    let alone = PairView { state: PairStateName::NoServer, blockers: vec!["nobody is served".into()], ..watched() };
    let status = plain(&page(sound(), alone.clone()));
    assert!(status.contains("! AGG_V, were it served here: nobody is served"), "{status}");
    let why = plain(&why::page(&alone, None, now(), None));
    assert!(why.starts_with("No server of AGG_V is usable from here."), "{why}");
    let mut its = sound().seats.remove(0);
    its.holder = Some("PROXY_B".into());
    let why = plain(&why::page(&watched(), Some(&its), now(), None));
    let line = "\nIt is only watched here; seat PROXY_P is held by PROXY_B: ask there.\n";
    assert!(why.contains(line), "{why}");
    its.not_served = Some("PROXY_B can't serve seat PROXY_P: the link lan is down".into());
    let why = plain(&why::page(&watched(), Some(&its), now(), None));
    assert!(
        why.contains(
            "\nAs far as is known here nobody is served: PROXY_B can't serve seat PROXY_P: the link lan is down.\n"
        ),
        "{why}"
    );
    let why = plain(&why::page(&watched(), None, now(), None));
    assert!(why.contains("\nIt is only watched here; nobody is known to hold seat PROXY_P.\n"), "{why}");
}
