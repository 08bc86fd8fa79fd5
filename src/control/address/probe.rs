//! Does another host on the link have the address already? Asked by ARP (RFC 5227 §2.1) or neighbour discovery (RFC 4862 §5.4).

use super::kernel::Addresses;
use crate::{
    model::group::InterfaceAddress,
    net::{
        neighbour::{Mac, claim, question},
        packet::{Wire, own_macs},
    },
};
use std::time::Duration;
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
    // A question into a dead link is not refused: it waits in the queue.
    match Addresses::open() {
        Ok(kernel) if !kernel.is_running(&of.interface) => {
            return Ownership::CannotTell(format!("the link {} is down", of.interface));
        }
        Ok(_) => {}
        Err(error) => return Ownership::CannotTell(error.to_string()),
    }
    let wire = match Wire::open(&of.interface, address) {
        Ok(wire) => wire,
        Err(error) => return Ownership::CannotTell(format!("cannot ask on {}: {error}", of.interface)),
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
