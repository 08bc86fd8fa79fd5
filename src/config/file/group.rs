//! `[group]`, as written.

use crate::{
    config::{
        error::Findings,
        path::FilePath,
        read::{Found, Given, Read, section, words},
        values::{Local, Name, Span, Wait, is_nobodys, schema},
    },
    model::{
        HostPort,
        group::{Role, Witness},
    },
};
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::{borrow::Cow, net::IpAddr};

section! {
    /// Nodes that protect each other; only where there are several. All of it is this node's own.
    Group {
        must {
            /// What this node is meant to be.
            role: Role,
            /// Where the other nodes reach this one, and whence it reaches them: IP and port.
            peer_listen: Local,
            /// The equal secret of all nodes of the group, 16 bytes at least; relative to this file's folder.
            pairing_key_file: FilePath,
        }
        may {
            /// The nodes that are promoted together, by a name.
            site: Name,
            /// From one heartbeat to the next, on the peer link and by beacon.
            #[schemars(extend("default" = "200ms"))]
            heartbeat: Wait,
            /// Who answers while the network is fine: `icmp:ADDRESS` or `tcp:HOST:PORT`. The pairs' servers count without being named.
            #[schemars(extend("default" = []))]
            witnesses: Vec<Found<Witness>>,
            /// The address clients know, which moves with the seat. Without it, `takeover.command` moves what is needed.
            shared_address: Address,
            /// Where a primary node that was displaced stays manageable.
            fallback_address: Address,
            /// How a backup node pulls the configuration of a primary node.
            sync: Sync,
            /// When and how a backup node takes over.
            takeover: Takeover,
        }
        later { etcd }
    }
}

words!(Role, "Role", [
    /// It has a seat of its own.
    "primary" => Role::Primary,
    /// It stands in for others.
    "backup" => Role::Backup,
] later []);

section! {
    /// An address and the interface it is added to.
    Address {
        must {
            /// The address and the length of its network's prefix, such as `10.0.0.10/24`.
            address: InNetwork,
            /// Such as `eth0`.
            interface: Interface,
        }
        may {}
        later {}
    }
}

section! {
    /// How a backup node pulls the configuration of a primary node.
    Sync {
        must {}
        may {
            /// From one pull to the next; 0s = only when ordered.
            #[schemars(extend("default" = "60s"))]
            interval: Span,
            /// A primary node from which no backup has pulled for so long says so.
            #[schemars(extend("default" = "15m"))]
            alert_after: Wait,
        }
        later {}
    }
}

section! {
    /// When and how a backup node takes over.
    Takeover {
        must {}
        may {
            /// By itself; else an operator decides.
            #[schemars(extend("default" = true))]
            auto: bool,
            /// A primary node not heard for so long, on any path, counts as gone.
            #[schemars(extend("default" = "3s"))]
            primary_timeout: Wait,
            /// A program and its arguments, run when this node becomes or ceases to be who serves, where no address can move.
            #[schemars(extend("default" = []))]
            command: Vec<Found<String>>,
        }
        later {}
    }
}

/// An address inside a network.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct InNetwork(pub(in crate::config) IpNet);

impl Read for InNetwork {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let text = String::read(given, findings)?;
        let (reason, mend) = match text.parse::<IpNet>() {
            Ok(net) => match refused(net) {
                None => return Some(Self(net)),
                Some(wrong) => (format!("`{text}` {wrong}"), "write one host's address, as in \"10.0.0.10/24\"".into()),
            },
            Err(_) => match text.parse::<IpAddr>() {
                Ok(ip) => {
                    let mend = format!("write \"{ip}/{}\" if that is its network", if ip.is_ipv4() { 24 } else { 64 });
                    (format!("`{text}` has no prefix length"), mend)
                }
                Err(_) => (
                    format!("`{text}` is no address with a prefix length"),
                    "write it as in \"10.0.0.10/24\" or \"fd00::10/64\"".into(),
                ),
            },
        };
        findings.add(&given.place, reason, mend);
        None
    }
}

/// What keeps an address from being added to an interface.
fn refused(net: IpNet) -> Option<&'static str> {
    let ip = net.addr();
    let has_ends = matches!(net, IpNet::V4(v4) if v4.prefix_len() < 31);
    if ip.to_canonical() != ip {
        Some("is an IPv4 address in IPv6 clothes")
    } else if ip.is_unspecified() || ip.is_multicast() {
        Some("is no single host's address")
    } else if net.prefix_len() == 0 {
        Some("has the whole world for its network")
    } else if has_ends && ip == net.network() {
        Some("is the network itself")
    } else if has_ends && ip == net.broadcast() {
        Some("is its network's broadcast address")
    } else {
        None
    }
}

schema!(InNetwork, "AddressInNetwork", json_schema!({ "type": "string", "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$" }));

/// The name of a network interface.
#[derive(Debug, Clone)]
pub(in crate::config) struct Interface(pub(in crate::config) String);

impl Read for Interface {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let text = String::read(given, findings)?;
        // What the kernel's `dev_valid_name` says; it also counts in bytes.
        let reason = if text.is_empty() {
            "the name of the interface is empty"
        } else if text.len() > 15 {
            "the name of an interface has at most 15 bytes"
        } else if matches!(&*text, "." | "..") || text.contains(|c: char| "/:".contains(c) || !c.is_ascii_graphic()) {
            "no interface can be called so"
        } else {
            return Some(Self(text));
        };
        findings.add(&given.place, reason, "write a name that `ip link` shows, such as \"eth0\"");
        None
    }
}

schema!(
    Interface,
    "Interface",
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 15, "pattern": "^[!-.0-9;-~]+$" })
);

impl Read for Witness {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        const MEND: &str = "write \"icmp:10.0.0.1\" or \"tcp:10.0.0.5:53\"";
        let text = String::read(given, findings)?;
        let (scheme, rest) = text.split_once(':').unwrap_or(("", &text));
        let reason = match scheme {
            "icmp" => match rest.parse::<IpAddr>() {
                Ok(ip) if is_nobodys(ip.to_canonical()) => format!("{ip} is no single host's address"),
                Ok(ip) => return Some(Self::Icmp(ip.to_canonical())),
                Err(_) => format!("`{rest}` is no IP address"),
            },
            "tcp" => match rest.parse() {
                Ok(address) => match HostPort::ip(&address).filter(|ip| is_nobodys(ip.to_canonical())) {
                    Some(ip) => format!("{ip} is no single host's address"),
                    None => return Some(Self::Tcp(address)),
                },
                Err(_) => format!("`{rest}` is no host and port"),
            },
            _ => format!("`{text}` is no witness that can be asked"),
        };
        findings.add(&given.place, reason, MEND);
        None
    }
}

schema!(
    Witness,
    "Witness",
    json_schema!({ "type": "string", "pattern": r"^(icmp:[0-9A-Fa-f:.]+|tcp:(\[[0-9A-Fa-f:.%]+\]|[^:\[\]\s]+):[0-9]{1,5})$" })
);
