//! The world: simulated time, everything in it, and the order in which things happen.

use crate::{
    chance::Chance,
    faults::Fault,
    judge::Judge,
    proxy::{Dial, Proxy},
    scenario::{NAMES, Scenario},
    servers::Server,
    workers::{Client, Session, Worker},
};
use failback::{
    decide::{
        effect::{CheckId, PersistId},
        input::{CheckResult, Input, Order},
    },
    model::{Side, Time},
};
use std::{collections::BTreeMap, time::Duration};

/// Everything that can happen.
#[derive(Debug)]
pub(crate) enum Event {
    Wake(u32, Option<Time>),
    Input(u32, Box<Input>),
    CheckEnds(u32, CheckId, Box<CheckResult>, Duration, Time),
    DiskDone(u32, PersistId),
    WorkerObeys(u32, usize),
    WorkerReports(u32, usize),
    ClientConnects(usize),
    ClientWrites(usize, u64),
    DialEnds(usize, u64, Dial),
    HoldExpires(usize, u64),
    SessionEnds(usize, u64),
    ProxyStarts,
    Fault(Fault),
    Mends(Fault),
    Order(Order),
    Gateway,
    ResyncEnds(usize, u64),
    Signal { of: Side, with_epoch: bool },
    Reconfigure,
    Calm,
    OperatorLooks,
}

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) chance: Chance,
    pub(crate) scenario: Scenario,
    pub(crate) proxy: Proxy,
    pub(crate) workers: Vec<Worker>,
    pub(crate) clients: Vec<Client>,
    pub(crate) servers: Vec<Server>,
    /// The server whose data is the truth.
    pub(crate) reference: usize,
    /// The proxy's own link is down.
    pub(crate) link_cut: bool,
    /// The same, for the way to one server.
    pub(crate) way_cut: [bool; NAMES.len()],
    /// Troubles of its own that the driver knows of.
    pub(crate) troubles: i32,
    pub(crate) no_ports: [bool; NAMES.len()],
    pub(crate) late_prober: [bool; NAMES.len()],
    /// How long an outage the servers bridge by themselves.
    pub(crate) bridged: Duration,
    pub(crate) calm: bool,
    pub(crate) judge: Judge,
    pub(crate) source_done: bool,
    pub(crate) steps: u64,
    next: u64,
    events: BTreeMap<(Time, u64), Event>,
    talks: bool,
}

impl World {
    pub(crate) fn new(seed: u64, talks: bool) -> Self {
        let mut chance = Chance::new(seed);
        let scenario = Scenario::draw(&mut chance);
        let now = Time::from_start(Duration::from_secs(1));
        let health = &scenario.spec.health;
        let mut world = Self {
            now,
            proxy: Proxy::new(scenario.spec.clone(), Vec::new()),
            workers: (0..2).map(|_| Worker::default()).collect(),
            clients: Vec::new(),
            servers: NAMES.iter().map(|_| Server::new()).collect(),
            reference: usize::from(scenario.spec.primary.is_none()),
            link_cut: false,
            way_cut: Default::default(),
            troubles: 0,
            no_ports: Default::default(),
            late_prober: Default::default(),
            // Exactly as long as the proxy may be blind without calling it a gap, at the slowest it is ever configured to.
            bridged: Duration::from_secs(2).max(health.interval * 2) + health.timeout,
            calm: false,
            judge: Judge::default(),
            source_done: scenario.stale_source,
            steps: 0,
            next: 0,
            events: BTreeMap::new(),
            talks,
            chance,
            scenario,
        };
        world.log(|| "the world begins".into());
        world.populate();
        world
    }

    /// Lets everything happen until the last client is served again, or somebody breaks a rule.
    pub(crate) fn run(mut self) -> Result<Self, Box<Self>> {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            self.steps += 1;
            self.happens(event);
            if self.judge.broken.is_some() {
                return Err(Box::new(self));
            }
            if self.calm && self.judge.satisfied {
                return Ok(self);
            }
        }
        Ok(self)
    }

    pub(crate) fn at(&mut self, at: Time, event: Event) {
        self.next += 1;
        self.events.insert((at.max(self.now), self.next), event);
    }

    pub(crate) fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    /// A number nobody had before.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn log(&self, words: impl FnOnce() -> String) {
        if self.talks {
            println!("{:?} {}", self.now, words());
        }
    }

    fn populate(&mut self) {
        if self.talks {
            println!("{:#?}", self.scenario);
        }
        for number in 0..self.scenario.clients + self.scenario.exempt_clients {
            let writes_every = self.chance.millis(40, 400);
            let exempt = number >= self.scenario.clients;
            self.clients.push(Client { exempt, session: None, writes_every, acknowledged: self.now });
            let wait = self.chance.millis(0, 2000);
            self.after(wait, Event::ClientConnects(number));
        }
        self.after(Duration::ZERO, Event::ProxyStarts);
        self.after(Duration::from_millis(100), Event::Gateway);
        self.after(self.scenario.trouble, Event::Calm);
        self.plan_faults();
    }

    fn happens(&mut self, event: Event) {
        if self.talks && !matches!(event, Event::ClientWrites(..) | Event::Gateway | Event::Wake(..)) {
            println!("{:?} {event:?}", self.now);
        }
        match event {
            Event::Wake(incarnation, due) => self.machine_wakes(incarnation, due),
            Event::Input(incarnation, input) => self.input(incarnation, *input),
            Event::CheckEnds(incarnation, check, result, timeout, began) => {
                self.check_ends(incarnation, check, *result, timeout, began);
            }
            Event::DiskDone(incarnation, id) => self.disk_done(incarnation, id),
            Event::WorkerObeys(incarnation, worker) if incarnation == self.proxy.incarnation => {
                self.worker_obeys(worker);
            }
            Event::WorkerReports(incarnation, worker) if incarnation == self.proxy.incarnation => {
                self.worker_reports(worker);
            }
            Event::WorkerObeys(..) | Event::WorkerReports(..) => {}
            Event::ClientConnects(client) => self.client_connects(client),
            Event::ClientWrites(client, id) => {
                if self.clients[client].session.is_some_and(|(_, session)| session == id) {
                    self.client_writes(client);
                }
            }
            Event::DialEnds(worker, id, dial) => self.dial_ends(worker, id, dial),
            Event::HoldExpires(worker, id) => self.hold_expires(worker, id),
            Event::SessionEnds(worker, id) => self.session_ends(worker, id),
            Event::ProxyStarts if self.proxy.machine.is_none() => self.proxy_starts(),
            Event::ProxyStarts => {}
            Event::Fault(fault) => self.fault(fault),
            Event::Mends(fault) => self.mends(fault),
            Event::Order(order) => self.order(order),
            Event::Gateway => self.gateway(),
            Event::ResyncEnds(server, resync) => self.resync_ends(server, resync),
            Event::Signal { of, with_epoch } => self.signal(of, with_epoch),
            Event::Reconfigure => self.reconfigure(),
            Event::Calm => self.calm(),
            Event::OperatorLooks => self.operator_looks(),
        }
    }

    /// Does the proxy reach the server's network?
    pub(crate) fn is_cut_off_from(&self, server: usize) -> bool {
        self.link_cut || self.way_cut[server]
    }

    /// Are all clients served by the active server, their writes acknowledged?
    pub(crate) fn everybody_is_served(&self) -> bool {
        let Some(way) = self.proxy.way() else { return false };
        self.clients.iter().all(|client| {
            let open = |session: &&Session| session.phase == crate::workers::Phase::Open;
            let session = client.session.and_then(|(worker, id)| {
                self.workers[worker].sessions.iter().filter(open).find(|session| session.id == id)
            });
            let right = session.is_some_and(|session| session.server == way.server || client.exempt);
            right && self.now.since(client.acknowledged) < Duration::from_secs(1)
        })
    }
}
