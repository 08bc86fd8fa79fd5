//! One node: the real machine, a driver as the real one is, a disk, a clock of its own, a kernel that keeps the address for a while.

use crate::{
    chain::Chain,
    chance::Chance,
    world::{Event, NAMES, World},
};
use failback::{
    decide::{
        NodeMachine,
        effect::PersistId,
        seat::{
            effect::{Beat, Effect, Message, NodeRecord, Note},
            input::{Input, Owner, Start, Stored},
        },
        suspicion::Path,
    },
    model::{Epoch, NodeName, Time, group::Heartbeat, group::Role, seat::SeatRefusal},
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

pub(crate) struct Node {
    pub(crate) name: NodeName,
    pub(crate) machine: Option<NodeMachine>,
    pub(crate) incarnation: u32,
    pub(crate) started: Time,
    /// Nothing of the process runs from the first to the second.
    pub(crate) frozen: (Time, Time),
    pub(crate) disk: Option<NodeRecord>,
    pub(crate) writing: VecDeque<(PersistId, NodeRecord)>,
    pub(crate) disk_full: bool,
    pub(crate) disk_slow: bool,
    pub(crate) unable: bool,
    pub(crate) dies_after: Option<usize>,
    /// Seats it accepts clients for, and under which epoch.
    pub(crate) accepts: BTreeMap<NodeName, Epoch>,
    /// What it has of each seat. On the disk.
    pub(crate) chains: BTreeMap<NodeName, Chain>,
    pub(crate) may_change: bool,
    /// Hears nobody and reaches no witness since.
    pub(crate) isolated: Option<Time>,
    sequence: u64,
    offset: Duration,
    /// Millionths that its clock is too fast by.
    drift: u64,
    wake: Option<Time>,
}

impl Node {
    pub(crate) fn new(number: usize, chance: &mut Chance) -> Self {
        Self {
            name: NAMES[number].into(),
            machine: None,
            incarnation: 0,
            started: Time::ZERO,
            frozen: (Time::ZERO, Time::ZERO),
            disk: None,
            writing: VecDeque::new(),
            disk_full: false,
            disk_slow: false,
            unable: false,
            dies_after: None,
            accepts: BTreeMap::new(),
            chains: BTreeMap::new(),
            may_change: false,
            isolated: None,
            sequence: 0,
            offset: chance.millis(0, 100_000),
            drift: chance.below(3000) as u64,
            wake: None,
        }
    }

    pub(crate) fn is_frozen(&self, now: Time) -> bool {
        now >= self.frozen.0 && now < self.frozen.1
    }

    /// What its clock says.
    fn clock(&self, now: Time) -> Time {
        let real = now.since_start();
        Time::from_start(self.offset + real + Duration::from_nanos(real.as_nanos() as u64 / 1_000_000 * self.drift))
    }

    /// When its clock says so.
    fn real(&self, clock: Time) -> Time {
        let shown = (clock.since_start().saturating_sub(self.offset)).as_nanos() as u64;
        Time::from_start(Duration::from_nanos(
            (u128::from(shown) * 1_000_000 / u128::from(1_000_000 + self.drift)) as u64 + 2000,
        ))
    }

    /// Does its kernel answer for the address?
    pub(crate) fn owns(&self, seat: &NodeName, now: Time, lifetime: Duration) -> bool {
        self.accepts.contains_key(seat) && (!self.is_frozen(now) || now.since(self.frozen.0) < lifetime)
    }
}

impl World {
    pub(crate) fn starts(&mut self, number: usize) {
        if self.nodes[number].machine.is_some() {
            return;
        }
        let primaries = self.primaries;
        let role = |number: usize| if number < primaries { Role::Primary } else { Role::Backup };
        let peers = (0..self.nodes.len()).filter(|other| *other != number && self.are_joined(number, *other));
        let node = &self.nodes[number];
        let start = Start {
            me: node.name.clone(),
            role: role(number),
            spec: self.spec,
            stored: node.disk.clone().map_or(Stored::Nothing, |record| Stored::Record(Box::new(record))),
            peers: peers.map(|other| (NAMES[other].into(), role(other))).collect(),
            synced: node.chains.iter().map(|(seat, chain)| (seat.clone(), chain.revision())).collect(),
        };
        self.log(|| format!("{} starts with {:?}", NAMES[number], start.stored));
        let clock = node.clock(self.now);
        let node = &mut self.nodes[number];
        node.incarnation += 1;
        (node.started, node.sequence) = (self.now, 0);
        node.machine = Some(NodeMachine::new(start, clock));
        node.wake = None;
        node.frozen = (Time::ZERO, Time::ZERO);
        let incarnation = node.incarnation;
        if let Some(machine) = &mut node.machine {
            machine.handle_timeout(clock);
        }
        self.carry_out(number);
        self.looks_at_itself(number);
        let wait = self.chance.millis(100, 2000);
        self.after(wait, Event::Pulls(number, incarnation));
    }

    /// The process is killed: its guard removes the address; what was on its way to the disk is there or not.
    pub(crate) fn dies(&mut self, number: usize) {
        self.log(|| format!("{} is killed", NAMES[number]));
        let lands = self.chance.percent(50);
        let node = &mut self.nodes[number];
        node.machine = None;
        node.incarnation += 1;
        node.accepts.clear();
        node.dies_after = None;
        if let Some((_, record)) = node.writing.drain(..).next().filter(|_| lands && !node.disk_full) {
            node.disk = Some(record);
        }
        let wait = self.chance.millis(100, 6000);
        self.after(wait, Event::Starts(number));
    }

    fn is_over(&self, number: usize, incarnation: u32) -> bool {
        self.nodes[number].machine.is_none() || self.nodes[number].incarnation != incarnation
    }

    pub(crate) fn input(&mut self, number: usize, incarnation: u32, input: Input) {
        if self.is_over(number, incarnation) {
            return;
        }
        if self.nodes[number].is_frozen(self.now) {
            return self.at(self.nodes[number].frozen.1, Event::Input(number, incarnation, Box::new(input)));
        }
        if !matches!(input, Input::Heard { .. } | Input::Witnesses(..) | Input::Probed(..) | Input::Persisted(_)) {
            self.log(|| format!("{} gets {input:?}", NAMES[number]));
        }
        let clock = self.nodes[number].clock(self.now);
        if let Some(machine) = &mut self.nodes[number].machine {
            machine.handle_input(clock, input);
        }
        self.carry_out(number);
    }

    pub(crate) fn wakes(&mut self, number: usize, incarnation: u32, due: Time) {
        if self.is_over(number, incarnation) || self.nodes[number].wake != Some(due) {
            return;
        }
        if self.nodes[number].is_frozen(self.now) {
            return self.at(self.nodes[number].frozen.1, Event::Wake(number, incarnation, due));
        }
        let clock = self.nodes[number].clock(self.now);
        if let Some(machine) = &mut self.nodes[number].machine {
            machine.handle_timeout(clock);
        }
        self.carry_out(number);
    }

    fn carry_out(&mut self, number: usize) {
        let mut count = 0;
        while let Some(effect) = self.nodes[number].machine.as_mut().and_then(NodeMachine::poll_effect) {
            count += 1;
            if let Some(left) = &mut self.nodes[number].dies_after {
                if *left == 0 {
                    return self.dies(number);
                }
                *left -= 1;
            }
            self.carry_out_one(number, effect);
        }
        self.require(count < 100, "what one input causes is bounded");
        let node = &mut self.nodes[number];
        let Some(wake) = node.machine.as_ref().and_then(NodeMachine::next_timeout) else { return };
        if node.wake != Some(wake) {
            node.wake = Some(wake);
            let (at, incarnation) = (node.real(wake), node.incarnation);
            let late = self.chance.millis(0, 3);
            self.at(at + late, Event::Wake(number, incarnation, wake));
        }
        self.judge_node(number);
    }

    pub(crate) fn tell(&mut self, number: usize, wait: Duration, input: Input) {
        let incarnation = self.nodes[number].incarnation;
        self.after(wait, Event::Input(number, incarnation, Box::new(input)));
    }

    fn carry_out_one(&mut self, number: usize, effect: Effect) {
        if !matches!(effect, Effect::Beat(_) | Effect::AskWitnesses(_) | Effect::ProbeAddress(..)) {
            self.log(|| format!("{}: {effect:?}", NAMES[number]));
        }
        match effect {
            Effect::Persist(id, record) => self.store(number, id, *record),
            Effect::Beat(beat) => self.beats(number, beat),
            Effect::Serve { seat, epoch } => {
                self.judge_serve(number, &seat, epoch);
                self.nodes[number].accepts.insert(seat.clone(), epoch);
                let unable = self.nodes[number].unable;
                // Routes that can't be opened write nothing; an address that can't be added comes after that.
                if !unable || self.chance.percent(30) {
                    self.writes(number, seat.clone(), epoch, None);
                }
                if unable {
                    let wait = self.chance.millis(1, 50);
                    self.tell(number, wait, Input::ServeFailed(seat));
                }
            }
            Effect::LetGo { seat } => {
                self.nodes[number].accepts.remove(&seat);
                let wait = self.chance.millis(0, 50);
                self.tell(number, wait, Input::Gone(seat));
            }
            Effect::AskWitnesses(id) => {
                let answered = !self.witness_cut[number];
                let wait = if answered { self.chance.millis(1, 20) } else { Duration::from_millis(500) };
                self.tell(number, wait, Input::Witnesses(id, answered));
            }
            Effect::ProbeAddress(id, seat) => {
                let seen = (0..self.nodes.len()).any(|other| {
                    let both = self.segment(number, other) && self.segment(other, number);
                    other != number && both && self.nodes[other].owns(&seat, self.now, self.spec.lifetime)
                });
                let owner = if seen { Owner::Somebody } else { Owner::Nobody };
                let wait = self.chance.millis(5, 100);
                self.tell(number, wait, Input::Probed(id, owner));
            }
            Effect::PullNow { seat, from } => {
                let Some(from) = self.number(&from) else { return };
                let (wait, incarnation) = (self.chance.millis(10, 700), self.nodes[number].incarnation);
                self.after(wait, Event::PullEnds { node: number, incarnation, seat, from });
            }
            Effect::Preflight { seat, upstreams } => {
                let wait = self.chance.millis(5, 300);
                let found = match (self.nodes[number].unable, upstreams && self.witness_cut[number]) {
                    (true, _) => Err(SeatRefusal::CannotServe),
                    (_, true) => Err(SeatRefusal::PreflightFailed),
                    _ => Ok(()),
                };
                self.tell(number, wait, Input::Preflight { seat, found });
            }
            Effect::Tell(whom, message) => {
                let Some(to) = self.number(&whom) else { return };
                if let Message::Grant { seat, epoch, .. } = &message {
                    self.judge.granted.insert((seat.clone(), *epoch));
                }
                if self.link(number, to) {
                    let wait = self.chance.millis(1, 30);
                    self.tell(to, wait, Input::Told(NAMES[number].into(), message));
                }
            }
            Effect::LetPairsChange(may) => self.nodes[number].may_change = may,
            Effect::Note(Note::Serving { seat, epoch, reason, .. }) => self.judge_served(number, &seat, epoch, reason),
            Effect::Note(_) | Effect::Answer(..) | Effect::Announce { .. } => {}
            Effect::RunCommand { .. } | Effect::Dismiss(_) => {}
        }
    }

    fn store(&mut self, number: usize, id: PersistId, record: NodeRecord) {
        self.judge_record(number, &record);
        let slow = self.nodes[number].disk_slow;
        let took = if slow { self.chance.millis(50, 2500) } else { self.chance.millis(0, 8) };
        let node = &mut self.nodes[number];
        node.writing.push_back((id, record));
        let incarnation = node.incarnation;
        self.after(took, Event::DiskDone(number, incarnation, id));
    }

    pub(crate) fn disk_done(&mut self, number: usize, incarnation: u32, id: PersistId) {
        let node = &mut self.nodes[number];
        if incarnation != node.incarnation {
            return;
        }
        let Some((_, record)) = node.writing.pop_front() else { return };
        if node.disk_full {
            return self.tell(number, Duration::ZERO, Input::PersistFailed(id));
        }
        node.disk = Some(record);
        self.tell(number, Duration::ZERO, Input::Persisted(id));
    }

    fn beats(&mut self, number: usize, beat: Beat) {
        let node = &mut self.nodes[number];
        node.sequence += 1;
        let (boot, sequence) = (u64::from(node.incarnation), node.sequence);
        let Beat { role, state, claims } = beat;
        let heartbeat = Heartbeat { node: node.name.clone(), boot, sequence, role, state, claims };
        for to in 0..self.nodes.len() {
            for (path, open) in [(Path::PeerLink, self.link(number, to)), (Path::Beacon, self.segment(number, to))] {
                if to != number && open && !(path == Path::Beacon && self.chance.percent(3)) {
                    let wait = self.chance.millis(0, 10);
                    let heartbeat = heartbeat.clone();
                    let input = match self.are_joined(number, to) {
                        true => Input::Heard { path, heartbeat },
                        false => Input::Overheard(heartbeat),
                    };
                    self.tell(to, wait, input);
                }
            }
        }
    }

    /// Whoever does not hold a seat pulls it from who does, again and again.
    pub(crate) fn pulls(&mut self, number: usize, incarnation: u32) {
        if self.is_over(number, incarnation) {
            return;
        }
        for from in 0..self.nodes.len() {
            for seat in self.nodes[from].accepts.keys().cloned().collect::<Vec<_>>() {
                if from != number && !self.nodes[number].accepts.contains_key(&seat) {
                    self.pull_ends(number, incarnation, &seat, from);
                }
            }
        }
        let wait = self.chance.millis(500, 3000);
        self.after(wait, Event::Pulls(number, incarnation));
    }

    pub(crate) fn pull_ends(&mut self, number: usize, incarnation: u32, seat: &NodeName, from: usize) {
        if self.is_over(number, incarnation) {
            return;
        }
        let source = &self.nodes[from];
        let reached = self.link(number, from) && source.machine.is_some() && !source.is_frozen(self.now);
        if !reached || self.nodes[number].is_frozen(self.now) {
            return self.tell(number, Duration::ZERO, Input::SyncFailed { seat: seat.clone(), came: false });
        }
        let chain = Chain { since: self.now, ..source.chains.get(seat).cloned().unwrap_or_default() };
        let revision = chain.revision();
        if self.nodes[number].chains.get(seat).is_some_and(|known| known.revision() > revision) {
            return self.tell(number, Duration::ZERO, Input::SyncFailed { seat: seat.clone(), came: true });
        }
        self.nodes[number].chains.insert(seat.clone(), chain);
        self.tell(number, Duration::ZERO, Input::Synced { seat: seat.clone(), revision });
        self.judge_acknowledged(seat);
    }

    /// Each seat is written where it is served: an operator edits its settings, a pair changes sides.
    pub(crate) fn edits(&mut self) {
        for number in 0..self.nodes.len() {
            for (seat, epoch) in self.nodes[number].accepts.clone() {
                if !self.nodes[number].is_frozen(self.now) {
                    self.edits += 1;
                    self.writes(number, seat, epoch, Some(self.edits));
                }
            }
        }
        let wait = self.chance.millis(300, 1500);
        self.after(wait, Event::Edits);
    }
}

impl World {
    fn writes(&mut self, number: usize, seat: NodeName, epoch: Epoch, edit: Option<u64>) {
        let node = &mut self.nodes[number];
        let chain = node.chains.entry(seat.clone()).or_default();
        chain.write(self.now, epoch, edit);
        let (incarnation, revision) = (node.incarnation, chain.revision());
        self.at(self.now, Event::Input(number, incarnation, Box::new(Input::Synced { seat, revision })));
    }
}
