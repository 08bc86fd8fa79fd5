//! Does another host on the link have the address already? Asked by ARP (RFC 5227 §2.1) or neighbour discovery (RFC 4862 §5.4).

use super::kernel::{AddressError, Addresses, Found};
use crate::{
    model::group::InterfaceAddress,
    net::{
        neighbour::{Mac, claim, question},
        packet::{Wire, own_macs},
    },
};
use rustix::thread::{CapabilitySet, capabilities};
use std::{io, time::Duration};
use tokio::time::{Instant, interval, timeout_at};

/// RFC 5227 `PROBE_NUM`.
const QUESTIONS: u32 = 3;

/// What the link says about an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// Another host has it.
    Owned(Mac),
    /// Nobody answered.
    Free,
    /// We could not ask, so silence means nothing.
    CannotTell(String),
}

/// Asks three times within `wait`, and answers as soon as a host does. This host's own interfaces don't count.
pub async fn ownership(of: &InterfaceAddress, wait: Duration) -> Ownership {
    let address = of.address.addr();
    let wire = match wire(of) {
        Ok(wire) => wire,
        Err(why) => return Ownership::CannotTell(why),
    };
    let (frame, own) = (question(address, wire.mac()), own_macs());
    let end = Instant::now() + wait;
    let mut ask = interval((wait / QUESTIONS).max(Duration::from_millis(1)));
    let mut asked = 0;
    let answer = async {
        loop {
            tokio::select! {
                biased;
                frame = wire.receive() => match frame.map(|frame| claim(&frame, address)) {
                    Ok(Some(mac)) if !own.contains(&mac) => return Ownership::Owned(mac),
                    Ok(_) => {}
                    Err(error) => return Ownership::CannotTell(format!("the link {} failed: {error}", of.interface)),
                },
                _ = ask.tick(), if asked < QUESTIONS => {
                    asked += 1;
                    if let Err(error) = wire.send(&frame) {
                        return Ownership::CannotTell(format!("cannot ask on {}: {error}", of.interface));
                    }
                }
            }
        }
    };
    timeout_at(end, answer).await.unwrap_or(Ownership::Free)
}

/// What would keep this host from looking for the address and taking it, in words with the mend; nothing if it could. Must be called
/// within a runtime; blocks for a few questions to the kernel.
#[must_use]
pub fn hindrance(of: &InterfaceAddress) -> Option<String> {
    if let Err(why) = wire(of) {
        return Some(why);
    }
    let may = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_ADMIN));
    if !may {
        return Some(AddressError::NotPermitted(of.interface.clone()).to_string());
    }
    let address = of.address.addr();
    match Addresses::open().and_then(|kernel| kernel.find(address)) {
        Ok(Found::Another(interface)) => Some(AddressError::Configured { address, interface }.to_string()),
        Ok(Found::Nobody | Found::Us) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// Where the question can be put, or why it can't.
fn wire(of: &InterfaceAddress) -> Result<Wire, String> {
    let kernel = Addresses::open().map_err(|error| error.to_string())?;
    kernel.index(&of.interface).map_err(|error| error.to_string())?;
    // A question into a dead link is not refused: it waits in the queue.
    if !kernel.is_running(&of.interface) {
        return Err(format!("the link {} is down", of.interface));
    }
    Wire::open(&of.interface, of.address.addr()).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => AddressError::NotPermitted(of.interface.clone()).to_string(),
        _ => format!("cannot ask on {}: {error}", of.interface),
    })
}
