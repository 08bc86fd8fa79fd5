//! One direction of a session. Small messages go from `recv` to `send` through the worker's scratch buffer; after a few
//! full ones in a row the bytes stay in the kernel (`splice(2)`) until the flow calms down.

use super::{
    pipe::{Pipe, PipePool},
    relay::Direction,
    session::{Session, Way},
    worker::Worker,
};
use crate::net::{dial::flags, options};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown},
    pipe::{SpliceFlags, splice},
};
use std::{
    io,
    pin::pin,
    task::{Context, Poll, ready},
};
use tokio::{io::Interest, net::TcpStream};

/// Full reads in a row after which a flow is bulk.
const BULK_AFTER: u8 = 3;
/// A splice of less than this is a small one.
const SMALL_SPLICE: usize = 16 * 1024;
/// Small splices in a row after which a flow is calm again.
const CALM_AFTER: u8 = 4;
/// Bytes one direction may move before the other sessions of the worker get their turn.
pub(super) const TURN_BYTES: usize = 1 << 20;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Flow {
    phase: Phase,
    kept: Kept,
    bulk: bool,
    /// Full reads, or small splices, in a row.
    streak: u8,
    /// Bytes were written before.
    wrote: bool,
    /// `TCP_NODELAY` is on.
    prompt: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Open,
    /// FIN came; what is kept goes first.
    Ended,
    /// FIN was passed on, or can't be.
    Over,
}

/// What the receiver could not take yet.
#[derive(Debug, Default)]
enum Kept {
    #[default]
    Nothing,
    Bytes {
        bytes: Box<[u8]>,
        sent: usize,
    },
    Piped {
        pipe: Pipe,
        left: usize,
    },
}

/// Which end failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    Source,
    Sink,
}

/// Where a flow belongs.
pub(super) struct Lane<'a> {
    pub(super) worker: &'a Worker,
    pub(super) session: &'a Session,
    pub(super) way: Way,
}

impl Lane<'_> {
    pub(super) fn count(&self, bytes: usize) {
        self.session.count(self.way, bytes, self.worker.now());
    }
}

/// What one read gave.
enum Step {
    /// Perhaps more.
    More(usize),
    /// Nothing more for now.
    Dry,
    /// FIN.
    End,
}

impl Direction for Flow {
    fn poll(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        lane: &Lane<'_>,
        last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        let (mut moved, mut ask) = (0, lane.session.urgent.get());
        loop {
            match self.phase {
                Phase::Over => return Poll::Ready(Ok(())),
                Phase::Open | Phase::Ended => {}
            }
            if let Err(broken) = ready!(self.poll_flush(to, lane, cx)) {
                self.phase = Phase::Over;
                return Poll::Ready(Err(broken));
            }
            if self.phase == Phase::Ended {
                self.phase = Phase::Over;
                if !last && shutdown(to, Shutdown::Write).is_err() {
                    return Poll::Ready(Err(Broken::Sink));
                }
                return Poll::Ready(Ok(()));
            }
            if moved >= TURN_BYTES {
                return pass_turn(cx);
            }
            if !std::mem::take(&mut ask) && ready!(from.poll_read_ready(cx)).is_err() {
                return Poll::Ready(Err(Broken::Source));
            }
            let step = if self.bulk { self.splice(from, to, lane) } else { self.copy(from, to, lane) };
            match step {
                Ok(Step::More(bytes)) => moved += bytes,
                Ok(Step::Dry) => not_ready(from, Interest::READABLE),
                Ok(Step::End) => self.phase = Phase::Ended,
                Err(broken) => {
                    self.phase = Phase::Over;
                    return Poll::Ready(Err(broken));
                }
            }
        }
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
        !matches!(self.kept, Kept::Nothing)
    }

    fn give_back(&mut self, pipes: &PipePool) {
        if let Kept::Piped { pipe, .. } = std::mem::take(&mut self.kept) {
            pipes.discard(pipe);
        }
    }
}

impl Flow {
    fn poll_flush(&mut self, to: &TcpStream, lane: &Lane<'_>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            let written = match &mut self.kept {
                Kept::Nothing => return Poll::Ready(Ok(())),
                Kept::Bytes { bytes, sent } => {
                    let written = send(to, &bytes[*sent..], SendFlags::NOSIGNAL);
                    *sent += written.unwrap_or(0);
                    if *sent == bytes.len() {
                        self.kept = Kept::Nothing;
                    }
                    written
                }
                Kept::Piped { pipe, left } => {
                    let written = splice(&pipe.out, None, to, None, *left, SpliceFlags::MOVE | SpliceFlags::NONBLOCK);
                    *left -= written.unwrap_or(0);
                    if *left == 0 {
                        self.empty(&lane.worker.pipes);
                    }
                    written
                }
            };
            match written {
                Ok(bytes) => lane.count(bytes),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    not_ready(to, Interest::WRITABLE);
                    if ready!(to.poll_write_ready(cx)).is_err() {
                        return Poll::Ready(Err(Broken::Sink));
                    }
                }
                Err(_) => return Poll::Ready(Err(Broken::Sink)),
            }
        }
    }

    fn empty(&mut self, pipes: &PipePool) {
        if let Kept::Piped { pipe, .. } = std::mem::take(&mut self.kept) {
            pipes.give_back(pipe);
        }
    }

    /// One message through the scratch buffer.
    fn copy(&mut self, from: &TcpStream, to: &TcpStream, lane: &Lane<'_>) -> Result<Step, Broken> {
        let mut scratch = lane.worker.scratch.borrow_mut();
        let got = match recv(from, &mut scratch[..], RecvFlags::empty()) {
            Ok((0, _)) => return Ok(Step::End),
            Ok((got, _)) => got,
            Err(Errno::AGAIN) => return Ok(Step::Dry),
            Err(Errno::INTR) => return Ok(Step::More(0)),
            Err(_) => return Err(Broken::Source),
        };
        let full = got == scratch.len();
        self.write(to, &scratch[..got], lane)?;
        if full {
            self.streak += 1;
            self.bulk = self.streak >= BULK_AFTER;
            return Ok(Step::More(got));
        }
        self.streak = 0;
        // A short read emptied the socket, or stopped at a mark of urgent data (RFC 6093 §3.1). After FIN nothing would tell us
        // of what lies behind one, so it is asked; else the sweep does.
        let more = flags(from, Interest::READABLE | Interest::ERROR).is_read_closed();
        Ok(if more { Step::More(got) } else { Step::Dry })
    }

    /// Writes what it can and keeps the rest.
    fn write(&mut self, to: &TcpStream, bytes: &[u8], lane: &Lane<'_>) -> Result<(), Broken> {
        self.before_write(to, lane.way);
        let sent = match send(to, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => return Err(Broken::Sink),
        };
        lane.count(sent);
        if sent < bytes.len() {
            self.kept = Kept::Bytes { bytes: bytes[sent..].into(), sent: 0 };
        }
        Ok(())
    }

    /// The first write leaves at once anyway; connections that see a second one pay for the option. Clients have it from
    /// their listener.
    fn before_write(&mut self, to: &TcpStream, way: Way) {
        if self.wrote && !self.prompt && way == Way::ToUpstream {
            options::send_at_once(to);
            self.prompt = true;
        }
        self.wrote = true;
    }

    /// As much as a pipe takes, without copying.
    fn splice(&mut self, from: &TcpStream, to: &TcpStream, lane: &Lane<'_>) -> Result<Step, Broken> {
        let Some(pipe) = lane.worker.pipes.take() else {
            self.calm();
            return Ok(Step::More(0));
        };
        let spliced = splice(from, None, &pipe.into, None, pipe.capacity, SpliceFlags::MOVE | SpliceFlags::NONBLOCK);
        self.kept = Kept::Piped { pipe, left: *spliced.as_ref().unwrap_or(&0) };
        let got = match spliced {
            Ok(got) if got > 0 => got,
            other => {
                self.empty(&lane.worker.pipes);
                return match other {
                    Ok(_) => Ok(Step::End),
                    Err(Errno::AGAIN) => Ok(Step::Dry),
                    Err(Errno::INTR) => Ok(Step::More(0)),
                    // This kernel or socket does not splice; nothing was taken from it.
                    Err(Errno::INVAL) => {
                        self.calm();
                        Ok(Step::More(0))
                    }
                    Err(_) => Err(Broken::Source),
                };
            }
        };
        self.before_write(to, lane.way);
        self.streak = if got < SMALL_SPLICE { self.streak + 1 } else { 0 };
        if self.streak >= CALM_AFTER {
            self.calm();
        }
        Ok(Step::More(got))
    }

    fn calm(&mut self) {
        self.bulk = false;
        self.streak = 0;
    }
}

/// Forgets a readiness without asking the kernel; the next event brings it back.
pub(super) fn not_ready(socket: &TcpStream, interest: Interest) {
    let _would_block = socket.try_io(interest, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}

/// Lets the others run, and the event loop look for news, before this flow goes on.
pub(super) fn pass_turn<T>(cx: &mut Context<'_>) -> Poll<T> {
    match pin!(tokio::task::yield_now()).poll(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(()) => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
}
