//! `[routes.NAME] proxy_protocol = { … }`: which clients say for whom they connect, and whether upstreams are told.

use ipnet::IpNet;
use std::{net::IpAddr, sync::Arc};

/// The PROXY protocol as a route speaks it. By default it does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxyProtocolSpec {
    /// Clients from these networks must begin with a header, and are believed; what others send is not looked at.
    pub accept_from: Arc<[IpNet]>,
    /// What each connection to an upstream begins with; `None`: with the client's first byte.
    pub send: Option<HeaderVersion>,
}

impl ProxyProtocolSpec {
    /// Must a client from there begin with a header?
    #[must_use]
    pub fn expects_header(&self, from: IpAddr) -> bool {
        !self.accept_from.is_empty() && self.accept_from.iter().any(|net| net.contains(&from.to_canonical()))
    }
}

/// How a header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderVersion {
    /// A line of text.
    V1,
    /// Binary, with room for more than addresses.
    V2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_from_the_networks_must_begin_with_a_header() {
        let nets = |nets: &[&str]| ProxyProtocolSpec {
            accept_from: nets.iter().map(|net| net.parse().unwrap()).collect(),
            send: None,
        };
        let expects = |spec: &ProxyProtocolSpec, from: &str| spec.expects_header(from.parse().unwrap());
        let spec = nets(&["10.0.0.0/8", "fd00::/8"]);
        assert!(expects(&spec, "10.1.2.3") && expects(&spec, "::ffff:10.1.2.3") && expects(&spec, "fd00::1"));
        assert!(!expects(&spec, "11.0.0.1") && !expects(&spec, "::1"));
        assert!(!expects(&nets(&[]), "10.1.2.3"));
    }
}
