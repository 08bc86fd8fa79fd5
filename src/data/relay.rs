//! Relaying: both directions of a session as one future that owns no buffer while nothing flows.

use super::{
    flow::{Broken, Lane},
    pipe::PipePool,
    session::{Link, Session, Way},
    worker::Worker,
};
use crate::{
    model::{EndReason, ports::Evidence},
    net::dial::flags,
};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{io::Interest, net::TcpStream};

/// Relays until both directions have ended, one end broke, or the session was ordered to end.
pub(super) struct Relay<'a, F: Direction> {
    worker: &'a Worker,
    session: &'a Session,
    up: F,
    down: F,
    /// Who sent FIN first.
    first_fin: Option<End>,
    /// An end that takes no more bytes; what it sent before is still passed on.
    broken: Option<End>,
}

/// One direction of a session.
pub(super) trait Direction: Unpin {
    /// Moves what can be moved. Ready when the end was passed on; `last`: the other direction is over, so that closing the
    /// sockets is all that is left to do and FIN goes with it.
    fn poll(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        lane: &Lane<'_>,
        last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>>;

    /// The source will send no more.
    fn ended(&self) -> bool;

    /// Nothing is left to do.
    fn is_over(&self) -> bool;

    /// It waits for the source, not for the sink.
    fn is_reading(&self) -> bool;

    /// The sink could not take everything yet.
    fn holds_bytes(&self) -> bool;

    /// Returns what was borrowed from the worker.
    fn give_back(&mut self, pipes: &PipePool);
}

/// How it ended.
pub(super) struct Relayed {
    pub(super) reason: EndReason,
    /// Bytes for the client were still in our hands.
    pub(super) client_is_owed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Client,
    Upstream,
}

impl<'a, F: Direction> Relay<'a, F> {
    /// `up` leads to the upstream, `down` to the client.
    pub(super) fn new(worker: &'a Worker, session: &'a Session, up: F, down: F) -> Self {
        Self { worker, session, up, down, first_fin: None, broken: None }
    }

    fn poll_ways(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<EndReason> {
        let (client, upstream) = (&self.session.client, &link.upstream);
        let lane = |way| Lane { worker: self.worker, session: self.session, way };

        let last = self.down.is_over();
        let up = match self.up.poll(client, upstream, &lane(Way::ToUpstream), last, cx) {
            Poll::Ready(Err(Broken::Source)) => return Poll::Ready(reset_by(End::Client)),
            Poll::Ready(Err(Broken::Sink)) => {
                self.broken.get_or_insert(End::Upstream);
                Poll::Ready(())
            }
            other => other.map(drop),
        };
        if self.up.ended() && self.first_fin.is_none() {
            self.first_fin = Some(End::Client);
        }
        let last = self.up.is_over();
        let down = match self.down.poll(upstream, client, &lane(Way::ToClient), last, cx) {
            Poll::Ready(Err(Broken::Source)) => return Poll::Ready(reset_by(End::Upstream)),
            Poll::Ready(Err(Broken::Sink)) => {
                self.broken.get_or_insert(End::Client);
                Poll::Ready(())
            }
            other => other.map(drop),
        };
        self.session.urgent.set(false);
        if self.down.ended() && self.first_fin.is_none() {
            self.first_fin = Some(End::Upstream);
            self.worker.report(self.session.pair(), &link.flow.upstream, Evidence::Ended);
        }

        match (up, down, self.broken) {
            (Poll::Ready(()), Poll::Ready(()), Some(end)) => Poll::Ready(reset_by(end)),
            (Poll::Ready(()), Poll::Ready(()), None) => Poll::Ready(match self.first_fin {
                Some(End::Upstream) => EndReason::UpstreamClosed,
                _ => EndReason::ClientClosed,
            }),
            _ => self.poll_resets(link, cx),
        }
    }

    /// A socket we don't read from now (it sent FIN, or what it sent can't be delivered yet) would not tell us of a reset.
    fn poll_resets(&self, link: &Link, cx: &mut Context<'_>) -> Poll<EndReason> {
        let ends = [(End::Client, &self.session.client, &self.up), (End::Upstream, &link.upstream, &self.down)];
        for (end, socket, reading) in ends {
            if !reading.is_reading() && self.broken != Some(end) && was_reset(socket, cx) {
                return Poll::Ready(reset_by(end));
            }
        }
        Poll::Pending
    }
}

impl<F: Direction> Future for Relay<'_, F> {
    type Output = Relayed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Relayed> {
        let this = self.get_mut();
        this.worker.worked();
        let reason = match (this.session.ordered_end(), this.session.link()) {
            (Some(reason), _) => reason,
            (None, Some(link)) => std::task::ready!(this.poll_ways(link, cx)),
            (None, None) => EndReason::ClientClosed,
        };
        Poll::Ready(Relayed { reason, client_is_owed: this.down.holds_bytes() })
    }
}

impl<F: Direction> Drop for Relay<'_, F> {
    fn drop(&mut self) {
        self.up.give_back(&self.worker.pipes);
        self.down.give_back(&self.worker.pipes);
    }
}

fn reset_by(end: End) -> EndReason {
    match end {
        End::Client => EndReason::ClientReset,
        End::Upstream => EndReason::UpstreamReset,
    }
}

/// Waits for an error on a socket without reading or writing: its writability is taken back each time it is reported, so
/// that only news wakes us.
fn was_reset(socket: &TcpStream, cx: &mut Context<'_>) -> bool {
    while socket.poll_write_ready(cx).is_ready() {
        let seen = flags(socket, Interest::WRITABLE | Interest::ERROR);
        if seen.is_error() {
            return true;
        }
        if seen.is_write_closed() {
            // Both have sent FIN. What it sent is all in this machine, and a reset that came now would take nothing away.
            return false;
        }
        let _taken_back = socket.try_io(Interest::WRITABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
    false
}
