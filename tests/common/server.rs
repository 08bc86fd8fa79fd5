//! A pair's servers: small, but they listen, serve and die as real ones do. What is sent to one comes back with its name
//! before it, line by line, so a client always knows where it was.

use super::address::own_address;
use std::{
    net::SocketAddr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Runtime,
    sync::watch,
};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
});

/// One server. Its process being alive or not is [`Server::kill`] and [`Server::revive`]: the kernel does the same to a
/// killed process's sockets as dropping them does.
pub(crate) struct Server {
    name: &'static str,
    address: SocketAddr,
    life: watch::Sender<bool>,
    seen: Arc<Seen>,
}

/// What a server saw. Health checks connect and say nothing, so only connections that spoke are sessions.
#[derive(Default)]
struct Seen {
    listens: AtomicBool,
    sessions: AtomicUsize,
    served: AtomicUsize,
    asked: AtomicUsize,
    greets: AtomicBool,
}

impl Server {
    /// A server called `name` on an address of its own.
    pub(crate) fn start(name: &'static str) -> Self {
        Self::start_at(name, own_address())
    }

    /// A server called `name` at an address of the network namespace the caller is in.
    pub(crate) fn start_at(name: &'static str, address: SocketAddr) -> Self {
        let server = Self { address, ..Self::dead(name) };
        server.revive();
        server
    }

    /// The same, not started yet.
    pub(crate) fn dead(name: &'static str) -> Self {
        Self { name, address: own_address(), life: watch::Sender::new(false), seen: Arc::default() }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its table in a pair's configuration.
    pub(crate) fn toml(&self) -> String {
        format!("{{ name = \"{}\", address = \"{}\" }}", self.name, self.address)
    }

    /// Speaks first from now on, as many servers do: its name, then the echo.
    pub(crate) fn greet(&self) {
        self.seen.greets.store(true, Relaxed);
    }

    /// As `kill -9` does: listener and connections are gone at once.
    pub(crate) fn kill(&self) {
        self.life.send_replace(false);
        super::eventually("a killed server listens no more", || (!self.seen.listens.load(Relaxed)).then_some(()));
    }

    /// Starts it again on the same address, in the network namespace the caller is in.
    pub(crate) fn revive(&self) {
        let listener = {
            let _inside = RUNTIME.enter();
            super::eventually("the server's address can be bound", || listen(self.address).ok())
        };
        self.life.send_replace(true);
        let (name, seen, life) = (self.name, Arc::clone(&self.seen), self.life.subscribe());
        seen.listens.store(true, Relaxed);
        RUNTIME.spawn(async move {
            serve(name, listener, &seen, life).await;
            seen.listens.store(false, Relaxed);
        });
    }

    /// Sessions that have spoken and are still there.
    pub(crate) fn sessions(&self) -> usize {
        self.seen.sessions.load(Relaxed)
    }

    /// Sessions that ever spoke.
    pub(crate) fn served(&self) -> usize {
        self.seen.served.load(Relaxed)
    }

    /// Lines that were ever read.
    pub(crate) fn asked(&self) -> usize {
        self.seen.asked.load(Relaxed)
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

async fn serve(name: &'static str, listener: TcpListener, seen: &Arc<Seen>, life: watch::Receiver<bool>) {
    let mut death = life.clone();
    loop {
        let accepted = tokio::select! {
            _ = death.wait_for(|alive| !alive) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (seen, mut death) = (Arc::clone(seen), life.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        _ = death.wait_for(|alive| !alive) => {}
                        _ended = echo(name, stream, &seen) => {}
                    }
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn echo(name: &str, stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // A small buffer: a test may hold thousands of these.
    let mut stream = BufReader::with_capacity(256, stream);
    if seen.greets.load(Relaxed) {
        stream.write_all(format!("{name}\n").as_bytes()).await?;
    }
    let mut line = String::new();
    let mut session = None;
    while stream.read_line(&mut line).await? > 0 {
        session.get_or_insert_with(|| Session::begin(seen));
        seen.asked.fetch_add(1, Relaxed);
        stream.write_all(format!("{name}:{line}").as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

/// Counts a session as long as it lives, however it ends.
struct Session<'a>(&'a Seen);

impl<'a> Session<'a> {
    fn begin(seen: &'a Seen) -> Self {
        seen.sessions.fetch_add(1, Relaxed);
        seen.served.fetch_add(1, Relaxed);
        Self(seen)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Relaxed);
    }
}
