//! Places for handshakes under way. Whoever comes gets one; where none is left, another handshake gives way: the oldest that has
//! said nothing yet, else the oldest. So a crowd that is silent keeps nobody out who speaks, and nobody who is silent stays.

use super::shared::lock;
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

/// From one address that no joined node has.
const EACH: usize = 4;
/// From all of those addresses together.
const TOTAL: usize = 64;
/// From one address of a joined node, beside all others: a stranger at another address takes none of these. One behind the
/// same address may, so there are more of them.
const KEPT_EACH: usize = 32;

/// The places.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Arc<Mutex<Table>>);

/// Oldest first.
#[derive(Debug, Default)]
struct Table {
    under_way: Vec<UnderWay>,
    next: u64,
}

#[derive(Debug)]
struct UnderWay {
    number: u64,
    from: IpAddr,
    is_kept: bool,
    has_spoken: bool,
    gives_way: Arc<Notify>,
}

/// One of them; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    gives_way: Arc<Notify>,
    table: Arc<Mutex<Table>>,
}

impl Handshakes {
    /// A place for a connection from `from`; `is_kept`: a joined node has this address.
    pub(super) fn take(&self, from: IpAddr, is_kept: bool) -> Place {
        let mut table = lock(&self.0);
        let each = if is_kept { KEPT_EACH } else { EACH };
        let (same, stranger) =
            (|one: &UnderWay| (one.from, one.is_kept) == (from, is_kept), |one: &UnderWay| !one.is_kept);
        if table.count(same) >= each {
            table.give_way(same);
        } else if !is_kept && table.count(stranger) >= TOTAL {
            table.give_way(stranger);
        }
        let (number, gives_way) = (table.next, Arc::default());
        table.next += 1;
        let place = Place { number, gives_way: Arc::clone(&gives_way), table: Arc::clone(&self.0) };
        table.under_way.push(UnderWay { number, from, is_kept, has_spoken: false, gives_way });
        place
    }
}

impl Table {
    fn count(&self, is_one: impl Fn(&UnderWay) -> bool) -> usize {
        self.under_way.iter().filter(|one| is_one(one)).count()
    }

    fn give_way(&mut self, may: impl Fn(&UnderWay) -> bool) {
        let silent = self.under_way.iter().position(|one| may(one) && !one.has_spoken);
        if let Some(at) = silent.or_else(|| self.under_way.iter().position(may)) {
            self.under_way.remove(at).gives_way.notify_one();
        }
    }
}

impl Place {
    /// The other end has begun a handshake in earnest.
    pub(super) fn has_spoken(&self) {
        let mut table = lock(&self.table);
        table.under_way.iter_mut().filter(|one| one.number == self.number).for_each(|one| one.has_spoken = true);
    }

    /// Waits until it has to give way.
    pub(super) async fn gives_way(&self) {
        self.gives_way.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.table).under_way.retain(|one| one.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    fn has_to_go(place: &Place) -> bool {
        pin!(place.gives_way()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn the_oldest_of_an_address_gives_way_the_silent_first() {
        let handshakes = Handshakes::default();
        let other = handshakes.take(ip(9), false);
        let mut crowd: Vec<Place> = (0..EACH).map(|_| handshakes.take(ip(1), false)).collect();
        crowd[0].has_spoken();
        crowd.push(handshakes.take(ip(1), false));
        let gone = |crowd: &[Place]| crowd.iter().map(has_to_go).collect::<Vec<_>>();
        assert_eq!(gone(&crowd), [false, true, false, false, false]);
        drop(crowd.remove(1));
        crowd.iter().for_each(Place::has_spoken);
        crowd.push(handshakes.take(ip(1), false));
        assert_eq!(gone(&crowd), [true, false, false, false, false]);
        assert!(!has_to_go(&other));
        drop((crowd, other));
        assert!(lock(&handshakes.0).under_way.is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn a_crowd_of_many_addresses_takes_no_place_of_a_joined_node() {
        let handshakes = Handshakes::default();
        let peer = handshakes.take(ip(1), true);
        let crowd: Vec<Place> = (0..=TOTAL).map(|n| handshakes.take(ip(100 + n as u8), false)).collect();
        assert!(has_to_go(&crowd[0]) && !has_to_go(&crowd[1]) && !has_to_go(&peer));
        let more: Vec<Place> = (0..KEPT_EACH).map(|_| handshakes.take(ip(1), true)).collect();
        assert!(has_to_go(&peer) && !has_to_go(&crowd[1]), "not even behind its own address are there more than a few");
        drop(more);
    }
}
