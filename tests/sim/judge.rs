//! What must hold after every step, whatever happens. The first rule that is broken ends the run.

use crate::{
    faults::is_ordered,
    scenario::{NAMES, role},
    world::World,
};
use failback::{
    decide::{
        effect::{Note, PairRecord, Routing, Ticket, Verdict},
        input::{Input, Order},
    },
    model::{
        EndReason, Epoch, Side, Time, TransitionReason as Reason,
        spec::{Admission, FailbackWhen},
        table::Admit,
        view::{PairStateName as State, UpstreamRole},
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Somebody who waits for an answer.
#[derive(Debug)]
struct Asked {
    at: Time,
    epoch: Option<Epoch>,
    /// Whom a signal was about, if it was a lie when it came.
    lie_about: Option<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// The rule that was broken.
    pub(crate) broken: Option<String>,
    /// Everybody is served again.
    pub(crate) satisfied: bool,
    pub(crate) deadline: Option<Time>,
    /// The highest epoch ever published, over restarts too.
    pub(crate) epoch: Epoch,
    /// The upstream the machine said last that it is on.
    pub(crate) upstream: Option<String>,
    /// The last change of upstream: to which server, and was the old side to be left before the new one is entered?
    entered: Option<(Epoch, usize, bool)>,
    /// The highest epoch under which a session was opened.
    opened: Epoch,
    /// Towards the primary, towards a backup: somebody said that a change is to come whatever is lost by it. It may have to wait
    /// behind others.
    forced: [bool; 2],
    forgiven: [bool; NAMES.len()],
    deceived: [bool; NAMES.len()],
    /// In which incarnation and epoch the polled source was seen not done.
    not_done: Option<(u32, Epoch)>,
    /// What was in force before the newest record was.
    before: Option<PairRecord>,
    asked: BTreeMap<Ticket, Asked>,
    checks: VecDeque<Time>,
    last_order: Option<(u32, u64)>,
    idle_wakes: u32,
    looks: u64,
}

impl Judge {
    /// Was the side of this epoch left for another one?
    pub(crate) fn is_left(&self, epoch: Epoch) -> bool {
        self.entered.is_some_and(|(entered, ..)| epoch < entered)
    }

    /// The process died; nobody will be answered.
    pub(crate) fn forget_tickets(&mut self) {
        self.asked.clear();
    }

    /// The server is whole, whatever was said about it before.
    pub(crate) fn truth_again(&mut self, server: usize) {
        self.deceived[server] = false;
    }

    pub(crate) fn check_started(&mut self, now: Time) {
        self.checks.push_back(now);
        while self.checks.front().is_some_and(|at| now.since(*at) > Duration::from_secs(1)) {
            self.checks.pop_front();
        }
        if self.checks.len() > 3 * 120 {
            self.broken.get_or_insert("checks are bounded".into());
        }
    }
}

impl World {
    pub(crate) fn require(&mut self, holds: bool, rule: &str) {
        if !holds && self.judge.broken.is_none() {
            self.log(|| format!("BROKEN: {rule}"));
            self.judge.broken = Some(format!("at {:?}: {rule}", self.now));
        }
    }

    /// The machine is about to hear this.
    pub(crate) fn before_input(&mut self, input: &Input) {
        match input {
            Input::ResyncSignal { ticket, of, epoch } => {
                let about = self.signal_target(*of).filter(|target| self.servers[*target].lacks);
                let asked = Asked { at: self.now, epoch: *epoch, lie_about: about };
                self.judge.asked.insert(*ticket, asked);
            }
            Input::Order { ticket, order } => {
                let asked = Asked { at: self.now, epoch: None, lie_about: None };
                self.judge.asked.insert(*ticket, asked);
                let abort = Order::Migration(failback::decide::input::MigrationOrder::Abort);
                match order {
                    Order::Switch { force: true, to, .. } => self.judge.forced[usize::from(*to == Side::Backup)] = true,
                    order if *order == abort => self.judge.forced = [true; 2],
                    _ => {}
                }
            }
            Input::SignalPolled { done: Some(false) } => {
                self.judge.not_done = Some((self.proxy.incarnation, self.judge.epoch));
            }
            Input::SignalPolled { done: Some(true) } => {
                // What says "done" before it ever said "not done" must not be believed; after that it is believed.
                let seen = self.judge.not_done == Some((self.proxy.incarnation, self.judge.epoch));
                self.judge.deceived[0] |= seen && self.servers[0].lacks;
            }
            Input::Resolved(name, addresses) => {
                let server = NAMES.iter().position(|other| **other == **name);
                if let Some((server, address)) = server.zip(addresses.first())
                    && self.proxy.moves(server, *address)
                    && !self.proxy.is_on(server)
                    && server != self.reference
                {
                    // The name leads to another machine, which holds nothing yet, whatever was said about the one before it.
                    self.servers[server].is_replaced();
                    self.judge.deceived[server] = false;
                    self.source_done &= server != 0;
                }
            }
            Input::Persisted(_) => {
                self.judge.before = self.proxy.acknowledged.take();
                self.proxy.acknowledged = self.proxy.disk.last().cloned();
            }
            _ => {}
        }
        let patient = self.judge.asked.values().all(|asked| self.now.since(asked.at) < Duration::from_secs(60));
        self.require(patient, "everybody who asks is answered");
        self.require(self.judge.asked.len() <= 100, "those who wait are bounded");
    }

    pub(crate) fn judge_answer(&mut self, ticket: Ticket, verdict: &Verdict) {
        let Some(asked) = self.judge.asked.remove(&ticket) else {
            return self.require(false, "nobody is answered twice");
        };
        if *verdict == Verdict::SignalAccepted {
            let epoch = self.proxy.acknowledged.as_ref().map(|record| record.epoch);
            self.require(
                asked.epoch.is_none_or(|given| Some(given) == epoch),
                "a signal of another epoch is ignored (N5)",
            );
            if let Some(server) = asked.lie_about.filter(|server| self.servers[*server].lacks) {
                self.judge.deceived[server] = true;
            }
        }
    }

    pub(crate) fn judge_note(&mut self, note: &Note) {
        let Note::Transition { from, to, from_upstream, to_upstream, epoch, reason } = note else { return };
        self.judge.upstream = Some(to_upstream.to_string());
        if *reason == Reason::SignalRevoked {
            self.judge.deceived = Default::default();
        }
        if *to == State::Resynced {
            self.require(self.proxy.spec.primary.is_some(), "only a pair with a primary is ever resynced");
        }
        if from_upstream == to_upstream {
            return;
        }
        let number = |name: &str| NAMES.iter().position(|other| *other == name).unwrap_or(NAMES.len());
        let (left, entered) = (number(from_upstream), number(to_upstream));
        self.judge_move((left, entered), *from, *epoch, *reason);
    }

    /// The active upstream changed.
    fn judge_move(&mut self, (left, entered): (usize, usize), from: State, epoch: Epoch, reason: Reason) {
        let wanted = is_ordered(reason) || matches!(reason, Reason::PrimaryResynced | Reason::PrimaryPolled);
        let left_by_all = wanted && self.proxy.has_left();
        let status = self.proxy.machine.as_ref().map(|machine| machine.status(self.now));
        let planned = left_by_all || status.is_some_and(|status| status.migration.is_some());
        let removed = role(&self.proxy.spec, left).is_none();
        let ordered = is_ordered(reason);
        let roles = (role(&self.proxy.spec, left), role(&self.proxy.spec, entered));
        let astray = roles == (Some(UpstreamRole::Backup), Some(UpstreamRole::Backup)) && !ordered;
        self.require(!astray, "no other backup is used by itself after one has served");
        let (bound, latched) = match &self.judge.before {
            Some(before) if !ordered => (before.frozen || before.pinned, before.latched),
            _ => (false, false),
        };
        self.require(!bound, "a frozen or pinned pair changes no side by itself");
        self.require(!(latched && roles.1 == Some(UpstreamRole::Primary)), "a latched pair does not return by itself");
        if !planned && from != State::NoServer && !removed {
            let health = &self.proxy.spec.health;
            let span = health.interval * (health.fall + 2) + health.timeout * 3 + Duration::from_secs(4);
            let at_fault = self.servers[left].was_at_fault(self.now, span);
            self.require(at_fault, "a side is cut only if its server was really at fault");
        }
        if reason == Reason::BackupAdmitted {
            let at_fault = self.servers[left].was_at_fault(self.now, Duration::from_secs(10));
            self.require(at_fault || removed, "a backup takes over only from a server that is really at fault");
        }
        let strict = left_by_all && !self.proxy.overlaps();
        self.judge.entered = Some((epoch, entered, strict));
        if planned && !strict && !self.servers[entered].lacks {
            // Both sides are written for a while, and the servers merge that; the truth is the new side's from now on.
            self.reference = entered;
        }
        for other in (0..NAMES.len()).filter(|other| *other != entered) {
            self.judge.forgiven[other] = false;
            self.judge.deceived[other] = false;
        }
        if ordered {
            let side = usize::from(roles.1 != Some(UpstreamRole::Primary));
            self.judge.forgiven[entered] |= std::mem::take(&mut self.judge.forced[side]);
        }
    }

    pub(crate) fn judge_routing(&mut self, routing: &Routing) {
        self.require(routing.epoch >= self.judge.epoch, "the epoch never falls");
        self.judge.epoch = self.judge.epoch.max(routing.epoch);
        if let Admit::To { upstream, addresses, side, .. } = &routing.admit {
            let stored = self.proxy.acknowledged.as_ref();
            let there = stored.is_some_and(|record| record.epoch == routing.epoch && record.upstream == *upstream);
            self.require(there, "clients are routed only to what is on the disk");
            let on_disk = self.proxy.disk.last().is_some_and(|record| record.epoch >= routing.epoch);
            self.require(on_disk, "the disk is never behind what is acted on");
            self.require(!addresses.is_empty(), "somewhere to dial");
            let known = NAMES.iter().position(|name| **name == **upstream).and_then(|it| role(&self.proxy.spec, it));
            let right = match known {
                Some(UpstreamRole::Primary) => *side == Side::Primary,
                Some(UpstreamRole::Backup) => *side == Side::Backup,
                Some(UpstreamRole::Elsewhere) => false,
                // Removed this instant; the machine has not heard of it yet.
                None => self.scenario.reconfigures,
            };
            self.require(right, "clients are sent to the pair's own servers, under their right side");
        }
        if let Some(closing) = &routing.close {
            let last = self.judge.last_order.filter(|(incarnation, _)| *incarnation == self.proxy.incarnation);
            self.require(last.is_none_or(|(_, id)| closing.id >= id), "the numbers of close orders rise");
            self.judge.last_order = Some((self.proxy.incarnation, closing.id));
            self.require(
                closing.reason != EndReason::Failback || closing.spare_exempt,
                "a failback spares exempt clients (N4)",
            );
        }
    }

    pub(crate) fn judge_worker_epoch(&mut self, before: Epoch, after: Epoch) {
        self.require(after >= before, "no worker sees the epoch fall");
    }

    /// A session is opened: the first byte may flow.
    pub(crate) fn judge_admission(&mut self, server: usize, epoch: Epoch, exempt: bool) {
        let Some(used_as) = role(&self.proxy.spec, server) else { return };
        let spec = &self.proxy.spec;
        let trusted = match used_as {
            UpstreamRole::Primary => spec.failback.when == FailbackWhen::Poll,
            UpstreamRole::Backup => spec.admission == Admission::Healthy || spec.primary.is_none(),
            UpstreamRole::Elsewhere => false,
        };
        let excused = trusted || self.judge.forgiven[server] || self.judge.deceived[server];
        let whole = !self.servers[server].lacks || excused || server == self.reference;
        self.require(whole, "no client is routed to a server that lacks an acknowledged write (X1)");
        self.judge_side(server, epoch, exempt);
        if epoch >= self.judge.opened {
            self.judge.opened = epoch;
            if self.reference != server {
                self.log(|| format!("what {} holds is the truth now", NAMES[server]));
            }
            self.reference = server;
            self.servers[server].is_whole();
        }
    }

    /// A client's bytes go to the server, under the epoch its session was opened in.
    pub(crate) fn judge_write(&mut self, server: usize, epoch: Epoch, exempt: bool) {
        self.judge_side(server, epoch, exempt);
    }

    fn judge_side(&mut self, server: usize, epoch: Epoch, exempt: bool) {
        let Some((entered, now_on, strict)) = self.judge.entered else { return };
        let new_side_is_open = self.judge.opened >= entered && strict;
        let astray = new_side_is_open && epoch < entered && server != now_on && !exempt;
        self.require(!astray, "with overlap = none, no two sides are written at once");
    }

    /// After every turn of the machine.
    pub(crate) fn judge_machine(&mut self, wake: Time) {
        self.judge.idle_wakes = if wake <= self.now { self.judge.idle_wakes + 1 } else { 0 };
        self.require(self.judge.idle_wakes < 20, "the machine does not ask for times that have passed");
        self.judge.looks += 1;
        if !self.judge.looks.is_multiple_of(8) {
            return;
        }
        let Some(machine) = &self.proxy.machine else { return };
        let Some(stored) = &self.proxy.acknowledged else { return };
        let status = machine.status(self.now);
        let same = (status.epoch, &status.active_upstream) == (stored.epoch, &stored.upstream)
            && (status.pinned, status.latched, status.frozen) == (stored.pinned, stored.latched, stored.frozen);
        let whole = same || self.proxy.disk.len() == 1;
        self.require(whole, "what is in force is what is on the disk");
    }
}
