//! Addresses as an operator writes them: a host name or IP, and a port.

use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};

/// A host (name or IP address) and a port, not resolved yet. Written `host:port`, IPv6 as `[::1]:4100`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

/// Why a text is no `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `:port` at the end.
    #[error("`{0}` has no port; write host:port")]
    NoPort(String),
    /// What follows the last colon is no port.
    #[error("`{0}` is no port between 1 and 65535")]
    BadPort(String),
    /// Nothing stands before the port.
    #[error("the host before `:{0}` is missing")]
    NoHost(String),
    /// An IPv6 address without brackets, or brackets around something else.
    #[error("`{0}` looks like an IPv6 address; write [address]:port")]
    BareV6(String),
    /// A host name with characters no host name has.
    #[error("`{0}` is neither an IP address nor a host name")]
    BadHost(String),
}

impl HostPort {
    /// The address as an IP, if it needs no resolving.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| AddressError::NoPort(text.into()))?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => inner,
            Some(_) => return Err(AddressError::BadHost(host.into())),
            None if host.contains(':') => return Err(AddressError::BareV6(text.into())),
            None => host,
        };
        if host.is_empty() {
            return Err(AddressError::NoHost(port.into()));
        }
        let plausible = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        // RFC 1035 §2.3.4: a name has at most 255 octets, a label 63.
        let short = host.len() <= 255 && host.split('.').all(|label| label.len() <= 63);
        if !host.chars().all(plausible) || !short {
            return Err(AddressError::BadHost(host.into()));
        }
        match port.parse() {
            Ok(port) if port != 0 => Ok(Self { host: host.into(), port }),
            _ => Err(AddressError::BadPort(port.into())),
        }
    }
}

impl TryFrom<String> for HostPort {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(address: HostPort) -> Self {
        address.to_string()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_both_families_are_read_and_written_back() {
        for text in ["agg-p.example.net:4100", "10.0.0.1:1", "[::1]:65535", "AGG_P:4100"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        let reason = |text: &str| text.parse::<HostPort>().unwrap_err();
        assert_eq!(reason("agg-p"), AddressError::NoPort("agg-p".into()));
        assert_eq!(reason("agg-p:0"), AddressError::BadPort("0".into()));
        assert_eq!(reason(":4100"), AddressError::NoHost("4100".into()));
        assert_eq!(reason("::1:4100"), AddressError::BareV6("::1:4100".into()));
        assert_eq!(reason("a b:4100"), AddressError::BadHost("a b".into()));
        let long = "a".repeat(64);
        assert_eq!(reason(&format!("{long}.example:4100")), AddressError::BadHost(format!("{long}.example")));
    }
}
