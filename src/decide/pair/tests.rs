//! Stories about one pair. Each reads: *Input*, what happened; *Output*, what the machine does about it.

mod failback;
mod failover;
mod going_on;
mod health;
mod operator;
mod signal;
mod start;
mod two_proxies;

use crate::{
    decide::{
        PairMachine, PairStatus,
        effect::{CheckId, Closing, Effect, Note, PairRecord, PersistId, Routing, Ticket, Verdict},
        input::{CheckResult, Input, Order, Origin, Start, Stored},
    },
    model::{
        EndReason, Epoch, Side, Time, TransitionReason as Reason, UpstreamName,
        ports::Evidence,
        spec::{
            Check, FailbackSpec, FailbackWhen, FlapSpec, HealthSpec, HoldSpec, Migrate, Overlap, PairSpec,
            SignalSource, TransportSpec, UpstreamSpec,
        },
        table::Admit,
        view::{HealthName, PairStateName as State},
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How a server answers its checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    /// Passes after a millisecond.
    Alive,
    /// Its process is gone: refused after a millisecond.
    Killed,
    /// No answer at all.
    Silent,
    /// Answers, but wrongly.
    Confused,
    /// We can't even try.
    Untried,
}

/// What the disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    Quick,
    Full,
    /// Answers nothing until it is told to.
    Stuck,
}

/// A machine and the world it decides about. Time passes only in [`World::run`].
struct World {
    machine: PairMachine,
    now: Time,
    servers: BTreeMap<UpstreamName, Server>,
    disk: Disk,
    /// Checks under way: when each ends, and how.
    checks: Vec<(Time, CheckId, CheckResult)>,
    unwritten: Vec<(PersistId, PairRecord)>,
    records: Vec<PairRecord>,
    routing: Option<Routing>,
    routings: Vec<(Time, Routing)>,
    notes: Vec<Note>,
    answers: BTreeMap<u64, Verdict>,
    polls: u32,
    started: Vec<(Time, UpstreamName)>,
    next_ticket: u64,
}

/// A pair with the defaults.
fn spec() -> PairSpec {
    let upstream = |name: &str, address: &str| UpstreamSpec { name: name.into(), address: address.parse().unwrap() };
    PairSpec {
        tls: None,
        name: "AGG_V".into(),
        primary: Some(upstream("AGG_P", "10.0.0.1:4100")),
        backups: vec![upstream("AGG_B", "10.0.0.2:4100")],
        elsewhere: None,
        health: HealthSpec {
            check: Check::Connect,
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(800),
            fall: 3,
            rise: 2,
            fast_interval: Duration::from_millis(200),
        },
        failback: FailbackSpec {
            when: FailbackWhen::Resync,
            stable_for: Duration::from_secs(5),
            overlap: Overlap::None,
            pace: 0,
            migrate: Migrate::Close,
            exempt: Arc::new([]),
            source: None,
        },
        hold: HoldSpec { time: Duration::from_secs(10), max: 10_000 },
        flap: FlapSpec { failovers: 3, window: Duration::from_secs(600) },
        admission: crate::model::spec::Admission::Healthy,
        transport: TransportSpec::default(),
    }
}

fn backup(name: &str, address: &str) -> UpstreamSpec {
    UpstreamSpec { name: name.into(), address: address.parse().unwrap() }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

impl World {
    /// A pair that was never seen before, all servers alive, a minute later.
    fn healthy(spec: PairSpec) -> Self {
        let mut world = Self::start(spec, Stored::Nothing);
        world.run(seconds(60.0));
        world.forget();
        world
    }

    /// The moment after a start.
    fn start(spec: PairSpec, stored: Stored) -> Self {
        Self::start_at(Time::from_start(Duration::from_secs(1000)), spec, stored)
    }

    fn start_at(now: Time, spec: PairSpec, stored: Stored) -> Self {
        let names: Vec<_> = spec.checked().map(|upstream| upstream.name.clone()).collect();
        let machine = PairMachine::new(Start { spec, stored, origin: Origin::Own, incarnation: 1, seed: 1 }, now);
        let mut world = Self {
            machine,
            now,
            servers: names.iter().map(|name| (name.clone(), Server::Alive)).collect(),
            disk: Disk::Quick,
            checks: Vec::new(),
            unwritten: Vec::new(),
            records: Vec::new(),
            routing: None,
            routings: Vec::new(),
            notes: Vec::new(),
            answers: BTreeMap::new(),
            polls: 0,
            started: Vec::new(),
            next_ticket: 0,
        };
        world.machine.handle_timeout(now);
        world.drain();
        for (place, name) in names.into_iter().enumerate() {
            let address = format!("10.0.0.{}:4100", place + 1).parse().unwrap();
            world.input(Input::Resolved(name, Arc::new([address])));
        }
        world
    }

    /// A restart of the proxy right now, with what is on the disk.
    fn restart(self, spec: PairSpec) -> Self {
        let stored = self.records.last().map_or(Stored::Nothing, |record| Stored::Record(Box::new(record.clone())));
        let mut world = Self::start_at(self.now, spec, stored);
        world.servers.extend(self.servers);
        world
    }

    fn forget(&mut self) {
        self.notes.clear();
        self.routings.clear();
        self.answers.clear();
        self.started.clear();
    }

    fn set(&mut self, name: &str, server: Server) {
        self.servers.insert(name.into(), server);
    }

    fn input(&mut self, input: Input) {
        self.machine.handle_input(self.now, input);
        self.drain();
    }

    /// Lets time pass: timers fire when asked for, checks end when they do.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut idle = 0;
        loop {
            let check = self.checks.iter().map(|(at, ..)| *at).min();
            let timer = self.machine.next_timeout();
            let Some(next) = check.into_iter().chain(timer).min().filter(|next| *next <= end) else { break };
            idle = if next <= self.now { idle + 1 } else { 0 };
            assert!(idle < 100, "the machine asks for times that have passed");
            self.now = next.max(self.now);
            match self.checks.iter().position(|(at, ..)| *at == next) {
                Some(place) => {
                    let (_, check, result) = self.checks.remove(place);
                    self.input(Input::CheckDone { check, result });
                }
                None => {
                    self.machine.handle_timeout(self.now);
                    self.drain();
                }
            }
        }
        self.now = end;
    }

    /// Runs until the condition holds, and says how long that took. Fails after `limit`.
    fn run_until(&mut self, limit: Duration, what: &str, condition: impl Fn(&Self) -> bool) -> Duration {
        let began = self.now;
        while !condition(self) {
            assert!(self.now.since(began) < limit, "{what} did not come true within {limit:?}: {:?}", self.status());
            self.run(Duration::from_millis(1));
        }
        self.now.since(began)
    }

    fn drain(&mut self) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::StartCheck { check, upstream, timeout } => self.check(check, upstream, timeout),
                Effect::Persist(id, record) => {
                    self.unwritten.push((id, *record));
                    if self.disk != Disk::Stuck {
                        self.write();
                    }
                }
                Effect::Publish(routing) => {
                    self.routings.push((self.now, routing.clone()));
                    self.routing = Some(routing);
                }
                Effect::PollSignal => self.polls += 1,
                Effect::Answer(ticket, verdict) => {
                    assert!(self.answers.insert(ticket.0, verdict).is_none(), "answered twice");
                }
                Effect::Note(note) => self.notes.push(note),
            }
        }
    }

    fn check(&mut self, check: CheckId, upstream: UpstreamName, timeout: Duration) {
        let soon = self.now + Duration::from_millis(1);
        let (at, result) = match self.servers[&upstream] {
            Server::Alive => (soon, CheckResult::Passed { took: Duration::from_millis(1) }),
            Server::Killed => (soon, CheckResult::Refused),
            Server::Confused => (soon, CheckResult::Wrong("no greeting".into())),
            Server::Untried => (soon, CheckResult::Local("too many open files".into())),
            Server::Silent => (self.now + timeout, CheckResult::TimedOut),
        };
        self.started.push((self.now, upstream));
        self.checks.push((at, check, result));
    }

    /// The disk does what it does with what it was given.
    fn write(&mut self) {
        for (id, record) in std::mem::take(&mut self.unwritten) {
            let input = if self.disk == Disk::Full {
                Input::PersistFailed(id)
            } else {
                self.records.push(record);
                Input::Persisted(id)
            };
            self.machine.handle_input(self.now, input);
        }
        self.drain();
    }

    fn ticket(&mut self) -> (u64, Ticket) {
        self.next_ticket += 1;
        (self.next_ticket, Ticket(self.next_ticket))
    }

    /// Sends the signal and lets its validation end.
    fn resync(&mut self, of: Side, epoch: Option<u64>) -> Verdict {
        let (number, ticket) = self.ticket();
        self.input(Input::ResyncSignal { ticket, of, epoch: epoch.map(Epoch) });
        self.run(seconds(1.0));
        self.answers.remove(&number).expect("every signal is answered within a second here")
    }

    /// Gives an order.
    fn order(&mut self, order: Order) -> Verdict {
        let (number, ticket) = self.ticket();
        self.input(Input::Order { ticket, order });
        self.answers.remove(&number).expect("every order is answered at once here")
    }

    fn switch(&mut self, to: Side, force: bool) -> Verdict {
        self.order(Order::Switch { to, now: false, force })
    }

    /// All workers report on the close order in force.
    fn progress(&mut self, left: u64) {
        let order = self.closing().id;
        self.input(Input::Progress { order, left, exempt: 0, complete: true, confirmed: left == 0 });
    }

    fn status(&self) -> PairStatus {
        self.machine.status(self.now)
    }

    fn state(&self) -> State {
        self.status().state
    }

    fn epoch(&self) -> u64 {
        self.status().epoch.0
    }

    fn routing(&self) -> &Routing {
        self.routing.as_ref().expect("something was published")
    }

    fn closing(&self) -> &Closing {
        self.routing().close.as_ref().expect("sessions are being closed")
    }

    /// Where newcomers go; `None` = they wait.
    fn admits(&self) -> Option<&str> {
        match &self.routing().admit {
            Admit::To { upstream, .. } => Some(upstream),
            Admit::Hold => None,
        }
    }

    fn blockers(&self) -> String {
        self.status().blockers.join("\n")
    }

    /// The transitions so far, as (to, epoch, reason).
    fn transitions(&self) -> Vec<(State, u64, Reason)> {
        let transition = |note: &Note| match note {
            Note::Transition { to, epoch, reason, .. } => Some((*to, epoch.0, *reason)),
            _ => None,
        };
        self.notes.iter().filter_map(transition).collect()
    }

    /// The primary dies by `how`, and the pair is on its backup a while later.
    fn failed_over(spec: PairSpec, how: Server) -> Self {
        let mut world = Self::healthy(spec);
        world.set("AGG_P", how);
        world.run(seconds(10.0));
        assert_eq!(world.state(), State::OnBackup);
        world
    }

    /// And the primary is back since a minute, its data stale.
    fn primary_back(spec: PairSpec) -> Self {
        let mut world = Self::failed_over(spec, Server::Killed);
        world.set("AGG_P", Server::Alive);
        world.run(seconds(60.0));
        assert_eq!(world.state(), State::OnBackup);
        world.forget();
        world
    }
}
