//! What happens to the nodes, and what should come of it.

use crate::{
    group::{Group, Kind},
    lab::Lab,
    rig::{LINK, NETWORK, deafen},
};
use clap::ValueEnum;
use std::time::Duration;

/// A fault of the node that holds the address, on host `a`, or of the network around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// `kill -9` of the proxy
    Kill,
    /// `kill -9` of what moves the address, where that is a program of its own
    KillManager,
    /// Power loss: the cable first, so that nothing of the dying gets out, then everything is killed
    Power,
    /// SIGSTOP of all that runs there, and SIGCONT after twice the timeout
    Stop,
    /// The peer link is cut both ways, beacons arrive
    Link,
    /// The peer link is cut one way
    LinkOneWay,
    /// The holder's cable is pulled, and put back
    Cut,
    /// The holder is cut off beyond its own cable: it keeps its carrier and hears nobody, until that heals
    CutBeyond,
    /// Both are cut from the witness
    Witness,
}

/// Beyond the timeout this is what a takeover may take.
pub(crate) const LEEWAY: Duration = Duration::from_secs(1);

impl Fault {
    /// The heading of its table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Kill => "`kill -9` of the proxy that holds the address",
            Self::KillManager => "`kill -9` of what moves the address",
            Self::Power => "power loss of the holder",
            Self::Stop => "SIGSTOP of the holder for twice the timeout, then SIGCONT",
            Self::Link => "the peer link cut both ways",
            Self::LinkOneWay => "the peer link cut one way",
            Self::Cut => "the holder's cable pulled, then put back",
            Self::CutBeyond => "the holder cut off beyond its cable, then healed",
            Self::Witness => "both cut from the witness",
        }
    }

    /// Can it happen to nodes of this kind?
    pub(crate) fn suits(self, kind: Kind) -> bool {
        match self {
            Self::Kill | Self::Power | Self::Stop | Self::Cut | Self::CutBeyond => true,
            Self::KillManager => !kind.is_own(),
            Self::Link | Self::LinkOneWay | Self::Witness => kind.is_own(),
        }
    }

    /// Must the other node take over, or may it not?
    pub(crate) fn takes_over(self) -> bool {
        !matches!(self, Self::Link | Self::LinkOneWay | Self::Witness)
    }

    /// Do the nodes hear nothing of each other, so that both may have the address?
    pub(crate) fn parts(self) -> bool {
        matches!(self, Self::Cut | Self::CutBeyond)
    }

    /// How long it lasts where a silent holder is given up after `timeout`.
    pub(crate) fn lasts(self, timeout: Duration) -> Duration {
        match self {
            Self::Kill | Self::KillManager | Self::Power => timeout + LEEWAY,
            Self::Stop => (timeout * 2).max(timeout + LEEWAY),
            Self::Cut | Self::CutBeyond => timeout * 2 + LEEWAY,
            Self::Link | Self::LinkOneWay | Self::Witness => timeout * 3,
        }
    }

    /// Lets it happen.
    pub(crate) fn strike(self, group: &mut dyn Group) {
        match self {
            Self::Kill => group.kill_proxy(),
            Self::KillManager => group.kill_manager(),
            Self::Power => {
                group.lab().cable("a", NETWORK, "down");
                group.kill_manager();
                group.kill_proxy();
            }
            Self::Stop => group.signal("STOP"),
            Self::Link => {
                deafen(group.lab(), "a", "b", LINK);
                deafen(group.lab(), "b", "a", LINK);
            }
            Self::LinkOneWay => deafen(group.lab(), "b", "a", LINK),
            Self::Cut => group.lab().cable("a", NETWORK, "down"),
            Self::CutBeyond => port(group.lab(), "nomaster"),
            Self::Witness => group.lab().cable("witness", NETWORK, "down"),
        }
    }

    /// Ends it, if it ends.
    pub(crate) fn heal(self, group: &mut dyn Group) {
        match self {
            Self::Kill | Self::KillManager | Self::Power => {}
            Self::Stop => group.signal("CONT"),
            Self::Link => ["a", "b"].iter().for_each(|host| group.lab().heal(host)),
            Self::LinkOneWay => group.lab().heal("b"),
            Self::Cut => group.lab().cable("a", NETWORK, "up"),
            Self::CutBeyond => port(group.lab(), &format!("master {NETWORK}")),
            Self::Witness => group.lab().cable("witness", NETWORK, "up"),
        }
    }
}

/// The switch's end of the holder's cable: in the network or not.
fn port(lab: &Lab, state: &str) {
    lab.run("switch", &format!("ip link set a-{NETWORK} {state}"));
}
