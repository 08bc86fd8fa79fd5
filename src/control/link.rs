//! Is it our own link that is down? Asked of the kernel by rtnetlink (RFC 3549), in the few messages this takes.
//!
//! A cable that was pulled makes every server behind it silent; that is this node's trouble and no server's. The kernel
//! keeps the routes of a link without carrier, so checks would just time out.

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recv, send,
        socket_with,
    },
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    sync::Arc,
};
use tokio::sync::Notify;

// linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if.h
const NLM_F_REQUEST: u16 = 1;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTMGRP_LINK: u32 = 1;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const IFLA_IFNAME: u16 = 3;
const IFF_RUNNING: u32 = 0x40;
const MESSAGE_HEADER: usize = 16;
const ROUTE_HEADER: usize = 12;
const LINK_HEADER: usize = 16;

/// Asks the kernel about links. Each question is answered within the system call that puts it.
#[derive(Debug)]
pub struct Links {
    socket: OwnedFd,
}

impl Links {
    /// A socket to ask by.
    ///
    /// # Errors
    /// If the system gives us none.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: netlink(0, SocketFlags::NONBLOCK)? })
    }

    /// Why none of `addresses` can be reached from here, in words: the link towards each of them is down. `None` if one of
    /// them can be tried, or the kernel does not say.
    #[must_use]
    pub fn trouble_towards(&self, addresses: &[SocketAddr]) -> Option<String> {
        let mut trouble = None;
        for address in addresses {
            let (name, running) = self.interface_towards(address.ip()).and_then(|index| self.link(index))?;
            if running {
                return None;
            }
            trouble = Some(format!("the link {name} is down"));
        }
        trouble
    }

    fn interface_towards(&self, ip: IpAddr) -> Option<u32> {
        let (family, octets) = match ip.to_canonical() {
            IpAddr::V4(v4) => (AddressFamily::INET, v4.octets().to_vec()),
            IpAddr::V6(v6) => (AddressFamily::INET6, v6.octets().to_vec()),
        };
        let mut route = [0; ROUTE_HEADER];
        route[0] = u8::try_from(family.as_raw()).ok()?;
        route[1] = u8::try_from(octets.len() * 8).ok()?;
        let mut body = route.to_vec();
        body.extend(u16::try_from(4 + octets.len()).ok()?.to_ne_bytes());
        body.extend(RTA_DST.to_ne_bytes());
        body.extend(octets);
        let answer = self.ask(RTM_GETROUTE, &body, RTM_NEWROUTE)?;
        let index = attribute(answer.get(ROUTE_HEADER..)?, RTA_OIF)?;
        Some(u32::from_ne_bytes(index.try_into().ok()?))
    }

    /// The link's name, and whether it is up with a carrier.
    fn link(&self, index: u32) -> Option<(String, bool)> {
        let mut body = [0; LINK_HEADER];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        let answer = self.ask(RTM_GETLINK, &body, RTM_NEWLINK)?;
        let flags = u32::from_ne_bytes(answer.get(8..12)?.try_into().ok()?);
        let name = attribute(answer.get(LINK_HEADER..)?, IFLA_IFNAME)?;
        let name = String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned();
        Some((name, flags & IFF_RUNNING != 0))
    }

    /// Puts one question; the body of the answer, if it is of the kind expected.
    fn ask(&self, kind: u16, body: &[u8], expected: u16) -> Option<Vec<u8>> {
        let mut message = u32::try_from(MESSAGE_HEADER + body.len()).ok()?.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(NLM_F_REQUEST.to_ne_bytes());
        // Sequence number and port: one question at a time needs neither.
        message.extend([0; 8]);
        message.extend(body);
        send(&self.socket, &message, SendFlags::empty()).ok()?;
        let mut answer = vec![0; 16 * 1024];
        let (length, _) = recv(&self.socket, &mut answer, RecvFlags::empty()).ok()?;
        answer.truncate(length);
        let is = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
        (is == expected).then(|| answer.split_off(MESSAGE_HEADER.min(length)))
    }
}

/// The value of an attribute in a list of them.
fn attribute(mut list: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(list.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(list.get(2..4)?.try_into().ok()?);
        let value = list.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        list = list.get(length.next_multiple_of(4)..)?;
    }
}

/// Starts a thread that rings `bell` whenever a link changes, as long as the process lives.
///
/// # Errors
/// If the kernel's messages can't be had.
pub fn watch(bell: Arc<Notify>) -> io::Result<()> {
    let socket = netlink(RTMGRP_LINK, SocketFlags::empty())?;
    let ring = move || {
        let mut ignored = vec![0; 16 * 1024];
        loop {
            match recv(&socket, &mut *ignored, RecvFlags::empty()) {
                // What was lost is no loss: the bell says "look", not what there is to see.
                Ok(_) | Err(Errno::NOBUFS) => bell.notify_one(),
                Err(Errno::INTR) => {}
                Err(error) => return tracing::warn!(%error, "links are no longer watched"),
            }
        }
    };
    std::thread::Builder::new().name("link".into()).spawn(ring).map(drop)
}

fn netlink(groups: u32, more: SocketFlags) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | more;
    // No protocol is NETLINK_ROUTE, which is 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_never_down() {
        let links = Links::open().unwrap();
        let lo = links.interface_towards("127.0.0.1".parse().unwrap()).and_then(|index| links.link(index));
        assert_eq!(lo, Some(("lo".into(), true)));
        assert_eq!(links.trouble_towards(&["127.0.0.1:1".parse().unwrap()]), None);
        assert_eq!(links.trouble_towards(&[]), None);
    }
}
