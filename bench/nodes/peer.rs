//! Two nodes of keepalived and HAProxy, the usual way to have two proxies at one address.

use crate::{
    common::{
        eventually,
        process::{Process, send_signal},
    },
    crowd::Servers,
    group::{Group, Kind},
    harness::{client::Reach, process::family},
    lab::Lab,
    newcomers::ask,
    place::{Place, Shape},
    rig::{NETWORK, SHARED, hosts, route},
};
use anyhow::Context;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// What a node consists of; Debian's packages are called the same.
pub(crate) const PROGRAMS: [&str; 2] = ["keepalived", "haproxy"];

/// The hosts with their priorities.
const NODES: [(&str, u8); 2] = [("a", 150), ("b", 100)];

/// The two nodes, and the servers they lead to.
pub(crate) struct Peer {
    nodes: Vec<Member>,
    _servers: Servers,
    lab: Lab,
}

/// One node.
struct Member {
    proxy: Process,
    manager: Process,
    /// keepalived makes it for the namespace it enters, and leaves it behind.
    run: PathBuf,
}

impl Peer {
    /// At work: the first holds the address.
    pub(crate) fn start(kind: Kind, dir: &Path) -> anyhow::Result<Self> {
        let lab = hosts();
        let servers = Servers::start(&lab, dir)?;
        let nodes = NODES.iter().map(|node| Member::start(&lab, *node, kind, dir)).collect::<anyhow::Result<_>>()?;
        let reach = Reach { target: route(), tls: None };
        eventually("the peer serves", || lab.on("client", || ask(&reach, Duration::from_millis(500)).ok()));
        // The second has heard the first by now, or never will.
        std::thread::sleep(kind.timeout());
        Ok(Self { nodes, _servers: servers, lab })
    }
}

impl Member {
    fn start(lab: &Lab, (host, priority): (&str, u8), kind: Kind, dir: &Path) -> anyhow::Result<Self> {
        let namespace = lab.namespace(host);
        let file = |name: &str| dir.join(format!("{host}-{name}"));
        let mut place = Place::at(0, Shape::Plain, dir);
        // Before it has the address, it can listen only on all there are.
        place.listen = ([0, 0, 0, 0], route().port()).into();
        (place.primary, place.backup) = ("10.77.0.2:4100".parse()?, "10.77.0.3:4100".parse()?);
        let config = include_str!("../compare/configs/haproxy.cfg").replace("@OPTIONS@", "");
        fs::write(file("haproxy.cfg"), place.fill(&config, dir))?;
        // Processes are tracked by name, and both hosts' are in one list of them.
        let proxy = file("haproxy");
        std::os::unix::fs::symlink(find("haproxy").context("no haproxy")?, &proxy)?;
        let name = proxy.file_name().context("a name")?.to_string_lossy().into_owned();
        let timing = if kind == Kind::Keepalived { "version 3\n    advert_int 0.2" } else { "" };
        let values = [
            ("HOST", host.to_owned()),
            ("PROXY", name),
            ("INTERFACE", NETWORK.to_owned()),
            ("PRIORITY", priority.to_string()),
            ("TIMING", timing.to_owned()),
            ("SHARED", format!("{SHARED}/24")),
        ];
        let template = include_str!("keepalived.conf").to_owned();
        let fill = |text: String, (key, value): &(&str, String)| text.replace(&format!("@{key}@"), value);
        fs::write(file("keepalived.conf"), values.iter().fold(template, fill))?;

        let argv = ["ip", "netns", "exec", &namespace].map(PathBuf::from);
        let argv = argv.into_iter().chain([proxy, "-db".into(), "-f".into(), file("haproxy.cfg")]);
        let proxy = Process::start(&argv.collect::<Vec<_>>(), &file("haproxy.log"));
        // It enters the namespace by itself: the kernel tells of processes that end only outside of all namespaces.
        let mut argv = vec![find("keepalived").context("no keepalived")?];
        argv.extend(["-s", &namespace, "--vrrp", "-n", "-l", "-D", "-f"].map(Into::into));
        argv.extend([file("keepalived.conf"), "-p".into(), file("parent.pid"), "-r".into(), file("vrrp.pid")]);
        let manager = Process::start(&argv, &file("keepalived.log"));
        Ok(Self { proxy, manager, run: Path::new("/run/keepalived").join(namespace) })
    }

    /// keepalived's processes.
    fn manager(&self) -> Vec<u32> {
        family(&[self.manager.id()]).unwrap_or_default().into_iter().collect()
    }
}

impl Group for Peer {
    fn lab(&self) -> &Lab {
        &self.lab
    }

    fn kill_proxy(&mut self) {
        self.nodes[0].proxy.kill();
    }

    fn kill_manager(&mut self) {
        // Its child outlives it for long enough to let go in good order, unless all of them are hit at one moment.
        let all = self.nodes[0].manager();
        for signal in ["STOP", "KILL"] {
            all.iter().for_each(|pid| send_signal(signal, &pid.to_string()));
        }
    }

    fn signal(&mut self, signal: &str) {
        let node = &self.nodes[0];
        for pid in node.manager().into_iter().chain([node.proxy.id()]) {
            send_signal(signal, &pid.to_string());
        }
    }

    /// Their logs are there already.
    fn tell(&mut self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Member {
    /// Whoever is killed leaves its children behind.
    fn drop(&mut self) {
        for pid in self.manager() {
            let _gone = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        let _never_made = fs::remove_dir_all(&self.run);
    }
}

/// What the program says of itself, if it is there.
pub(crate) fn version(program: &str) -> Option<String> {
    let output = Command::new(find(program)?).arg("-v").output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().map(str::to_owned)
}

/// Where a program is.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}
