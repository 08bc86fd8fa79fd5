//! The world: simulated time, the nodes and the network between them, and the order in which things happen.

use crate::{chance::Chance, faults::Fault, judge::Judge, node::Node};
use failback::{
    decide::{
        effect::PersistId,
        seat::input::{Input, NodeSpec},
    },
    model::{NodeName, Time},
};
use std::{collections::BTreeMap, time::Duration};

pub(crate) const NAMES: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];

/// Everything that can happen.
#[derive(Debug)]
pub(crate) enum Event {
    Wake(usize, u32, Time),
    Input(usize, u32, Box<Input>),
    DiskDone(usize, u32, PersistId),
    Pulls(usize, u32),
    PullEnds { node: usize, incarnation: u32, seat: NodeName, from: usize },
    Edits,
    Starts(usize),
    Fault(Fault),
    Mends(Fault),
    Operator,
    Calm,
    OperatorMends,
}

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) chance: Chance,
    pub(crate) spec: NodeSpec,
    pub(crate) nodes: Vec<Node>,
    /// The first so many nodes are primary nodes.
    pub(crate) primaries: usize,
    /// Only nodes of different roles are joined with each other; the others hear each other's beacons.
    pub(crate) strangers: bool,
    /// `cut[from][to]`: the peer link, and the segment with beacons and ARP.
    pub(crate) cut: [[[bool; 2]; 4]; 4],
    pub(crate) witness_cut: [bool; 4],
    pub(crate) calm: Option<Time>,
    pub(crate) judge: Judge,
    pub(crate) edits: u64,
    next: u64,
    events: BTreeMap<(Time, u64), Event>,
    talks: bool,
}

impl World {
    pub(crate) fn new(seed: u64, talks: bool) -> Self {
        let mut chance = Chance::new(seed);
        let count = chance.pick(&[2, 2, 2, 3, 3, 4]);
        let primaries = if count > 2 { chance.pick(&[1, 2]) } else { 1 };
        let heartbeat = Duration::from_millis(chance.pick(&[200, 300, 400]));
        let spec = NodeSpec {
            heartbeat,
            primary_timeout: Duration::from_millis(chance.pick(&[1500, 3000, 3000])).max(heartbeat * 5),
            auto: chance.percent(85),
            lifetime: Duration::from_secs(1),
        };
        let strangers = count > 2 && chance.percent(40);
        let nodes = (0..count).map(|number| Node::new(number, &mut chance)).collect();
        let mut world = Self {
            now: Time::from_start(Duration::from_secs(1)),
            spec,
            nodes,
            primaries,
            strangers,
            cut: Default::default(),
            witness_cut: Default::default(),
            calm: None,
            judge: Judge::default(),
            edits: 0,
            next: 0,
            events: BTreeMap::new(),
            talks,
            chance,
        };
        world.log(|| format!("{count} nodes, {primaries} of them primary, {spec:?}"));
        world.populate();
        world
    }

    fn populate(&mut self) {
        for number in 0..self.nodes.len() {
            let wait = self.chance.millis(0, 1500);
            self.after(wait, Event::Starts(number));
        }
        self.after(Duration::from_secs(1), Event::Edits);
        let trouble = self.chance.millis(8000, 20_000);
        self.plan_faults(trouble);
        self.after(trouble, Event::Calm);
    }

    /// Lets everything happen until all is as it was meant to be, or a rule is broken; returns the steps taken.
    pub(crate) fn run(mut self) -> Result<u64, String> {
        let mut steps = 0;
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            steps += 1;
            self.happens(event);
            self.judge_all();
            if let Some(broken) = self.judge.broken {
                return Err(broken);
            }
            if self.judge.satisfied {
                return Ok(steps);
            }
        }
        Ok(steps)
    }

    fn happens(&mut self, event: Event) {
        if self.talks && !matches!(event, Event::Wake(..) | Event::Edits | Event::Input(..) | Event::DiskDone(..)) {
            println!("{:?} {event:?}", self.now);
        }
        match event {
            Event::Wake(node, incarnation, due) => self.wakes(node, incarnation, due),
            Event::Input(node, incarnation, input) => self.input(node, incarnation, *input),
            Event::DiskDone(node, incarnation, id) => self.disk_done(node, incarnation, id),
            Event::Pulls(node, incarnation) => self.pulls(node, incarnation),
            Event::PullEnds { node, incarnation, seat, from } => self.pull_ends(node, incarnation, &seat, from),
            Event::Edits => self.edits(),
            Event::Starts(node) => self.starts(node),
            Event::Fault(fault) => self.fault(fault),
            Event::Mends(fault) => self.mends(fault),
            Event::Operator => self.operator(),
            Event::Calm => self.calm(),
            Event::OperatorMends => self.operator_mends(),
        }
    }

    pub(crate) fn at(&mut self, at: Time, event: Event) {
        self.next += 1;
        self.events.insert((at.max(self.now), self.next), event);
    }

    pub(crate) fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    pub(crate) fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn log(&self, words: impl FnOnce() -> String) {
        if self.talks {
            println!("{:?} {}", self.now, words());
        }
    }

    /// Beacons and ARP pass one way; a connection needs both.
    pub(crate) fn segment(&self, from: usize, to: usize) -> bool {
        !self.cut[from][to][1]
    }

    pub(crate) fn are_joined(&self, one: usize, two: usize) -> bool {
        !self.strangers || (one < self.primaries) != (two < self.primaries)
    }

    pub(crate) fn link(&self, from: usize, to: usize) -> bool {
        self.are_joined(from, to) && !self.cut[from][to][0] && !self.cut[to][from][0]
    }

    pub(crate) fn hears(&self, to: usize, from: usize) -> bool {
        from != to && (self.segment(from, to) || self.link(from, to))
    }

    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| *node.name == *name)
    }
}
