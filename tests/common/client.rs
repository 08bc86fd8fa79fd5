//! A client as a probe is one: a long-lived connection, a line out, a line back.

use super::SOON;
use socket2::{Domain, Socket, Type};
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

/// One connection through the proxy.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects; that is all, no byte is sent.
    #[track_caller]
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::try_connect(to).unwrap_or_else(|error| panic!("{to} could not be reached: {error}"))
    }

    /// Connects, if somebody listens there.
    pub(crate) fn try_connect(to: SocketAddr) -> std::io::Result<Self> {
        Self::connect_within(SOON, to)
    }

    /// The same, by who does not wait for long: neither for the connection nor for any answer.
    pub(crate) fn connect_within(limit: Duration, to: SocketAddr) -> std::io::Result<Self> {
        let mut client = Self::wrap(TcpStream::connect_timeout(&to, limit)?)?;
        client.patience(limit);
        Ok(client)
    }

    /// Connects from an address of choice, for what depends on who the client is.
    #[track_caller]
    pub(crate) fn connect_from(from: IpAddr, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::new(from, 0).into()).expect("an address of this machine");
        socket.connect(&to.into()).unwrap_or_else(|error| panic!("{to} could not be reached: {error}"));
        Self::wrap(socket.into()).expect("a socket takes a timeout")
    }

    /// Says something and returns the line that comes back.
    pub(crate) fn ask(&mut self, words: &str) -> std::io::Result<String> {
        self.say(words)?;
        self.hear()
    }

    /// Sends a line.
    pub(crate) fn say(&mut self, words: &str) -> std::io::Result<()> {
        self.stream.get_mut().write_all(format!("{words}\n").as_bytes())
    }

    /// Waits for a line.
    pub(crate) fn hear(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().into()),
        }
    }

    /// Which server answers on this connection.
    #[track_caller]
    pub(crate) fn server(&mut self) -> String {
        let answer = self.ask("who").unwrap_or_else(|error| panic!("the session is gone: {error}"));
        answer.split_once(':').map(|(name, _)| name.to_owned()).unwrap_or_else(|| panic!("not an echo: {answer}"))
    }

    /// Has the connection ended? Looks without waiting.
    pub(crate) fn ended(&mut self) -> bool {
        let stream = self.stream.get_mut();
        stream.set_nonblocking(true).expect("a socket can be non-blocking");
        let ended = match stream.peek(&mut [0]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        stream.set_nonblocking(false).expect("a socket can be blocking");
        ended
    }

    /// Waits until the connection ends; nothing may come before that.
    #[track_caller]
    pub(crate) fn wait_end(&mut self) {
        match self.stream.read(&mut [0; 1]) {
            Ok(0) => {}
            Ok(_) => panic!("a byte came where the end was awaited"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("still connected after {SOON:?}"),
            Err(_) => {}
        }
    }

    /// How long one read may wait.
    pub(crate) fn patience(&mut self, span: Duration) {
        self.stream.get_mut().set_read_timeout(Some(span)).expect("a socket takes a timeout");
    }

    fn wrap(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        Ok(Self { stream: BufReader::with_capacity(512, stream) })
    }
}

/// How many of these are still connected.
pub(crate) fn alive(clients: &mut [Client]) -> usize {
    clients.iter_mut().map(|client| usize::from(!client.ended())).sum()
}

/// What a probe with several proxy addresses does: the first that serves it, and the name of the server it got.
#[track_caller]
pub(crate) fn first_that_serves(addresses: &[SocketAddr]) -> (Client, String) {
    for address in addresses {
        let Ok(mut client) = Client::try_connect(*address) else { continue };
        if let Ok(answer) = client.ask("who") {
            let name = answer.split(':').next().expect("an answer has a name").to_owned();
            return (client, name);
        }
    }
    panic!("nobody serves at {addresses:?}");
}
