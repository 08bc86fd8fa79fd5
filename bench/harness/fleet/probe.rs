//! One probe: it keeps a connection, sends an event whenever one is due, and sends again on a new connection what the old
//! one left unanswered.

use super::{
    super::{
        args::Fleet,
        meter::Meter,
        reactor::{Interest, Reactor},
        store::Union,
        wire::{Ask, Event, FRAME, Hello, Kind, ServerName},
    },
    Ledger,
};
use anyhow::ensure;
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    collections::VecDeque,
    io::{self, ErrorKind::WouldBlock, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Events on their way at a time; what is due beyond that waits, and its latency counts.
const WINDOW: usize = 64;

pub(super) struct Probe {
    id: u64,
    target: SocketAddr,
    interval: Duration,
    retry: Duration,
    patience: Duration,
    next_due: Option<Instant>,
    next_seq: u64,
    /// Due and not acknowledged, oldest first.
    open: VecDeque<Open>,
    link: Link,
    /// Since when this probe has been without an answer, from a cut to the next acknowledgement.
    cut_since: Option<Instant>,
}

struct Open {
    seq: u64,
    due: Instant,
    sent: Option<Instant>,
    attempts: u32,
}

enum Link {
    Down { retry_at: Instant },
    Up(Session),
}

struct Session {
    socket: Socket,
    dialled: Instant,
    asked: bool,
    server: Option<ServerName>,
    partial: Vec<u8>,
    heard: Instant,
}

impl Probe {
    pub(super) fn new(id: u64, args: &Fleet) -> Self {
        Self {
            id,
            target: args.target.target,
            interval: Duration::from_secs_f64(1.0 / args.rate),
            retry: Duration::from_millis(args.retry_ms),
            patience: Duration::from_millis(args.patience_ms),
            next_due: None,
            next_seq: 0,
            open: VecDeque::new(),
            link: Link::Down { retry_at: Instant::now() },
            cut_since: None,
        }
    }

    pub(super) fn unanswered(&self) -> u64 {
        self.open.len() as u64
    }

    /// Acknowledged events that no store holds.
    pub(super) fn lost(&self, union: &Union) -> u64 {
        let open = |seq| self.open.iter().any(|event| event.seq == seq);
        (0..self.next_seq).filter(|seq| !open(*seq) && !union.has(self.id, *seq)).count() as u64
    }

    /// Does what is due: new events while the run `goes_on`, a try to connect, giving up a silent server.
    pub(super) fn tick(&mut self, now: Instant, goes_on: bool, reactor: &Reactor, ledger: &mut Ledger) {
        // Spread over the first interval, so that the fleet doesn't send in step.
        let first = self.interval.mul_f64((self.id as f64 * 0.618).fract());
        let mut due = *self.next_due.get_or_insert(now + first);
        while goes_on && due <= now {
            self.open.push_back(Open { seq: self.next_seq, due, sent: None, attempts: 0 });
            self.next_seq += 1;
            due += self.interval;
        }
        self.next_due = Some(due);
        match &self.link {
            Link::Down { retry_at } if *retry_at <= now => self.dial(now, reactor, ledger),
            Link::Down { .. } => {}
            Link::Up(session) if !self.open.is_empty() && now > session.heard + self.patience => self.cut(ledger),
            Link::Up(_) => self.send(now, ledger),
        }
    }

    fn dial(&mut self, now: Instant, reactor: &Reactor, ledger: &mut Ledger) {
        match dial(self.target, self.id, reactor) {
            Ok(socket) => {
                self.link = Link::Up(Session {
                    socket,
                    dialled: now,
                    asked: false,
                    server: None,
                    partial: Vec::new(),
                    heard: now,
                });
            }
            Err(_) => self.cut(ledger),
        }
    }

    /// The connection is over: everything unanswered will be sent again.
    fn cut(&mut self, ledger: &mut Ledger) {
        let now = Instant::now();
        let greeted = matches!(&self.link, Link::Up(session) if session.server.is_some());
        if greeted {
            ledger.counts.cuts += 1;
            let oldest = self.open.iter().map(|event| event.due).min();
            self.cut_since.get_or_insert(oldest.map_or(now, |oldest| oldest.min(now)));
        } else {
            ledger.counts.refusals += 1;
        }
        self.open.iter_mut().for_each(|event| event.sent = None);
        self.link = Link::Down { retry_at: now + self.retry };
    }

    fn send(&mut self, now: Instant, ledger: &mut Ledger) {
        let Link::Up(session) = &mut self.link else { return };
        if session.server.is_none() {
            return;
        }
        let mut frames = Vec::new();
        for event in self.open.iter_mut().take(WINDOW).filter(|event| event.sent.is_none()) {
            let frame = Event { probe: self.id, seq: event.seq, attempt: event.attempts };
            frames.extend_from_slice(&frame.encode());
            ledger.counts.sent += u64::from(event.attempts == 0);
            ledger.counts.resent += u64::from(event.attempts > 0);
            event.sent = Some(now);
            event.attempts += 1;
        }
        // The window fits any socket buffer; anything less than all of it is a connection not worth keeping.
        if !frames.is_empty() && !matches!(session.socket.write(&frames), Ok(sent) if sent == frames.len()) {
            self.cut(ledger);
        }
    }

    /// Reads what has come.
    pub(super) fn serve(&mut self, reactor: &Reactor, ledger: &mut Ledger, meter: &mut Meter) {
        let Link::Up(session) = &mut self.link else { return };
        match session.turn(self.id, reactor) {
            Ok(true) => {}
            Ok(false) | Err(_) => return self.cut(ledger),
        }
        if self.frames(ledger, meter).is_err() {
            meter.misrouted();
            return self.cut(ledger);
        }
        self.send(Instant::now(), ledger);
    }

    fn frames(&mut self, ledger: &mut Ledger, meter: &mut Meter) -> anyhow::Result<()> {
        let Link::Up(session) = &mut self.link else { return Ok(()) };
        let mut used = 0;
        while let Some(frame) = session.partial[used..].first_chunk::<FRAME>() {
            used += FRAME;
            session.heard = Instant::now();
            let Some(server) = session.server else {
                let hello = Hello::decode(frame)?;
                ensure!(hello.id == self.id, "the Hello of another");
                session.server = Some(hello.name);
                ledger.greeted(hello, session.dialled);
                continue;
            };
            let event = Event::decode(frame)?;
            ensure!(event.probe == self.id, "the acknowledgement of another");
            let expected = |open: &Open| open.seq == event.seq && open.attempts == event.attempt + 1;
            ensure!(self.open.front().is_some_and(expected), "an acknowledgement out of order");
            let Some(open) = self.open.pop_front() else { continue };
            meter.operation(open.due.elapsed());
            ledger.acknowledged(server, open.sent.unwrap_or(open.due));
            if let Some(since) = self.cut_since.take() {
                ledger.gaps.saturating_record(since.elapsed().as_nanos() as u64);
            }
        }
        session.partial.drain(..used);
        Ok(())
    }
}

impl Session {
    /// Reads once, after having asked; `false`: the connection is over.
    fn turn(&mut self, id: u64, reactor: &Reactor) -> io::Result<bool> {
        if !self.asked {
            if let Some(error) = self.socket.take_error()? {
                return Err(error);
            }
            self.socket.write_all(&Ask { kind: Kind::Store, id }.encode())?;
            self.asked = true;
            reactor.change(&self.socket, id as usize, Interest::Read)?;
            return Ok(true);
        }
        let mut bytes = [0; WINDOW * FRAME];
        match self.socket.read(&mut bytes) {
            Ok(0) => Ok(false),
            Ok(got) => {
                self.partial.extend_from_slice(&bytes[..got]);
                Ok(true)
            }
            Err(error) if error.kind() == WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }
}

fn dial(target: SocketAddr, id: u64, reactor: &Reactor) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM.nonblocking(), None)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&SockAddr::from(target)) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => return Err(error),
        _ => {}
    }
    reactor.add(&socket, id as usize, Interest::Both)?;
    Ok(socket)
}
