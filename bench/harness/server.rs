//! The server end: one thread, every kind of session.

use super::{
    args::Serve,
    reactor::{Interest, Reactor, Ready},
    store::Store,
    stream::Stream,
    tls::Tls,
    wire::{Ask, Event, FRAME, Frame, Hello, Kind, ServerName},
};
use anyhow::Context;
use std::{
    io::{self, ErrorKind, ErrorKind::WouldBlock, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// A server end whose listeners are bound.
pub(crate) struct Server {
    reactor: Reactor,
    listeners: Vec<TcpListener>,
    name: ServerName,
    store: Store,
    tls: Option<Tls>,
    sessions: Vec<Option<Session>>,
    /// Places in `sessions` that may be used again after the batch of events in which they became free.
    free: Vec<usize>,
    freed: Vec<usize>,
    scratch: Vec<u8>,
}

struct Session {
    stream: Stream,
    kind: Option<Kind>,
    /// An Ask or event that has not come whole yet.
    partial: Vec<u8>,
    /// What the client could not take yet.
    unsent: Vec<u8>,
    interest: Interest,
}

/// Large enough that a bulk read or write is worth its system call.
const SCRATCH: usize = 256 * 1024;

impl Server {
    /// Binds its listeners.
    pub(crate) fn bind(args: &Serve) -> anyhow::Result<Self> {
        let reactor = Reactor::new()?;
        let mut listeners = Vec::new();
        for (token, address) in args.listen.iter().enumerate() {
            let listener = listen(*address).with_context(|| format!("cannot listen on {address}"))?;
            reactor.add(&listener, token, Interest::Read)?;
            listeners.push(listener);
        }
        Ok(Self {
            reactor,
            listeners,
            name: ServerName::new(&args.name),
            store: Store::open(args.store.as_deref())?,
            tls: Tls::of_server(args)?,
            sessions: Vec::new(),
            free: Vec::new(),
            freed: Vec::new(),
            scratch: vec![0x5a; SCRATCH],
        })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Serves until `stop` is set.
    pub(crate) fn run(&mut self, stop: &AtomicBool) -> anyhow::Result<()> {
        let mut ready = Vec::new();
        while !stop.load(Relaxed) {
            self.reactor.wait(Instant::now() + Duration::from_millis(200), &mut ready)?;
            for event in &ready {
                match event.token.checked_sub(self.listeners.len()) {
                    None => self.accept(event.token)?,
                    Some(at) => self.serve(at, event),
                }
            }
            self.store.flush()?;
            self.free.append(&mut self.freed);
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> anyhow::Result<()> {
        loop {
            let stream = match self.listeners[listener].accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == WouldBlock => return Ok(()),
                // The peer has gone already.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error).context("accept"),
            };
            stream.set_nonblocking(true)?;
            let stream = Stream::new(stream, self.tls.as_ref())?;
            let at = self.free.pop().unwrap_or_else(|| {
                self.sessions.push(None);
                self.sessions.len() - 1
            });
            self.reactor.add(stream.socket(), at + self.listeners.len(), Interest::Read)?;
            let interest = Interest::Read;
            self.sessions[at] = Some(Session { stream, kind: None, partial: Vec::new(), unsent: Vec::new(), interest });
        }
    }

    fn serve(&mut self, at: usize, event: &Ready) {
        let Some(session) = self.sessions[at].as_mut() else { return };
        let mut turn = Turn { scratch: &mut self.scratch, store: &mut self.store, name: self.name };
        let lives = session.turn(event, &mut turn).unwrap_or(false);
        let wanted = session.wanted();
        let lives = lives
            && (wanted == session.interest
                || self.reactor.change(session.stream.socket(), at + self.listeners.len(), wanted).is_ok());
        session.interest = wanted;
        if !lives {
            self.sessions[at] = None;
            self.freed.push(at);
        }
    }
}

/// What a session borrows from its server while it is its turn.
struct Turn<'a> {
    scratch: &'a mut [u8],
    store: &'a mut Store,
    name: ServerName,
}

impl Session {
    fn wanted(&self) -> Interest {
        match self.kind {
            Some(Kind::Source | Kind::SourceAndSink) => Interest::Both,
            _ if self.stream.owes() => Interest::Both,
            // Who doesn't take what it is sent isn't read from.
            _ if !self.unsent.is_empty() => Interest::Write,
            _ => Interest::Read,
        }
    }

    /// Does what the session is ready for; `false`: it has ended.
    fn turn(&mut self, event: &Ready, turn: &mut Turn<'_>) -> anyhow::Result<bool> {
        let clear = !event.writable || self.flush()?;
        match self.kind {
            Some(Kind::Source | Kind::SourceAndSink) => {
                if event.writable && clear {
                    self.pour(turn.scratch)?;
                }
                if event.readable { self.discard(turn.scratch) } else { Ok(true) }
            }
            _ if !clear || !event.readable => Ok(true),
            Some(Kind::Sink) => self.discard(turn.scratch),
            None | Some(Kind::Echo | Kind::Store) => self.take(turn),
        }
    }

    fn take(&mut self, turn: &mut Turn<'_>) -> anyhow::Result<bool> {
        let got = match self.stream.read(turn.scratch) {
            Ok(0) => return Ok(false),
            Ok(got) => got,
            Err(error) if error.kind() == WouldBlock => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        match self.kind {
            Some(Kind::Echo) => send(&mut self.stream, &mut self.unsent, &turn.scratch[..got])?,
            _ => self.frames(got, turn)?,
        }
        Ok(true)
    }

    /// Answers the frames in the first `got` bytes of the scratch buffer.
    fn frames(&mut self, got: usize, turn: &mut Turn<'_>) -> anyhow::Result<()> {
        self.partial.extend_from_slice(&turn.scratch[..got]);
        let mut answer = Vec::new();
        let mut used = 0;
        while let Some(frame) = self.partial[used..].first_chunk::<FRAME>() {
            used += FRAME;
            match self.kind {
                None => {
                    let ask = Ask::decode(frame)?;
                    self.kind = Some(ask.kind);
                    let hello = Hello { id: ask.id, name: turn.name, stale: turn.store.is_stale() };
                    answer.extend_from_slice(&hello.encode());
                }
                Some(Kind::Store) => answer.extend_from_slice(&store(frame, turn.store)?),
                Some(_) => anyhow::bail!("bytes came before the Hello was sent"),
            }
        }
        self.partial.drain(..used);
        // Acknowledged is only what a killed server would still have.
        turn.store.flush()?;
        Ok(send(&mut self.stream, &mut self.unsent, &answer)?)
    }

    /// Sends bytes until no more are taken, a bounded number of times so that the other streams get their turn.
    fn pour(&mut self, bytes: &[u8]) -> io::Result<()> {
        for _ in 0..4 {
            match self.stream.write(bytes) {
                Ok(sent) if sent == bytes.len() => {}
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn discard(&mut self, scratch: &mut [u8]) -> anyhow::Result<bool> {
        Ok(!matches!(self.stream.discard(scratch)?, Some(0)))
    }

    /// `true`: nothing is left to send.
    fn flush(&mut self) -> io::Result<bool> {
        if !self.stream.pay()? {
            return Ok(false);
        }
        let unsent = std::mem::take(&mut self.unsent);
        send(&mut self.stream, &mut self.unsent, &unsent)?;
        Ok(self.unsent.is_empty())
    }
}

fn store(frame: &Frame, store: &mut Store) -> anyhow::Result<Frame> {
    let event = Event::decode(frame)?;
    store.keep(event);
    Ok(event.encode())
}

fn send(stream: &mut Stream, unsent: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    match stream.write(bytes) {
        Ok(sent) => unsent.extend_from_slice(&bytes[sent..]),
        Err(error) if error.kind() == WouldBlock => unsent.extend_from_slice(bytes),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // Inherited by what is accepted, which saves a system call each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}
