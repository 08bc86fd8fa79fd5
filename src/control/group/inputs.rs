//! What happens around a node, turned into inputs of its machine.

use super::{Done, Group, newest};
use crate::{
    control::{
        address::{AddressEvent, Loss, probe::Ownership},
        orders::OrderError,
        peer::PeerEvent,
        seats::{FromDriver, SeatOrder},
        sync::{About, Asked, Declined, GivenUp, NotApplied},
    },
    decide::{
        seat::{
            SeatStatus,
            input::{Input, Order, Owner},
        },
        suspicion::Path,
    },
    model::{
        HostPort, NodeName,
        causes::chain,
        group::{HeartbeatPath, Role},
        view::{OrderAnswer, ReloadAnswer},
    },
    net::dial::{DialError, FirstWord, dial},
};
use std::{sync::Arc, time::Duration};
use tokio::{net::lookup_host, time::sleep};

/// A host that is there refuses at once.
const REFUSED_WITHIN: Duration = Duration::from_millis(500);
/// So often it is asked, and so far apart.
const KNOCKS: u32 = 5;
const KNOCK_EVERY: Duration = Duration::from_millis(50);
const ASK_ABOUT_EVERY: Duration = Duration::from_secs(5);

impl Group {
    pub(super) fn peer_says(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Heard { heartbeat, path } => {
                let path = match path {
                    HeartbeatPath::Link => Path::PeerLink,
                    HeartbeatPath::Beacon => Path::Beacon,
                };
                self.input(Input::Heard { path, heartbeat });
            }
            PeerEvent::Overheard { heartbeat } => self.input(Input::Overheard(heartbeat)),
            PeerEvent::LinkUp { node, version, .. } => {
                self.links_down.remove(&node);
                if version != env!("CARGO_PKG_VERSION") {
                    let message = format!("{node} runs version {version}: all nodes of a group have to run the same");
                    self.event("version_differs", true, message);
                }
                self.ask_about(node);
            }
            PeerEvent::LinkLost { node, was_up, why } => {
                let first = !self.links_down.contains_key(&node);
                self.link_lost(&node, was_up, &why);
                if was_up || first {
                    self.look_again();
                    self.input(Input::LinkLost(node.clone()));
                    self.knock(node);
                }
            }
            PeerEvent::Joined { peer } => {
                self.event("joined", false, format!("{} is joined with {}", self.me, peer.node));
                self.input(Input::Joined(peer.node.clone(), peer.role));
                self.ask_about(peer.node);
            }
            PeerEvent::NameTwice { from } => {
                let message =
                    format!("another node is called {} too, at {from}; give one of them another node.name", self.me);
                self.event("name_twice", true, message);
            }
            PeerEvent::Left { node } => {
                self.event("left", true, format!("{node} has left the group"));
                self.member_left(node);
            }
        }
    }

    /// What the others say of themselves, for who looks at the group here.
    pub(super) fn ask_about_all(&mut self) {
        let now = self.clock.now();
        if now.since(self.asked_about) < ASK_ABOUT_EVERY {
            return;
        }
        self.asked_about = now;
        self.heard().into_iter().for_each(|node| self.ask_about(node));
    }

    fn ask_about(&mut self, node: NodeName) {
        let links = Arc::clone(&self.links);
        self.tasks.spawn(async move {
            match crate::control::sync::about(&links, &node).await {
                Ok(about) => Done::About(node, about),
                Err(_) => Done::Nothing,
            }
        });
    }

    /// Its process may be gone, and its host still there to say so. A firewall says the same: where no address can be asked for, too, it is
    /// not believed.
    fn knock(&mut self, node: NodeName) {
        if self.spec.shared_address.is_none() {
            return;
        }
        let peer = self.links.peers().borrow().iter().find(|peer| peer.node == node).cloned();
        let Some(HostPort { host, port }) = peer.map(|peer| peer.address) else { return };
        self.tasks.spawn(async move {
            let Ok(addresses) = lookup_host((host.as_str(), port)).await else { return Done::Nothing };
            let addresses: Vec<_> = addresses.collect();
            for _ in 0..KNOCKS {
                if let Err(DialError::Refused) = dial(&addresses, REFUSED_WITHIN, FirstWord::Unknown).await {
                    return Done::Gone(node);
                }
                // A process that is being ended has listeners that still take connections, for some milliseconds.
                sleep(KNOCK_EVERY).await;
            }
            Done::Nothing
        });
    }

    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Stored(id, result) => {
                self.record_stored(&result);
                self.input(if result.is_ok() { Input::Persisted(id) } else { Input::PersistFailed(id) });
            }
            Done::Witnesses(id, answered) => self.input(Input::Witnesses(id, answered)),
            Done::Probed(id, seat, found) => {
                self.probed(&seat, &found);
                let owner = match found {
                    Ownership::Owned(_) => Owner::Somebody,
                    Ownership::Free => Owner::Nobody,
                    Ownership::CannotTell(_) => Owner::Unknown,
                };
                self.input(Input::Probed(id, owner));
            }
            Done::Opened(seat, permit, opened) => self.opened(seat, &permit, opened),
            Done::Closed(seat) => self.input(Input::Gone(seat)),
            Done::Pulled { seat, from, order, result } => self.pulled(seat, from, order, result),
            Done::Joined(node, reply, new) => self.await_copy(node, reply, new),
            Done::Parted(node) => self.member_left(node),
            Done::Taken(seat, revision) => self.input(Input::Synced { seat, revision }),
            Done::Behind(seat) => self.pull_soon(seat),
            Done::Preflight(seat, found) => {
                if let Err((_, why)) = &found {
                    self.event("preflight_failed", true, format!("seat {seat} can't be served from here: {why}"));
                }
                self.input(Input::Preflight { seat, found: found.map_err(|(why, _)| why) });
            }
            Done::Pushed { receipts, results, seats } => self.pushed(receipts, results, &seats),
            Done::WrittenDown(written) => self.written_down(written),
            Done::Gone(node) => self.input(Input::PeerGone(node)),
            Done::Address(seat, events, event) => {
                if self.held.contains_key(&seat) {
                    self.address_says(&seat, event);
                    self.watch_address(seat, events);
                }
            }
            Done::Nothing => {}
            Done::Commanded(seat, aim, result) => self.commanded(seat, aim, &result),
            Done::FallbackAsked(found) => self.fallback_asked(&found),
            Done::Fallback(events, event) => self.fallback_says(events, event),
            Done::About(node, about) => drop(self.about.insert(node, about)),
            Done::Looked(found) => self.looked(found),
            Done::Testified(testimony) => self.testified(testimony),
            Done::Arranged(result) => self.arranged(result),
            Done::Changed => self.served().iter().for_each(|seat| {
                self.pulls.no_longer_lacking(seat);
                self.was_written(seat);
            }),
            Done::Left => self.leaving = false,
        }
    }

    fn address_says(&mut self, seat: &NodeName, event: AddressEvent) {
        match event {
            AddressEvent::Conflict(mac) => self.claimed(seat, Some(mac)),
            AddressEvent::ConflictOver => self.claimed(seat, None),
            AddressEvent::Restored => {
                self.event(
                    "address_restored",
                    true,
                    format!("the shared address of seat {seat} was gone and is there again"),
                );
            }
            AddressEvent::Lost(loss) => {
                self.event("address_lost", true, format!("the shared address of seat {seat}: {loss}"));
                self.held.remove(seat);
                match loss {
                    Loss::NotRenewed(span) => self.input(Input::Gap(span)),
                    Loss::Refused(why) => self.serve_failed(seat.clone(), &chain(&why)),
                }
            }
        }
    }

    pub(super) fn driver_asks(&mut self, asked: FromDriver) {
        match asked {
            FromDriver::Replicate { seat, pair, record, receipt } => self.replicate(seat, pair, *record, receipt),
            FromDriver::Reload { force, by, reply } => {
                let arranger = self.arranger.clone();
                self.tasks.spawn(async move {
                    let answer = arranger.reload(force).await;
                    let (grave, message) = match &answer {
                        Ok(changes) if changes.is_empty() => {
                            (false, format!("configuration reloaded by {by}: nothing changed"))
                        }
                        Ok(changes) => (false, format!("configuration reloaded by {by}: {}", changes.join("; "))),
                        Err(error) => (true, format!("reload by {by} refused, nothing changed: {error}")),
                    };
                    let kind = if grave { "reload_refused" } else { "reload" };
                    arranger.event(kind, grave, message).await;
                    let changed = answer.is_ok();
                    if let Some(reply) = reply {
                        let _gone = reply.send(answer.map(|changes| ReloadAnswer { changes }));
                    }
                    if changed { Done::Changed } else { Done::Nothing }
                });
            }
        }
    }

    pub(super) fn peer_asks(&mut self, asked: Asked) {
        match asked {
            Asked::Copy { seat, by, reply } => {
                tracing::debug!(%seat, %by, "a seat is pulled");
                // Also what was just granted and is served no more, or can't be served here. Who holds it may have lost what it gave to this
                // node; only what a third node holds is that one's to give.
                let is_ours = |holder: &NodeName| *holder == self.me || *holder == by;
                let is_given =
                    self.machine.seats().any(|(name, its)| *name == seat && its.holder.as_ref().is_none_or(is_ours));
                let copy = is_given.then(|| self.arranger.known().get(&seat).cloned()).flatten();
                let _gone = reply.send(copy);
            }
            Asked::Records { update, from, reply } if update.by != from => {
                tracing::warn!(seat = %update.seat, %from, by = %update.by, "records are pushed in another node's name");
                let _gone = reply.send(Err(Declined::NotApplied(NotApplied::Superseded)));
            }
            Asked::Records { update, from, reply } => {
                tracing::debug!(seat = %update.seat, %from, "records are pushed");
                let arranger = self.arranger.clone();
                let serving = self.served().contains(&update.seat);
                self.tasks.spawn(async move {
                    let (done, answer) = arranger.apply(update, serving).await;
                    let _gone = reply.send(answer);
                    done
                });
            }
            Asked::Pulled { by, verdict } => self.judged(by, verdict),
            Asked::GivenUp { given_up: GivenUp { seat, epochs }, by } => {
                let order = SeatOrder::Outnumbered(seat.clone(), epochs);
                if self.machine.has_use_for(&by, &seat) && self.driver.try_send(order).is_err() {
                    tracing::warn!(%seat, %by, "the driver is too busy to hear which epochs are given up");
                }
            }
            Asked::Changed { seat, from } => {
                let holds =
                    |(name, status): (&NodeName, SeatStatus)| *name == seat && status.holder.as_ref() == Some(&from);
                if self.machine.has_use_for(&self.me, &seat) && self.machine.seats().any(holds) {
                    self.pull_anew(seat, from);
                }
            }
            Asked::Told { from, message } => self.input(Input::Told(from, message)),
            Asked::About { reply } => {
                let about = About {
                    version: env!("CARGO_PKG_VERSION").into(),
                    fallback_address: self.spec.fallback_address.as_ref().map(|its| its.address.to_string()),
                    shared_addresses: self.addresses.values().map(|its| its.address.to_string()).collect(),
                    last_sync: newest(self.pulls.last.values().cloned()),
                    unfit: self.unfit_lines(),
                };
                let _gone = reply.send(about);
            }
        }
    }

    pub(super) fn request_order(
        &mut self,
        order: Order,
        by: String,
        reply: crate::control::orders::Reply<OrderAnswer>,
    ) {
        if self.waiting.len() >= 64 {
            let _gone = reply.send(Err(OrderError::Busy));
            return;
        }
        self.tickets += 1;
        let ticket = crate::decide::effect::Ticket(self.tickets);
        self.waiting.insert(ticket, (reply, by));
        self.input(Input::Order { ticket, order });
    }

    /// A node is a member no more: nothing that came from it is kept (`B5`).
    pub(super) fn member_left(&mut self, node: NodeName) {
        self.forget_member(&node);
        self.input(Input::Left(node.clone()));
        let (arranger, gone) = (self.arranger.clone(), self.what_came_from(&[node]));
        self.tasks.spawn(async move {
            arranger.forget(gone).await;
            Done::Nothing
        });
    }

    pub(super) fn forget_member(&mut self, node: &NodeName) {
        self.about.remove(node);
        self.links_down.remove(node);
        self.copies.forget(node);
        self.pulls.forget(node);
    }

    /// The seats that are known from these nodes only.
    pub(super) fn what_came_from(&mut self, nodes: &[NodeName]) -> Vec<NodeName> {
        let serving = self.served();
        let known = self.arranger.known();
        let is_own = |seat: &NodeName| *seat == self.me && self.machine.role() == Role::Primary;
        // A seat may have become another's, who is not parted from.
        let members = self.others();
        let stays = |home: &NodeName| !nodes.contains(home) && members.contains(home);
        let gone: Vec<NodeName> = known
            .values()
            .filter(|copy| nodes.contains(&copy.seat) || nodes.contains(&copy.by))
            .filter(|copy| !self.machine.seats().any(|(seat, its)| *seat == copy.seat && stays(&its.home)))
            .map(|copy| copy.seat.clone())
            .filter(|seat| !is_own(seat) && !serving.contains(seat))
            .collect();
        gone.iter().for_each(|seat| self.pulls.forget_seat(seat));
        gone
    }
}
