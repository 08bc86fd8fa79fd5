//! Two nodes of failback, as the tests of groups start them.

use crate::{
    common::server::Server,
    crowd::Servers,
    group::{Group, Kind},
    lab::Lab,
    node::{Node, Wishes},
    rig::{Rig, hosts, route, seat},
};
use failback::model::group::NodeStateName;
use std::{io, path::Path};

/// A group, and the servers it leads to.
pub(crate) struct Ours {
    rig: Rig,
    _servers: Servers,
}

impl Ours {
    /// Joined and settled.
    pub(crate) fn start(kind: Kind, dir: &Path) -> io::Result<Self> {
        let lab = hosts();
        let servers = Servers::start(&lab, dir)?;
        let wishes = || Wishes {
            takeover: format!("auto = true, primary_timeout = \"{}ms\"", kind.timeout().as_millis()),
            ..Wishes::default()
        };
        let a = Node::prepare(&lab, "A", "10.77.0.21", "primary", &seat(), &wishes());
        let b = Node::prepare(&lab, "B", "10.77.0.22", "backup", "", &wishes());
        // The harness's servers stand in the place of the stories'.
        let (primary, backup) = (Server::dead("AGG_P"), Server::dead("AGG_B"));
        let mut rig = Rig { a, b, primary, backup, route: route(), lab };
        rig.a.launch();
        rig.b.launch();
        rig.join();
        rig.a.until_serves(&rig.a);
        rig.b.until_state(NodeStateName::Standby);
        rig.synced(&rig.b);
        [&rig.a, &rig.b].into_iter().for_each(Node::until_servers_known);
        Ok(Self { rig, _servers: servers })
    }
}

impl Group for Ours {
    fn lab(&self) -> &Lab {
        &self.rig.lab
    }

    fn kill_proxy(&mut self) {
        self.rig.kill_a();
    }

    fn kill_manager(&mut self) {}

    fn signal(&mut self, signal: &str) {
        self.rig.a.proxy.process().signal(signal);
    }

    fn tell(&mut self, dir: &Path) -> io::Result<()> {
        for node in [&mut self.rig.a, &mut self.rig.b] {
            let events = node.proxy.cli(&["events", "--json"]).stdout;
            std::fs::write(dir.join(format!("{}.events", node.name)), events)?;
            let log = node.proxy.process().printed();
            std::fs::write(dir.join(format!("{}.log", node.name)), log)?;
        }
        Ok(())
    }
}
