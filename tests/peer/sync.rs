//! Seats between two nodes that are joined: pulled, pushed, poked, told and shown, over real links.

use crate::{
    common::eventually,
    node::{Node, Wanted},
};
use failback::{
    control::{
        peer::CallError,
        sync::{
            self, About, Asked, Declined, GivenUp, NotApplied, Pushed, SeatStore, Settings, SyncError, Update, Verdict,
        },
    },
    decide::{
        effect::PairRecord,
        seat::effect::{AskId, Message},
    },
    model::{Epoch, NodeName, TransitionReason, group::Role, view::PairStateName},
};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::mpsc::{Receiver, channel};

const LIMIT: Duration = Duration::from_secs(5);

/// A node with its copies of seats, and what it was asked.
struct Side {
    node: Node,
    store: Arc<Mutex<SeatStore>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Side {
    fn start(name: &'static str, role: Role, state: &Path) -> Self {
        let store = Arc::new(Mutex::new(SeatStore::open(state).unwrap()));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (asked, questions) = channel(8);
        let (answers, says) = (Arc::clone(&store), Arc::clone(&heard));
        std::thread::spawn(move || answer(name, questions, &answers, &says));
        let node = Node::start_with(&Wanted::new(name, role, "127.0.0.1:0"), state, sync::router(asked));
        Self { node, store, heard }
    }

    #[track_caller]
    fn store<T>(&self, action: impl FnOnce(&mut SeatStore) -> T) -> T {
        action(&mut self.store.lock().expect("no test has died"))
    }

    #[track_caller]
    fn holds(&self, epoch: u64, settings: &str) {
        let settings = Settings::of(&format!("[pairs.V]\nwhat = \"{settings}\"\n[pairs.W]\n")).unwrap();
        self.store(|store| store.hold(&seat(), Epoch(epoch), &self.node.name, "10.0.0.9/24".parse().ok(), None))
            .unwrap();
        self.store(|store| store.write_settings(&seat(), &settings)).unwrap();
    }

    #[track_caller]
    fn writes(&self, pair: &str, epoch: u64) -> Update {
        let kept = self.store(|store| store.keep_records(&seat(), &[(pair.into(), record(epoch))]));
        kept.expect("it is new")
    }

    /// Pulls the seat and takes it, as a group does. Was it new?
    #[track_caller]
    fn pulls(&self, from: &Self) -> bool {
        let name = from.node.name.clone();
        let copy = self.node.with(|links| async move { sync::pull(&links, &name, &seat()).await }).unwrap();
        self.store(|store| store.take(copy)).unwrap().unwrap()
    }

    fn pushes(&self, to: &Self, update: &Update) -> Result<Pushed, SyncError> {
        let (name, update) = (to.node.name.clone(), update.clone());
        self.node.with(|links| async move { sync::push(&links, &name, &update, LIMIT).await })
    }

    fn tells(&self, to: &Self, message: &Message) -> Result<(), SyncError> {
        let (name, message) = (to.node.name.clone(), message.clone());
        self.node.with(|links| async move { sync::tell(&links, &name, &message).await })
    }

    fn pokes(&self, name: &NodeName) -> Result<(), SyncError> {
        let name = name.clone();
        self.node.with(|links| async move { sync::poke(&links, &name, &seat()).await })
    }

    #[track_caller]
    fn hears(&self, words: &str) {
        let heard = || self.heard.lock().expect("no test has died").iter().any(|said| said == words);
        eventually(words, || heard().then_some(()));
    }
}

/// In a group task's place.
fn answer(name: &str, mut questions: Receiver<Asked>, store: &Mutex<SeatStore>, heard: &Mutex<Vec<String>>) {
    let hear = |words: String| heard.lock().expect("no test has died").push(words);
    while let Some(question) = questions.blocking_recv() {
        let mut store = store.lock().expect("no test has died");
        match question {
            Asked::Copy { seat, by, reply } => {
                hear(format!("{by} pulls {seat}"));
                let _gone = reply.send(store.get(&seat).filter(|copy| *copy.by == *name).cloned());
            }
            Asked::Records { update, from, reply } => {
                hear(format!("{from} pushes {}", update.serial));
                let done = store.apply(&update).expect("the disk is whole").map(drop).map_err(Declined::NotApplied);
                let _gone = reply.send(done);
            }
            Asked::Pulled { by, verdict } => hear(format!("{by} pulled {}: {:?}", verdict.seat, verdict.refused)),
            Asked::GivenUp { given_up, by } => hear(format!("{by} gives up {:?}", given_up.epochs)),
            Asked::Changed { seat, from } => hear(format!("{from} pokes {seat}")),
            Asked::Told { from, message } => hear(format!("{from} tells {message:?}")),
            Asked::About { reply } => {
                let _gone = reply.send(about(name));
            }
        }
    }
}

fn about(name: &str) -> About {
    About {
        version: "1.2.3".into(),
        fallback_address: Some(format!("{name}'s")),
        shared_addresses: vec!["10.0.0.9".into()],
        last_sync: None,
        unfit: Vec::new(),
    }
}

fn seat() -> NodeName {
    // A name with what a path can't hold as it is.
    "SEAT/1 é?".into()
}

fn record(epoch: u64) -> PairRecord {
    PairRecord {
        epoch: Epoch(epoch),
        upstream: "V_P".into(),
        state: PairStateName::OnBackup,
        reason: TransitionReason::FirstStart,
        generation: 0,
        signal: None,
        pinned: false,
        latched: false,
        frozen: false,
        addresses: Vec::new(),
    }
}

fn pair(one: &Path, two: &Path) -> (Side, Side) {
    let (p, b) = (Side::start("P", Role::Primary, one), Side::start("B", Role::Backup, two));
    p.node.join(&b.node.address, &p.node.address).unwrap();
    (p, b)
}

#[test]
fn b3_a_seat_is_pulled_and_its_records_follow_one_by_one() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());
    p.holds(1, "first");

    assert!(b.pulls(&p));
    p.hears(&format!("B pulls {}", seat()));
    assert!(!b.pulls(&p), "nothing new");
    for epoch in 1..=3 {
        assert_eq!(p.pushes(&b, &p.writes("V", epoch)).unwrap(), Pushed::Taken);
    }
    assert_eq!(b.store(|store| store.get(&seat()).cloned()), p.store(|store| store.get(&seat()).cloned()));

    let (lost, next) = (p.writes("W", 1), p.writes("V", 4));
    let behind = Pushed::Declined(Declined::NotApplied(NotApplied::Behind));
    assert_eq!(p.pushes(&b, &next).unwrap(), behind, "something before it is missing");
    assert!(b.pulls(&p), "which a pull mends");
    for known in [lost, next] {
        assert_eq!(p.pushes(&b, &known).unwrap(), Pushed::Taken, "late, and no news");
    }
    assert_eq!(p.pushes(&b, &p.writes("V", 5)).unwrap(), Pushed::Taken);
    let here = SeatStore::open(two.path()).unwrap().get(&seat()).cloned();
    assert_eq!(here, p.store(|store| store.get(&seat()).cloned()), "acknowledged is on the disk");
}

#[test]
fn who_held_the_seat_before_learns_that_it_does_not_any_more_and_pulls_back_what_changed() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());
    p.holds(1, "first");
    b.pulls(&p);
    b.holds(2, "edited during the takeover");

    let superseded = Pushed::Declined(Declined::NotApplied(NotApplied::Superseded));
    assert_eq!(p.pushes(&b, &p.writes("V", 1)).unwrap(), superseded);
    assert!(p.pulls(&b));
    assert_eq!(b.pushes(&p, &b.writes("V", 2)).unwrap(), Pushed::Taken);
    let name = p.node.name.clone();
    let refused = b.node.with(|links| async move { sync::pull(&links, &name, &seat()).await }).unwrap_err();
    assert!(matches!(refused, SyncError::Said { status: 404, .. }), "{refused:?}");
    assert_eq!(
        refused.to_string(),
        "P answers 404: another node holds that seat, or nothing was ever copied of it (`failback status` there says which)"
    );
}

#[test]
fn a_node_is_poked_and_told_by_who_is_known_to_ask_and_says_what_it_is() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());

    p.pokes(&b.node.name).unwrap();
    b.hears(&format!("P pokes {}", seat()));
    let grant = Message::Grant { seat: seat(), ask: AskId(7), epoch: Epoch(3), revision: u64::MAX };
    for message in [Message::Come { seat: seat(), adopt: true, unable: false }, grant] {
        b.tells(&p, &message).unwrap();
        p.hears(&format!("B tells {message:?}"));
    }
    let (name, order) = (p.node.name.clone(), (Epoch(3), 1));
    for refused in [None, Some("no certificate there".to_owned())] {
        let (name, words) = (name.clone(), format!("B pulled {}: {refused:?}", seat()));
        let verdict = Verdict { seat: seat(), order, refused };
        b.node.with(|links| async move { sync::pulled(&links, &name, &verdict).await }).unwrap();
        p.hears(&words);
    }
    let given_up = GivenUp { seat: seat(), epochs: [("V".into(), Epoch(7))].into() };
    let (giver, words) = (p.node.name.clone(), format!("B gives up {:?}", given_up.epochs));
    b.node.with(|links| async move { sync::give_up(&links, &giver, &given_up).await }).unwrap();
    p.hears(&words);
    let name = b.node.name.clone();
    let said = p.node.with(|links| async move { sync::about(&links, &name).await }).unwrap();
    assert_eq!(said, about("B"));
    let stranger = p.pokes(&"C".into()).unwrap_err();
    assert!(matches!(stranger, SyncError::Call(CallError::NotJoined(_))), "{stranger:?}");
}

#[test]
fn a_node_that_is_too_busy_says_so_at_once() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let p = Side::start("P", Role::Primary, one.path());
    let (asked, mut questions) = channel(1);
    let b = Node::start_with(&Wanted::new("B", Role::Backup, "127.0.0.1:0"), two.path(), sync::router(asked));
    p.node.join(&b.address, &p.node.address).unwrap();

    p.pokes(&b.name).unwrap();
    let busy = p.pokes(&b.name).unwrap_err();
    assert!(matches!(busy, SyncError::Said { status: 503, .. }), "{busy:?}");
    assert!(matches!(questions.try_recv(), Ok(Asked::Changed { .. })));
    p.pokes(&b.name).unwrap();
}
