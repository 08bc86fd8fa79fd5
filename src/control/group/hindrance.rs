//! What keeps this node from serving a seat that it holds by its record: said once for each change, and an alert while it stands.

use super::{Group, doubts::Doubt, standing::not_served};
use crate::{
    control::address::probe::Ownership,
    decide::seat::SeatStatus,
    model::{NodeName, seat::SeatRefusal},
};
use std::{collections::BTreeMap, time::Duration};

/// What is so for a shorter time is how a seat is entered.
const SAID_AFTER: Duration = Duration::from_secs(1);
/// What may still be on its way there: a silence of `primary_timeout` has to pass, and questions to be answered.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// It is an alert when it stands for so long.
const ALERT_AFTER: Duration = Duration::from_secs(5);

/// What keeps this node from its seats.
#[derive(Debug, Default)]
pub(super) struct Hindrances {
    /// What the last probe of each seat's address found.
    probes: BTreeMap<NodeName, Ownership>,
    /// The seats whose routes or address could not be brought up, and why.
    pub(super) failing: BTreeMap<NodeName, String>,
    /// What who was asked to take one said to that.
    pub(super) not_coming: BTreeMap<NodeName, String>,
}

impl Hindrances {
    /// Who has the seat's address, as the last probe found it.
    pub(super) fn owner(&self, seat: &NodeName) -> Option<&Ownership> {
        self.probes.get(seat)
    }
}

impl Group {
    /// A shared address was asked for. That nobody could ask is logged when it becomes so.
    pub(super) fn probed(&mut self, seat: &NodeName, found: &Ownership) {
        let before = self.hindrances.probes.insert(seat.clone(), found.clone());
        match found {
            Ownership::CannotTell(why) if before.as_ref() != Some(found) => {
                tracing::warn!(%seat, %why, "nobody can say whether the shared address is in use");
            }
            _ => {}
        }
    }

    /// The seats that this node holds and does not serve.
    pub(super) fn held_and_not_served(&self) -> Vec<Doubt> {
        let doubt = |(seat, status): (&NodeName, SeatStatus)| {
            let (why, event, said_after) = match (self.hindrances.failing.get(seat), status.hindrance) {
                (Some(why), _) => {
                    let others = self.hindrances.not_coming.get(seat).map(|words| format!("; {words}"));
                    (format!("{why}{}", others.unwrap_or_default()), "serve_failed", Duration::ZERO)
                }
                (None, Some(refusal)) => {
                    let (why, shown) = self.why_not_served(seat, refusal);
                    let patience = self.spec.takeover.primary_timeout + ANSWERED_WITHIN;
                    (why, "seat_held_back", if shown { SAID_AFTER } else { patience })
                }
                (None, None) => return None,
            };
            Some(Doubt {
                key: not_served(seat),
                title: format!("{} can't serve seat {seat}", self.me),
                message: format!("{} can't serve seat {seat}: {why}", self.me),
                advice: "it is tried all the time; mend what is said, or let another node take over".into(),
                event,
                over: None,
                said_after,
                alert_after: if said_after.is_zero() { said_after } else { ALERT_AFTER },
            })
        };
        self.machine.seats().filter_map(doubt).collect()
    }

    /// In words; and whether that is so, instead of only not shown yet.
    fn why_not_served(&self, seat: &NodeName, refusal: SeatRefusal) -> (String, bool) {
        let address = || match self.address_of(seat) {
            Some(its) => format!("the shared address {}", its.address.addr()),
            None => "the shared address".into(),
        };
        match (refusal, self.hindrances.probes.get(seat)) {
            (SeatRefusal::AddressOwned, Some(Ownership::Owned(mac))) => {
                (format!("another host ({mac}) has {}", address()), true)
            }
            (SeatRefusal::NoProof, Some(Ownership::CannotTell(why))) => {
                (format!("nobody can say whether another host has {}: {why}", address()), true)
            }
            (SeatRefusal::StillHeard, _) => ("another node is heard that serves it, or hears who does".into(), true),
            (SeatRefusal::NewerElsewhere, _) => {
                let node =
                    self.machine.newer_of_members(self.clock.now(), seat).map_or("another node", |node| node.as_ref());
                (format!("{node} has a newer copy of it, which is pulled first"), true)
            }
            (SeatRefusal::NotStored, _) => ("the node's record can't be stored".into(), true),
            (refusal, _) => (refusal.words().into(), refusal != SeatRefusal::NoProof),
        }
    }
}
