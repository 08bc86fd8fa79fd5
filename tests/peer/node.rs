//! One node's peer link on a thread and runtime of its own: sockets belong to the network the thread was started in.
#![allow(dead_code, reason = "two test targets compile this and use their own part of it")]

use crate::common::{SOON, eventually};
use axum::{Router, routing::post};
use failback::{
    control::peer::{
        Call, CallError, Caller, Counts, JoinError, PairingKey, Parting, Peer, PeerEvent, PeerLinks, PeerSpec, Saying,
    },
    model::{
        Epoch, HostPort, NodeName,
        group::{Claim, Heartbeat, HeartbeatPath, InterfaceAddress, NodeStateName, Role},
        tls::Pin,
    },
};
use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::Duration,
};
use tokio::{runtime::Handle, sync::oneshot};

pub(crate) const KEY: &str = "the pairing key of the tests";

/// What a test may want otherwise.
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    pub(crate) listen: &'a str,
    pub(crate) key: &'a str,
    pub(crate) version: &'a str,
    pub(crate) beacons: Option<(&'a str, &'a str)>,
}

impl<'a> Wanted<'a> {
    pub(crate) fn new(name: &'a str, role: Role, listen: &'a str) -> Self {
        Self { name, role, listen, key: KEY, version: "1.2.3", beacons: None }
    }
}

/// A node, at work until it is dropped.
pub(crate) struct Node {
    pub(crate) name: NodeName,
    pub(crate) address: HostPort,
    pub(crate) pin: Pin,
    links: Option<Arc<PeerLinks>>,
    events: Arc<Mutex<Vec<PeerEvent>>>,
    runtime: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    /// Starts one whose state is in `state`.
    #[track_caller]
    pub(crate) fn start(wanted: &Wanted<'_>, state: &Path) -> Self {
        Self::start_with(wanted, state, mounted())
    }

    /// The same, with something else mounted.
    #[track_caller]
    pub(crate) fn start_with(wanted: &Wanted<'_>, state: &Path, mounted: Router) -> Self {
        let on_interface = |(address, interface): (&str, &str)| InterfaceAddress {
            address: address.parse().expect("an address"),
            interface: interface.into(),
        };
        let spec = PeerSpec {
            node: wanted.name.into(),
            version: wanted.version.into(),
            state_dir: state.into(),
            listen: wanted.listen.parse().expect("an address"),
            heartbeat: Duration::from_millis(50),
            key: PairingKey::from_secret(wanted.key.as_bytes()),
            beacons: wanted.beacons.map(on_interface),
        };
        let (role, events) = (wanted.role, Arc::new(Mutex::new(Vec::new())));
        let (begun, beginning) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let record = Arc::clone(&events);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (sender, mut heard) = tokio::sync::mpsc::channel(64);
                let links = PeerLinks::start(spec, saying(role, NodeStateName::Offline, 0), mounted, sender);
                let links = links.map(Arc::new).map_err(|error| error.to_string());
                begun.send(links.map(|links| (links, Handle::current()))).expect("the test waits");
                let recording = async {
                    while let Some(event) = heard.recv().await {
                        record.lock().expect("no test has died").push(event);
                    }
                };
                tokio::select! { () = recording => {}, _ = ended => {} }
            });
        };
        let thread = std::thread::spawn(run);
        let begun = beginning.recv_timeout(SOON).expect("it starts or says why not");
        let (links, runtime) = begun.unwrap_or_else(|error| panic!("{error}"));
        let address = links.address().to_string().parse().expect("an address");
        let (name, pin) = (wanted.name.into(), links.pin());
        Self { name, address, pin, links: Some(links), events, runtime, end: Some(end), thread: Some(thread) }
    }

    fn links(&self) -> Arc<PeerLinks> {
        Arc::clone(self.links.as_ref().expect("it runs"))
    }

    /// Does something with the links in the node's own network.
    #[track_caller]
    pub(crate) fn with<T, F>(&self, action: impl FnOnce(Arc<PeerLinks>) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (done, doing) = mpsc::channel();
        let action = action(self.links());
        self.runtime.spawn(async move {
            let _test_is_over = done.send(action.await);
        });
        doing.recv_timeout(2 * SOON).expect("an answer")
    }

    #[track_caller]
    pub(crate) fn join(&self, forward: &HostPort, reverse: &HostPort) -> Result<NodeName, JoinError> {
        let (forward, reverse) = (forward.clone(), reverse.clone());
        self.with(|links| async move { links.join(forward, reverse).await })
    }

    #[track_caller]
    pub(crate) fn leave(&self) -> Vec<Parting> {
        self.with(|links| async move { links.leave().await }).expect("it can be stored")
    }

    #[track_caller]
    pub(crate) fn echo(&self, node: &NodeName, words: &str, most: usize) -> Result<(u16, String), CallError> {
        let (node, body) = (node.clone(), Some(bytes::Bytes::from(words.to_owned())));
        let limit = Duration::from_secs(10);
        let call = Call { method: hyper::Method::POST, path: "/echo".into(), body, limit, most };
        let answer = self.with(|links| async move { links.call(&node, call).await })?;
        Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    pub(crate) fn say(&self, role: Role, state: NodeStateName, epoch: u64) {
        self.links().say(saying(role, state, epoch));
    }

    pub(crate) fn peers(&self) -> Vec<Peer> {
        self.links().peers().borrow().to_vec()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.links().counts()
    }

    pub(crate) fn fingerprint(&self) -> String {
        self.links().fingerprint().to_string()
    }

    pub(crate) fn events(&self) -> Vec<PeerEvent> {
        self.events.lock().expect("no test has died").clone()
    }

    pub(crate) fn forget_events(&self) {
        self.events.lock().expect("no test has died").clear();
    }

    /// Waits for a heartbeat of `node` by `path` for which `is_it` is true.
    #[track_caller]
    pub(crate) fn hears(&self, node: &Node, by: HeartbeatPath, is_it: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
        eventually(&format!("{} hears {} by {by:?}; {:?}", self.name, node.name, self.counts()), || {
            self.events().into_iter().find_map(|event| match event {
                PeerEvent::Heard { heartbeat, path } if path == by && heartbeat.node == node.name => {
                    Some(heartbeat).filter(&is_it)
                }
                _ => None,
            })
        })
    }

    /// Ends it; its state stays.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.links.take());
        drop(self.end.take());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

fn saying(role: Role, state: NodeStateName, epoch: u64) -> Saying {
    let claims = vec![Claim {
        seat: "P".into(),
        epoch: Epoch(epoch),
        holds: state == NodeStateName::Online,
        hears: false,
        copy: 3,
        fit: false,
        vacant: false,
        yields: false,
        home: None,
    }];
    Saying { role, state, claims }
}

/// In the place of sync and orders: tells who asks, and what.
fn mounted() -> Router {
    let echo = |axum::Extension(caller): axum::Extension<Caller>, body: String| async move {
        format!("{} says {body}", caller.node)
    };
    Router::new().route("/echo", post(echo))
}

/// `ADDRESS:PORT` where nobody listens.
pub(crate) fn nobody(address: &str) -> HostPort {
    let listener = std::net::TcpListener::bind((address, 0)).expect("a port");
    let address: SocketAddr = listener.local_addr().expect("it is bound");
    address.to_string().parse().expect("an address")
}
