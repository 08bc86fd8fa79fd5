//! Loopback addresses of a test's own. All of 127.0.0.0/8 is local, and a connection to it comes from 127.0.0.1, so a port
//! of an own address is taken by nobody else while its server is down, nor by an outgoing connection of anybody.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

/// A loopback address that no other test of this machine has now.
pub(crate) fn own_ip() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < 255, "one test process wants more than 254 addresses");
    // 127.0.x.y stays free for what others put there.
    Ipv4Addr::new(127, (high % 127) + 128, low, number as u8).into()
}

/// An own address with a port nothing listens on.
pub(crate) fn own_address() -> SocketAddr {
    free_port(own_ip())
}

/// A port of `ip` nothing listens on.
pub(crate) fn free_port(ip: IpAddr) -> SocketAddr {
    TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr()).expect("a free port")
}
