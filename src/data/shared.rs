//! What the workers share: totals that limits are measured against, and the inboxes through which they hand each other
//! clients. Atomics only on the session's path; the maps are locked when a table brings a new name.

use super::pipe::most_pipes;
use crate::model::{PairName, RouteName};
use rustix::process::{Resource, getrlimit};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{
            AtomicU32, AtomicU64,
            Ordering::{AcqRel, Relaxed},
        },
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Clients that may be on their way from one worker to another.
pub(super) const INBOX: usize = 1_024;

/// How late a paced admission may use up its slot, so that a timer's grain does not slow the pace down.
const PACE_SLACK: Duration = Duration::from_millis(20);

/// Descriptors that sessions leave to health checks, journal and API, so that those go on working when clients take all they can
/// get; a quarter where there are few. The API's connections are half of them at most. The workers' pipes and listeners come
/// on top.
const RESERVE: u64 = 1024;

/// One for all workers.
#[derive(Debug)]
pub(super) struct Shared {
    began: Instant,
    /// Sessions that the process has descriptors for.
    room: u64,
    /// Pipes that each worker may have.
    pub(super) pipes: usize,
    loads: Box<[AtomicU64]>,
    inboxes: Box<[mpsc::Sender<Handed>]>,
    pairs: Mutex<BTreeMap<PairName, Weak<PairTotals>>>,
    routes: Mutex<BTreeMap<RouteName, Weak<RouteTotals>>>,
}

/// A freshly accepted client on its way to another worker.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) route: RouteName,
    pub(super) pair: PairName,
    pub(super) client: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
}

impl Shared {
    /// And each worker's end of its inbox.
    pub(super) fn new(workers: usize) -> (Arc<Self>, Vec<mpsc::Receiver<Handed>>) {
        let (inboxes, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(INBOX)).unzip();
        let limit = getrlimit(Resource::Nofile).current;
        let pipes = most_pipes(workers, limit);
        // What is open at the start is mostly listeners, of which each worker takes a duplicate.
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64);
        let shared = Self {
            began: Instant::now(),
            room: room(limit, 2 * (open + (pipes * workers) as u64)),
            pipes,
            loads: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            inboxes: inboxes.into(),
            pairs: Mutex::default(),
            routes: Mutex::default(),
        };
        (Arc::new(shared), receivers)
    }

    pub(super) fn pair(&self, name: &PairName) -> Arc<PairTotals> {
        shared_entry(&self.pairs, name)
    }

    pub(super) fn route(&self, name: &RouteName) -> Arc<RouteTotals> {
        shared_entry(&self.routes, name)
    }

    /// There are descriptors for one more session.
    pub(super) fn has_room(&self) -> bool {
        self.loads.iter().map(|load| load.load(Relaxed)).sum::<u64>() < self.room
    }

    /// The worker that should take the next client which `worker` accepted: itself, unless it has clearly more sessions
    /// than the one with the fewest. Sessions live for days, so what the kernel's hash leaves uneven stays uneven.
    pub(super) fn lightest(&self, worker: usize) -> usize {
        let own = self.loads[worker].load(Relaxed);
        let least = self.loads.iter().map(|load| load.load(Relaxed)).enumerate().min_by_key(|(_, load)| *load);
        match least {
            Some((lightest, load)) if own > load + load / 8 + 8 => lightest,
            _ => worker,
        }
    }

    /// Gives a client away.
    ///
    /// # Errors
    /// The client, when the other worker's inbox is full.
    pub(super) fn hand_over(&self, to: usize, handed: Handed) -> Result<(), Handed> {
        self.inboxes[to].try_send(handed).map_err(|error| match error {
            mpsc::error::TrySendError::Full(handed) | mpsc::error::TrySendError::Closed(handed) => handed,
        })
    }

    fn since_began(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A session has two descriptors. Whatever else is `taken`, half of them are for sessions.
fn room(descriptors: Option<u64>, taken: u64) -> u64 {
    let reserve = |limit: u64| (RESERVE.min(limit / 4) + taken).min(limit / 2);
    descriptors.map_or(u64::MAX, |limit| (limit - reserve(limit)) / 2)
}

fn shared_entry<K: Ord + Clone, V: Default>(map: &Mutex<BTreeMap<K, Weak<V>>>, key: &K) -> Arc<V> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = map.get(key).and_then(Weak::upgrade) {
        return known;
    }
    map.retain(|_, entry| entry.strong_count() > 0);
    let fresh = Arc::new(V::default());
    map.insert(key.clone(), Arc::downgrade(&fresh));
    fresh
}

/// One route, over all workers.
#[derive(Debug, Default)]
pub(super) struct RouteTotals {
    sessions: AtomicU32,
}

/// One session's place in its route's `max_sessions` and in its worker's load; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    totals: Arc<RouteTotals>,
    worker: usize,
}

impl Place {
    /// `None` when the route has `max` sessions already.
    pub(super) fn take(shared: &Arc<Shared>, totals: &Arc<RouteTotals>, worker: usize, max: u32) -> Option<Self> {
        if totals.sessions.fetch_add(1, Relaxed) >= max {
            totals.sessions.fetch_sub(1, Relaxed);
            return None;
        }
        shared.loads[worker].fetch_add(1, Relaxed);
        Some(Self { shared: Arc::clone(shared), totals: Arc::clone(totals), worker })
    }

    /// The same place at another worker.
    pub(super) fn at(mut self, worker: usize) -> Self {
        self.shared.loads[self.worker].fetch_sub(1, Relaxed);
        self.shared.loads[worker].fetch_add(1, Relaxed);
        self.worker = worker;
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.totals.sessions.fetch_sub(1, Relaxed);
        self.shared.loads[self.worker].fetch_sub(1, Relaxed);
    }
}

/// One pair, over all workers.
#[derive(Debug, Default)]
pub(super) struct PairTotals {
    held: AtomicU32,
    /// When the next newcomer may be admitted, in nanoseconds since [`Shared::began`].
    next_admission: AtomicU64,
}

impl PairTotals {
    /// Counts one more held client, unless `max` are held already.
    pub(super) fn hold(&self, max: u32) -> bool {
        self.held.fetch_update(AcqRel, Relaxed, |held| (held < max).then_some(held + 1)).is_ok()
    }

    /// Counts one less.
    pub(super) fn release(&self) {
        self.held.fetch_sub(1, AcqRel);
    }

    /// Takes the next slot of `pace` admissions a second (the generic cell rate algorithm), or says how long it is until
    /// there is one.
    pub(super) fn admit_one(&self, shared: &Shared, pace: u32) -> Result<(), Duration> {
        let now = shared.since_began();
        let interval = 1_000_000_000 / u64::from(pace.max(1));
        let earliest = now.saturating_sub(u64::try_from(PACE_SLACK.as_nanos()).unwrap_or(0));
        let step = |next: u64| (next <= now).then_some(next.max(earliest) + interval);
        self.next_admission
            .fetch_update(AcqRel, Relaxed, step)
            .map(drop)
            .map_err(|next| Duration::from_nanos(next.saturating_sub(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_keeps_its_clients_until_it_has_clearly_more_than_another() {
        let (shared, _inboxes) = Shared::new(2);
        let totals = shared.route(&"probes".into());
        let mut places: Vec<_> = (0..8).filter_map(|_| Place::take(&shared, &totals, 0, 100)).collect();
        assert_eq!(shared.lightest(0), 0);
        places.extend(Place::take(&shared, &totals, 0, 100));
        assert_eq!(shared.lightest(0), 1);
        assert_eq!(shared.lightest(1), 1);
    }

    #[test]
    fn some_descriptors_are_left_to_the_rest_of_the_process() {
        assert_eq!(room(Some(20_000), 256), 9_360);
        assert_eq!(room(Some(400), 24), 138);
        assert_eq!(room(Some(400), 4_000), 100);
        assert_eq!(room(None, 256), u64::MAX);
    }

    #[test]
    fn places_are_limited_over_all_workers_and_given_back() {
        let (shared, _inboxes) = Shared::new(2);
        let totals = shared.route(&"probes".into());
        let first = Place::take(&shared, &totals, 0, 2).map(|place| place.at(1));
        let second = Place::take(&shared, &shared.route(&"probes".into()), 1, 2);
        assert!(first.is_some() && second.is_some());
        assert!(Place::take(&shared, &totals, 0, 2).is_none());
        drop(first);
        assert!(Place::take(&shared, &totals, 0, 2).is_some());
        drop(second);
        assert!(shared.loads.iter().all(|load| load.load(Relaxed) == 0));
    }

    #[test]
    fn no_more_than_the_pace_are_admitted() {
        let (shared, _inboxes) = Shared::new(1);
        let totals = shared.pair(&"AGG_V".into());
        let began = Instant::now();
        let mut admitted = 0_u32;
        while began.elapsed() < Duration::from_millis(300) {
            admitted += u32::from(totals.admit_one(&shared, 100).is_ok());
        }
        let most = (began.elapsed() + PACE_SLACK).as_secs_f64() * 100.0 + 1.0;
        assert!(admitted >= 10 && f64::from(admitted) <= most, "{admitted} of at most {most}");
    }
}
