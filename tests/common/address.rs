//! Loopback addresses of a test's own. All of 127.0.0.0/8 is local, and a connection to it comes from the address it goes to
//! or from 127.0.0.1, so a port of an own address is taken by nobody else while its server is down.
//!
//! What this rests on: within one process no address is given out twice; two processes get the same ones only if their
//! ids differ by a multiple of 32,512; and nobody listens on the very port at all addresses (`0.0.0.0`).

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

/// A loopback address that no other test has; see above how sure that is.
pub(crate) fn own_ip() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number <= 2 * 254, "one test process wants more than 508 addresses");
    // Two halves of what there is. 127.0.x.y stays free for what others put there.
    let (half, number) = if number <= 254 { (128, number) } else { (1, number - 254) };
    Ipv4Addr::new(127, (high % 127) + half, low, number as u8).into()
}

/// An own address with a port nothing listens on.
pub(crate) fn own_address() -> SocketAddr {
    free_port(own_ip())
}

/// A port of `ip` nothing listens on.
pub(crate) fn free_port(ip: IpAddr) -> SocketAddr {
    let [port] = free_ports(ip);
    port
}

/// Ports of `ip` nothing listens on, no two alike: each is held until all are there.
pub(crate) fn free_ports<const COUNT: usize>(ip: IpAddr) -> [SocketAddr; COUNT] {
    let held: [TcpListener; COUNT] = std::array::from_fn(|_| TcpListener::bind((ip, 0)).expect("a free port"));
    held.map(|listener| listener.local_addr().expect("an address"))
}
