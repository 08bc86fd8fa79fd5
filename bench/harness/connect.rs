//! Connect, ask, be answered, close: what a short connection costs.

use super::{
    args::Connect,
    client::Reach,
    meter::Meter,
    pace::Pace,
    reactor::{Interest, Reactor},
    report::Report,
    stream::Stream,
    wire::{Ask, FRAME, Frame, Hello, Kind},
};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    io::{self, ErrorKind::WouldBlock, Read, Write},
    time::{Duration, Instant},
};

/// After a connection that could not even be begun (no port, no descriptor), so that the load doesn't spin.
const BREATHER: Duration = Duration::from_millis(1);

/// Runs it.
pub(crate) fn run(args: &Connect) -> anyhow::Result<Report> {
    let mut doors = Doors {
        reach: Reach::of(&args.target)?,
        reactor: Reactor::new()?,
        slots: std::iter::repeat_with(|| None).take(args.concurrency as usize).collect(),
        idle: (0..args.concurrency as usize).collect(),
        pace: None,
        owed: 0,
        begun: 0,
    };
    let mut meter = Meter::start(&args.target)?;
    doors.pace = args.rate.map(|rate| Pace::new(Instant::now(), rate, 1));
    let mut ready = Vec::new();
    while meter.goes_on(Instant::now())? {
        let mut deadline = meter.deadline();
        if !doors.begin_what_is_due(&mut meter) {
            deadline = deadline.min(Instant::now() + BREATHER);
        }
        if let Some(pace) = &doors.pace {
            deadline = deadline.min(pace.next_due());
        }
        doors.reactor.wait(deadline, &mut ready)?;
        for event in &ready {
            doors.serve(event.token, &mut meter);
        }
    }
    meter.finish("connect")
}

/// One connection under way.
struct Try {
    stream: Stream,
    id: u64,
    began: Instant,
    asked: bool,
    frame: Frame,
    got: usize,
}

struct Doors {
    reach: Reach,
    reactor: Reactor,
    slots: Vec<Option<Try>>,
    idle: Vec<usize>,
    pace: Option<Pace>,
    /// Open loop: connections due and not begun.
    owed: u64,
    begun: u64,
}

impl Doors {
    /// `false`: one could not be begun; wait a little.
    fn begin_what_is_due(&mut self, meter: &mut Meter) -> bool {
        let now = Instant::now();
        while self.pace.as_mut().and_then(|pace| pace.due(now)).is_some() {
            self.owed += 1;
        }
        while self.pace.is_none() || self.owed > 0 {
            let Some(slot) = self.idle.pop() else { return true };
            let began = self.pace.as_ref().map_or_else(Instant::now, |pace| pace.due_time(0, self.begun));
            match self.begin(slot, began) {
                Ok(attempt) => {
                    self.slots[slot] = Some(attempt);
                    self.begun += 1;
                    self.owed = self.owed.saturating_sub(1);
                }
                Err(_) => {
                    meter.error();
                    self.idle.push(slot);
                    return false;
                }
            }
        }
        true
    }

    fn begin(&self, slot: usize, began: Instant) -> io::Result<Try> {
        let socket = Socket::new(Domain::for_address(self.reach.target), Type::STREAM.nonblocking(), None)?;
        match socket.connect(&SockAddr::from(self.reach.target)) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => return Err(error),
            _ => {}
        }
        let stream = Stream::new(socket.into(), self.reach.tls.as_ref())?;
        let mut attempt = Try { stream, id: self.begun, began, asked: false, frame: [0; FRAME], got: 0 };
        // On loopback the handshake is over when `connect` returns, so this mostly succeeds at once.
        attempt.ask()?;
        let interest = if attempt.asked && !attempt.stream.owes() { Interest::Read } else { Interest::Both };
        self.reactor.add(attempt.stream.socket(), slot, interest)?;
        Ok(attempt)
    }

    fn serve(&mut self, slot: usize, meter: &mut Meter) {
        let Some(attempt) = self.slots[slot].as_mut() else { return };
        match attempt.turn(&self.reactor, slot) {
            Ok(None) => return,
            Ok(Some(hello)) => {
                meter.operation(attempt.began.elapsed());
                if hello.id != attempt.id {
                    meter.misrouted();
                }
            }
            Err(_) => meter.error(),
        }
        self.slots[slot] = None;
        self.idle.push(slot);
    }
}

impl Try {
    fn ask(&mut self) -> io::Result<()> {
        match self.stream.write(&Ask { kind: Kind::Echo, id: self.id }.encode()) {
            // A new socket takes a frame whole or not at all.
            Ok(_) => self.asked = true,
            Err(error) if matches!(error.kind(), WouldBlock | io::ErrorKind::NotConnected) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn turn(&mut self, reactor: &Reactor, slot: usize) -> anyhow::Result<Option<Hello>> {
        if !self.asked {
            self.ask()?;
            if self.asked {
                reactor.change(self.stream.socket(), slot, Interest::Read)?;
            }
            return Ok(None);
        }
        if self.stream.owes() && self.stream.pay()? {
            reactor.change(self.stream.socket(), slot, Interest::Read)?;
        }
        match self.stream.read(&mut self.frame[self.got..]) {
            Ok(0) => anyhow::bail!("ended without a Hello"),
            Ok(got) => self.got += got,
            Err(error) if error.kind() == WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        Ok(if self.got == FRAME { Some(Hello::decode(&self.frame)?) } else { None })
    }
}
