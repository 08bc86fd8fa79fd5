//! Setting the peer link up, and the handle on it.

use super::{
    Answer, Call, CallError, Counts, Fingerprint, JoinError, PairingKey, Parting, PeerError, PeerEvent, Saying, beacon,
    client::request,
    identity::Identity,
    join, link, routes, serve,
    shared::{Calls, Counters, Shared},
    store::{Peer, Store},
};
use crate::{
    control::{disk, http},
    model::{HostPort, NodeName, file, group::InterfaceAddress, tls::Pin},
};
use axum::Router;
use hyper::Method;
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
};

/// Calls under way at once, to all nodes together.
const MOST_CALLS: usize = 32;
/// A node that leaves tells the others, if they are there.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

/// What the peer link needs to know.
#[derive(Debug)]
pub struct PeerSpec {
    /// This node's name.
    pub node: NodeName,
    /// Its version.
    pub version: String,
    /// Where its identity and its peers are kept; locked by this process.
    pub state_dir: PathBuf,
    /// `group.peer_listen`.
    pub listen: SocketAddr,
    /// `group.heartbeat`.
    pub heartbeat: Duration,
    /// The group's key.
    pub key: PairingKey,
    /// On whose interface, and in whose address family, beacons are exchanged; `None`: nowhere.
    pub beacons: Option<InterfaceAddress>,
}

/// The handle. Dropping it ends all links.
pub struct PeerLinks {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl PeerLinks {
    /// Binds the peer port, reads or makes what is kept, and begins. `mounted` is served below `/peer/v1` to nodes that are
    /// joined, with [`super::Caller`] as an extension; its paths must differ from `/hello`, `/join`, `/leave` and
    /// `/heartbeat`. What is heard goes to `events`, which must be read all the time. Must be called within a runtime; blocks
    /// for small files.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn start(
        spec: PeerSpec,
        saying: Saying,
        mounted: Router,
        events: mpsc::Sender<PeerEvent>,
    ) -> Result<Self, PeerError> {
        let PeerSpec { node, version, state_dir, listen, heartbeat, key, beacons } = spec;
        let failed = |source| PeerError::Listen { address: listen, source };
        let listener = http::bind(listen).and_then(TcpListener::from_std).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let identity = Identity::load_or_make(&state_dir, &node)?;
        let store = Store::open(&state_dir, key.fingerprint().to_string())?;
        let shared = Arc::new(Shared {
            node,
            version,
            boot: next_boot(&state_dir)?,
            heartbeat,
            key,
            identity,
            store,
            said: watch::Sender::new(saying),
            events,
            counts: Counters::default(),
            calls: Calls { room: Semaphore::new(MOST_CALLS), idle: Default::default() },
            joining: Semaphore::new(1),
            sequence: Default::default(),
            fresh: Default::default(),
            addresses: Default::default(),
            told_of_twin: Default::default(),
            not_noted: Default::default(),
        });
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let app = routes::router(&shared, mounted);
        tasks.spawn(serve::run(Arc::clone(&shared), listener, app, stopping));
        tasks.spawn(link::run(Arc::clone(&shared)));
        if let Some(on) = beacons {
            tasks.spawn(beacon::run(Arc::clone(&shared), on));
        }
        Ok(Self { shared, address, stop, tasks })
    }

    /// Where other nodes reach this one, with the port the kernel chose if it was 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Of the pairing key (`B16`).
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.shared.key.fingerprint()
    }

    /// Of this node's own key.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.shared.identity.pin
    }

    /// Which run of this node's process it is, counted in the state directory.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.shared.boot
    }

    /// The nodes this one is joined with, now and whenever they change.
    #[must_use]
    pub fn peers(&self) -> watch::Receiver<Arc<[Peer]>> {
        self.shared.store.follow()
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts.read()
    }

    /// From now on this is what heartbeats say; if it is new, it is said at once.
    pub fn say(&self, saying: Saying) {
        self.shared.said.send_if_modified(|said| {
            let is_new = *said != saying;
            *said = saying;
            is_new
        });
    }

    /// Makes the node at `forward` a backup of this one (`B1`); it is to reach this one at `reverse`. Its name. It takes
    /// seconds, and ends with [`PeerEvent::Joined`]: don't wait for it where events are read.
    ///
    /// # Errors
    /// [`JoinError`], from either node. Nothing has changed then, unless the other node was lost in the very last step: joining
    /// again mends that.
    pub async fn join(&self, forward: HostPort, reverse: HostPort) -> Result<NodeName, JoinError> {
        join::ask(&self.shared, forward, reverse).await
    }

    /// Leaves the group: forgets the others, and tells them so (`B5`). There are no [`PeerEvent::Left`] of those this node has
    /// left itself: they are what is returned.
    ///
    /// # Errors
    /// If it can't be stored; then nobody is forgotten here.
    pub async fn leave(&self) -> io::Result<Vec<Parting>> {
        let peers = self.shared.store.all();
        self.shared.store.retain(|_| false).await?;
        let mut telling = JoinSet::new();
        for peer in peers.iter().cloned() {
            self.shared.forget(&peer.node, Some(peer.pin));
            let shared = Arc::clone(&self.shared);
            telling.spawn(async move { Parting { told: tell_leaving(&shared, &peer).await, node: peer.node } });
        }
        Ok(telling.join_all().await)
    }

    /// Parts from one node: forgets it, and tells it so.
    ///
    /// # Errors
    /// If it can't be stored; then it is not forgotten.
    pub async fn part(&self, node: &NodeName) -> io::Result<Option<Parting>> {
        let Some(peer) = self.shared.store.by_name(node) else { return Ok(None) };
        self.dismiss(node).await?;
        Ok(Some(Parting { told: tell_leaving(&self.shared, &peer).await, node: peer.node }))
    }

    /// Forgets a node that may not return (`replace`): its key is unknown from now on.
    ///
    /// # Errors
    /// If it can't be stored; then it is not forgotten.
    pub async fn dismiss(&self, node: &NodeName) -> io::Result<()> {
        let pin = self.shared.store.all().iter().find(|peer| peer.node == *node).map(|peer| peer.pin);
        self.shared.store.retain(|peer| peer.node != *node).await?;
        self.shared.forget(node, pin);
        Ok(())
    }

    /// Puts a question to a node.
    ///
    /// # Errors
    /// [`CallError`]. An answer with an error's status is an answer.
    pub async fn call(&self, node: &NodeName, call: Call) -> Result<Answer, CallError> {
        link::call(&self.shared, node, call).await
    }

    /// Ends what is under way, and returns when all of it has ended; within a second.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let _serving_ends_by_itself = self.tasks.join_next().await;
        self.tasks.shutdown().await;
    }
}

impl std::fmt::Debug for PeerLinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerLinks({} on {})", self.shared.node, self.address)
    }
}

async fn tell_leaving(shared: &Shared, peer: &Peer) -> bool {
    let Ok(tls) = shared.identity.client(Some(peer.pin)) else { return false };
    let Ok(mut client) = super::client::Client::connect(&peer.address, tls, shared.identity.pin, LEAVE_LIMIT).await
    else {
        return false;
    };
    let told = client.ask(request(Method::POST, "/peer/v1/leave", None), 4096, LEAVE_LIMIT).await;
    // 403: it has forgotten us already.
    told.is_ok_and(|answer| answer.status().is_success() || answer.status() == hyper::StatusCode::FORBIDDEN)
}

/// +1 with each start, so that what was said in an earlier run is known for old. Where none was counted, or what was is damaged, it begins from
/// a number that is higher than any earlier one for sure: the node may have had another disk before, and others remember its count.
fn next_boot(state_dir: &Path) -> Result<u64, PeerError> {
    let path = state_dir.join("boot");
    let before = match file::read(&path, 64) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => seconds_since_1970(),
        read => read.and_then(|bytes| whole_number(&bytes)).unwrap_or_else(|error| {
            let from = seconds_since_1970();
            tracing::warn!(path = %path.display(), %error, from, "the count of this node's starts is damaged; it begins anew");
            from
        }),
    };
    let boot = before.saturating_add(1);
    disk::replace(&path, format!("{boot}\n").as_bytes()).map_err(|source| PeerError::State { path, source })?;
    Ok(boot)
}

/// One that was cut off is none: its line does not end.
fn whole_number(bytes: &[u8]) -> io::Result<u64> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok());
    number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no number"))
}

/// Higher than all counts of starts: one that began at such a number and went on by one a start was overtaken by the clock.
fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::causes::chain;

    #[test]
    fn starts_are_counted_and_a_damaged_count_begins_anew_above_all_that_were() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("boot");
        let next = || next_boot(dir.path()).unwrap();
        std::fs::write(&path, "1\n").unwrap();
        assert_eq!((next(), next()), (2, 3));
        std::fs::remove_file(&path).unwrap();
        assert!(next() > 1_700_000_000, "another disk: the others remember the count of the first");
        for damaged in ["", "12", "\0\0\0", "-1\n", "2\nand more than a number\n", &"1".repeat(70)] {
            std::fs::write(&path, damaged).unwrap();
            let first = next();
            assert!(first > 1_700_000_000, "{damaged:?}: {first}");
            assert_eq!(next(), first + 1);
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("boot")).unwrap();
        let told = chain(&next_boot(dir.path()).unwrap_err());
        assert_eq!(told.matches("directory").count(), 1, "{told}");
    }
}
