//! Relaying: both directions of a session as one future that owns no buffer while nothing flows.

use super::{
    flow::{Broken, Flow, Lane},
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
pub(super) struct Relay<'a> {
    worker: &'a Worker,
    session: &'a Session,
    up: Flow,
    down: Flow,
    /// Who sent FIN first.
    first_fin: Option<End>,
    /// An end that takes no more bytes; what it sent before is still passed on.
    broken: Option<End>,
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

impl<'a> Relay<'a> {
    pub(super) fn new(worker: &'a Worker, session: &'a Session) -> Self {
        Self { worker, session, up: Flow::default(), down: Flow::default(), first_fin: None, broken: None }
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

impl Future for Relay<'_> {
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

impl Drop for Relay<'_> {
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
        if seen.is_error() || seen.is_write_closed() {
            return true;
        }
        let _taken_back = socket.try_io(Interest::WRITABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
    false
}
