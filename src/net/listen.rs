//! Listening: one socket per worker on one address, so that the kernel spreads clients over the workers.

use super::{NetError, options};
use crate::model::{spec::TransportSpec, table::ListenerSet};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt},
};
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    task::{Context, Poll},
};

/// Clients that may wait to be accepted; the kernel cuts it down to `net.core.somaxconn`. A whole fleet reconnects at once
/// after a failover.
const BACKLOG: i32 = 65_535;

/// Binds `address` once for each of `workers`. Port 0 binds all of them to the same free port.
///
/// The first socket is bound without `SO_REUSEPORT`, which makes the kernel refuse the address if anybody else has it,
/// even another process that would share it. It gets the option afterwards, and the others join it. An IPv6 address
/// means IPv6 only, so that `0.0.0.0` and `[::]` may be listened on side by side.
///
/// # Errors
/// [`NetError::InUse`], or whatever else keeps the address from being bound.
pub fn bind_set(address: SocketAddr, workers: usize) -> Result<ListenerSet, NetError> {
    bind_set_to(address, workers, Presence::Now)
}

/// Must the host have an address before it is listened on?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must, or else it was mistyped.
    Now,
    /// A shared address may come later; clients reach the listener as soon as it is there.
    Later,
}

/// [`bind_set`], for an address that the host may not have yet.
///
/// # Errors
/// As there.
pub fn bind_set_to(address: SocketAddr, workers: usize, presence: Presence) -> Result<ListenerSet, NetError> {
    let failed = |source: io::Error| failed(address, source);
    let first = bound(address, false, presence).map_err(failed)?;
    sockopt::set_socket_reuseport(&first, true).map_err(|errno| failed(errno.into()))?;
    let first = TcpListener::from(first);
    let address = first.local_addr().map_err(failed)?;

    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(bound(address, true, presence).map_err(failed)?.into());
    }
    // All are bound before the first one listens: a client is never refused for want of the others.
    for socket in &sockets {
        listen(socket, BACKLOG).map_err(|errno| failed(errno.into()))?;
    }
    Ok(ListenerSet { address, sockets })
}

/// What would keep this address from being listened on, whether the host has it or not. Listens on nothing.
#[must_use]
pub fn hindrance(address: SocketAddr) -> Option<NetError> {
    bound(address, false, Presence::Later).err().map(|error| failed(address, error))
}

fn failed(address: SocketAddr, source: io::Error) -> NetError {
    match Errno::from_io_error(&source) {
        Some(Errno::ADDRINUSE) => NetError::InUse(address),
        _ => NetError::Listen { address, source },
    }
}

fn bound(address: SocketAddr, join: bool, presence: Presence) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    match presence {
        Presence::Now => {}
        Presence::Later if address.is_ipv6() => sockopt::set_ipv6_freebind(&socket, true)?,
        Presence::Later => sockopt::set_ip_freebind(&socket, true)?,
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if join {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    // Accepted connections inherit these, which saves six system calls for each of them.
    sockopt::set_tcp_nodelay(&socket, true)?;
    options::set_liveness(&socket, &TransportSpec::default())?;
    bind(&socket, &address)?;
    Ok(socket)
}

/// A listening socket on a worker's event loop.
///
/// Tokio's own listener can neither tell readiness from accepting nor leave an accepted socket unregistered, and a client may be
/// handed to another worker's event loop. So the socket is registered as if it were a stream, which it never is used as.
#[derive(Debug)]
pub struct Acceptor(tokio::net::TcpStream);

impl Acceptor {
    /// Registers a duplicate of `socket` with the current runtime.
    ///
    /// # Errors
    /// No descriptor or no memory for it.
    pub fn new(socket: &TcpListener) -> io::Result<Self> {
        let duplicate = OwnedFd::from(socket.try_clone()?);
        Ok(Self(tokio::net::TcpStream::from_std(duplicate.into())?))
    }

    /// Ready when a client may be waiting.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(cx)
    }

    /// Takes one waiting client.
    ///
    /// # Errors
    /// `WouldBlock` when none waits (then [`Self::poll_ready`] waits for the next one), or what `accept4` says.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.try_io(tokio::io::Interest::READABLE, || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let (client, peer) = rustix::net::acceptfrom_with(self.0.as_fd(), flags)?;
            // The kernel names no peer if the client is gone again already.
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).ok_or(Errno::CONNABORTED)?;
            Ok((client.into(), peer))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn every_worker_gets_a_socket_on_the_same_port() {
        let set = bind_set(free(), 3).unwrap();
        assert_eq!(set.sockets.len(), 3);
        assert!(set.sockets.iter().all(|socket| socket.local_addr().unwrap() == set.address));
        TcpStream::connect(set.address).unwrap();
    }

    #[test]
    fn an_address_somebody_has_is_refused_even_if_he_would_share_it() {
        let set = bind_set(free(), 2).unwrap();
        assert!(matches!(bind_set(set.address, 2), Err(NetError::InUse(address)) if address == set.address));
    }

    #[test]
    fn both_families_may_have_the_same_port() {
        let four = bind_set("0.0.0.0:0".parse().unwrap(), 1).unwrap();
        let six = SocketAddr::new("::".parse().unwrap(), four.address.port());
        // A machine without IPv6 has nothing to show here.
        match bind_set(six, 1) {
            Ok(set) => assert_eq!(set.address.port(), four.address.port()),
            Err(error) => assert!(!matches!(error, NetError::InUse(_)), "{error}"),
        }
    }

    #[test]
    fn an_address_the_host_lacks_is_listened_on_only_if_it_may_come_later() {
        // RFC 5737 and RFC 3849: nobody has these.
        for lacking in ["192.0.2.10:0", "[2001:db8::10]:0"] {
            let lacking = lacking.parse().unwrap();
            assert!(matches!(bind_set(lacking, 2), Err(NetError::Listen { .. })));
            match bind_set_to(lacking, 2, Presence::Later) {
                Ok(set) => assert_eq!(set.sockets.len(), 2),
                // A machine without IPv6 has nothing to show here.
                Err(error) => {
                    assert!(lacking.is_ipv6() && !std::path::Path::new("/proc/net/if_inet6").exists(), "{error}");
                }
            }
        }
    }

    #[test]
    fn what_is_accepted_inherits_the_listeners_options() {
        let set = bind_set(free(), 1).unwrap();
        let _client = TcpStream::connect(set.address).unwrap();
        set.sockets[0].set_nonblocking(false).unwrap();
        let (accepted, _) = set.sockets[0].accept().unwrap();
        assert!(sockopt::tcp_nodelay(&accepted).unwrap());
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        let wanted = TransportSpec::default();
        assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap(), wanted.keepalive_idle);
        assert_eq!(u128::from(sockopt::tcp_user_timeout(&accepted).unwrap()), wanted.user_timeout.as_millis());
    }
}
