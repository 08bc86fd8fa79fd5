//! Operators' orders about the group.

use super::{Done, Group};
use crate::{
    control::{
        orders::{GroupOrder, GroupRequest, OrderError},
        sync,
    },
    decide::seat::input::Order,
    model::{NodeName, seat::Suspicion, view::OrderAnswer},
};
use std::sync::Arc;

impl Group {
    pub(super) fn request(&mut self, request: GroupRequest) {
        let GroupRequest { order, by, reply } = request;
        tracing::info!(by, ?order, "an order about the group");
        if let Some(error) = self.names_nobody(&order) {
            let _gone = reply.send(Err(error));
            return;
        }
        match order {
            GroupOrder::Join { forward, reverse } => {
                let links = Arc::clone(&self.links);
                let known: Vec<NodeName> =
                    self.machine.peers(self.clock.now()).map(|(name, ..)| name.clone()).collect();
                self.tasks.spawn(async move {
                    match links.join(forward, reverse).await {
                        Ok(node) => {
                            let new = !known.contains(&node);
                            Done::Joined(node, reply, new)
                        }
                        Err(error) => {
                            let _gone = reply.send(Err(OrderError::Refused(error.to_string())));
                            Done::Nothing
                        }
                    }
                });
            }
            GroupOrder::Sync(Some(node)) if node != self.me => {
                let (links, seats) = (Arc::clone(&self.links), self.served());
                self.tasks.spawn(async move {
                    let mut answer =
                        Ok(OrderAnswer { changed: true, message: format!("{node} copies what is held here") });
                    if seats.is_empty() {
                        answer =
                            Err(OrderError::Refused("this node holds no seat that could be copied from it".into()));
                    }
                    for seat in seats {
                        if let Err(error) = sync::poke(&links, &node, &seat).await {
                            answer = Err(OrderError::Refused(crate::model::causes::chain(&error)));
                        }
                    }
                    let _gone = reply.send(answer);
                    Done::Nothing
                });
            }
            GroupOrder::Sync(_) => {
                let _gone = reply.send(self.sync_all());
            }
            GroupOrder::Seat(Order::Leave) => self.leave(by, reply),
            GroupOrder::Seat(order) => self.request_order(order, by, reply),
        }
    }

    /// Pulls every seat that is held elsewhere.
    fn sync_all(&mut self) -> Result<OrderAnswer, OrderError> {
        let (me, now) = (self.me.clone(), self.clock.now());
        let heard = |name: &NodeName| {
            self.machine.peers(now).any(|(peer, suspicion, ..)| peer == name && suspicion != Suspicion::Red)
        };
        let seats: Vec<_> = self
            .machine
            .seats()
            .filter_map(|(seat, status)| Some((seat.clone(), status.holder?)))
            .filter(|(seat, holder)| *holder != me && self.machine.has_use_for(&me, seat))
            .collect();
        if seats.is_empty() {
            let served = self.served();
            if !served.is_empty() {
                let nodes: Vec<NodeName> = self.machine.peers(now).map(|(name, ..)| name.clone()).collect();
                self.poke(&nodes);
                let message = format!("{} told to copy what is held here", listed(&nodes));
                return Ok(OrderAnswer { changed: !nodes.is_empty(), message });
            }
            return Err(OrderError::Refused("no seat is known to be held by another node".into()));
        }
        let silent: Vec<String> = seats
            .iter()
            .filter(|(_, holder)| !heard(holder))
            .map(|(seat, holder)| format!("{holder}, which holds seat {seat}, is not heard"))
            .collect();
        if !silent.is_empty() {
            return Err(OrderError::Refused(silent.join("; ")));
        }
        let names: Vec<String> = seats.iter().map(|(seat, holder)| format!("seat {seat} from {holder}")).collect();
        for (seat, holder) in seats {
            self.pull(seat, holder);
        }
        Ok(OrderAnswer {
            changed: true,
            message: format!("copying {}; `failback status` shows the result", names.join(", ")),
        })
    }

    /// The machine says whether it may; then the others are told, and what came from them is removed (`B5`).
    fn leave(&mut self, by: String, reply: crate::control::orders::Reply<OrderAnswer>) {
        if self.leaving.is_some() {
            let _gone = reply.send(Err(OrderError::Busy));
            return;
        }
        let nodes: Vec<NodeName> = self.machine.peers(self.clock.now()).map(|(name, ..)| name.clone()).collect();
        let (asked, mut verdict) = tokio::sync::oneshot::channel();
        self.request_order(Order::Leave, by, asked);
        match verdict.try_recv() {
            Ok(Ok(_)) => {}
            Ok(refused) => {
                let _gone = reply.send(refused);
                return;
            }
            Err(_) => {
                let _gone = reply.send(Err(OrderError::Busy));
                return;
            }
        }
        self.leaving = Some(reply);
        let links = Arc::clone(&self.links);
        self.tasks.spawn(async move {
            match links.leave().await {
                Ok(partings) => {
                    for parting in partings.iter().filter(|parting| !parting.told) {
                        tracing::warn!(node = %parting.node, "was not reached, and has to be made to leave itself");
                    }
                }
                Err(error) => tracing::error!(%error, "the others could not be forgotten"),
            }
            Done::Nothing
        });
        self.forget_what_came_from(&nodes);
    }

    /// An order about a seat or node that is not there.
    fn names_nobody(&self, order: &GroupOrder) -> Option<OrderError> {
        let seats: Vec<&NodeName> = self.machine.seats().map(|(seat, _)| seat).collect();
        let mut nodes: Vec<&NodeName> = self.machine.peers(self.clock.now()).map(|(name, ..)| name).collect();
        nodes.push(&self.me);
        let seat = match order {
            GroupOrder::Seat(Order::Takeover { seat, .. } | Order::Reverse { seat } | Order::Replace { seat, .. }) => {
                Some(seat)
            }
            _ => None,
        };
        let node = match order {
            GroupOrder::Sync(node) => node.as_ref(),
            GroupOrder::Seat(Order::Replace { with, .. }) => Some(with),
            _ => None,
        };
        if let Some(seat) = seat.filter(|seat| !seats.contains(seat)) {
            let known = listed(seats.iter().copied());
            return Some(OrderError::NotInGroup(format!("there is no seat `{seat}`; the seats are: {known}")));
        }
        let node = node.filter(|node| !nodes.contains(node))?;
        let known = listed(nodes.iter().copied());
        Some(OrderError::NotInGroup(format!("there is no node `{node}`; the nodes are: {known}")))
    }
}

fn listed<'a>(names: impl IntoIterator<Item = &'a NodeName>) -> String {
    names.into_iter().map(|name| &**name).collect::<Vec<_>>().join(", ")
}
