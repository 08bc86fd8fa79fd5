//! Two nodes, their clients, and what they stand before:
//!
//! ```text
//!   client .9 ──┐                    ┌── primary .2  AGG_P
//!   witness .1 ─┼──── 10.77.0.0/24 ──┼── backup  .3  AGG_B
//!   c .23 ──────┘     │         │    │
//!                  a .21      b .22  │   shared address .10: clients know no other
//! ```

use crate::{
    common::{client::Client, eventually, proxy::PAIR, server::Server, within},
    lab::{Lab, Link},
    node::{Node, Wishes},
};
use failback::model::{group::NodeStateName, view::group::SyncResult};
use std::{net::SocketAddr, time::Duration};

/// The network all hosts are in, and so the interface of each.
pub(crate) const NETWORK: &str = "lan";
/// The address that moves.
pub(crate) const SHARED: &str = "10.77.0.10";
/// The first sync comes "within about a minute" (`B3`); ours is a matter of seconds.
const FIRST_SYNC: Duration = Duration::from_secs(10);
/// A client that knows what it wants does not wait longer.
const IMPATIENT: Duration = Duration::from_millis(500);

const LINKS: &[Link] = &[
    ("client", NETWORK, ["10.77.0.9/24", "fd77::9/64"]),
    ("witness", NETWORK, ["10.77.0.1/24", "fd77::1/64"]),
    ("primary", NETWORK, ["10.77.0.2/24", "fd77::2/64"]),
    ("backup", NETWORK, ["10.77.0.3/24", "fd77::3/64"]),
    ("a", NETWORK, ["10.77.0.21/24", "fd77::21/64"]),
    ("b", NETWORK, ["10.77.0.22/24", "fd77::22/64"]),
    ("c", NETWORK, ["10.77.0.23/24", "fd77::23/64"]),
];

/// The hosts, node `A` with a seat, node `B` to protect it.
pub(crate) struct Rig {
    pub(crate) a: Node,
    pub(crate) b: Node,
    pub(crate) primary: Server,
    pub(crate) backup: Server,
    /// Clients connect there.
    pub(crate) route: SocketAddr,
    /// Last: what runs there ends first.
    pub(crate) lab: Lab,
}

impl Rig {
    /// The two nodes started, strangers to each other.
    #[track_caller]
    pub(crate) fn strangers(of_a: &Wishes, of_b: &Wishes) -> Self {
        Self::in_lab(hosts(), of_a, of_b)
    }

    /// The same on hosts where something runs already.
    #[track_caller]
    pub(crate) fn in_lab(lab: Lab, of_a: &Wishes, of_b: &Wishes) -> Self {
        let primary = lab.server("AGG_P", "primary", "10.77.0.2:4100");
        let backup = lab.server("AGG_B", "backup", "10.77.0.3:4100");
        let mut a = Node::prepare(&lab, "A", "10.77.0.21", "primary", &seat_of(of_a), of_a);
        let mut b = Node::prepare(&lab, "B", "10.77.0.22", "backup", "", of_b);
        a.launch();
        b.launch();
        Self { a, b, primary, backup, route: of_a.route(), lab }
    }

    /// Joined: `A` serves, `B` has a copy and stands by, clients reach `AGG_P`.
    #[track_caller]
    pub(crate) fn joined_with(of_a: &Wishes, of_b: &Wishes) -> Self {
        let rig = Self::strangers(of_a, of_b);
        rig.join();
        rig.settled();
        rig
    }

    /// The same as most stories want it.
    #[track_caller]
    pub(crate) fn joined() -> Self {
        Self::joined_with(&Wishes::default(), &Wishes::default())
    }

    /// Where no node takes over by itself.
    #[track_caller]
    pub(crate) fn joined_by_hand() -> Self {
        Self::joined_with(&by_hand(), &by_hand())
    }

    /// The same before they are joined.
    #[track_caller]
    pub(crate) fn strangers_by_hand() -> Self {
        Self::strangers(&by_hand(), &by_hand())
    }

    /// `A` makes `B` its backup.
    #[track_caller]
    pub(crate) fn join(&self) -> String {
        self.a.order(&["group", "join", &self.b.peer(), "--reverse", &self.a.peer()])
    }

    /// A third node, of this role, in the group of `A` or not yet.
    #[track_caller]
    pub(crate) fn third(&self, role: &str) -> Node {
        self.third_with(role, "", &Wishes::default())
    }

    /// The same with a seat, or wishes.
    #[track_caller]
    pub(crate) fn third_with(&self, role: &str, seat: &str, wishes: &Wishes) -> Node {
        let mut third = Node::prepare(&self.lab, "C", "10.77.0.23", role, seat, wishes);
        third.launch();
        third
    }

    /// Waits until `A` serves and `B` could take over.
    #[track_caller]
    pub(crate) fn settled(&self) {
        self.a.until_serves(&self.a);
        self.b.until_state(NodeStateName::Standby);
        self.synced(&self.b);
        // It checks the servers, too: else it could say nothing of them at a takeover.
        self.b.until_servers_known();
        self.until_reached("AGG_P");
    }

    /// Waits until this node has what `A`'s seat consists of, which `A` holds.
    #[track_caller]
    pub(crate) fn synced(&self, node: &Node) {
        self.copied(node, &self.a);
    }

    /// The same while `B` holds it.
    #[track_caller]
    pub(crate) fn synced_from_b(&self, node: &Node) {
        self.copied(node, &self.b);
    }

    #[track_caller]
    fn copied(&self, node: &Node, holder: &Node) {
        within(FIRST_SYNC, &format!("{} has a copy", node.name), || {
            let (here, there) = (node.seat(&self.a)?, holder.seat(&self.a)?);
            let done = here.last_sync.as_ref().is_some_and(|sync| sync.result == SyncResult::Done);
            (done && here.revision.is_some() && here.revision == there.revision).then_some(())
        });
    }

    /// Waits until a new client is led there.
    #[track_caller]
    pub(crate) fn until_reached(&self, server: &str) {
        eventually(&format!("clients reach {server}"), || (self.serves().as_deref() == Some(server)).then_some(()));
    }

    /// Which server a new client is led to, if it is served promptly.
    pub(crate) fn serves(&self) -> Option<String> {
        self.lab.on("client", || answer_at(self.route))
    }

    /// A client that stays.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        self.lab.on("client", || Client::connect(self.route))
    }

    /// `kill -9` of `A`.
    pub(crate) fn kill_a(&mut self) {
        self.a.proxy.kill();
    }

    /// `A`, which was killed, is started again, and has heard that `B` serves.
    pub(crate) fn a_returns(&mut self) {
        self.a.launch();
        self.a.until_state(NodeStateName::Offline);
        let heard = || self.a.seat(&self.a).is_some_and(|seat| seat.holder.as_deref() == Some("B"));
        eventually("it has heard who serves", || heard().then_some(()));
    }

    /// Have both hosts the address? What is seen of the one after the other, and of the first again, was so at one moment.
    pub(crate) fn both_have_address(&self) -> bool {
        [&self.a, &self.b, &self.a].iter().all(|node| node.has_address(&self.lab))
    }

    /// The cable of this node's host: `down`, `up`.
    pub(crate) fn cable(&self, node: &Node, state: &str) {
        self.lab.cable(&node.host(), NETWORK, state);
    }

    /// From now on `at` takes nothing of this kind from `from` (an nftables match, or nothing: of no kind).
    pub(crate) fn deafen(&self, at: &Node, from: &str, kind: &str) {
        deafen(&self.lab, &at.host(), from, kind);
    }

    /// Ends every [`Rig::deafen`] at this node.
    pub(crate) fn heal(&self, node: &Node) {
        self.lab.heal(&node.host());
    }
}

/// What a node wants that takes nothing over by itself.
pub(crate) fn by_hand() -> Wishes {
    Wishes { takeover: "auto = false, primary_timeout = \"1600ms\"".into(), ..Wishes::default() }
}

/// The hosts alone.
pub(crate) fn hosts() -> Lab {
    Lab::of(LINKS)
}

/// From now on host `at` takes nothing of this kind from host `from`. ARP gets through: it is no IP.
pub(crate) fn deafen(lab: &Lab, at: &str, from: &str, kind: &str) {
    let ip = LINKS.iter().find(|(host, ..)| *host == from).expect("a host").2[0].trim_end_matches("/24");
    let rule = format!("chain from_{from} {{ type filter hook input priority 0; ip saddr {ip} {kind} drop; }}");
    lab.filter(at, &rule);
}

/// The peer link between two nodes.
pub(crate) const LINK: &str = "meta l4proto tcp";
/// The beacons.
pub(crate) const BEACONS: &str = "meta l4proto udp";

/// Clients connect there.
pub(crate) fn route() -> SocketAddr {
    SocketAddr::new(SHARED.parse().expect("an address"), 4100)
}

/// Who answers at the route, to a client on this host.
pub(crate) fn answer() -> Option<String> {
    answer_at(route())
}

/// The same at another route.
pub(crate) fn answer_at(route: SocketAddr) -> Option<String> {
    let answer = Client::connect_within(IMPATIENT, route).and_then(|mut client| client.ask("who")).ok()?;
    answer.split_once(':').map(|(name, _)| name.to_owned())
}

/// The pair of `A`'s seat. The way back is quick once it is allowed.
fn pair() -> String {
    crate::lab::pair("failback = { stable_for = \"100ms\" }")
}

/// The tables of `A`'s seat.
pub(crate) fn seat() -> String {
    seat_of(&Wishes::default())
}

fn seat_of(wishes: &Wishes) -> String {
    let (route, pair) = (wishes.route(), wishes.pair.clone().unwrap_or_else(pair));
    format!("[pairs.{PAIR}]\n{pair}\n[routes.probes]\nlisten = [\"{route}\"]\npair = \"{PAIR}\"\n")
}
