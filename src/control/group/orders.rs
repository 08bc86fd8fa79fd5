//! Operators' orders about the group.

use super::{Done, Group, words};
use crate::{
    control::{
        orders::{GroupOrder, GroupRequest, OrderError, Reply},
        sync,
    },
    decide::seat::input::Order,
    model::{NodeName, view::OrderAnswer},
};
use std::sync::Arc;

impl Group {
    pub(super) fn request(&mut self, request: GroupRequest) {
        let GroupRequest { order, by, reply } = request;
        tracing::info!(by, order = %words::order(&order), "an order about the group");
        if let Some(error) = self.names_nobody(&order) {
            let _gone = reply.send(Err(error));
            return;
        }
        match order {
            GroupOrder::Join { forward, reverse } => {
                let (links, arranger, known) = (Arc::clone(&self.links), self.arranger.clone(), self.others());
                let words = words::order(&GroupOrder::Join { forward: forward.clone(), reverse: reverse.clone() });
                self.tasks.spawn(async move {
                    match links.join(forward, reverse).await {
                        Ok(node) => {
                            let new = !known.contains(&node);
                            Done::Joined(node, reply, new)
                        }
                        Err(error) => {
                            let message = format!("order by {by}: {words}: refused: {error}");
                            arranger.event("group_order", true, message).await;
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
            GroupOrder::Part(node) if node == self.me => self.leave(by, reply),
            GroupOrder::Part(node) => self.part_from(node, &by, reply),
            GroupOrder::Seat(Order::Leave) => self.leave(by, reply),
            GroupOrder::Seat(order) => self.request_order(order, by, reply),
        }
    }

    /// Pulls every seat that is held elsewhere.
    fn sync_all(&mut self) -> Result<OrderAnswer, OrderError> {
        let (me, heard) = (self.me.clone(), self.heard());
        let seats: Vec<_> = self
            .machine
            .seats()
            .filter_map(|(seat, status)| Some((seat.clone(), status.holder?)))
            .filter(|(seat, holder)| *holder != me && self.machine.has_use_for(&me, seat))
            .collect();
        if seats.is_empty() {
            let served = self.served();
            if !served.is_empty() {
                let copies = |node: &NodeName| served.iter().any(|seat| self.machine.has_use_for(node, seat));
                let reached = heard.iter().filter(|node| !self.links_down.contains_key(*node) && copies(node));
                let nodes: Vec<_> = reached.cloned().collect();
                if nodes.is_empty() {
                    return Err(OrderError::Refused("no node that copies it is reached over the peer link".into()));
                }
                served.iter().for_each(|seat| self.poke(seat, &nodes));
                let message = format!("{} told to copy what is held here", listed(&nodes));
                return Ok(OrderAnswer { changed: true, message });
            }
            return Err(OrderError::Refused("no seat is known to be held by another node".into()));
        }
        let silent: Vec<String> = seats
            .iter()
            .filter(|(_, holder)| !heard.contains(holder))
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
    fn leave(&mut self, by: String, reply: Reply<OrderAnswer>) {
        if self.leaving {
            let _gone = reply.send(Err(OrderError::Busy));
            return;
        }
        let nodes = self.others();
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
        self.leaving = true;
        nodes.iter().for_each(|node| self.forget_member(node));
        let (links, arranger, gone) = (Arc::clone(&self.links), self.arranger.clone(), self.what_came_from(&nodes));
        self.tasks.spawn(async move {
            let parted = links.leave().await;
            arranger.forget(gone).await;
            let answer = match parted {
                Ok(partings) => Ok(OrderAnswer {
                    changed: true,
                    message: format!(
                        "this node is in no group any more; what it had copied is removed{}",
                        untold(partings.iter().filter(|parting| !parting.told).map(|parting| &parting.node))
                    ),
                }),
                Err(error) => Err(OrderError::Refused(format!(
                    "those it was joined with could not be struck from the disk, so it is joined again after a restart: mend the disk and \
                     order it again ({error})"
                ))),
            };
            let _gone = reply.send(answer);
            Done::Left
        });
    }

    /// Parts from one node, which may be gone for good: it may be joined again, also with another key.
    fn part_from(&mut self, node: NodeName, by: &str, reply: Reply<OrderAnswer>) {
        let held: Vec<NodeName> = self
            .machine
            .seats()
            .filter(|(_, status)| status.holder.as_ref() == Some(&node))
            .map(|(seat, _)| seat.clone())
            .collect();
        if !held.is_empty() {
            let seats = listed(&held);
            let why = format!("{node} holds seat {seats}: order `failback takeover` of it here first");
            let _gone = reply.send(Err(OrderError::Refused(why)));
            return;
        }
        self.event("group_order", true, format!("order by {by}: group leave --node {node}"));
        let links = Arc::clone(&self.links);
        self.tasks.spawn(async move {
            match links.part(&node).await {
                Ok(parting) => {
                    let untold = untold(parting.iter().filter(|parting| !parting.told).map(|parting| &parting.node));
                    let message = format!("{node} is in no group with this node any more{untold}");
                    let _gone = reply.send(Ok(OrderAnswer { changed: true, message }));
                    Done::Parted(node)
                }
                Err(error) => {
                    let why = format!("{node} could not be struck from the disk, so nothing changed: {error}");
                    let _gone = reply.send(Err(OrderError::Refused(why)));
                    Done::Nothing
                }
            }
        });
    }

    /// An order about a seat or node that is not there.
    fn names_nobody(&self, order: &GroupOrder) -> Option<OrderError> {
        let seats: Vec<&NodeName> = self.machine.seats().map(|(seat, _)| seat).collect();
        let mut nodes = self.others();
        nodes.push(self.me.clone());
        let seat = match order {
            GroupOrder::Seat(Order::Takeover { seat, .. } | Order::Reverse { seat } | Order::Replace { seat, .. }) => {
                Some(seat)
            }
            _ => None,
        };
        let node = match order {
            GroupOrder::Sync(node) => node.as_ref(),
            GroupOrder::Part(node) => Some(node),
            GroupOrder::Seat(Order::Replace { with, .. }) => Some(with),
            _ => None,
        };
        if let Some(seat) = seat.filter(|seat| !seats.contains(seat)) {
            let known = listed(seats.iter().copied());
            return Some(OrderError::NotInGroup(format!("there is no seat `{seat}`; the seats are: {known}")));
        }
        let node = node.filter(|node| !nodes.contains(node))?;
        let known = listed(&nodes);
        Some(OrderError::NotInGroup(format!("there is no node `{node}`; the nodes are: {known}")))
    }
}

/// Who did not hear of it and goes on believing in the group.
fn untold<'a>(nodes: impl IntoIterator<Item = &'a NodeName>) -> String {
    match listed(nodes).as_str() {
        "" => String::new(),
        names => format!("; {names} was not reached: order `failback group leave` there, too"),
    }
}

pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a NodeName>) -> String {
    names.into_iter().map(|name| &**name).collect::<Vec<_>>().join(", ")
}
