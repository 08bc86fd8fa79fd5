//! One direction of a session with TLS at one end or both. Records are opened and sealed in the worker's buffers; what is
//! kept between turns is a record that is not whole yet, and what the receiver could not take.

use super::{
    flow::{Broken, Lane, Phase, TURN_BYTES, not_ready, pass_turn},
    pipe::PipePool,
    relay::Direction,
    session::Way,
};
use crate::net::{
    dial::flags,
    tls::{Channel, Facts, Step, is_fragment},
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown},
};
use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll, ready},
};
use tokio::{io::Interest, net::TcpStream};

/// The two ends of a session, which its two directions share: what one reads by is what the other writes by.
#[derive(Debug)]
pub(super) struct Ends {
    client: End,
    upstream: End,
}

/// One end.
#[derive(Debug, Default)]
pub(super) struct End {
    /// `None`: plain.
    channel: Option<Channel>,
    /// Came behind the handshake, opened already.
    early: Vec<u8>,
    /// Came, and is not worked off.
    raw: Vec<u8>,
    /// What came behind the handshake is to be looked at before more is read.
    full: bool,
    /// `raw` begins with a part of one of the protocol's own messages: nothing can be sealed before the rest has come.
    fragment: bool,
    /// To be sent, from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    /// `close_notify` was sent.
    said_end: bool,
    /// It takes no more bytes. Who writes to it heard the reset, so what is read from it may end as if it had said so.
    gone: bool,
}

impl End {
    /// An end after its handshake, with what came behind it, opened and not opened yet, and what is still to be sent of it.
    pub(super) fn secure(channel: Channel, early: Vec<u8>, raw: Vec<u8>, unsent: Vec<u8>) -> Self {
        Self { channel: Some(channel), fragment: is_fragment(&raw), early, raw, full: true, unsent, ..Self::default() }
    }

    /// What was agreed upon in the handshake; `None`: there was none.
    pub(super) fn facts(&self) -> Option<Facts> {
        self.channel.as_ref().map(Channel::facts)
    }

    /// Sends what is to be sent. `false`: the socket takes no more for now.
    fn flush(&mut self, socket: &TcpStream) -> Result<bool, Broken> {
        while self.sent < self.unsent.len() {
            match send(socket, &self.unsent[self.sent..], SendFlags::NOSIGNAL) {
                Ok(sent) => self.sent += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(_) => return Err(Broken::Sink),
            }
        }
        // An idle session owns no buffer.
        self.unsent = Vec::new();
        self.sent = 0;
        Ok(true)
    }

    /// Sends `bytes` behind what is to be sent already.
    fn send(&mut self, socket: &TcpStream, bytes: &[u8]) -> Result<(), Broken> {
        // Sending nothing would still take a reset from the socket, and leave none for who reads from it.
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let sent = match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => return Err(Broken::Sink),
        };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// `bytes` as this end sends them, at the front of `room`; how much of it was taken.
    fn put(&mut self, bytes: &[u8], room: &mut [u8]) -> Result<usize, rustls::Error> {
        match &mut self.channel {
            Some(channel) => channel.seal(bytes, room),
            None => {
                let room = room.get_mut(..bytes.len()).ok_or(rustls::Error::EncryptError)?;
                room.copy_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }
}

/// One direction.
#[derive(Debug)]
pub(super) struct SecureFlow {
    ends: Rc<RefCell<Ends>>,
    way: Way,
    phase: Phase,
    /// Nothing was sent since the handshake, whose last step may wait for company.
    fresh: bool,
}

impl SecureFlow {
    /// Both directions of a session: to the upstream, to the client.
    pub(super) fn pair(client: End, upstream: End) -> (Self, Self) {
        let ends = Rc::new(RefCell::new(Ends { client, upstream }));
        let flow = |way| Self { ends: Rc::clone(&ends), way, phase: Phase::Open, fresh: true };
        (flow(Way::ToUpstream), flow(Way::ToClient))
    }

    /// The source and the sink.
    fn split(ends: &mut Ends, way: Way) -> (&mut End, &mut End) {
        match way {
            Way::ToUpstream => (&mut ends.client, &mut ends.upstream),
            Way::ToClient => (&mut ends.upstream, &mut ends.client),
        }
    }

    /// Reads once, opens and seals what came, and writes once.
    fn turn(&mut self, from: &TcpStream, to: &TcpStream, lane: &Lane<'_>) -> Result<Turned, Broken> {
        let mut ends = self.ends.borrow_mut();
        let (source, sink) = Self::split(&mut ends, self.way);
        let (mut scratch, mut sealed) = (lane.worker.scratch.borrow_mut(), lane.worker.sealed.borrow_mut());
        let old = source.raw.len();
        let mut came = Came { bytes: 0, fin: false, dry: false };
        if !source.full {
            came = read(from, &mut scratch[old..])?;
            if came.bytes == 0 && !came.fin {
                return Ok(Turned { moved: 0, dry: came.dry, ended: false, spoke: false });
            }
        }
        scratch[..old].copy_from_slice(&source.raw);
        source.raw.clear();
        let mut work = Work { plain: 0, room: &mut sealed[..], taken: 0, ended: came.fin };
        let early = std::mem::take(&mut source.early);
        if !early.is_empty() {
            work.plain = early.len();
            work.taken = sink.put(&early, work.room).map_err(|_| Broken::Sink)?;
        }
        let mut control = Vec::new();
        let left = match &mut source.channel {
            None => {
                work.plain = came.bytes;
                work.taken = sink.put(&scratch[..came.bytes], work.room).map_err(|_| Broken::Sink)?;
                0..0
            }
            Some(channel) => {
                let opened = open(channel, sink, &mut scratch[..old + came.bytes], &mut control, &mut work);
                if !control.is_empty() {
                    // It can't be told that it can't be told.
                    let _gone = source.send(from, &control);
                }
                let opened = opened.map_err(|error| super::handshake::failed_late(lane, work.plain, &error))?;
                // FIN without `close_notify` is a stream cut short, perhaps by a third party (RFC 8446 §6.1).
                if came.fin && !opened.ended {
                    return Err(Broken::Source);
                }
                work.ended = opened.ended;
                opened.done..old + came.bytes
            }
        };
        source.full = false;
        if work.ended || left.is_empty() {
            source.raw = Vec::new();
        } else {
            source.raw.extend_from_slice(&scratch[left]);
        }
        let was_fragment = std::mem::replace(&mut source.fragment, is_fragment(&source.raw));
        lane.count(work.plain);
        sink.send(to, &work.room[..work.taken])?;
        Ok(Turned { moved: work.plain, dry: came.dry, ended: work.ended, spoke: !control.is_empty() || was_fragment })
    }

    /// Says that no more will come. `true`: FIN may follow.
    fn say_end(&mut self, to: &TcpStream) -> Result<(), Broken> {
        let mut ends = self.ends.borrow_mut();
        let (_, sink) = Self::split(&mut ends, self.way);
        let Some(channel) = sink.channel.as_mut().filter(|_| !sink.said_end) else { return Ok(()) };
        sink.said_end = true;
        let mut record = [0; 256];
        let taken = channel.seal_end(&mut record).map_err(|_| Broken::Sink)?;
        sink.send(to, &record[..taken])
    }

    fn poll_flush(&self, to: &TcpStream, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            let flushed = {
                let mut ends = self.ends.borrow_mut();
                Self::split(&mut ends, self.way).1.flush(to)
            };
            match flushed {
                Ok(true) => return Poll::Ready(Ok(())),
                Err(broken) => return Poll::Ready(Err(broken)),
                Ok(false) => {
                    not_ready(to, Interest::WRITABLE);
                    if ready!(to.poll_write_ready(cx)).is_err() {
                        return Poll::Ready(Err(Broken::Sink));
                    }
                }
            }
        }
    }

    /// There is something to pass on, or seems to be.
    fn can_speak(&self, from: &TcpStream, cx: &mut Context<'_>) -> bool {
        let mut ends = self.ends.borrow_mut();
        let (source, sink) = Self::split(&mut ends, self.way);
        !sink.fragment && (source.full || from.poll_read_ready(cx).is_ready())
    }

    fn poll_open(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        lane: &Lane<'_>,
        last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        let mut moved = 0;
        loop {
            let half = Self::split(&mut self.ends.borrow_mut(), self.way).1.fragment;
            lane.session.stall(self.way, half, lane.worker.now());
            if !std::mem::take(&mut self.fresh) || !self.can_speak(from, cx) {
                ready!(self.poll_flush(to, cx))?;
            }
            if half {
                // The other direction wakes us when it has the rest; the sweep ends the session if that takes too long.
                return Poll::Pending;
            }
            if self.phase == Phase::Ended {
                if Self::split(&mut self.ends.borrow_mut(), self.way).0.gone {
                    return Poll::Ready(Ok(()));
                }
                self.say_end(to)?;
                ready!(self.poll_flush(to, cx))?;
                if !last && shutdown(to, Shutdown::Write).is_err() {
                    return Poll::Ready(Err(Broken::Sink));
                }
                return Poll::Ready(Ok(()));
            }
            if moved >= TURN_BYTES {
                return pass_turn(cx);
            }
            if !Self::split(&mut self.ends.borrow_mut(), self.way).0.full && ready!(from.poll_read_ready(cx)).is_err() {
                return Poll::Ready(Err(Broken::Source));
            }
            let turned = self.turn(from, to, lane)?;
            moved += turned.moved;
            if turned.spoke {
                // What of it could not be sent, the other direction sends; and it may have waited for this.
                cx.waker().wake_by_ref();
            }
            if turned.ended {
                self.phase = Phase::Ended;
            } else if turned.dry {
                not_ready(from, Interest::READABLE);
            }
        }
    }
}

impl Direction for SecureFlow {
    fn poll(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        lane: &Lane<'_>,
        last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        if self.phase == Phase::Over {
            return Poll::Ready(Ok(()));
        }
        let polled = self.poll_open(from, to, lane, last, cx);
        if polled.is_ready() {
            self.phase = Phase::Over;
        }
        if matches!(polled, Poll::Ready(Err(Broken::Sink))) {
            Self::split(&mut self.ends.borrow_mut(), self.way).1.gone = true;
        }
        polled
    }

    fn ended(&self) -> bool {
        self.phase != Phase::Open
    }

    fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    fn is_reading(&self) -> bool {
        self.phase == Phase::Open && !self.holds_bytes()
    }

    fn holds_bytes(&self) -> bool {
        !Self::split(&mut self.ends.borrow_mut(), self.way).1.unsent.is_empty()
    }

    fn give_back(&mut self, _: &PipePool) {}
}

/// What a turn did.
struct Turned {
    /// Plain bytes.
    moved: usize,
    /// There is nothing more to read for now.
    dry: bool,
    /// The source will send no more.
    ended: bool,
    /// The protocol itself had something to say to the source, or heard the rest of something from it.
    spoke: bool,
}

/// What a read gave.
struct Came {
    bytes: usize,
    fin: bool,
    dry: bool,
}

fn read(from: &TcpStream, room: &mut [u8]) -> Result<Came, Broken> {
    match recv(from, &mut *room, RecvFlags::empty()) {
        Ok((0, _)) => Ok(Came { bytes: 0, fin: true, dry: true }),
        Ok((bytes, _)) => {
            // A short read emptied the socket. If FIN was there before it, that was all.
            let short = bytes < room.len();
            let seen = flags(from, Interest::READABLE | Interest::ERROR);
            Ok(Came { bytes, fin: short && seen.is_read_closed() && !seen.is_error(), dry: short })
        }
        Err(Errno::AGAIN) => Ok(Came { bytes: 0, fin: false, dry: true }),
        Err(Errno::INTR) => Ok(Came { bytes: 0, fin: false, dry: false }),
        Err(_) => Err(Broken::Source),
    }
}

/// What is being made of what came.
struct Work<'a> {
    /// Plain bytes so far.
    plain: usize,
    room: &'a mut [u8],
    /// Of `room`.
    taken: usize,
    ended: bool,
}

/// What was opened.
struct Opened {
    /// Bytes worked off.
    done: usize,
    /// `close_notify` came.
    ended: bool,
}

/// Opens the records in `incoming` and puts what was in them to where `sink` sends from.
fn open(
    channel: &mut Channel,
    sink: &mut End,
    incoming: &mut [u8],
    control: &mut Vec<u8>,
    work: &mut Work<'_>,
) -> Result<Opened, rustls::Error> {
    let mut opened = Opened { done: 0, ended: false };
    loop {
        let (done, step) = channel.step(&mut incoming[opened.done..], control, |plain| {
            work.plain += plain.len();
            work.taken += sink.put(plain, &mut work.room[work.taken..])?;
            Ok(())
        });
        opened.done += done;
        match step? {
            Step::Again => {}
            Step::Open | Step::Blocked => return Ok(opened),
            Step::Ended => {
                opened.ended = true;
                return Ok(opened);
            }
        }
    }
}
