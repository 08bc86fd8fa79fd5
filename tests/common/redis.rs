//! Real Redis servers (Debian's `redis-server` and `redis-tools`), and a client that speaks just enough of their protocol.

use super::{SOON, address::own_address, eventually, process::Process};
use std::{
    io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use tempfile::TempDir;

/// One Redis server with an address and a data directory of its own, which outlive its process.
pub(crate) struct Redis {
    name: &'static str,
    address: SocketAddr,
    dir: TempDir,
    process: Option<Process>,
}

impl Redis {
    /// Starts a server called `name`, empty.
    pub(crate) fn start(name: &'static str) -> Self {
        let dir = TempDir::with_prefix("failback-redis-").expect("a directory");
        let mut redis = Self { name, address: own_address(), dir, process: None };
        redis.launch();
        redis
    }

    /// Its table in a pair's configuration.
    pub(crate) fn toml(&self) -> String {
        format!("{{ name = \"{}\", address = \"{}\" }}", self.name, self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it with the data it has, as the master it believes to be, whatever happened meanwhile: stale, that is.
    pub(crate) fn launch(&mut self) {
        let (ip, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let dir = self.dir.path().to_str().expect("a path in words");
        let argv = [
            ["redis-server", "--bind", &ip, "--port", &port].as_slice(),
            // Written before it is acknowledged, so that a killed process has lost nothing that it acknowledged.
            &["--dir", dir, "--appendonly", "yes", "--save", "", "--protected-mode", "no"],
            // A replica is told at once, not after the default's wait for more replicas.
            &["--repl-diskless-sync-delay", "0"],
        ]
        .concat();
        self.process = Some(Process::start(&argv, &self.dir.path().join("redis.log")));
        eventually("redis answers", || match self.ask(&["PING"]) {
            Ok(Reply::Text(pong)) if pong == "PONG" => Some(()),
            _ => None,
        });
    }

    /// Asks it directly, not through a proxy.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Reply> {
        RedisClient::connect(self.address)?.ask(words)
    }

    /// The same for what must be a text.
    #[track_caller]
    pub(crate) fn text(&self, words: &[&str]) -> String {
        match self.ask(words) {
            Ok(Reply::Text(text)) => text,
            other => panic!("{words:?} of {}: {other:?}", self.name),
        }
    }

    /// Makes it a replica of `master`; what it has of its own is thrown away.
    #[track_caller]
    pub(crate) fn replicate(&self, master: &Redis) {
        let (ip, port) = (master.address.ip().to_string(), master.address.port().to_string());
        self.text(&["REPLICAOF", &ip, &port]);
    }

    /// Waits until it has all that its master has.
    #[track_caller]
    pub(crate) fn caught_up(&self) {
        eventually("the replica has caught up", || {
            self.text(&["INFO", "replication"]).contains("master_link_status:up").then_some(())
        });
    }
}

/// One connection to a Redis server.
pub(crate) struct RedisClient {
    stream: BufReader<TcpStream>,
}

/// What Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A status or a value.
    Text(String),
    /// A number.
    Number(i64),
    /// There is no such key.
    Nothing,
    /// `-ERR …`, `-READONLY …`.
    Refused(String),
}

impl RedisClient {
    /// Connects.
    pub(crate) fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&to, SOON)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Which server answers on this connection.
    pub(crate) fn server(&mut self) -> Result<SocketAddr> {
        let Reply::Text(info) = self.ask(&["CLIENT", "INFO"])? else { return Err(ErrorKind::InvalidData.into()) };
        let address = info.split(' ').find_map(|field| field.strip_prefix("laddr="));
        address.and_then(|address| address.parse().ok()).ok_or(ErrorKind::InvalidData.into())
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Result<Reply> {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.stream.get_mut().write_all(command.as_bytes())?;
        self.hear()
    }

    /// Waits for the end of the connection; how long that took is the caller's to measure.
    pub(crate) fn wait_end(&mut self) {
        let ended = self.stream.read(&mut [0; 1]);
        assert!(
            !matches!(&ended, Err(error) if error.kind() == ErrorKind::WouldBlock),
            "still connected after {SOON:?}"
        );
    }

    /// How long one answer may take.
    pub(crate) fn patience(&mut self, span: Duration) {
        self.stream.get_mut().set_read_timeout(Some(span)).expect("a socket takes a timeout");
    }

    fn hear(&mut self) -> Result<Reply> {
        let line = self.line()?;
        let (kind, rest) = line.split_at_checked(1).ok_or(ErrorKind::InvalidData)?;
        let number = || rest.parse::<i64>().map_err(|_| Error::from(ErrorKind::InvalidData));
        match kind {
            "+" => Ok(Reply::Text(rest.into())),
            "-" => Ok(Reply::Refused(rest.into())),
            ":" => Ok(Reply::Number(number()?)),
            "$" => match usize::try_from(number()?) {
                Err(_) => Ok(Reply::Nothing),
                Ok(length) => {
                    let mut text = vec![0; length + 2];
                    self.stream.read_exact(&mut text)?;
                    text.truncate(length);
                    String::from_utf8(text).map(Reply::Text).map_err(|_| ErrorKind::InvalidData.into())
                }
            },
            _ => Err(Error::other(format!("not an answer: {line}"))),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().into()),
        }
    }
}
