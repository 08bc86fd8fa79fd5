//! Small messages there and back on many long-lived sessions.

use super::{
    args::PingPong,
    client::{self, Reach},
    meter::Meter,
    pace::Pace,
    reactor::{Interest, Reactor},
    report::Report,
    stream::Stream,
    wire::Kind,
};
use std::{
    io::{ErrorKind::WouldBlock, Read, Write},
    time::Instant,
};

/// Runs it.
pub(crate) fn run(args: &PingPong) -> anyhow::Result<Report> {
    let sessions = client::open(&Reach::of(&args.target)?, Kind::Echo, args.sessions)?;
    let mut sessions =
        sessions.into_iter().enumerate().map(|(at, stream)| Session::new(at, stream)).collect::<Vec<_>>();
    let mut reactor = Reactor::new()?;
    for session in &sessions {
        reactor.add(session.stream.socket(), session.at, Interest::Read)?;
    }
    let mut meter = Meter::start(&args.target)?;
    let mut crowd = Crowd {
        message: vec![0x5a; args.size as usize],
        scratch: vec![0; args.size as usize],
        pace: args.rate.map(|rate| Pace::new(Instant::now(), rate, sessions.len())),
    };
    if crowd.pace.is_none() {
        sessions.iter_mut().for_each(|session| crowd.send(session, &reactor, &mut meter));
    }
    let mut ready = Vec::new();
    while meter.goes_on(Instant::now())? {
        crowd.send_what_is_due(&mut sessions, &reactor, &mut meter);
        let deadline = crowd.pace.as_ref().map_or(meter.deadline(), |pace| pace.next_due().min(meter.deadline()));
        reactor.wait(deadline, &mut ready)?;
        for event in &ready {
            let session = &mut sessions[event.token];
            if event.writable {
                crowd.push(session, &reactor, &mut meter);
            }
            if event.readable {
                crowd.receive(session, &reactor, &mut meter);
            }
        }
    }
    meter.finish("ping-pong")
}

struct Session {
    at: usize,
    stream: Stream,
    /// When the message under way was sent.
    sent_at: Instant,
    /// Messages answered.
    answered: u64,
    /// Messages due, not answered yet. Closed loop: the one under way.
    owed: u64,
    /// Bytes of the message under way still to be sent.
    unsent: usize,
    /// Bytes of its answer that came.
    got: usize,
    ended: bool,
}

impl Session {
    fn new(at: usize, stream: Stream) -> Self {
        Self { at, stream, sent_at: Instant::now(), answered: 0, owed: 0, unsent: 0, got: 0, ended: false }
    }

    /// What the message under way begins with, and so its answer.
    fn tag(&self) -> [u8; 8] {
        ((self.at as u64) << 40 | self.answered).to_le_bytes()
    }

    fn end(&mut self, reactor: &Reactor, meter: &mut Meter) {
        self.ended = true;
        meter.error();
        // Without this, what is over would stay ready for ever. If it fails, there is nothing left to watch.
        let _gone = reactor.forget(self.stream.socket());
    }
}

/// What all sessions share.
struct Crowd {
    message: Vec<u8>,
    scratch: Vec<u8>,
    pace: Option<Pace>,
}

impl Crowd {
    fn send_what_is_due(&mut self, sessions: &mut [Session], reactor: &Reactor, meter: &mut Meter) {
        let now = Instant::now();
        while let Some(at) = self.pace.as_mut().and_then(|pace| pace.due(now)) {
            sessions[at].owed += 1;
            if sessions[at].owed == 1 {
                self.send(&mut sessions[at], reactor, meter);
            }
        }
    }

    fn send(&mut self, session: &mut Session, reactor: &Reactor, meter: &mut Meter) {
        session.sent_at = Instant::now();
        session.unsent = self.message.len();
        session.got = 0;
        self.push(session, reactor, meter);
    }

    /// Sends what is left of the message under way.
    fn push(&mut self, session: &mut Session, reactor: &Reactor, meter: &mut Meter) {
        if session.ended {
            return;
        }
        self.message[..8].copy_from_slice(&session.tag());
        let had_to_wait = session.unsent < self.message.len() || session.stream.owes();
        let rest = &self.message[self.message.len() - session.unsent..];
        let sent = if rest.is_empty() { session.stream.pay().map(|_| 0) } else { session.stream.write(rest) };
        match sent {
            Ok(sent) => session.unsent -= sent,
            Err(error) if error.kind() == WouldBlock => {}
            Err(_) => return session.end(reactor, meter),
        }
        let waits = session.unsent > 0 || session.stream.owes();
        if waits || had_to_wait {
            let interest = if waits { Interest::Both } else { Interest::Read };
            if reactor.change(session.stream.socket(), session.at, interest).is_err() {
                session.end(reactor, meter);
            }
        }
    }

    fn receive(&mut self, session: &mut Session, reactor: &Reactor, meter: &mut Meter) {
        if session.ended {
            return;
        }
        let got = match session.stream.read(&mut self.scratch[session.got..]) {
            Ok(0) => return session.end(reactor, meter),
            Ok(got) => got,
            Err(error) if error.kind() == WouldBlock => return,
            Err(_) => return session.end(reactor, meter),
        };
        let (tag, from) = (session.tag(), session.got);
        let expected = tag.iter().enumerate().skip(from).take(got);
        if expected.map(|(at, byte)| (self.scratch[at], *byte)).any(|(came, sent)| came != sent) {
            meter.misrouted();
        }
        session.got += got;
        if session.got == self.message.len() {
            self.answered(session, reactor, meter);
        }
    }

    fn answered(&mut self, session: &mut Session, reactor: &Reactor, meter: &mut Meter) {
        let began = match &self.pace {
            Some(pace) => pace.due_time(session.at, session.answered),
            None => session.sent_at,
        };
        meter.operation(began.elapsed());
        session.answered += 1;
        session.owed = session.owed.saturating_sub(1);
        if self.pace.is_none() || session.owed > 0 {
            self.send(session, reactor, meter);
        }
    }
}
