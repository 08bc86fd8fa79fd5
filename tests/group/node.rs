//! A node of a group on a host of its own: the program itself, killed, frozen and asked as an operator would.

use crate::{
    common::{admin::Admin, eventually, proxy::Proxy, throughout},
    disk::{Full, SmallDisk},
    lab::Lab,
    rig::{NETWORK, SHARED},
};
use failback::model::{
    group::NodeStateName,
    view::group::{GroupView, NodeView, SeatView},
};
use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, time::Duration};
use tempfile::TempDir;

/// What two nodes may have different.
pub(crate) struct Wishes {
    /// The pairing key.
    pub(crate) key: &'static str,
    /// The shared address, IPv4 or IPv6.
    pub(crate) shared: &'static str,
    /// `group.takeover`, without its braces.
    pub(crate) takeover: String,
    /// `group.sync`, without its braces.
    pub(crate) sync: &'static str,
    /// The pair of `A`'s seat; nothing: [`crate::rig::pair`].
    pub(crate) pair: Option<String>,
    /// Tables at the end of the file.
    pub(crate) more: String,
    /// What the program is executed by.
    pub(crate) wrapper: Vec<String>,
    /// Its `state_dir` is on a small disk of its own.
    pub(crate) small_disk: bool,
}

/// A holder that is silent for so long is taken for dead.
pub(crate) const PRIMARY_TIMEOUT: Duration = Duration::from_millis(1600);
/// From one heartbeat to the next.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(200);

impl Default for Wishes {
    fn default() -> Self {
        Self {
            key: "the pairing key of this laboratory",
            shared: SHARED,
            takeover: format!("auto = true, primary_timeout = \"{}ms\"", PRIMARY_TIMEOUT.as_millis()),
            sync: "interval = \"2s\", alert_after = \"15m\"",
            pair: None,
            more: String::new(),
            wrapper: Vec::new(),
            small_disk: false,
        }
    }
}

impl Wishes {
    /// Clients of the seat connect there.
    pub(crate) fn route(&self) -> SocketAddr {
        SocketAddr::new(self.shared.parse().expect("an address"), 4100)
    }
}

/// A node. Its host is called like it, in small letters.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    /// The host's own address.
    ip: &'static str,
    /// The address of its seat, or of the one it protects.
    shared: &'static str,
    pub(crate) proxy: Proxy,
    /// Where its state is, if it wished that.
    disk: Option<SmallDisk>,
    /// Its API's socket is there.
    _dir: TempDir,
}

impl Node {
    /// Prepared, not started. `role` is as the file has it; `seat` are the tables of what it serves, if it has any.
    pub(crate) fn prepare(
        lab: &Lab,
        name: &'static str,
        ip: &'static str,
        role: &str,
        seat: &str,
        wishes: &Wishes,
    ) -> Self {
        let dir = TempDir::with_prefix("failback-").expect("a directory");
        let admin = Admin::Unix(dir.path().join("admin.sock"));
        let namespace = lab.namespace(&host(name));
        let mut wrapper = ["ip", "netns", "exec", &namespace].map(Into::into).to_vec();
        wrapper.extend(wishes.wrapper.iter().map(Into::into));
        let proxy = Proxy::at(wishes.route(), admin, wrapper, "");
        let disk = wishes.small_disk.then(|| SmallDisk::at(proxy.dir().join("state")));
        let node = Self { name, ip, shared: wishes.shared, proxy, disk, _dir: dir };
        node.configure(role, seat, wishes);
        node
    }

    /// Writes its configuration and pairing key anew.
    pub(crate) fn configure(&self, role: &str, seat: &str, wishes: &Wishes) {
        let Wishes { key, shared, takeover, sync, more, .. } = wishes;
        let (dir, peer, name) = (self.proxy.dir(), self.peer(), self.name);
        let (state, admin) = (dir.join("state"), &self.proxy.admin);
        // The last number of the fallback address is this node's, and a hundred.
        let number = self.ip.trim_start_matches("10.77.0.");
        let (network, prefix) = if wishes.route().is_ipv6() { ("fd77::", 64) } else { ("10.77.0.", 24) };
        let text = format!(
            "[node]\nname = \"{name}\"\nstate_dir = {state:?}\n\n[admin]\nlisten = \"{admin}\"\n\n[group]\nrole = \"{role}\"\n\
             peer_listen = \"{peer}\"\npairing_key_file = \"pairing.key\"\nheartbeat = \"{}ms\"\nwitnesses = [\"icmp:10.77.0.1\"]\n\
             shared_address = {{ address = \"{shared}/{prefix}\", interface = \"{NETWORK}\" }}\n\
             fallback_address = {{ address = \"{network}1{number}/{prefix}\", interface = \"{NETWORK}\" }}\n\
             sync = {{ {sync} }}\ntakeover = {{ {takeover} }}\n\n{seat}\n{more}\n",
            HEARTBEAT.as_millis()
        );
        fs::write(self.proxy.config(), text).expect("the configuration can be written");
        let file = dir.join("pairing.key");
        fs::write(&file, key).expect("the key can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    }

    /// Not a byte more can be written below its `state_dir` until what this gives is dropped.
    #[track_caller]
    pub(crate) fn fill_disk(&self) -> Full {
        self.disk.as_ref().expect("it wished a small disk").fill()
    }

    /// Starts it and waits until its API answers.
    #[track_caller]
    pub(crate) fn launch(&mut self) {
        self.proxy.launch_until("/healthz");
    }

    /// Where other nodes reach it.
    pub(crate) fn peer(&self) -> String {
        format!("{}:9902", self.ip)
    }

    /// The host it is on.
    pub(crate) fn host(&self) -> String {
        host(self.name)
    }

    /// The group as it sees it.
    #[track_caller]
    pub(crate) fn group(&self) -> GroupView {
        self.proxy.admin.status().group.expect("a node with [group] shows it")
    }

    /// Waits until the group is as wanted.
    #[track_caller]
    pub(crate) fn until(&self, wanted: &str, is: impl Fn(&GroupView) -> bool) -> GroupView {
        eventually(&format!("{}: {wanted}", self.name), || Some(self.group()).filter(|group| is(group)))
    }

    /// The seat of this node, as this one sees it.
    #[track_caller]
    pub(crate) fn seat(&self, of: &Node) -> Option<SeatView> {
        self.group().seats.into_iter().find(|seat| &*seat.seat == of.name)
    }

    /// The other node's row, as this one shows it.
    #[track_caller]
    pub(crate) fn row(&self, of: &Node) -> Option<NodeView> {
        self.group().nodes.into_iter().find(|node| &*node.node == of.name)
    }

    /// Waits until it serves the seat called by `of`'s name.
    #[track_caller]
    pub(crate) fn until_serves(&self, of: &Node) -> SeatView {
        eventually(&format!("{} serves {}", self.name, of.name), || self.seat(of).filter(|seat| seat.here))
    }

    /// Waits until it is in this state.
    #[track_caller]
    pub(crate) fn until_state(&self, state: NodeStateName) {
        self.until(&format!("it is {state}"), |group| group.state == state);
    }

    /// Waits until its checks of the pair's servers have passed.
    #[track_caller]
    pub(crate) fn until_servers_known(&self) {
        eventually(&format!("{} knows the servers", self.name), || {
            self.proxy.pair().upstreams.iter().all(|upstream| upstream.admissible).then_some(())
        });
    }

    /// Watches that it does not serve the seat.
    #[track_caller]
    pub(crate) fn never_serves(&self, of: &Node, span: Duration) {
        throughout(span, &format!("{} does not serve {}", self.name, of.name), || {
            self.seat(of).is_none_or(|seat| !seat.here)
        });
    }

    /// Has its host the shared address?
    pub(crate) fn has_address(&self, lab: &Lab) -> bool {
        self.has(lab, self.shared)
    }

    /// Has its host this address?
    pub(crate) fn has(&self, lab: &Lab, address: &str) -> bool {
        self.addresses(lab).contains(&format!(" {address}/"))
    }

    /// The addresses of its host, a line each.
    pub(crate) fn addresses(&self, lab: &Lab) -> String {
        lab.run(&self.host(), &format!("ip -oneline address show dev {NETWORK}"))
    }

    /// Gives an order on the command line; must be taken.
    #[track_caller]
    pub(crate) fn order(&self, words: &[&str]) -> String {
        self.proxy.cli_says(words)
    }

    /// Gives an order on the command line that must be refused, and returns what is said about it.
    #[track_caller]
    pub(crate) fn refuses(&self, words: &[&str]) -> String {
        let output = self.proxy.cli(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "failback {words:?}: {said}");
        said
    }

    /// Has an event of this kind happened here?
    #[track_caller]
    pub(crate) fn told_of(&self, kind: &str) -> usize {
        self.proxy.events_of(kind).len()
    }
}

fn host(name: &str) -> String {
    name.to_lowercase()
}
