//! Orders from everywhere at once, and a takeover by itself among them (`B15`): one writer of roles in each node.

use crate::{
    common::{eventually, within},
    fleet::Fleet,
    node::{HEARTBEAT, Node, PRIMARY_TIMEOUT},
    rig::Rig,
};
use failback::model::{Epoch, group::Role};
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// Longer than anybody hears another serve his seat.
const OVERLAP: Duration = HEARTBEAT.saturating_mul(2).saturating_add(Duration::from_millis(700));

const ORDERS: &[&[&str]] = &[
    &["takeover", "A"],
    &["reverse", "A"],
    &["group", "role", "primary"],
    &["group", "resolve"],
    &["takeover", "A", "--force"],
    &["group", "role", "backup", "--sync-first"],
    &["group", "role", "primary", "--sync-first"],
];

/// Gives orders until the end: each is done, or refused with a reason.
fn orders(node: &Node, from: usize, end: &AtomicBool, answered: &AtomicUsize) {
    for turn in from.. {
        if end.load(Relaxed) {
            return;
        }
        let words = ORDERS[turn % ORDERS.len()];
        // By the API every other time, as another program would.
        if words[0] == "group" && words[1] == "role" && turn % 2 == 0 {
            let body = format!("{{\"role\": \"{}\", \"sync_first\": {}}}", words[2], words.len() > 3);
            let (code, answer) = node.proxy.admin.post("/api/v1/role", &body).expect("an answer");
            assert!(code == 200 || (code == 409 && answer.contains("detail")), "{code} {answer}");
        } else {
            let output = node.proxy.cli(words);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let refused = output.status.code() == Some(1) && said.trim().len() > 10;
            assert!(output.status.success() || refused, "{words:?}: {} {said}", output.status);
        }
        answered.fetch_add(1, Relaxed);
    }
}

/// What is watched from outside.
struct Watch {
    epochs: [Epoch; 2],
    both_since: Option<Instant>,
}

impl Watch {
    /// Epochs rise only, and no two serve for longer than they need to hear each other, unless they are `parted`.
    fn look(&mut self, rig: &Rig, parted: bool) {
        let nodes = [&rig.a, &rig.b];
        let seats = nodes.map(|node| node.seat(&rig.a).expect("the seat"));
        for ((node, seat), known) in nodes.iter().zip(&seats).zip(&mut self.epochs) {
            assert!(seat.epoch >= *known, "{}: epoch {} after {known}", node.name, seat.epoch);
            *known = seat.epoch;
        }
        let again = rig.a.seat(&rig.a).expect("the seat");
        let both = seats.iter().all(|seat| seat.here) && again.here && again.epoch == seats[0].epoch;
        self.both_since = (both && !parted).then(|| self.both_since.unwrap_or_else(Instant::now));
        let lasted = self.both_since.map(|since| since.elapsed()).unwrap_or_default();
        assert!(lasted <= OVERLAP, "both serve for {lasted:?}, under {:?}", self.epochs);
    }
}

#[test]
fn b15_orders_from_everywhere_at_once_are_each_answered_and_one_node_serves_at_a_time() {
    let rig = Rig::joined();
    let fleet = Fleet::start(&rig.lab);
    let (end, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let givers: Vec<_> = (0..8)
            .map(|giver| {
                let node = if giver % 2 == 0 { &rig.a } else { &rig.b };
                let (end, answered) = (&end, &answered);
                scope.spawn(move || orders(node, giver / 2 * 2 + giver % 2 * 3, end, answered))
            })
            .collect();
        let mut watch = Watch { epochs: [Epoch(0); 2], both_since: None };
        let mut watching = |span: Duration, parted: bool| {
            let began = Instant::now();
            while began.elapsed() < span {
                watch.look(&rig, parted);
            }
        };
        watching(Duration::from_secs(5), false);
        // Whoever serves may be parted from the other, which then takes over by itself, in the midst of it all.
        rig.cable(&rig.a, "down");
        watching(2 * PRIMARY_TIMEOUT, true);
        rig.cable(&rig.a, "up");
        // A neighbour that failed is asked again only after a moment.
        watching(Duration::from_secs(2), true);
        watching(Duration::from_secs(4), false);
        end.store(true, Relaxed);
        givers.into_iter().for_each(|giver| giver.join().expect("every order was answered"));
    });
    println!("{} orders were answered", answered.load(Relaxed));
    assert!(answered.load(Relaxed) > 50);
    settles(&rig);
    assert_eq!(fleet.stop().turns(), ["AGG_P"], "one side of the pair");
    let told = rig.a.told_of("group_order") + rig.b.told_of("group_order");
    assert!(told > 20, "each is an event: {told}");
}

/// Left alone, one serves and both agree; if the last orders left roles at odds, one command mends it.
#[track_caller]
fn settles(rig: &Rig) {
    let nodes = [&rig.a, &rig.b];
    eventually("one serves", || {
        let seats = nodes.map(|node| node.seat(&rig.a));
        let [Some(one), Some(other)] = &seats else { return None };
        let agreed = one.here != other.here && one.epoch == other.epoch && one.holder == other.holder;
        if !agreed && one.holder.is_none() && other.holder.is_none() {
            let _mends = rig.b.proxy.cli(&["group", "resolve"]);
        }
        agreed.then_some(())
    });
    within(Duration::from_secs(20), "one is the primary node", || {
        let roles = nodes.map(|node| node.group().role);
        if roles[0] == roles[1] {
            let _mends = rig.b.proxy.cli(&["group", "resolve"]);
        }
        (roles.contains(&Role::Primary) && roles.contains(&Role::Backup)).then_some(())
    });
    rig.until_reached("AGG_P");
}
