//! Whom the client's host believes to have the shared address, by ARP or neighbour discovery.

use crate::{
    common::eventually,
    node::Node,
    rig::{NETWORK, Rig},
};

impl Rig {
    /// The Ethernet address of a node's host.
    pub(crate) fn mac(&self, node: &Node) -> String {
        self.lab.run(&node.host(), &format!("cat /sys/class/net/{NETWORK}/address")).trim().to_owned()
    }

    /// Who is believed to have the shared address.
    pub(crate) fn believed(&self) -> String {
        let entry = self.lab.run("client", &format!("ip neighbour show {} dev {NETWORK}", self.route.ip()));
        let words: Vec<&str> = entry.split_whitespace().collect();
        words.windows(2).find(|pair| pair[0] == "lladdr").map(|pair| pair[1].to_owned()).unwrap_or_default()
    }

    /// Waits until the client's host, which asks nobody, believes this node to have it.
    #[track_caller]
    pub(crate) fn follows(&self, node: &Node) {
        let owner = self.mac(node);
        eventually(&format!("the address is believed to be at {}", node.name), || {
            (self.believed() == owner).then_some(())
        });
    }
}
