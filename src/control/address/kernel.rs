//! Interface addresses in the kernel: found, added for a time, renewed, removed.

use crate::{model::group::InterfaceAddress, net::netlink::Netlink};
use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo},
    link::{LinkAttribute, LinkFlags, LinkMessage},
};
use rustix::io::Errno;
use std::{io, net::IpAddr, time::Duration};

/// Marks an address as added by failback (`IFA_PROTO`, Linux 5.18; `ip address` shows it as `proto 0xfb`).
const OUR_MARK: AddressProtocol = AddressProtocol::Other(0xfb);
/// Who added an address where the kernel keeps no marks: nobody else gives one this short a life.
const OUR_LONGEST_LIFETIME: u32 = 10;

/// Why an address is not held. Each says how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// As it says.
    #[error("there is no interface `{0}`; name one that `ip link` shows")]
    NoInterface(String),
    /// As it says.
    #[error(
        "changing addresses of {0} is not permitted; give failback CAP_NET_ADMIN and CAP_NET_RAW (AmbientCapabilities= in \
         a unit, --cap-add for a container)"
    )]
    NotPermitted(String),
    /// An operator, or the system's network configuration, put it there. It is neither taken over nor removed.
    #[error(
        "{address} is on {interface} already, and failback did not put it there; take it out of that interface's \
         configuration (`ip address del` and its file), since only the holder of the seat may have it"
    )]
    Configured {
        /// The address.
        address: IpAddr,
        /// Where it is.
        interface: String,
    },
    /// The process that removes the address if this one is killed can't be had.
    #[error("the guard of the shared address did not start")]
    NoGuard(#[source] io::Error),
    /// Anything else.
    #[error("cannot {what} {address} on {interface}")]
    Kernel {
        /// `add`, …
        what: &'static str,
        /// The address.
        address: IpAddr,
        /// Where.
        interface: String,
        /// What the kernel says.
        source: io::Error,
    },
}

/// Who put an address on an interface of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is on none.
    Nobody,
    /// failback did, perhaps an earlier run that was killed.
    Us,
    /// Somebody else, on this interface.
    Another(String),
}

/// The kernel's addresses.
#[derive(Debug)]
pub struct Addresses(Netlink);

impl Addresses {
    /// Opens a socket to the kernel.
    ///
    /// # Errors
    /// No descriptors.
    pub fn open() -> io::Result<Self> {
        Netlink::open().map(Self)
    }

    /// The interface's index.
    ///
    /// # Errors
    /// [`AddressError::NoInterface`].
    pub fn index(&self, interface: &str) -> Result<u32, AddressError> {
        let link = self.link(vec![LinkAttribute::IfName(interface.into())], 0);
        link.map(|link| link.header.index).ok_or_else(|| AddressError::NoInterface(interface.into()))
    }

    /// Is the interface there, up and with a carrier?
    #[must_use]
    pub fn is_running(&self, interface: &str) -> bool {
        self.carriers(interface).is_some()
    }

    /// How often the interface got a carrier so far; `None` while it has none. A flap is noticed however short it was.
    pub(super) fn carriers(&self, interface: &str) -> Option<u32> {
        let link = self.link(vec![LinkAttribute::IfName(interface.into())], 0)?;
        let count = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::CarrierUpCount(count) => Some(*count),
            _ => None,
        });
        link.header.flags.contains(LinkFlags::Running).then_some(count.unwrap_or(0))
    }

    fn link(&self, attributes: Vec<LinkAttribute>, index: u32) -> Option<LinkMessage> {
        let mut question = LinkMessage::default();
        question.header.index = index;
        question.attributes = attributes;
        match self.0.get(RouteNetlinkMessage::GetLink(question)).ok()? {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        }
    }

    /// Who put the address on this host, on whichever interface.
    ///
    /// # Errors
    /// The kernel can't be asked.
    pub fn find(&self, address: IpAddr) -> io::Result<Found> {
        let mut question = AddressMessage::default();
        question.header.family = family(address);
        for answer in self.0.list(RouteNetlinkMessage::GetAddress(question))? {
            let RouteNetlinkMessage::NewAddress(found) = answer else { continue };
            if local(&found) == Some(address) {
                let of_ours = is_ours(&found);
                return Ok(if of_ours { Found::Us } else { Found::Another(self.name(found.header.index)) });
            }
        }
        Ok(Found::Nobody)
    }

    fn name(&self, index: u32) -> String {
        let attributes = self.link(vec![], index).map(|link| link.attributes).unwrap_or_default();
        let name = attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        name.unwrap_or_else(|| format!("interface {index}"))
    }

    /// Adds the address for `lifetime` (whole seconds), or gives ours that long anew; tells whether it was there.
    ///
    /// # Errors
    /// [`AddressError`]; one that is not ours stays as it is.
    pub fn add(&self, wanted: &InterfaceAddress, lifetime: Duration) -> Result<bool, AddressError> {
        let address = wanted.address.addr();
        let index = self.index(&wanted.interface)?;
        let how = match self.find(address).map_err(|source| failed("look for", wanted, source))? {
            Found::Another(interface) => return Err(AddressError::Configured { address, interface }),
            Found::Us => NLM_F_REPLACE,
            // Should another program be faster, its address is not replaced.
            Found::Nobody => NLM_F_EXCL,
        };
        let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).clamp(1, OUR_LONGEST_LIFETIME);
        let message = RouteNetlinkMessage::NewAddress(message(wanted.address, index, Some(seconds)));
        match self.0.order(message, NLM_F_CREATE | how) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::EXIST) => {
                Err(AddressError::Configured { address, interface: wanted.interface.clone() })
            }
            done => done.map(|()| how == NLM_F_REPLACE).map_err(|source| failed("add", wanted, source)),
        }
    }

    /// Removes the address if it is there and ours. That its interface is gone with it is fine.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn remove(&self, wanted: &InterfaceAddress) -> Result<(), AddressError> {
        let address = wanted.address.addr();
        match self.find(address).map_err(|source| failed("look for", wanted, source))? {
            Found::Us => {}
            Found::Nobody | Found::Another(_) => return Ok(()),
        }
        let Ok(index) = self.index(&wanted.interface) else { return Ok(()) };
        match self.0.order(RouteNetlinkMessage::DelAddress(message(wanted.address, index, None)), 0) {
            // Its lifetime ended meanwhile.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::ADDRNOTAVAIL) => Ok(()),
            done => done.map_err(|source| failed("remove", wanted, source)),
        }
    }
}

fn failed(what: &'static str, wanted: &InterfaceAddress, source: io::Error) -> AddressError {
    let interface = wanted.interface.clone();
    match Errno::from_io_error(&source) {
        Some(Errno::PERM | Errno::ACCESS) => AddressError::NotPermitted(interface),
        Some(Errno::NODEV) => AddressError::NoInterface(interface),
        _ => AddressError::Kernel { what, address: wanted.address.addr(), interface, source },
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet }
}

fn message(address: IpNet, index: u32, seconds: Option<u32>) -> AddressMessage {
    let ip = address.addr();
    let mut message = AddressMessage::default();
    message.header.family = family(ip);
    message.header.prefix_len = address.prefix_len();
    message.header.scope = AddressScope::Universe;
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    if let IpNet::V4(v4) = address
        && v4.prefix_len() < 31
    {
        message.attributes.push(AddressAttribute::Broadcast(v4.broadcast()));
    }
    if let Some(seconds) = seconds {
        let mut life = CacheInfo::default();
        (life.ifa_preferred, life.ifa_valid) = (seconds, seconds);
        // Whether another has it was asked before; the kernel's own asking would keep an IPv6 address silent for a second.
        let flags = if ip.is_ipv6() { AddressFlags::Nodad } else { AddressFlags::empty() };
        let lives = [AddressAttribute::CacheInfo(life), AddressAttribute::Flags(flags)];
        message.attributes.extend(lives);
        message.attributes.push(AddressAttribute::Protocol(OUR_MARK));
    }
    message
}

/// The host's own address; `Address` is the far end's where there is one.
fn local(found: &AddressMessage) -> Option<IpAddr> {
    let attributes = || found.attributes.iter();
    let own = attributes().find_map(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    own.or_else(|| {
        attributes().find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })
    })
}

fn is_ours(found: &AddressMessage) -> bool {
    let mark = found.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Protocol(mark) => Some(*mark),
        _ => None,
    });
    let valid = found.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::CacheInfo(life) => Some(life.ifa_valid),
        _ => None,
    });
    // An operator who makes it permanent has made it his own, whatever mark it bears.
    let dies_soon = valid.is_some_and(|seconds| seconds <= OUR_LONGEST_LIFETIME);
    dies_soon && mark.is_none_or(|mark| mark == OUR_MARK)
}
