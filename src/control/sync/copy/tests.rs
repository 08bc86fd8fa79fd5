//! Copies and updates that are lost, late, double or in the wrong order.

use super::*;
use crate::{
    control::sync::SeatStore,
    model::{TransitionReason, view::PairStateName},
};
use proptest::prelude::*;

const SEAT: &str = "P";

fn seat() -> NodeName {
    SEAT.into()
}

fn settings(text: &str) -> Settings {
    Settings::of(&format!("[pairs.V]\nwhat = \"{text}\"\n[pairs.W]\n")).unwrap()
}

fn record(epoch: u64) -> PairRecord {
    PairRecord {
        epoch: Epoch(epoch),
        upstream: "V_P".into(),
        state: PairStateName::OnPrimary,
        reason: TransitionReason::FirstStart,
        generation: 0,
        signal: None,
        pinned: false,
        latched: false,
        frozen: false,
        addresses: Vec::new(),
    }
}

/// A node's store, and where it is.
struct Node(tempfile::TempDir, SeatStore);

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = SeatStore::open(dir.path()).unwrap();
        Self(dir, store)
    }

    /// One that holds the seat under epoch 1.
    fn holder() -> Self {
        let mut node = Self::new();
        node.holds("P", 1);
        node.1.write_settings(&seat(), &settings("one")).unwrap();
        node
    }

    fn holds(&mut self, me: &str, epoch: u64) {
        self.1.hold(&seat(), Epoch(epoch), &me.into(), None, None).unwrap();
        self.1.write_down().unwrap();
    }

    fn writes(&mut self, pair: &str, epoch: u64) -> Update {
        let update = self.keeps(pair, epoch);
        self.1.write_down().unwrap();
        update
    }

    /// Not on the disk yet.
    fn keeps(&mut self, pair: &str, epoch: u64) -> Update {
        self.1.keep_records(&seat(), &[(pair.into(), record(epoch))]).expect("it is new")
    }

    fn copy(&self) -> Copy {
        self.1.get(&seat()).unwrap().clone()
    }

    fn takes(&mut self, copy: Copy) -> bool {
        self.1.take(copy).unwrap().unwrap()
    }

    fn applies(&mut self, update: &Update) -> Result<bool, NotApplied> {
        self.1.apply(update).unwrap()
    }

    fn restarted(self) -> Self {
        let store = SeatStore::open(self.0.path()).unwrap();
        Self(self.0, store)
    }
}

#[test]
fn updates_are_taken_one_after_the_other_and_a_known_one_is_no_news() {
    let (mut p, mut b) = (Node::holder(), Node::new());
    assert!(b.takes(p.copy()));
    let (one, two) = (p.writes("V", 1), p.writes("W", 1));
    assert_eq!(p.1.keep_records(&seat(), &[("V".into(), record(1))]), None, "nothing changed");
    assert_eq!((b.applies(&one), b.applies(&two)), (Ok(true), Ok(true)));
    assert_eq!((b.applies(&one), b.applies(&two)), (Ok(false), Ok(false)));
    assert_eq!(b.copy(), p.copy());
    assert_eq!(b.restarted().copy(), p.copy(), "and a restart forgets nothing");
}

#[test]
fn x4_what_is_in_force_is_given_to_the_others_even_if_the_holders_disk_does_not_take_it() {
    let (mut p, mut b) = (Node::holder(), Node::new());
    b.takes(p.copy());
    let (seats, away) = (p.0.path().join("seats"), p.0.path().join("away"));
    std::fs::rename(&seats, &away).unwrap();
    let update = p.keeps("V", 7);
    assert!(p.1.write_down().is_err());
    assert_eq!(b.applies(&update), Ok(true));
    assert_eq!(b.copy(), p.copy(), "who pulls the whole gets it, too");
    std::fs::rename(&away, &seats).unwrap();
    p.1.write_down().unwrap();
    assert_eq!(p.restarted().copy(), b.copy());
}

#[test]
fn x4_a_holder_that_died_before_its_disk_had_a_change_does_not_use_its_number_again() {
    let (mut p, mut b) = (Node::holder(), Node::new());
    b.takes(p.copy());
    assert_eq!(b.applies(&p.keeps("V", 7)), Ok(true));
    let mut p = p.restarted();
    assert!(p.copy().pairs.is_empty());
    p.holds("P", 1);
    assert_eq!(b.applies(&p.writes("V", 8)), Err(NotApplied::Behind));
    assert!(b.takes(p.copy()));
    assert_eq!(b.copy().pairs.into_values().next(), Some(record(8)));
}

#[test]
fn records_of_pairs_that_the_settings_do_not_have_come_with_the_settings() {
    let (mut p, mut b) = (Node::holder(), Node::new());
    b.takes(p.copy());
    let mut update = p.writes("V", 1);
    update.records.push(("X".into(), record(1)));
    assert_eq!(b.applies(&update), Err(NotApplied::Behind));
    assert!(b.copy().pairs.is_empty());
}

#[test]
fn numbers_that_no_node_counts_to_are_not_taken() {
    let (mut p, mut b) = (Node::holder(), Node::new());
    let forged = |change: &dyn Fn(&mut Copy)| {
        let mut copy = p.copy();
        change(&mut copy);
        copy
    };
    for copy in [forged(&|copy| copy.epoch = Epoch(u64::MAX)), forged(&|copy| copy.serial = u64::MAX)] {
        assert_eq!(b.1.take(copy).unwrap(), Err(Refusal::Forged(seat())));
    }
    b.takes(p.copy());
    let update = p.writes("V", 1);
    for serial in [update.serial + 1, u64::MAX] {
        assert_eq!(b.applies(&Update { serial, ..update.clone() }), Err(NotApplied::Behind));
    }
    assert_eq!(b.applies(&update), Ok(true));
}

#[test]
fn after_a_gap_the_whole_is_pulled_first() {
    let (mut p, mut b) = (Node::holder(), Node::new());
    assert_eq!(b.applies(&p.writes("V", 1)), Err(NotApplied::Behind), "nothing is here yet");
    b.takes(p.copy());
    let (_lost, next) = (p.writes("V", 2), p.writes("W", 1));
    let before = b.copy();
    assert_eq!(b.applies(&next), Err(NotApplied::Behind));
    assert_eq!(b.copy(), before);
    p.1.write_settings(&seat(), &settings("two")).unwrap();
    b.takes(p.copy());
    assert_eq!(b.applies(&p.writes("V", 3)), Ok(true));
}

#[test]
fn an_update_of_other_settings_is_not_mixed_into_these() {
    let (mut p, mut b) = (Node::holder(), Node::new());
    b.takes(p.copy());
    p.1.write_settings(&seat(), &settings("two")).unwrap();
    let update = p.writes("V", 1);
    assert_eq!(b.applies(&Update { after: b.copy().serial, ..update }), Err(NotApplied::Behind));
}

#[test]
fn a_copy_that_was_overtaken_by_an_update_changes_nothing() {
    let (mut p, mut b) = (Node::holder(), Node::new());
    b.takes(p.copy());
    let late = p.copy();
    b.applies(&p.writes("V", 1)).unwrap();
    assert!(!b.takes(late));
    assert_eq!(b.copy(), p.copy());
}

#[test]
fn a_new_holder_counts_anew_and_the_one_before_has_no_say_any_more() {
    let (mut p, mut b) = (Node::holder(), Node::new());
    b.takes(p.copy());
    for epoch in 1..10 {
        b.applies(&p.writes("V", epoch)).unwrap();
    }
    let before = b.copy().revision_number();
    b.holds("B", 2);
    assert_eq!((b.copy().order(), b.copy().by), ((Epoch(2), 0), "B".into()));
    assert!(b.copy().revision_number() > before);
    assert_eq!(b.applies(&p.writes("V", 10)), Err(NotApplied::Superseded));
    assert!(!b.takes(p.copy()), "nor with a copy");

    let update = b.writes("V", 11);
    assert_eq!(p.applies(&update), Err(NotApplied::Behind), "of a later epoch the whole is pulled");
    assert!(p.takes(b.copy()));
    assert_eq!(p.applies(&update), Ok(false));
    b.holds("B", 2);
    assert_eq!(p.copy(), b.copy(), "who holds it already counts on");
    assert_eq!(b.restarted().copy(), p.copy());
}

#[test]
fn a_seat_that_was_never_written_down_can_be_forgotten() {
    let mut p = Node::new();
    std::fs::remove_dir(p.0.path().join("seats")).unwrap();
    p.1.hold(&seat(), Epoch(1), &"P".into(), None, None).unwrap();
    assert!(p.1.write_down().is_err());
    std::fs::create_dir(p.0.path().join("seats")).unwrap();
    p.1.forget(&seat()).unwrap();
    assert!(p.1.get(&seat()).is_none() && p.1.write_down().is_ok() && p.restarted().1.get(&seat()).is_none());
}

#[test]
fn settings_are_on_the_disk_before_anybody_gets_them() {
    let mut p = Node::holder();
    let before = p.copy();
    std::fs::rename(p.0.path().join("seats"), p.0.path().join("away")).unwrap();
    assert!(p.1.hold(&seat(), Epoch(2), &"P".into(), None, Some(&settings("new"))).is_err());
    assert_eq!(p.copy(), before);
    p.1.hold(&seat(), Epoch(2), &"P".into(), None, None).unwrap();
    assert_eq!((p.copy().epoch, p.copy().lineage), (Epoch(2), before.lineage));
}

#[test]
fn of_two_holders_under_one_epoch_the_later_name_goes_on_and_neither_acknowledges_the_others_records() {
    let (mut b, mut p, mut c) = (Node::holder(), Node::holder(), Node::new());
    p.takes(b.copy());
    b.holds("B", 2);
    p.holds("P", 2);
    let (_one, of_b, of_p) = (b.writes("V", 1), b.writes("V", 2), p.writes("V", 7));
    c.takes(b.copy());
    assert_eq!(c.applies(&of_p), Err(NotApplied::Behind), "the number is known, what it means is not");
    assert!(c.takes(p.copy()), "though it counts less");
    assert_eq!(c.applies(&of_b), Err(NotApplied::Superseded));
    assert!(!c.takes(b.copy()));
    assert_eq!(c.copy(), p.copy());
}

#[test]
fn what_a_later_version_adds_is_not_lost_unseen() {
    let mut copy = serde_json::to_value(Node::holder().copy()).unwrap();
    copy["later"] = true.into();
    assert!(serde_json::from_value::<Copy>(copy).is_err());
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Records(u8),
    Settings(u8),
    Takeover,
    Update(prop::sample::Index),
    Copy(prop::sample::Index),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Records),
        1 => any::<u8>().prop_map(Step::Settings),
        1 => Just(Step::Takeover),
        5 => any::<prop::sample::Index>().prop_map(Step::Update),
        2 => any::<prop::sample::Index>().prop_map(Step::Copy),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is lost, late or double: a backup node never goes back, and what it has is what the holder had at that point.
    #[test]
    fn a_backup_never_goes_back_and_never_has_what_the_holder_never_had(steps in prop::collection::vec(step(), 1..40)) {
        let (mut p, mut b, mut epoch) = (Node::holder(), Node::new(), 1);
        let (mut history, mut updates) = (vec![p.copy()], Vec::new());
        for step in steps {
            let before = b.1.get(&seat()).map(Copy::order);
            match step {
                Step::Records(value) => updates.extend(p.1.keep_records(&seat(), &[("V".into(), record(value.into()))])),
                Step::Settings(value) => drop(p.1.write_settings(&seat(), &settings(&value.to_string())).unwrap()),
                Step::Takeover => {
                    epoch += 1;
                    p.holds("P", epoch);
                }
                Step::Update(which) if !updates.is_empty() => {
                    let update: &Update = which.get(&updates);
                    if b.applies(update).is_ok() {
                        prop_assert!(b.copy().order() >= (update.epoch, update.serial), "acknowledged, but not here");
                    }
                }
                Step::Update(_) => {}
                Step::Copy(which) => drop(b.1.take(which.get(&history).clone()).unwrap()),
                Step::Restart => b = b.restarted(),
            }
            history.push(p.copy());
            let after = b.1.get(&seat()).map(Copy::order);
            prop_assert!(after >= before, "{before:?} to {after:?}");
            prop_assert!(b.1.get(&seat()).is_none_or(|has| history.contains(has)), "{:?} never was", b.1.get(&seat()));
        }
        drop(b.1.take(p.copy()).unwrap());
        prop_assert_eq!(b.copy(), p.copy());
    }
}

/// A record of this pair's turn, with these servers.
fn on(upstream: &str, servers: &[(&str, &str)]) -> PairRecord {
    let address = |(name, address): &(&str, &str)| ((*name).into(), address.parse().unwrap());
    PairRecord { upstream: upstream.into(), addresses: servers.iter().map(address).collect(), ..record(2) }
}

#[test]
fn x4_a_state_under_other_names_is_found_by_its_servers() {
    let (one, two) = ("10.0.0.1:1", "10.0.0.2:1");
    let known = on("P", &[("P", one), ("B", two)]);
    let state = |pair: &str, record: PairRecord| {
        let mut copy = Copy::first(seat(), &settings("one"), seat());
        copy.pairs.insert(pair.into(), record);
        let known_here = BTreeMap::from([("V".into(), known.clone())]);
        let mut states = copy.states_of(&["V".into()], &known_here).collect::<Vec<_>>();
        states.pop().map(|(_, state)| (state.upstream.to_string(), state.addresses == known.addresses))
    };
    let b = || Some(("B".to_owned(), true));
    assert_eq!(state("V", on("B", &[("P", one), ("B", two)])), b());
    assert_eq!(state("V", on("NEW_B", &[("NEW_P", one), ("NEW_B", two)])), b(), "servers that were renamed");
    assert_eq!(state("V", on("P", &[("P", two), ("B", one)])), b(), "servers that were swapped");
    assert_eq!(state("W", on("B", &[("P", one), ("B", two)])), b(), "a pair that was renamed");
    assert_eq!(state("W", on("P", &[("P", "10.0.0.3:1")])), None, "another pair");
    let new = state("V", on("C", &[("P", one), ("C", "10.0.0.3:1")]));
    assert_eq!(new, Some(("C".to_owned(), false)), "a server that is not known here is nobody's guess");
}
