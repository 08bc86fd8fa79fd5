//! The data plane: workers that obey the table late, sessions, dials in flight, clients that come back.

use crate::{
    proxy::Dial,
    scenario::NAMES,
    world::{Event, World},
};
use failback::{
    decide::effect::Closing,
    model::{EndReason, Epoch, Time, ports::Evidence},
};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) exempt: bool,
    /// The session it has, if any: worker and number.
    pub(crate) session: Option<(usize, u64)>,
    pub(crate) writes_every: Duration,
    pub(crate) acknowledged: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Held,
    /// Under this epoch, to this server.
    Dialling(Dial),
    Open,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) client: usize,
    pub(crate) phase: Phase,
    pub(crate) server: usize,
    pub(crate) epoch: Epoch,
    /// Waits to be closed; or is being closed.
    pub(crate) condemned: bool,
    pub(crate) ending: bool,
    since: Time,
}

#[derive(Debug, Default)]
pub(crate) struct Worker {
    pub(crate) sessions: Vec<Session>,
    pub(crate) seen_order: Option<u64>,
    seen_epoch: Epoch,
    /// What it tells newcomers; `None`: wait.
    way: Option<Dial>,
}

impl World {
    /// A client connects, if the proxy is there.
    pub(crate) fn client_connects(&mut self, client: usize) {
        if self.clients[client].session.is_some() {
            return;
        }
        if self.proxy.machine.is_none() {
            return self.client_retries(client);
        }
        let worker = self.chance.below(self.workers.len());
        let id = self.fresh();
        let since = self.now;
        let epoch = self.workers[worker].seen_epoch;
        let phase = Phase::Held;
        let session = Session { id, client, phase, server: 0, epoch, condemned: false, ending: false, since };
        self.workers[worker].sessions.push(session);
        self.clients[client].session = Some((worker, id));
        self.after(self.proxy.spec.hold.time, Event::HoldExpires(worker, id));
        self.go_on(worker, id);
    }

    fn client_retries(&mut self, client: usize) {
        let wait = self.chance.millis(20, 400);
        self.after(wait, Event::ClientConnects(client));
    }

    /// A held session is dialled, if the table says where to.
    fn go_on(&mut self, worker: usize, id: u64) {
        let Some(way) = self.workers[worker].way else { return };
        let took = self.chance.millis(0, 20);
        let Some(session) = self.session(worker, id) else { return };
        session.phase = Phase::Dialling(way);
        self.after(took, Event::DialEnds(worker, id, way));
    }

    pub(crate) fn hold_expires(&mut self, worker: usize, id: u64) {
        if self.session(worker, id).is_some_and(|session| session.phase == Phase::Held) {
            self.session_ends(worker, id);
        }
    }

    pub(crate) fn dial_ends(&mut self, worker: usize, id: u64, dial: Dial) {
        let Some(session) = self.session(worker, id) else { return };
        if session.phase != Phase::Dialling(dial) {
            return;
        }
        let (client, exempt) = (session.client, self.clients[self.client_of(worker, id)].exempt);
        let cut_off = self.is_cut_off_from(dial.server);
        if !self.servers[dial.server].serves() || cut_off {
            let silent = self.servers[dial.server].condition != crate::servers::Condition::Dead || cut_off;
            let evidence = if silent { Evidence::DialTimedOut } else { Evidence::DialRefused };
            self.evidence(dial.server, evidence);
            // Never the other side: the client waits until the same side answers or the table changes.
            let again = if silent { self.chance.millis(500, 2000) } else { self.chance.millis(20, 100) };
            return self.after(again, Event::DialEnds(worker, id, dial));
        }
        if let Some(session) = self.session(worker, id) {
            session.phase = Phase::Open;
            session.server = dial.server;
            session.epoch = dial.epoch;
        }
        self.judge_admission(dial.server, dial.epoch, exempt);
        self.client_writes(client);
    }

    /// A client writes through its session, and goes on doing so.
    pub(crate) fn client_writes(&mut self, client: usize) {
        let Some((worker, id)) = self.clients[client].session else { return };
        let Some(session) = self.session(worker, id) else { return };
        if session.phase != Phase::Open {
            return;
        }
        let (server, epoch, exempt) = (session.server, session.epoch, self.clients[client].exempt);
        self.judge_write(server, epoch, exempt);
        if self.servers[server].serves() && !self.is_cut_off_from(server) {
            self.clients[client].acknowledged = self.now;
            // What an exempt client writes on a side that was left is for the servers to merge, as its exemption says.
            if server == self.reference && !self.judge.is_left(epoch) {
                let bridged = self.bridged;
                let now = self.now;
                for (number, other) in self.servers.iter_mut().enumerate() {
                    if number != server {
                        other.peer_wrote(now, bridged);
                    }
                }
            }
        } else if self.now.since(self.clients[client].acknowledged) > Duration::from_secs(3) {
            // No answer for too long: it gives up this connection.
            self.session_ends(worker, id);
            return;
        }
        let every = self.clients[client].writes_every;
        self.after(every, Event::ClientWrites(client, id));
    }

    /// The server's process is gone: what was established is cut, and the workers report it.
    pub(crate) fn cut_sessions(&mut self, server: usize) {
        for worker in 0..self.workers.len() {
            let cut: Vec<_> = self.workers[worker]
                .sessions
                .iter()
                .filter(|session| session.phase == Phase::Open && session.server == server)
                .map(|session| session.id)
                .collect();
            for id in cut {
                let evidence = self.chance.pick(&[Evidence::Reset, Evidence::Ended]);
                self.evidence(server, evidence);
                self.session_ends(worker, id);
            }
        }
    }

    fn evidence(&mut self, server: usize, evidence: Evidence) {
        let wait = self.chance.millis(0, 3);
        self.tell_after(wait, failback::decide::input::Input::Evidence { upstream: NAMES[server].into(), evidence });
    }

    /// The session is over; its client comes back.
    pub(crate) fn session_ends(&mut self, worker: usize, id: u64) {
        let Some(place) = self.workers[worker].sessions.iter().position(|session| session.id == id) else { return };
        let session = self.workers[worker].sessions.remove(place);
        self.clients[session.client].session = None;
        self.client_retries(session.client);
        if session.condemned {
            self.report(worker);
        }
    }

    /// A worker gets to see the newest table.
    pub(crate) fn worker_obeys(&mut self, worker: usize) {
        let Some(routing) = self.proxy.routing.clone() else { return };
        let way = self.proxy.way();
        self.judge_worker_epoch(self.workers[worker].seen_epoch, routing.epoch);
        let new_order = routing.close.as_ref().map(|close| close.id) != self.workers[worker].seen_order;
        let changed = self.workers[worker].way != way || self.workers[worker].seen_epoch != routing.epoch || new_order;
        self.workers[worker].seen_epoch = routing.epoch;
        self.workers[worker].way = way;
        if let Some(closing) = &routing.close {
            if new_order {
                self.condemn(worker, closing);
            }
            self.carry_out(worker, closing);
        }
        if changed {
            // A dial of another epoch, way or order is dropped before its first byte.
            let waiting: Vec<_> = self.workers[worker]
                .sessions
                .iter_mut()
                .filter(|session| session.phase != Phase::Open)
                .map(|session| {
                    session.phase = Phase::Held;
                    session.id
                })
                .collect();
            waiting.into_iter().for_each(|id| self.go_on(worker, id));
        }
        self.report(worker);
    }

    fn condemn(&mut self, worker: usize, closing: &Closing) {
        self.workers[worker].seen_order = Some(closing.id);
        let spared = closing.spare_upstream.as_deref();
        let exempt: Vec<_> = self.clients.iter().map(|client| client.exempt).collect();
        for session in &mut self.workers[worker].sessions {
            let spare = spared == Some(NAMES[session.server]) || (closing.spare_exempt && exempt[session.client]);
            session.condemned = session.ending || (session.phase == Phase::Open && !spare);
        }
    }

    /// Closes as many of the condemned, oldest first, as the order allows. Closing takes a moment, in which they still write.
    fn carry_out(&mut self, worker: usize, closing: &Closing) {
        let mut waiting: Vec<_> = self.workers[worker]
            .sessions
            .iter()
            .filter(|session| session.condemned && !session.ending)
            .map(|session| (session.since, session.id))
            .collect();
        waiting.sort_unstable();
        for (_, id) in waiting {
            if let Some(allowed) = closing.allowed {
                let taken = self.proxy.taken.entry(closing.id).or_default();
                if *taken >= allowed {
                    return;
                }
                *taken += 1;
            }
            let moment = self.chance.millis(0, 30);
            if let Some(session) = self.session(worker, id) {
                session.ending = true;
                self.after(moment, Event::SessionEnds(worker, id));
            }
            self.judge_closing(closing.reason, worker, id);
        }
    }

    /// The driver gets to see how far this worker is: a level, not an event, so that it always sees the newest.
    fn report(&mut self, worker: usize) {
        let wait = self.chance.millis(0, 5);
        self.after(wait, Event::WorkerReports(self.proxy.incarnation, worker));
    }

    /// The order the worker saw last, the condemned sessions it still has, and the exempt ones.
    pub(crate) fn progress_of(&self, worker: usize) -> Option<(u64, u64, u64)> {
        let worker = &self.workers[worker];
        let left = worker.sessions.iter().filter(|session| session.condemned).count() as u64;
        let exempt = |session: &&Session| session.phase == Phase::Open && self.clients[session.client].exempt;
        let exempt = worker.sessions.iter().filter(exempt).count() as u64;
        Some((worker.seen_order?, left, exempt))
    }

    pub(crate) fn session(&mut self, worker: usize, id: u64) -> Option<&mut Session> {
        self.workers[worker].sessions.iter_mut().find(|session| session.id == id)
    }

    fn client_of(&self, worker: usize, id: u64) -> usize {
        let found = self.workers[worker].sessions.iter().find(|session| session.id == id);
        found.map_or(0, |session| session.client)
    }

    fn judge_closing(&mut self, reason: EndReason, worker: usize, id: u64) {
        let exempt = self.clients[self.client_of(worker, id)].exempt;
        self.require(!(exempt && reason == EndReason::Failback), "a failback never closes an exempt client (N4)");
    }
}
