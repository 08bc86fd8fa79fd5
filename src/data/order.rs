//! Closing orders: which sessions of a pair are condemned, which are on their way out, which are spared for good.

use super::session::Session;
use crate::model::table::{CloseOrder, CloseRate, PairRow};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::atomic::Ordering::{AcqRel, Acquire},
};

/// One pair's orders on one worker. Only the newest counts.
#[derive(Debug, Default)]
pub(super) struct Orders {
    seen: Option<u64>,
    /// Condemned and still untouched, oldest first.
    waiting: BTreeMap<u64, Rc<Session>>,
    /// Told to end; their tasks have not run since.
    ending: BTreeSet<u64>,
    /// Spared because the client is exempt.
    exempt: BTreeSet<u64>,
}

impl Orders {
    /// Obeys what the row says about the sessions that are there. `sessions` are the pair's, in any order; they are
    /// looked at only when the order is new.
    pub(super) fn obey(&mut self, row: &PairRow, sessions: impl Iterator<Item = Rc<Session>>) {
        let Some(order) = &row.close else {
            self.waiting.clear();
            self.exempt.clear();
            return;
        };
        if self.seen != Some(order.id) {
            self.seen = Some(order.id);
            self.condemn(row, order, sessions);
        }
        self.carry_out(order);
    }

    fn condemn(&mut self, row: &PairRow, order: &CloseOrder, sessions: impl Iterator<Item = Rc<Session>>) {
        self.waiting.clear();
        self.exempt.clear();
        for session in sessions {
            // Dials in flight are not listed here: the new order alone makes them start anew.
            let Some(upstream) = session.upstream_name() else { continue };
            if order.spare_upstream.as_ref() == Some(upstream) || self.ending.contains(&session.id) {
                continue;
            }
            if order.spare_exempt && session.exempt_from(&row.exempt) {
                self.exempt.insert(session.id);
            } else {
                self.waiting.insert(session.id, session);
            }
        }
    }

    fn carry_out(&mut self, order: &CloseOrder) {
        while let Some(oldest) = self.waiting.first_entry() {
            if let CloseRate::Allowed { allowed, taken } = &order.rate {
                let step = |taken: u64| (taken < *allowed).then_some(taken + 1);
                if taken.fetch_update(AcqRel, Acquire, step).is_err() {
                    return;
                }
            }
            let (id, session) = oldest.remove_entry();
            self.ending.insert(id);
            session.order_end(order.reason);
        }
    }

    /// The session is gone. `true` if that is progress.
    pub(super) fn forget(&mut self, session: u64) -> bool {
        self.ending.remove(&session) || self.waiting.remove(&session).is_some() || self.exempt.remove(&session)
    }

    pub(super) fn seen(&self) -> Option<u64> {
        self.seen
    }

    pub(super) fn left(&self) -> u64 {
        (self.waiting.len() + self.ending.len()) as u64
    }

    pub(super) fn exempt(&self) -> u64 {
        self.exempt.len() as u64
    }
}
