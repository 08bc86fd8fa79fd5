//! What the workers say together about the close order of one pair.

use crate::model::{
    PairName,
    ports::{PairProgress, Progress},
};
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// The close order of a pair that was published last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OrderGiven {
    pub(super) id: u64,
    /// The first version of the table it was in.
    pub(super) since: u64,
}

/// The sum over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) left: u64,
    pub(super) exempt: u64,
    /// Every worker has counted its own.
    pub(super) complete: bool,
}

/// The workers' levels, and a bell that rings when one of them changed.
#[derive(Debug)]
pub(super) struct Watchers {
    workers: Vec<watch::Receiver<Progress>>,
    bell: Arc<Notify>,
}

impl Watchers {
    /// Must be called within a runtime: one small task a worker rings the bell.
    pub(super) fn new(workers: Vec<watch::Receiver<Progress>>) -> Self {
        let bell = Arc::new(Notify::new());
        for worker in &workers {
            let (mut worker, bell) = (worker.clone(), Arc::clone(&bell));
            tokio::spawn(async move {
                while worker.changed().await.is_ok() {
                    bell.notify_one();
                }
            });
        }
        Self { workers, bell }
    }

    /// Returns when a level may have changed since the last call.
    pub(super) async fn changed(&self) {
        self.bell.notified().await;
    }

    /// The sum for `order` of `pair`.
    pub(super) fn sum(&self, pair: &PairName, order: OrderGiven) -> Sum {
        let levels = self.workers.iter().map(|worker| {
            let progress = worker.borrow();
            (progress.table, progress.pairs.get(pair).copied())
        });
        sum(levels, order)
    }
}

/// A worker counts when it speaks of this very order, or when it obeys a table that has the order and says nothing of the
/// pair: it never had a session of it.
fn sum(levels: impl Iterator<Item = (u64, Option<PairProgress>)>, order: OrderGiven) -> Sum {
    let mut sum = Sum { left: 0, exempt: 0, complete: true };
    for (table, pair) in levels {
        match pair {
            Some(its) if its.order == order.id => {
                sum.left += its.left;
                sum.exempt += its.exempt;
            }
            Some(_) => sum.complete = false,
            None => sum.complete &= table >= order.since,
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: OrderGiven = OrderGiven { id: 8, since: 3 };

    fn says(order: u64, left: u64) -> Option<PairProgress> {
        Some(PairProgress { order, left, exempt: 1 })
    }

    #[test]
    fn what_every_worker_counted_is_the_whole() {
        let sum_of = |levels: &[(u64, Option<PairProgress>)]| sum(levels.iter().copied(), ORDER);
        assert_eq!(sum_of(&[(3, says(8, 2)), (3, says(8, 1))]), Sum { left: 3, exempt: 2, complete: true });
        assert_eq!(sum_of(&[(3, says(8, 0)), (4, says(8, 0))]), Sum { left: 0, exempt: 2, complete: true });
    }

    #[test]
    fn a_worker_that_still_obeys_the_order_before_has_not_counted() {
        assert!(!sum([(3, says(8, 0)), (2, says(7, 0))].into_iter(), ORDER).complete);
        assert!(!sum([(3, says(8, 0)), (2, None)].into_iter(), ORDER).complete);
    }

    #[test]
    fn a_worker_that_never_had_the_pair_counts_by_its_table() {
        assert!(sum([(3, says(8, 0)), (3, None)].into_iter(), ORDER).complete);
    }
}
