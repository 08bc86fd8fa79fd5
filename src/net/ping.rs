//! Echo requests (RFC 792, RFC 4443): by the kernel's ping sockets, which need no privilege where `net.ipv4.ping_group_range`
//! allows them, else by a raw socket, which needs `CAP_NET_RAW`.

use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, interval, timeout_at},
};

/// A request may be lost: another follows.
const AGAIN: Duration = Duration::from_millis(200);
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REPLY_V6: u8 = 129;

/// Is there an answer to an echo request before `end`? Must be called within a runtime.
///
/// # Errors
/// `TimedOut`, or why it could not be asked.
pub async fn ping(address: IpAddr, end: Instant) -> io::Result<()> {
    let (socket, raw) = socket(address)?;
    socket.connect(&SocketAddr::new(address, 0).into())?;
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(OwnedFd::from(socket).into())?;
    // On a raw socket all answers to all of this host's pings arrive.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut token = u64::from(std::process::id()).to_be_bytes().to_vec();
    token.extend(NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let request = request(address, &token);

    let mut ask = interval(AGAIN);
    let mut buffer = [0; 256];
    let mut trouble = None;
    let answer = async {
        loop {
            tokio::select! {
                _ = ask.tick() => trouble = socket.send(&request).await.err().or(trouble.take()),
                heard = socket.recv(&mut buffer) => match heard {
                    Ok(length) if answers(buffer.get(..length).unwrap_or_default(), address, raw, &token) => return,
                    Ok(_) => {}
                    // "No route", told by a router or by ourselves. It may heal before the end.
                    Err(error) => trouble = Some(error),
                },
            }
        }
    };
    match timeout_at(end, answer).await {
        Ok(()) => Ok(()),
        Err(_) => Err(trouble.unwrap_or_else(|| io::ErrorKind::TimedOut.into())),
    }
}

fn socket(address: IpAddr) -> io::Result<(Socket, bool)> {
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => Ok((socket, false)),
        Err(_) => Socket::new(domain, Type::RAW, Some(protocol)).map(|socket| (socket, true)),
    }
}

/// The kernel fills in the identifier of a ping socket, and the checksum of ICMPv6, which covers addresses.
fn request(address: IpAddr, token: &[u8]) -> Vec<u8> {
    let echo = IcmpEchoHeader { id: 0xfb, seq: 1 };
    let mut packet = match address {
        IpAddr::V4(_) => Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), token).to_bytes().to_vec(),
        IpAddr::V6(_) => Icmpv6Header::new(Icmpv6Type::EchoRequest(echo)).to_bytes().to_vec(),
    };
    packet.extend(token);
    packet
}

fn answers(packet: &[u8], address: IpAddr, raw: bool, token: &[u8]) -> bool {
    let icmp = match (address, packet.first()) {
        // A raw IPv4 socket gets the IP header too; its length is in units of four octets.
        (IpAddr::V4(_), Some(first)) if raw => packet.get(usize::from(first & 0xf) * 4..).unwrap_or_default(),
        _ => packet,
    };
    let reply = if address.is_ipv4() { ECHO_REPLY_V4 } else { ECHO_REPLY_V6 };
    icmp.first() == Some(&reply) && icmp.get(8..) == Some(token)
}
