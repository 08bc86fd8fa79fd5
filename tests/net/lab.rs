//! A laboratory of hosts:
//!
//! ```text
//!   client ──┐ front                back ┌── primary   AGG_P
//!   .1.9     ├──────── proxy ────────────┼── backup    AGG_B
//!            │      .1.1   .0.1          └── spare     AGG_S
//!   10.77.1.0/24                 10.77.0.0/24, fd77::/64
//! ```
//!
//! Every host is a network namespace, both networks are bridges in one more. All of it is gone when the value is dropped.

use crate::common::{client::Client, process::run, proxy::Proxy, server::Server};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::SocketAddr,
    os::fd::AsFd,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// Where the route listens.
const ROUTE: &str = "10.77.1.1:4100";

/// A host's interface in a network, called like the network, and its addresses.
pub(crate) type Link = (&'static str, &'static str, [&'static str; 2]);

const LINKS: &[Link] = &[
    ("client", "front", ["10.77.1.9/24", "fd78::9/64"]),
    ("proxy", "front", ["10.77.1.1/24", "fd78::1/64"]),
    ("proxy", "back", ["10.77.0.1/24", "fd77::1/64"]),
    ("primary", "back", ["10.77.0.2/24", "fd77::2/64"]),
    ("backup", "back", ["10.77.0.3/24", "fd77::3/64"]),
    ("spare", "back", ["10.77.0.4/24", "fd77::4/64"]),
];

/// A laboratory of a test's own.
pub(crate) struct Lab {
    prefix: String,
    links: &'static [Link],
}

impl Lab {
    /// Builds the hosts and networks drawn above.
    pub(crate) fn build() -> Self {
        Self::of(LINKS)
    }

    /// Builds hosts and networks of choice.
    pub(crate) fn of(links: &'static [Link]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let lab = Self { prefix: format!("failback-{}-{number}", std::process::id()), links };
        lab.add_networks();
        lab.hosts().iter().for_each(|host| lab.add_host(host));
        for (host, network, addresses) in links {
            lab.add_link(host, network, addresses);
        }
        lab
    }

    /// The two servers, at work.
    pub(crate) fn servers(&self) -> (Server, Server) {
        (self.server("AGG_P", "primary", "10.77.0.2:4100"), self.server("AGG_B", "backup", "10.77.0.3:4100"))
    }

    /// A server on a host.
    pub(crate) fn server(&self, name: &'static str, host: &str, address: &str) -> Server {
        let address = address.parse().expect("an address");
        self.on(host, || Server::start_at(name, address))
    }

    /// The proxy on its host, for these lines as the pair's table.
    pub(crate) fn proxy(&self, pair: &str) -> Proxy {
        Proxy::inside(&["ip", "netns", "exec", &self.namespace("proxy")], route(), pair)
    }

    /// A client on its host.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        self.on("client", || Client::connect(route()))
    }

    /// Does something on a host: sockets made there belong to it for good.
    #[track_caller]
    pub(crate) fn on<T: Send>(&self, host: &str, action: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.namespace(host))).expect("the host is there");
        let there = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("we are root");
            action()
        };
        std::thread::scope(|scope| scope.spawn(there).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs a command on a host to its end.
    #[track_caller]
    pub(crate) fn run(&self, host: &str, words: &str) -> String {
        let namespace = self.namespace(host);
        let mut argv = vec!["ip", "netns", "exec", &namespace];
        argv.extend(words.split(' '));
        run(&argv)
    }

    /// Power loss: from now on every packet of this host is dropped, both ways.
    pub(crate) fn silence(&self, host: &str) {
        self.filter(host, "chain in { type filter hook input priority 0; policy drop; }");
        self.filter(host, "chain out { type filter hook output priority 0; policy drop; }");
    }

    /// Adds a chain to this host's packet filter.
    pub(crate) fn filter(&self, host: &str, chain: &str) {
        run(&["ip", "netns", "exec", &self.namespace(host), "nft", &format!("table inet lab {{\n{chain}\n}}")]);
    }

    /// Pulls a host's cable out of the switch, or puts it back: the host's own interface stays up, without a carrier.
    pub(crate) fn cable(&self, host: &str, network: &str, state: &str) {
        self.run("switch", &format!("ip link set {host}-{network} {state}"));
    }

    /// Ends what [`Lab::silence`] and [`Lab::filter`] did.
    pub(crate) fn heal(&self, host: &str) {
        self.run(host, "nft delete table inet lab");
    }

    /// What names mean on a host (before anything runs there, or again later): lines as in `/etc/hosts`.
    pub(crate) fn names(&self, host: &str, lines: &str) {
        // Written in place: what runs on the host has this very file as its /etc/hosts.
        fs::write(self.file(host, "hosts"), lines).expect("the names can be written");
    }

    /// A file that is `/etc/NAME` to what runs on the host.
    fn file(&self, host: &str, name: &str) -> PathBuf {
        let folder = PathBuf::from("/etc/netns").join(self.namespace(host));
        fs::create_dir_all(&folder).expect("we are root");
        folder.join(name)
    }

    /// The network namespace a host is.
    pub(crate) fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.prefix)
    }

    fn hosts(&self) -> BTreeSet<&'static str> {
        self.links.iter().map(|(host, ..)| *host).collect()
    }

    fn add_networks(&self) {
        let switch = self.namespace("switch");
        run(&["ip", "netns", "add", &switch]);
        for bridge in self.links.iter().map(|(_, network, _)| network).collect::<BTreeSet<_>>() {
            run(&["ip", "-n", &switch, "link", "add", bridge, "type", "bridge"]);
            run(&["ip", "-n", &switch, "link", "set", bridge, "up"]);
        }
    }

    fn add_host(&self, host: &str) {
        run(&["ip", "netns", "add", &self.namespace(host)]);
        run(&["ip", "-n", &self.namespace(host), "link", "set", "lo", "up"]);
        // Names that /etc/hosts does not know are unknown at once, without a server to wait for.
        let nobody = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
        fs::write(self.file(host, "resolv.conf"), nobody).expect("we are root");
        self.names(host, "127.0.0.1 localhost\n");
    }

    fn add_link(&self, host: &str, network: &str, addresses: &[&str]) {
        let (there, switch, port) = (self.namespace(host), self.namespace("switch"), format!("{host}-{network}"));
        let veth = ["type", "veth", "peer", "name", &port, "netns", &switch];
        run(&[&["ip", "-n", &there, "link", "add", network], &veth[..]].concat());
        run(&["ip", "-n", &switch, "link", "set", &port, "master", network, "up"]);
        run(&["ip", "-n", &there, "link", "set", network, "up"]);
        for address in addresses {
            // Without looking for duplicates first, which takes a second.
            run(&["ip", "-n", &there, "addr", "add", address, "dev", network, "nodad"]);
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in self.hosts().into_iter().chain(["switch"]) {
            let namespace = self.namespace(host);
            let _never_built = Command::new("ip").args(["netns", "del", &namespace]).status();
            let _never_written = fs::remove_dir_all(PathBuf::from("/etc/netns").join(namespace));
        }
    }
}

/// The route's address.
pub(crate) fn route() -> SocketAddr {
    ROUTE.parse().expect("an address")
}

/// The pair's table for the laboratory's servers, and further lines.
pub(crate) fn pair(more: &str) -> String {
    let (primary, backup) = ("10.77.0.2:4100", "10.77.0.3:4100");
    format!(
        "primary = {{ name = \"AGG_P\", address = \"{primary}\" }}\nbackups = [{{ name = \"AGG_B\", address = \"{backup}\" }}]\n{more}\n"
    )
}
