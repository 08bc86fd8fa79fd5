//! Whole Ethernet frames, sent and received on one interface: what ARP and neighbour discovery need. Takes `CAP_NET_RAW`.

use super::neighbour::Mac;
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{LinkAddr, SockaddrLike, SockaddrStorage, bind},
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::{
    io::{self, Read},
    net::IpAddr,
    os::fd::{AsRawFd, OwnedFd},
};
use tokio::net::UdpSocket;

const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;

/// The longest frame that matters; longer ones are cut.
const FRAME: usize = 256;

/// One interface's wire. It is registered with the runtime as what it resembles most: one datagram is one frame.
#[derive(Debug)]
pub struct Wire {
    socket: UdpSocket,
    mac: Mac,
}

impl Wire {
    /// Hears what is said on `interface` about who has an address of this family: ARP, or neighbour discovery. Must be called
    /// within a runtime.
    ///
    /// # Errors
    /// No such interface, one without Ethernet addresses, or no `CAP_NET_RAW`.
    pub fn open(interface: &str, family: IpAddr) -> io::Result<Self> {
        let link = link(interface)?;
        let mac = mac_of(&link).ok_or_else(|| io::Error::other(format!("{interface} has no Ethernet address")))?;
        let protocol = if family.is_ipv6() { ETH_P_IPV6 } else { ETH_P_ARP };
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(protocol.to_be()))))?;
        if family.is_ipv6() {
            socket.attach_filter(&neighbour_discovery_only())?;
        }
        // The system's list of interfaces has no protocol in its addresses: the socket keeps its own.
        bind(socket.as_raw_fd(), &link)?;
        socket.set_nonblocking(true)?;
        // What came before it was bound may be of any interface.
        let mut ignored = [0; 1];
        while (&socket).read(&mut ignored).is_ok() {}
        Ok(Self { socket: UdpSocket::from_std(OwnedFd::from(socket).into())?, mac })
    }

    /// The interface's own address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The link is down, or its queue is full.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.socket, frame, rustix::net::SendFlags::empty())?;
        Ok(())
    }

    /// The next frame. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The link went down.
    pub async fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; FRAME];
        let length = self.socket.recv(&mut buffer).await?;
        Ok(buffer.get(..length).unwrap_or_default().to_vec())
    }
}

/// The Ethernet addresses of all of this host's interfaces.
#[must_use]
pub fn own_macs() -> Vec<Mac> {
    let links = getifaddrs().into_iter().flatten().filter_map(|entry| entry.address);
    links.filter_map(|address| address.as_link_addr().and_then(mac_of)).collect()
}

fn link(interface: &str) -> io::Result<LinkAddr> {
    let of_it = getifaddrs()?.filter(|entry| entry.interface_name == interface).filter_map(|entry| entry.address);
    let mut links = of_it.filter_map(|address: SockaddrStorage| address.as_link_addr().copied());
    links.next().filter(|link| link.family().is_some()).ok_or_else(|| io::Error::from_raw_os_error(nix::libc::ENODEV))
}

fn mac_of(link: &LinkAddr) -> Option<Mac> {
    (link.halen() == 6).then(|| link.addr()).flatten().map(Mac)
}

/// In the kernel, so that the clients' IPv6 packets never come here: ICMPv6 (next header 58, no extension headers, RFC 4861
/// has none), neighbour solicitation (135) or advertisement (136).
fn neighbour_discovery_only() -> [SockFilter; 7] {
    const LOAD_BYTE: u16 = 0x30;
    const IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 14 + 6),
        SockFilter::new(IF_EQUAL, 0, 3, 58),
        SockFilter::new(LOAD_BYTE, 0, 0, 14 + 40),
        SockFilter::new(IF_EQUAL, 2, 0, 135),
        SockFilter::new(IF_EQUAL, 1, 0, 136),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}
