//! A session's connection, in plain or in TLS. It reads and writes like the socket itself; blocking or not is the socket's.

use super::tls::Tls;
use failback::net::tls::{Channel, MOST_RECORD, Step, sealed_len};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::{
    cell::RefCell,
    io::{self, ErrorKind::WouldBlock, Read, Write},
    net::TcpStream,
};

/// One end of a session.
pub(crate) enum Stream {
    Plain(TcpStream),
    Secure(Box<Secure>),
}

impl Stream {
    /// The end of `socket` that speaks what `tls` says; a client's handshake begins as soon as the socket takes it.
    pub(crate) fn new(socket: TcpStream, tls: Option<&Tls>) -> io::Result<Self> {
        let channel = match tls {
            None => return Ok(Self::Plain(socket)),
            Some(Tls::Client(config, name)) => Channel::client(config.clone(), name.clone(), None),
            Some(Tls::Server(config)) => Channel::server(config.clone()),
        };
        let mut secure = Box::new(Secure::new(socket, channel.map_err(io::Error::other)?));
        secure.begin()?;
        Ok(Self::Secure(secure))
    }

    /// The socket itself.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Secure(secure) => &secure.socket,
        }
    }

    /// There are sealed bytes that the socket could not take yet.
    pub(crate) fn owes(&self) -> bool {
        matches!(self, Self::Secure(secure) if !secure.unsent.is_empty())
    }

    /// Sends them. `false`: not all.
    pub(crate) fn pay(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Secure(secure) => secure.pay(),
        }
    }

    /// Takes bytes off the stream without looking at them; how many, or `None` if there were none for now.
    pub(crate) fn discard(&mut self, scratch: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            // The kernel need not even copy them (`MSG_TRUNC`, tcp(7)).
            Self::Plain(socket) => match recv(&*socket, scratch, RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
                Ok((_, got)) => Ok(Some(got)),
                Err(rustix::io::Errno::AGAIN) => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Secure(secure) => match secure.discard(scratch) {
                Err(error) if error.kind() == WouldBlock => Ok(None),
                got => got.map(Some),
            },
        }
    }
}

impl Read for Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(room),
            Self::Secure(secure) => secure.read(room),
        }
    }
}

impl Write for Stream {
    /// What was taken may still wait for the socket: [`Stream::owes`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Secure(secure) => secure.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pay()? { Ok(()) } else { Err(WouldBlock.into()) }
    }
}

/// The most that is read, or sealed, at once.
const AT_ONCE: usize = 128 * 1024;

thread_local! {
    /// What all sessions of a thread read into and seal into.
    static ROOMS: RefCell<Rooms> = RefCell::new(Rooms { incoming: vec![0; AT_ONCE], sealed: vec![0; sealed_len(AT_ONCE)] });
}

struct Rooms {
    incoming: Vec<u8>,
    sealed: Vec<u8>,
}

/// A session's end in TLS.
pub(crate) struct Secure {
    socket: TcpStream,
    channel: Channel,
    /// Came, and is no whole record yet.
    raw: Vec<u8>,
    /// Opened, and not taken yet.
    opened: Vec<u8>,
    /// Written before the handshake was over.
    early: Vec<u8>,
    unsent: Vec<u8>,
    ended: bool,
}

impl Secure {
    fn new(socket: TcpStream, channel: Channel) -> Self {
        let (raw, opened, early, unsent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { socket, channel, raw, opened, early, unsent, ended: false }
    }

    /// Says what can be said before anything came.
    fn begin(&mut self) -> io::Result<()> {
        self.work_off(&mut [], |_| {})?;
        self.pay()?;
        Ok(())
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut got = 0;
        while self.opened.is_empty() && got == 0 && !self.ended {
            let mut opened = std::mem::take(&mut self.opened);
            let pulled = ROOMS.with_borrow_mut(|rooms| {
                self.pull(&mut rooms.incoming, |plain| {
                    let (now, later) = plain.split_at(plain.len().min(room.len() - got));
                    room[got..got + now.len()].copy_from_slice(now);
                    got += now.len();
                    opened.extend_from_slice(later);
                })
            });
            self.opened = opened;
            pulled?;
        }
        if got == 0 {
            got = self.opened.len().min(room.len());
            room[..got].copy_from_slice(&self.opened[..got]);
            self.opened.drain(..got);
        }
        Ok(got)
    }

    fn discard(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        let mut got = std::mem::take(&mut self.opened).len();
        while got == 0 && !self.ended {
            self.pull(scratch, |plain| got += plain.len())?;
        }
        Ok(got)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.channel.is_handshaking() {
            if self.early.len() > AT_ONCE {
                return Err(WouldBlock.into());
            }
            self.early.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        if !self.pay()? {
            return Err(WouldBlock.into());
        }
        let bytes = &bytes[..bytes.len().min(AT_ONCE)];
        self.seal(bytes)?;
        Ok(bytes.len())
    }

    /// Sends bytes, when nothing else is left to send.
    fn seal(&mut self, bytes: &[u8]) -> io::Result<()> {
        ROOMS.with_borrow_mut(|rooms| {
            let taken = self.channel.seal(bytes, &mut rooms.sealed).map_err(io::Error::other)?;
            let sent = match send(&self.socket, &rooms.sealed[..taken], SendFlags::NOSIGNAL) {
                Ok(sent) => sent,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => 0,
                Err(error) => return Err(error.into()),
            };
            self.unsent.extend_from_slice(&rooms.sealed[sent..taken]);
            Ok(())
        })
    }

    fn pay(&mut self) -> io::Result<bool> {
        let mut sent = 0;
        while sent < self.unsent.len() {
            match send(&self.socket, &self.unsent[sent..], SendFlags::NOSIGNAL) {
                Ok(more) => sent += more,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::NOTCONN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.unsent.drain(..sent);
        Ok(self.unsent.is_empty())
    }

    /// Reads once, and opens what came.
    fn pull(&mut self, room: &mut [u8], plain: impl FnMut(&[u8])) -> io::Result<()> {
        let old = self.raw.len();
        debug_assert!(old < MOST_RECORD, "records that are whole are opened at once");
        let (_, got) = recv(&self.socket, &mut room[old..], RecvFlags::empty())?;
        room[..old].copy_from_slice(&self.raw);
        let was_handshaking = self.channel.is_handshaking();
        let done = self.work_off(&mut room[..old + got], plain)?;
        self.raw.clear();
        self.raw.extend_from_slice(&room[done..old + got]);
        if was_handshaking && !self.channel.is_handshaking() && !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            let mut sealed = vec![0; sealed_len(early.len())];
            let taken = self.channel.seal(&early, &mut sealed).map_err(io::Error::other)?;
            self.unsent.extend_from_slice(&sealed[..taken]);
        }
        self.pay()?;
        self.ended |= got == 0;
        Ok(())
    }

    /// Opens the records in `incoming`; how many bytes of it are done with.
    fn work_off(&mut self, incoming: &mut [u8], mut plain: impl FnMut(&[u8])) -> io::Result<usize> {
        let mut done = 0;
        loop {
            let (used, step) = self.channel.step(&mut incoming[done..], &mut self.unsent, |bytes| {
                plain(bytes);
                Ok(())
            });
            done += used;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Open | Step::Blocked) => return Ok(done),
                Ok(Step::Ended) => {
                    self.ended = true;
                    return Ok(done);
                }
                Err(error) => {
                    // An alert, if there is one, is a courtesy.
                    let _gone = self.pay();
                    return Err(io::Error::other(error));
                }
            }
        }
    }
}

impl Drop for Secure {
    /// Says `close_notify`: without it, a proxy has to take the end for a stream that was cut.
    fn drop(&mut self) {
        let mut record = [0; 256];
        if self.unsent.is_empty()
            && !self.channel.is_handshaking()
            && let Ok(taken) = self.channel.seal_end(&mut record)
        {
            // Who has gone already need not be told.
            let _gone = send(&self.socket, &record[..taken], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        }
    }
}
