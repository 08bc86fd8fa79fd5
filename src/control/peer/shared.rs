//! What the tasks of the peer link have in common.

use super::{
    Counts, PeerEvent, Saying,
    addresses::Addresses,
    client::Client,
    fresh::Freshness,
    identity::Identity,
    key::PairingKey,
    store::{Peer, Store},
};
use crate::model::{
    NodeName,
    group::{Heartbeat, HeartbeatPath, Role},
    tls::Pin,
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::Instant,
};

/// A mistake in two configurations is not mended in a minute.
const TELL_OF_TWIN_EVERY: Duration = Duration::from_secs(10 * 60);

/// A disk that was full is tried again after this long.
const NOTE_AGAIN: Duration = Duration::from_secs(30);

/// One for each node that runs.
pub(super) struct Shared {
    pub(super) node: NodeName,
    pub(super) version: String,
    pub(super) boot: u64,
    pub(super) heartbeat: Duration,
    pub(super) key: PairingKey,
    pub(super) identity: Identity,
    pub(super) store: Store,
    pub(super) said: watch::Sender<Saying>,
    pub(super) events: mpsc::Sender<PeerEvent>,
    pub(super) counts: Counters,
    pub(super) calls: Calls,
    /// One join at a time.
    pub(super) joining: Semaphore,
    pub(super) sequence: AtomicU64,
    pub(super) fresh: Mutex<Freshness>,
    pub(super) addresses: Addresses,
    pub(super) told_of_twin: Mutex<Option<Instant>>,
    /// When the disk last did not take a peer's run and role.
    pub(super) not_noted: Mutex<Option<Instant>>,
}

/// Connections for calls that wait to be used again, one for each node.
pub(super) struct Calls {
    /// Calls under way at once.
    pub(super) room: Semaphore,
    pub(super) idle: Mutex<BTreeMap<Pin, (Client, Instant)>>,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Counts>);

impl Counters {
    pub(super) fn update(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut lock(&self.0));
    }

    pub(super) fn read(&self) -> Counts {
        *lock(&self.0)
    }
}

impl Shared {
    /// What is to be said now, under a number that was never used.
    pub(super) fn next_heartbeat(&self) -> Heartbeat {
        let Saying { role, state, claims } = self.said.borrow().clone();
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        Heartbeat { node: self.node.clone(), boot: self.boot, sequence, role, state, claims }
    }

    /// Passes a heartbeat of `peer` on, if it is news. One that finds no room is lost, as on any network.
    pub(super) fn hear(&self, peer: &Peer, heartbeat: Heartbeat, path: HeartbeatPath) {
        let number = (heartbeat.boot, heartbeat.sequence);
        let mut fresh = lock(&self.fresh);
        let stale = match path {
            HeartbeatPath::Link => {
                fresh.hear_link(&peer.node, number);
                false
            }
            HeartbeatPath::Beacon => !fresh.hear_beacon(&peer.node, number, peer.boot),
        };
        drop(fresh);
        if stale {
            self.counts.update(|counts| counts.stale += 1);
        } else if self.events.try_send(PeerEvent::Heard { heartbeat, path }).is_err() {
            self.counts.update(|counts| counts.events_lost += 1);
        }
    }

    /// Passes on what a node says that has the pairing key and is not joined with this one.
    pub(super) fn overhear(&self, heartbeat: Heartbeat) {
        let number = (heartbeat.boot, heartbeat.sequence);
        let news = lock(&self.fresh).overhear(&heartbeat.node, number);
        if news && self.events.try_send(PeerEvent::Overheard { heartbeat }).is_err() {
            self.counts.update(|counts| counts.events_lost += 1);
        }
    }

    /// Somebody else speaks by this node's name.
    pub(super) fn hear_twin(&self, from: IpAddr) {
        self.counts.update(|counts| counts.names_twice += 1);
        let mut told = lock(&self.told_of_twin);
        let is_due = told.is_none_or(|told| told.elapsed() >= TELL_OF_TWIN_EVERY);
        if is_due && self.events.try_send(PeerEvent::NameTwice { from }).is_ok() {
            *told = Some(Instant::now());
        }
    }

    /// Is this heartbeat, which has our name, none that we can have sent? Of two nodes with one name only the one that counts
    /// lower says so: what is lower than ours may be our own, recorded and sent again.
    pub(super) fn is_twins(&self, heartbeat: &Heartbeat) -> bool {
        (heartbeat.boot, heartbeat.sequence) > (self.boot, self.sequence.load(Ordering::Relaxed))
    }

    /// Remembers the run and the role of a peer, which it says on its link; a disk that takes nothing is tried again, but not at every heartbeat.
    pub(super) async fn note_run(&self, peer: &Peer, boot: u64, role: Role) {
        if lock(&self.not_noted).is_some_and(|failed| failed.elapsed() < NOTE_AGAIN) {
            return;
        }
        let noted = self.store.note_run(&peer.node, boot, role).await;
        *lock(&self.not_noted) = noted.is_err().then(Instant::now);
        if let Err(error) = noted {
            // Without it, beacons of that run could be sent again to a later run of ours.
            tracing::warn!(node = %peer.node, %error, "the other node's run and role can't be remembered");
        }
    }

    /// Passes on what must not be lost.
    pub(super) async fn tell(&self, event: PeerEvent) {
        // Nobody listens any more only while the node stops.
        let _stopping = self.events.send(event).await;
    }

    /// A node was joined or has left: what was heard of it is of another life.
    pub(super) fn forget(&self, node: &NodeName, pin: Option<Pin>) {
        lock(&self.fresh).forget(node);
        if let Some(pin) = pin {
            lock(&self.calls.idle).remove(&pin);
            self.addresses.forget(pin);
        }
    }
}

/// No holder of these locks leaves anything half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
