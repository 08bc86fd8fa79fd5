//! The proxy: the real machine, and a driver as the real one is, with a disk that may be slow, full, or lose what was not
//! synced, and a process that may be starved, frozen or killed between any two effects.

use crate::{
    scenario::{NAMES, role},
    servers::Condition,
    world::{Event, World},
};
use failback::{
    decide::{
        PairMachine,
        effect::{CheckId, Effect, PairRecord, PersistId, Routing},
        input::{CheckResult, Input, Origin, Start, Stored},
    },
    model::{
        EndReason, Epoch, Time,
        spec::{Migrate, Overlap, PairSpec},
        table::Admit,
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

/// Where a worker dials, and under which epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dial {
    pub(crate) epoch: Epoch,
    pub(crate) server: usize,
    pub(crate) port: u16,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    /// `None` while the process is not there.
    pub(crate) machine: Option<PairMachine>,
    pub(crate) incarnation: u32,
    pub(crate) spec: PairSpec,
    /// Nothing of the process runs before then.
    pub(crate) frozen_until: Time,
    pub(crate) routing: Option<Routing>,
    /// What the disk holds for certain, newest last.
    pub(crate) disk: Vec<PairRecord>,
    /// What the disk holds can't be read, until something new is written.
    pub(crate) unreadable: bool,
    pub(crate) disk_full: bool,
    pub(crate) disk_slow: bool,
    /// On its way to the disk.
    pub(crate) writing: VecDeque<(PersistId, PairRecord)>,
    /// What the machine was told to be stored.
    pub(crate) acknowledged: Option<PairRecord>,
    pub(crate) no_descriptors: bool,
    /// The process dies after so many more effects.
    pub(crate) dies_after: Option<usize>,
    /// Closings the workers have taken from each paced order.
    pub(crate) taken: BTreeMap<u64, u64>,
    reports: BTreeMap<usize, (u64, u64, u64)>,
    /// Where the machine was told that each server is.
    resolved: [Option<SocketAddr>; NAMES.len()],
    told: Option<(u64, u64, u64, bool)>,
    wake: Option<Time>,
}

impl Proxy {
    /// A process that is not there yet, and its disk.
    pub(crate) fn new(spec: PairSpec, disk: Vec<PairRecord>) -> Self {
        Self {
            machine: None,
            incarnation: 0,
            spec,
            frozen_until: Time::ZERO,
            routing: None,
            disk,
            unreadable: false,
            disk_full: false,
            disk_slow: false,
            writing: VecDeque::new(),
            acknowledged: None,
            no_descriptors: false,
            dies_after: None,
            taken: BTreeMap::new(),
            reports: BTreeMap::new(),
            resolved: [None; NAMES.len()],
            told: None,
            wake: None,
        }
    }

    /// Do newcomers wait while all sessions were ordered to leave, and has every worker confirmed that they have?
    pub(crate) fn has_left(&self) -> bool {
        let Some(Routing { admit: Admit::Hold, close: Some(closing), .. }) = &self.routing else { return false };
        let planned = closing.reason != EndReason::Failover && closing.allowed.is_none();
        planned && self.told.is_some_and(|(order, _, _, confirmed)| order == closing.id && confirmed)
    }

    /// May both sides be written at once during a planned change?
    pub(crate) fn overlaps(&self) -> bool {
        self.spec.failback.overlap == Overlap::Allow || self.spec.failback.migrate != Migrate::Close
    }

    /// The machine hears that the server is at this address. Is it another one than before?
    pub(crate) fn moves(&mut self, server: usize, to: SocketAddr) -> bool {
        self.resolved[server].replace(to).is_some_and(|before| before != to)
    }

    /// Is the server active, or about to be?
    pub(crate) fn is_on(&self, server: usize) -> bool {
        let stored = self.acknowledged.iter().chain(self.writing.iter().map(|(_, record)| record));
        stored.chain(self.disk.last()).any(|record| *record.upstream == *NAMES[server])
    }

    /// Where the table sends newcomers.
    pub(crate) fn way(&self) -> Option<Dial> {
        let routing = self.routing.as_ref()?;
        let Admit::To { upstream, addresses, .. } = &routing.admit else { return None };
        let server = NAMES.iter().position(|name| **name == **upstream)?;
        Some(Dial { epoch: routing.epoch, server, port: addresses.first()?.port() })
    }
}

impl World {
    pub(crate) fn tell_after(&mut self, wait: Duration, input: Input) {
        let incarnation = self.proxy.incarnation;
        self.after(wait, Event::Input(incarnation, Box::new(input)));
    }

    /// The process starts, with what is on the disk.
    pub(crate) fn proxy_starts(&mut self) {
        let damaged = self.scenario.unreadable && self.proxy.incarnation == 1 && !self.proxy.disk.is_empty();
        self.proxy.unreadable |= damaged;
        let stored = if self.proxy.unreadable {
            Stored::Unreadable(self.proxy.disk.iter().map(|record| record.epoch).max().unwrap_or_default())
        } else {
            self.proxy.disk.last().map_or(Stored::Nothing, |record| Stored::Record(Box::new(record.clone())))
        };
        self.log(|| format!("the proxy starts with {stored:?}"));
        self.proxy.incarnation += 1;
        self.proxy.acknowledged = self.proxy.disk.last().cloned().filter(|_| !matches!(stored, Stored::Unreadable(_)));
        let incarnation = self.proxy.incarnation;
        let start =
            Start { spec: self.proxy.spec.clone(), stored, origin: Origin::Own, incarnation, seed: self.chance.draw() };
        self.proxy.machine = Some(PairMachine::new(start, self.now));
        self.carry_out_effects();
        self.machine_wakes(self.proxy.incarnation, None);
        if self.troubles > 0 {
            self.tell_after(Duration::ZERO, Input::LocalTrouble(true));
        }
        for number in 0..NAMES.len() {
            let wait = self.chance.millis(0, 30);
            self.resolve(number, wait);
        }
    }

    /// The process dies: sessions are cut; what was on its way to the disk is there or not.
    pub(crate) fn proxy_dies(&mut self) {
        if self.proxy.machine.take().is_none() {
            return;
        }
        self.log(|| "the proxy is killed".into());
        for (_, record) in std::mem::take(&mut self.proxy.writing) {
            // A torn record is no record, and nothing after it can be.
            if self.proxy.disk_full || !self.chance.percent(50) {
                break;
            }
            self.proxy.disk.push(record);
            self.proxy.unreadable = false;
        }
        let fresh = Self::reborn(&mut self.proxy);
        self.proxy = fresh;
        self.judge.forget_tickets();
        for worker in 0..self.workers.len() {
            for session in std::mem::take(&mut self.workers[worker]).sessions {
                self.clients[session.client].session = None;
                let wait = self.chance.millis(20, 400);
                self.after(wait, Event::ClientConnects(session.client));
            }
        }
    }

    /// What of the process outlives it.
    fn reborn(dead: &mut Proxy) -> Proxy {
        let (unreadable, disk_full, incarnation) = (dead.unreadable, dead.disk_full, dead.incarnation);
        let disk = std::mem::take(&mut dead.disk);
        Proxy { unreadable, disk_full, incarnation, ..Proxy::new(dead.spec.clone(), disk) }
    }

    pub(crate) fn input(&mut self, incarnation: u32, input: Input) {
        if incarnation != self.proxy.incarnation || self.proxy.machine.is_none() {
            return;
        }
        if self.now < self.proxy.frozen_until {
            return self.at(self.proxy.frozen_until, Event::Input(incarnation, Box::new(input)));
        }
        self.before_input(&input);
        let now = self.now;
        if let Some(machine) = &mut self.proxy.machine {
            machine.handle_input(now, input);
        }
        self.carry_out_effects();
    }

    /// The machine's time has come; `due` is the time it asked for.
    pub(crate) fn machine_wakes(&mut self, incarnation: u32, due: Option<Time>) {
        if incarnation != self.proxy.incarnation || self.proxy.machine.is_none() {
            return;
        }
        if self.now < self.proxy.frozen_until {
            return self.at(self.proxy.frozen_until, Event::Wake(incarnation, due));
        }
        if due.is_some() && due != self.proxy.wake {
            return;
        }
        let now = self.now;
        if let Some(machine) = &mut self.proxy.machine {
            machine.handle_timeout(now);
        }
        self.carry_out_effects();
    }

    fn carry_out_effects(&mut self) {
        let mut count = 0;
        while let Some(effect) = self.proxy.machine.as_mut().and_then(PairMachine::poll_effect) {
            count += 1;
            if let Some(left) = &mut self.proxy.dies_after {
                if *left == 0 {
                    self.proxy_dies();
                    let wait = self.chance.millis(10, 3000);
                    return self.after(wait, Event::ProxyStarts);
                }
                *left -= 1;
            }
            self.carry_out_effect(effect);
        }
        self.require(count < 100, "what one input causes is bounded");
        let Some(wake) = self.proxy.machine.as_ref().and_then(PairMachine::next_timeout) else { return };
        if self.proxy.wake != Some(wake) {
            self.proxy.wake = Some(wake);
            let late = self.chance.millis(0, 2);
            self.at(wake.max(self.now) + late, Event::Wake(self.proxy.incarnation, Some(wake)));
        }
        self.judge_machine(wake);
    }

    fn carry_out_effect(&mut self, effect: Effect) {
        match effect {
            Effect::StartCheck { check, upstream, timeout } => self.check_starts(check, &upstream, timeout),
            Effect::Persist(id, record) => {
                self.log(|| format!("store {record:?}"));
                self.proxy.writing.push_back((id, *record));
                let took = if self.proxy.disk_slow { self.chance.millis(50, 2500) } else { self.chance.millis(0, 5) };
                self.after(took, Event::DiskDone(self.proxy.incarnation, id));
            }
            Effect::Publish(routing) => {
                self.log(|| format!("publish {routing:?}"));
                self.judge_routing(&routing);
                self.proxy.routing = Some(routing);
                for worker in 0..self.workers.len() {
                    let late = if self.chance.percent(5) { 250 } else { 10 };
                    let wait = self.chance.millis(0, late);
                    self.after(wait, Event::WorkerObeys(self.proxy.incarnation, worker));
                }
            }
            Effect::PollSignal => {
                let done = (!self.chance.percent(10)).then_some(self.source_says());
                let wait = self.chance.millis(5, 300);
                self.tell_after(wait, Input::SignalPolled { done });
            }
            Effect::Answer(ticket, verdict) => self.judge_answer(ticket, &verdict),
            Effect::Note(note) => {
                self.log(|| format!("{note:?}"));
                self.judge_note(&note);
                self.adversary(&note);
            }
        }
    }

    /// The disk is through with a record.
    pub(crate) fn disk_done(&mut self, incarnation: u32, id: PersistId) {
        if incarnation != self.proxy.incarnation || self.proxy.writing.front().is_none_or(|(first, _)| *first != id) {
            return;
        }
        let Some((_, record)) = self.proxy.writing.pop_front() else { return };
        if self.proxy.disk_full {
            return self.tell_after(Duration::ZERO, Input::PersistFailed(id));
        }
        self.proxy.disk.push(record);
        self.proxy.unreadable = false;
        self.tell_after(Duration::ZERO, Input::Persisted(id));
    }

    fn check_starts(&mut self, check: CheckId, upstream: &str, timeout: Duration) {
        self.judge.check_started(self.now);
        let Some(server) = NAMES.iter().position(|name| *name == upstream) else { return };
        let soon = self.chance.millis(0, 4);
        let passed = |took| (took, CheckResult::Passed { took });
        let silent = (timeout, CheckResult::TimedOut);
        let (took, result) = match self.servers[server].condition {
            _ if self.proxy.no_descriptors => (soon, CheckResult::Local("too many open files".into())),
            _ if self.no_ports[server] => (soon, CheckResult::Local("no free port".into())),
            _ if self.is_cut_off_from(server) => silent,
            Condition::Alive => passed(soon),
            Condition::Dead => (soon, CheckResult::Refused),
            Condition::Silent | Condition::Unreachable => silent,
            Condition::Slow if self.chance.percent(70) => silent,
            Condition::Slow => passed(timeout * 9 / 10),
            Condition::Wrong => (soon, CheckResult::Wrong("no greeting".into())),
        };
        let (result, late) = match result {
            CheckResult::Passed { .. } if self.late_prober[server] => {
                let slack = Duration::from_millis(100).max(timeout / 4);
                (CheckResult::TimedOut, timeout.saturating_sub(took) + slack + self.chance.millis(1, 900))
            }
            CheckResult::TimedOut => (result, self.chance.millis(0, 5)),
            _ => (result, Duration::ZERO),
        };
        self.after(took + late, Event::CheckEnds(self.proxy.incarnation, check, Box::new(result), timeout, self.now));
    }

    /// A prober that was frozen over its deadline finds an answer, or says that there was none.
    pub(crate) fn check_ends(
        &mut self,
        incarnation: u32,
        check: CheckId,
        result: CheckResult,
        timeout: Duration,
        began: Time,
    ) {
        if self.now < self.proxy.frozen_until && incarnation == self.proxy.incarnation {
            let over = self.proxy.frozen_until.since(began) > timeout;
            let result = if over && self.chance.percent(50) { CheckResult::TimedOut } else { result };
            let event = Event::CheckEnds(incarnation, check, Box::new(result), timeout, began);
            return self.at(self.proxy.frozen_until, event);
        }
        self.input(incarnation, Input::CheckDone { check, result });
    }

    /// One worker says how far it is; the driver sums up.
    pub(crate) fn worker_reports(&mut self, worker: usize) {
        let Some(report) = self.progress_of(worker) else { return };
        self.proxy.reports.insert(worker, report);
        let Some(order) = self.proxy.routing.as_ref().and_then(|routing| routing.close.as_ref()).map(|close| close.id)
        else {
            return;
        };
        let seen = || self.proxy.reports.values().filter(|(seen, ..)| *seen == order);
        let (left, exempt) = seen().fold((0, 0), |(left, exempt), report| (left + report.1, exempt + report.2));
        let complete = seen().count() == self.workers.len();
        let confirmed = left == 0 && complete;
        let told = (order, left, exempt, complete);
        if self.proxy.told != Some(told) {
            self.proxy.told = Some(told);
            self.input(self.proxy.incarnation, Input::Progress { order, left, exempt, complete, confirmed });
        }
    }

    /// The resolver finds the server's addresses after a while.
    pub(crate) fn resolve(&mut self, number: usize, wait: Duration) {
        if role(&self.proxy.spec, number).is_none() {
            return;
        }
        let address: SocketAddr = ([10, 0, 0, number as u8 + 1], 4100 + u16::from(self.servers[number].moves)).into();
        self.tell_after(wait, Input::Resolved(NAMES[number].into(), Arc::new([address])));
    }
}
