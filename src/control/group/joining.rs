//! A node that was joined has to show that it can serve the seat, by copying it, before the order is called done. One that can't (it has
//! a pair of that name from another seat, or lacks a certificate) is parted from again: nothing has changed then.

use super::{Done, Group};
use crate::{
    control::orders::{OrderError, Reply},
    model::{NodeName, Time, view::OrderAnswer},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A copy takes less than a second once the seat is served.
const COPIED_WITHIN: Duration = Duration::from_secs(8);

/// Who waits for the first copies.
pub(super) type Joining = BTreeMap<NodeName, Waiting>;

/// One who does.
#[derive(Debug)]
pub(super) struct Waiting {
    reply: Reply<OrderAnswer>,
    until: Time,
    /// It was no peer before.
    new: bool,
}

impl Group {
    pub(super) fn await_copy(&mut self, node: NodeName, reply: Reply<OrderAnswer>, new: bool) {
        if self.joining.contains_key(&node) {
            let _gone = reply.send(Err(OrderError::Busy));
            return;
        }
        let until = self.clock.now() + COPIED_WITHIN;
        self.joining.insert(node, Waiting { reply, until, new });
        self.answer_joins();
    }

    /// Answers the orders to join whose nodes have copied a seat, could not, or had their time.
    pub(super) fn answer_joins(&mut self) {
        let now = self.clock.now();
        for (node, waiting) in std::mem::take(&mut self.joining) {
            let refused = self.copies.refused.iter().find(|((_, of), _)| *of == node);
            let refused = refused.map(|((seat, _), refused)| format!("{node} can't copy seat {seat}: {}", refused.why));
            let copied = self.copies.pulled_by.keys().any(|(_, of)| *of == node);
            let Waiting { reply, until, new } = waiting;
            let so_far = format!("{node} is a backup of this node from now on");
            let answer = match refused {
                Some(why) if new => {
                    self.part(node, reply, why);
                    continue;
                }
                Some(why) => Err(OrderError::Refused(why)),
                None if copied => Ok(format!("{so_far}; it has copied the seat")),
                None if now >= until => {
                    Ok(format!("{so_far}; it has not copied the seat yet, `failback status` shows when"))
                }
                None => {
                    self.joining.insert(node, Waiting { reply, until, new });
                    continue;
                }
            };
            let _gone = reply.send(answer.map(|message| OrderAnswer { changed: true, message }));
        }
    }

    fn part(&mut self, node: NodeName, reply: Reply<OrderAnswer>, why: String) {
        self.event("join_undone", true, format!("{node} is parted from again: {why}"));
        let links = Arc::clone(&self.links);
        self.tasks.spawn(async move {
            let (why, done) = match links.part(&node).await {
                Ok(parting) if parting.as_ref().is_none_or(|parting| parting.told) => (why, Done::Parted(node)),
                Ok(_) => {
                    let more = "could not be told that the join is undone: order `failback group leave` there, too";
                    (format!("{why}; {node} {more}"), Done::Parted(node))
                }
                Err(error) => {
                    let more = "could not be struck from the disk, so it stays joined";
                    (format!("{why}; {node} {more}: {error}"), Done::Nothing)
                }
            };
            let _gone = reply.send(Err(OrderError::Refused(why)));
            done
        });
    }
}
