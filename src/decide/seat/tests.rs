//! Stories about one node. Each reads: *Input*, what happened; *Output*, what the machine does about it.

mod copies;
mod orders;
mod takeover;
mod unable;

use super::{
    NodeMachine, RoleConflict,
    effect::{Effect, Message, NodeRecord, Note, SeatRecord, Verdict},
    input::{Input, NodeSpec, Order, Owner, Start, Stored},
};
use crate::{
    decide::{effect::Ticket, suspicion::Path},
    model::{
        Epoch, NodeName, Time,
        group::{Claim, Heartbeat, NodeStateName, Role},
        seat::{SeatReason, SeatRefusal},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const ALPHA: &str = "alpha";
const BRAVO: &str = "bravo";

/// A peer that is made up.
struct Other {
    role: Role,
    /// By which paths it is heard.
    paths: Vec<Path>,
    /// It is not joined with this node; its beacons are heard.
    stranger: bool,
    claims: Vec<Claim>,
    sequence: u64,
}

/// A machine and what it meets. Time passes only in [`World::run`].
struct World {
    machine: NodeMachine,
    now: Time,
    others: BTreeMap<NodeName, Other>,
    witness: bool,
    owner: Owner,
    preflight: Result<(), SeatRefusal>,
    disk_full: bool,
    /// A pull fails: a copy came that could not be taken, or nobody answers.
    pull_fails: Option<bool>,
    notes: Vec<Note>,
    answers: Vec<Verdict>,
    told: Vec<(NodeName, Message)>,
    served: Vec<Epoch>,
    /// Effects by their kind, in order, without heartbeats.
    done: Vec<&'static str>,
    records: Vec<NodeRecord>,
}

fn claim(seat: &str, epoch: u64, holds: bool) -> Claim {
    Claim {
        seat: seat.into(),
        epoch: Epoch(epoch),
        holds,
        hears: holds,
        copy: 0,
        fit: false,
        vacant: false,
        yields: false,
        home: None,
    }
}

fn want(ask: u64) -> Message {
    Message::Want { seat: ALPHA.into(), ask: crate::decide::seat::effect::AskId(ask), adopt: false }
}

fn spec(auto: bool) -> NodeSpec {
    NodeSpec {
        heartbeat: Duration::from_millis(200),
        primary_timeout: Duration::from_secs(3),
        auto,
        lifetime: Duration::from_secs(1),
    }
}

impl World {
    /// The backup node of a pair; the primary node is heard to serve, and was synced.
    fn backup(auto: bool) -> Self {
        let mut world = Self::start(BRAVO, Role::Backup, auto, Stored::Nothing, &[(ALPHA, Role::Primary)], &[ALPHA]);
        world.other(ALPHA).claims = vec![claim(ALPHA, 1, true)];
        world.run(2.0);
        world.forget();
        world
    }

    /// The backup node of a pair after it took over; the primary node is heard again, and serves nothing.
    fn successor() -> Self {
        let mut world = Self::backup(true);
        world.silence(ALPHA);
        world.run(4.0);
        world.other(ALPHA).paths = vec![Path::PeerLink];
        world.other(ALPHA).claims = vec![claim(ALPHA, 2, false)];
        world.run(1.0);
        world
    }

    /// The primary node of a pair, serving; the backup node is heard.
    fn primary() -> Self {
        let mut world = Self::start(ALPHA, Role::Primary, true, Stored::Nothing, &[(BRAVO, Role::Backup)], &[ALPHA]);
        world.run(2.0);
        assert_eq!(world.served, [Epoch(1)]);
        world.forget();
        world
    }

    /// The primary node of a pair after a restart: by its record, which may be old, it holds its seat.
    fn returning() -> Self {
        let home = SeatRecord {
            seat: ALPHA.into(),
            epoch: Epoch(1),
            holder: Some(ALPHA.into()),
            home: ALPHA.into(),
            reason: SeatReason::FirstStart,
            granted: None,
        };
        let stored = Stored::Record(Box::new(NodeRecord { role: Role::Primary, seats: vec![home] }));
        Self::start(ALPHA, Role::Primary, true, stored, &[(BRAVO, Role::Backup)], &[ALPHA])
    }

    fn start(me: &str, role: Role, auto: bool, stored: Stored, peers: &[(&str, Role)], synced: &[&str]) -> Self {
        let now = Time::from_start(Duration::from_secs(1000));
        let start = Start {
            me: me.into(),
            role,
            spec: spec(auto),
            stored,
            peers: peers.iter().map(|(name, role)| ((*name).into(), *role)).collect(),
            synced: synced.iter().map(|seat| ((*seat).into(), 1)).collect(),
        };
        let both = || vec![Path::PeerLink, Path::Beacon];
        let other = |role| Other { role, paths: both(), stranger: false, claims: Vec::new(), sequence: 0 };
        let mut world = Self {
            machine: NodeMachine::new(start, now),
            now,
            others: peers.iter().map(|(name, role)| ((*name).into(), other(*role))).collect(),
            witness: true,
            owner: Owner::Nobody,
            preflight: Ok(()),
            disk_full: false,
            pull_fails: None,
            notes: Vec::new(),
            answers: Vec::new(),
            told: Vec::new(),
            served: Vec::new(),
            done: Vec::new(),
            records: Vec::new(),
        };
        world.machine.handle_timeout(now);
        world.drain();
        world
    }

    fn other(&mut self, name: &str) -> &mut Other {
        self.others.get_mut(name).unwrap()
    }

    /// A backup node that is not joined with this one is heard by its beacons.
    fn overhear(&mut self, name: &str, claims: Vec<Claim>) {
        let other = Other { role: Role::Backup, paths: vec![Path::Beacon], stranger: true, claims, sequence: 0 };
        self.others.insert(name.into(), other);
    }

    /// The peer falls silent on both paths.
    fn silence(&mut self, name: &str) {
        self.other(name).paths.clear();
    }

    fn forget(&mut self) {
        self.notes.clear();
        self.done.clear();
        self.served.clear();
        self.told.clear();
    }

    /// So many seconds pass; whoever is not silent is heard every 200 ms.
    fn run(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.now = self.now + Duration::from_millis(50);
            if self.now.since_start().as_millis().is_multiple_of(200) {
                self.beat();
            }
            if self.machine.next_timeout().is_some_and(|at| at <= self.now) {
                self.machine.handle_timeout(self.now);
                self.drain();
            }
        }
    }

    fn beat(&mut self) {
        for name in self.others.keys().cloned().collect::<Vec<_>>() {
            let other = self.other(&name);
            other.sequence += 1;
            let heartbeat = Heartbeat {
                node: name.clone(),
                boot: 1,
                sequence: other.sequence,
                role: other.role,
                state: NodeStateName::Online,
                claims: other.claims.clone(),
            };
            if other.stranger {
                self.input(Input::Overheard(heartbeat));
                continue;
            }
            for path in other.paths.clone() {
                self.input(Input::Heard { path, heartbeat: heartbeat.clone() });
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.machine.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.machine.poll_effect() {
            let (name, answer) = self.carry_out(effect);
            self.done.extend(name);
            if let Some(input) = answer {
                self.machine.handle_input(self.now, input);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> (Option<&'static str>, Option<Input>) {
        match effect {
            Effect::Persist(id, _) if self.disk_full => (None, Some(Input::PersistFailed(id))),
            Effect::Persist(id, record) => {
                self.records.push(*record);
                (Some("persist"), Some(Input::Persisted(id)))
            }
            Effect::Serve { epoch, .. } => {
                self.served.push(epoch);
                (Some("serve"), None)
            }
            Effect::LetGo { seat } => (Some("let go"), Some(Input::Gone(seat))),
            Effect::AskWitnesses(id) => (None, Some(Input::Witnesses(id, self.witness))),
            Effect::ProbeAddress(id, _) => (Some("probe"), Some(Input::Probed(id, self.owner))),
            Effect::PullNow { seat, .. } => match self.pull_fails {
                Some(came) => (Some("pull"), Some(Input::SyncFailed { seat, came })),
                None => (Some("pull"), Some(Input::Synced { seat, revision: 7 })),
            },
            Effect::Preflight { seat, .. } => {
                (Some("preflight"), Some(Input::Preflight { seat, found: self.preflight }))
            }
            Effect::Tell(whom, message) => {
                self.told.push((whom, message));
                (Some("tell"), None)
            }
            Effect::Answer(_, verdict) => {
                self.answers.push(verdict);
                (None, None)
            }
            Effect::Note(note) => {
                self.notes.push(note);
                (None, None)
            }
            Effect::Announce { .. } => (Some("announce"), None),
            Effect::Dismiss(_) => (Some("dismiss"), None),
            Effect::LetPairsChange(false) => (Some("cut off"), None),
            Effect::Beat(_) | Effect::RunCommand { .. } | Effect::LetPairsChange(true) => (None, None),
        }
    }

    fn order(&mut self, order: Order) {
        self.input(Input::Order { ticket: Ticket(1), order });
    }

    fn refusal(&mut self) -> SeatRefusal {
        match self.answers.pop() {
            Some(Verdict::Refused(why)) => why,
            other => panic!("{other:?} is no refusal"),
        }
    }

    fn holder(&self) -> Option<NodeName> {
        self.machine.seats().find(|(name, _)| ***name == *ALPHA).and_then(|(_, seat)| seat.holder)
    }

    fn held_back(&self) -> Vec<SeatRefusal> {
        let why = |note: &Note| if let Note::HeldBack { why, .. } = note { Some(*why) } else { None };
        self.notes.iter().filter_map(why).collect()
    }
}
