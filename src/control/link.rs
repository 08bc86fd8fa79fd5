//! Is it our own link that is down? Asked of the kernel by rtnetlink, in the few messages this takes.
//!
//! A cable that was pulled makes every server behind it silent; that is this node's trouble and no server's. The kernel
//! keeps the routes of a link without carrier, so checks would just time out.

use crate::net::netlink::{Netlink, socket};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkMessage},
    route::{RouteAttribute, RouteMessage},
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SocketFlags, recv},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::sync::Notify;

/// Changes of links (linux/rtnetlink.h).
const RTMGRP_LINK: u32 = 1;

/// Asks the kernel about links. Each question is answered within the system call that puts it.
#[derive(Debug)]
pub struct Links {
    netlink: Netlink,
}

impl Links {
    /// A socket to ask by.
    ///
    /// # Errors
    /// If the system gives us none.
    pub fn open() -> io::Result<Self> {
        Ok(Self { netlink: Netlink::open()? })
    }

    /// Why none of `addresses` can be reached from here, in words: there is no route to it, or the link towards it is down. `None` if one of
    /// them can be tried, or the kernel does not say.
    #[must_use]
    pub fn trouble_towards(&self, addresses: &[SocketAddr]) -> Option<String> {
        let mut trouble = None;
        for address in addresses {
            match self.interface_towards(address.ip()) {
                Ok(index) => {
                    let (name, running) = self.link(index?)?;
                    if running {
                        return None;
                    }
                    trouble = Some(format!("the link {name} is down"));
                }
                Err(Errno::NETUNREACH | Errno::HOSTUNREACH) => {
                    trouble = Some(format!("this node has no route to {}", address.ip()));
                }
                Err(_) => return None,
            }
        }
        trouble
    }

    fn interface_towards(&self, ip: IpAddr) -> Result<Option<u32>, Errno> {
        let ip = ip.to_canonical();
        let mut question = RouteMessage::default();
        (question.header.address_family, question.header.destination_prefix_length) =
            if ip.is_ipv6() { (AddressFamily::Inet6, 128) } else { (AddressFamily::Inet, 32) };
        question.attributes = vec![RouteAttribute::Destination(ip.into())];
        let answer = self.netlink.get(RouteNetlinkMessage::GetRoute(question));
        let answer = answer.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let RouteNetlinkMessage::NewRoute(route) = answer else { return Ok(None) };
        Ok(route.attributes.into_iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(index),
            _ => None,
        }))
    }

    /// The link's name, and whether it is up with a carrier.
    fn link(&self, index: u32) -> Option<(String, bool)> {
        let mut question = LinkMessage::default();
        question.header.index = index;
        let RouteNetlinkMessage::NewLink(link) = self.netlink.get(RouteNetlinkMessage::GetLink(question)).ok()? else {
            return None;
        };
        let running = link.header.flags.contains(LinkFlags::Running);
        link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some((name, running)),
            _ => None,
        })
    }
}

/// Starts a thread that rings `bell` whenever a link changes, as long as the process lives.
///
/// # Errors
/// If the kernel's messages can't be had.
pub fn watch(bell: Arc<Notify>) -> io::Result<()> {
    let socket = socket(RTMGRP_LINK, SocketFlags::empty())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_never_down() {
        let links = Links::open().unwrap();
        let lo = links.interface_towards("127.0.0.1".parse().unwrap()).unwrap().and_then(|index| links.link(index));
        assert_eq!(lo, Some(("lo".into(), true)));
        assert_eq!(links.trouble_towards(&["127.0.0.1:1".parse().unwrap()]), None);
        assert_eq!(links.trouble_towards(&[]), None);
    }
}
