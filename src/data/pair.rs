//! One pair as one worker sees it: where newcomers go now, and which dials that is news for.

use super::{
    handshake::Places,
    order::Orders,
    shared::{PairTotals, Shared},
};
use crate::model::{
    Epoch, PairName,
    ports::PairProgress,
    spec::{HoldSpec, TransportSpec},
    table::{Admit, PairRow},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Mutex, Notify};

/// One pair.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) name: PairName,
    pub(super) totals: Arc<PairTotals>,
    pub(super) orders: RefCell<Orders>,
    pub(super) handshakes: Places,
    row: RefCell<Rc<PairRow>>,
    /// +1 whenever what newcomers and dials in flight were told no longer holds.
    generation: Cell<u64>,
    changed: Notify,
    /// Whoever holds it is the next one to be admitted at the pace; the others queue up behind.
    gate: Mutex<()>,
    dials: Cell<u64>,
    /// Dials of an earlier generation whose tasks have not let go of them yet.
    stale_dials: Cell<u64>,
}

/// What a newcomer is told.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) generation: u64,
    pub(super) row: Rc<PairRow>,
}

impl Pair {
    /// A pair the table has not said anything about yet: nobody is admitted, nobody held.
    pub(super) fn new(name: &PairName, totals: Arc<PairTotals>) -> Self {
        let row = PairRow {
            name: name.clone(),
            epoch: Epoch::default(),
            admit: Admit::Hold,
            close: None,
            hold: HoldSpec { time: Duration::ZERO, max: 0 },
            exempt: Arc::default(),
            transport: TransportSpec::default(),
            tls: None,
        };
        Self {
            name: name.clone(),
            totals,
            orders: RefCell::default(),
            handshakes: Places::default(),
            row: RefCell::new(Rc::new(row)),
            generation: Cell::new(0),
            changed: Notify::new(),
            gate: Mutex::new(()),
            dials: Cell::new(0),
            stale_dials: Cell::new(0),
        }
    }

    pub(super) fn turn(&self) -> Turn {
        Turn { generation: self.generation.get(), row: Rc::clone(&self.row.borrow()) }
    }

    /// Obeys a new row as far as newcomers and dials are concerned. A dial goes on only if epoch, upstream and addresses
    /// are the same and no new order wants the pair's sessions closed.
    pub(super) fn replace_row(&self, row: &PairRow) {
        let old = self.row.replace(Rc::new(row.clone()));
        let order = |row: &PairRow| row.close.as_ref().map(|close| close.id);
        let new_order = order(row).is_some() && order(row) != order(&old);
        if row.epoch != old.epoch || !same_way(&row.admit, &old.admit) || row.hold != old.hold || new_order {
            self.generation.set(self.generation.get() + 1);
            self.stale_dials.set(self.stale_dials.get() + self.dials.take());
            self.changed.notify_waiters();
        }
    }

    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.generation.get() == generation
    }

    /// Waits until what was told at `generation` no longer holds.
    pub(super) async fn change_since(&self, generation: u64) {
        while self.is_current(generation) {
            self.changed.notified().await;
        }
    }

    /// Somebody waits for his turn already.
    pub(super) fn has_queue(&self) -> bool {
        self.gate.try_lock().is_err()
    }

    /// Waits in line until the pace, as it is then, admits one more.
    pub(super) async fn turn_at_pace(&self, shared: &Shared) {
        let _first_in_line = self.gate.lock().await;
        while let Some(pace) = self.pace()
            && let Err(wait) = self.totals.admit_one(shared, pace)
        {
            tokio::time::sleep(wait).await;
        }
    }

    /// `None`: as many as come.
    fn pace(&self) -> Option<u32> {
        match self.row.borrow().admit {
            Admit::To { pace, .. } if pace > 0 => Some(pace),
            _ => None,
        }
    }

    /// Counts a dial in flight until it is dropped.
    pub(super) fn dialling<'a>(&'a self, news: &'a Notify) -> Dial<'a> {
        self.dials.set(self.dials.get() + 1);
        Dial { pair: self, news, generation: self.generation.get() }
    }

    /// How far this worker is with the pair's order; `None` if it never saw one.
    pub(super) fn progress(&self) -> Option<PairProgress> {
        let orders = self.orders.borrow();
        let order = orders.seen()?;
        Some(PairProgress { order, left: orders.left() + self.stale_dials.get(), exempt: orders.exempt() })
    }
}

/// A dial in flight.
pub(super) struct Dial<'a> {
    pair: &'a Pair,
    news: &'a Notify,
    generation: u64,
}

impl Drop for Dial<'_> {
    fn drop(&mut self) {
        let counter = if self.pair.is_current(self.generation) { &self.pair.dials } else { &self.pair.stale_dials };
        counter.set(counter.get() - 1);
        if !self.pair.is_current(self.generation) {
            self.news.notify_one();
        }
    }
}

/// The pace may change without disturbing anybody.
fn same_way(one: &Admit, other: &Admit) -> bool {
    match (one, other) {
        (Admit::Hold, Admit::Hold) => true,
        (
            Admit::To { upstream, addresses, .. },
            Admit::To { upstream: other_upstream, addresses: other_addresses, .. },
        ) => upstream == other_upstream && addresses == other_addresses,
        _ => false,
    }
}
