//! Questions and orders to the kernel about links, addresses and routes (rtnetlink, RFC 3549). The kernel answers within the
//! system call that asks, so that none of this waits, and a `Drop` can give an address back.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recv, send,
    socket_with,
};
use std::{io, os::fd::OwnedFd};

/// The kernel fills no more than this at a time (`NLMSG_GOODSIZE` and what `ip` uses).
const BUFFER: usize = 32 * 1024;

/// A socket to the kernel. One exchange at a time.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
}

impl Netlink {
    /// A socket to ask by.
    ///
    /// # Errors
    /// If the system gives us none.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: socket(0, SocketFlags::NONBLOCK)? })
    }

    /// One answer to one question.
    ///
    /// # Errors
    /// What the kernel objects.
    pub fn get(&self, question: RouteNetlinkMessage) -> io::Result<RouteNetlinkMessage> {
        self.exchange(question, 0)?.pop().ok_or_else(no_answer)
    }

    /// All there is of what `question` asks for.
    ///
    /// # Errors
    /// What the kernel objects.
    pub fn list(&self, question: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.exchange(question, NLM_F_DUMP)
    }

    /// Makes the kernel do something; `flags` beside the usual ones.
    ///
    /// # Errors
    /// What the kernel objects.
    pub fn order(&self, order: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.exchange(order, NLM_F_ACK | flags).map(drop)
    }

    fn exchange(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.forget_leftovers();
        send(&self.socket, &bytes, SendFlags::empty())?;

        let mut answers = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let (length, _) = recv(&self.socket, &mut *buffer, RecvFlags::empty())?;
            let mut rest = buffer.get(..length).unwrap_or_default();
            while !rest.is_empty() {
                let here =
                    usize::try_from(NetlinkBuffer::new_checked(rest).map_err(garbled)?.length()).map_err(garbled)?;
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(garbled)?;
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Overrun(_) => return Err(no_answer()),
                    _ => {}
                }
                rest = rest.get(here.next_multiple_of(4)..).unwrap_or_default();
            }
            if flags & (NLM_F_ACK | NLM_F_DUMP) == 0 {
                return Ok(answers);
            }
        }
    }

    /// What an exchange that failed half-way left behind.
    fn forget_leftovers(&self) {
        let mut ignored = [0; 1];
        while recv(&self.socket, &mut ignored, RecvFlags::TRUNC).is_ok() {}
    }
}

/// A socket that also hears of every change in `groups` (`RTMGRP_…`).
///
/// # Errors
/// If the system gives us none.
pub fn socket(groups: u32, more: SocketFlags) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | more;
    // No protocol is NETLINK_ROUTE, which is 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn garbled(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn no_answer() -> io::Error {
    io::Error::other("the kernel did not answer")
}
