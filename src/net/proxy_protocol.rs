//! Headers of the PROXY protocol, versions 1 and 2 (haproxy's `proxy-protocol.txt`, 2020/03/05, called "the specification"
//! here): what a connection begins with to say whose it is.
//!
//! ```text
//!   1:  PROXY TCP4 192.0.2.7 203.0.113.1 51234 4100␍␊            at most 107 bytes
//!   2:  signature 12 │ version, command 1 │ family 1 │ length 2 │ addresses, TLVs: `length` bytes
//! ```
//!
//! Own code, because the crates there are take what the specification forbids (`ppp` a CR in place of a space and ports such
//! as `+80`, `proxy-header` any byte after `PROXY` and ports such as `0080`), and what is believed here decides who a client is.

mod write;

pub use write::{SEGMENT, Tlv, header};

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    str::FromStr,
};

/// More bytes than any header has: a longer one is refused. The specification wants headers to fit into 536 bytes; some that
/// quote certificates don't.
pub const LONGEST: usize = 4096;

/// The longest line of version 1, CRLF included (specification §2.1).
const LONGEST_LINE: usize = 107;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Of version 2, before addresses.
const FIXED: usize = 16;

/// Whom a connection is between, ports included: both of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoints {
    /// Over IPv4.
    V4 {
        /// Who connected.
        source: SocketAddrV4,
        /// Where to.
        destination: SocketAddrV4,
    },
    /// Over IPv6.
    V6 {
        /// Who connected.
        source: SocketAddrV6,
        /// Where to.
        destination: SocketAddrV6,
    },
}

impl Endpoints {
    /// `None` if the two are of different families, which no connection is.
    #[must_use]
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Option<Self> {
        match (source, destination) {
            (SocketAddr::V4(source), SocketAddr::V4(destination)) => Some(Self::V4 { source, destination }),
            (SocketAddr::V6(source), SocketAddr::V6(destination)) => Some(Self::V6 { source, destination }),
            _ => None,
        }
    }

    /// Who connected.
    #[must_use]
    pub fn source(&self) -> SocketAddr {
        match self {
            Self::V4 { source, .. } => (*source).into(),
            Self::V6 { source, .. } => (*source).into(),
        }
    }

    /// Where to.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        match self {
            Self::V4 { destination, .. } => (*destination).into(),
            Self::V6 { destination, .. } => (*destination).into(),
        }
    }
}

/// A whole header at the beginning of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its bytes; those after them are the connection's own.
    pub length: usize,
    /// For whom the connection is; `None`: for the sender itself (`LOCAL`, as health checks are), or for somebody without an
    /// address (`UNKNOWN`, UDP, a unix socket). Then the connection's own addresses hold.
    pub endpoints: Option<Endpoints>,
}

/// Why bytes are no header, nor the beginning of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Neither `PROXY ` nor the signature.
    #[error("it does not begin as a header does")]
    NoHeader,
    /// No CRLF within 107 bytes, or more than [`LONGEST`] announced.
    #[error("it is too long")]
    TooLong,
    /// CR or LF alone.
    #[error("its line does not end with CRLF")]
    LineEnd,
    /// Not `TCP4`, `TCP6` or `UNKNOWN` (1), or a family or transport there is not (2).
    #[error("it names an unknown protocol")]
    Protocol,
    /// Not two addresses of that family and two ports as the specification writes them.
    #[error("its addresses are malformed")]
    Addresses,
    /// Not version 2 after the signature of version 2, or a command there is not.
    #[error("it has an unknown version or command")]
    Command,
    /// What follows the addresses is no sequence of TLVs.
    #[error("its TLVs are malformed")]
    Tlvs,
}

/// Reads the header that `bytes` begin with. `Ok(None)`: so far it may become one.
///
/// # Errors
/// It never will: the connection must be dropped (specification §2.1, §2.2).
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    const LINE: &[u8] = b"PROXY ";
    let begins_as = |start: &[u8]| bytes.iter().zip(start).all(|(is, must)| is == must);
    if begins_as(SIGNATURE) {
        parse_binary(bytes)
    } else if begins_as(LINE) {
        parse_line(&bytes[..bytes.len().min(LONGEST_LINE)])
    } else {
        Err(HeaderError::NoHeader)
    }
}

/// Version 1.
fn parse_line(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err(HeaderError::TooLong) };
    };
    match &bytes[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if bytes.len() < LONGEST_LINE => return Ok(None),
        _ => return Err(HeaderError::LineEnd),
    }
    let mut fields = bytes[..end].split(|byte| *byte == b' ').skip(1);
    let endpoints = match fields.next() {
        Some(b"TCP4") => Some(addresses(fields, Ipv4Addr::from_str)?),
        Some(b"TCP6") => Some(addresses(fields, Ipv6Addr::from_str)?),
        // Whatever follows is to be ignored.
        Some(b"UNKNOWN") => None,
        _ => return Err(HeaderError::Protocol),
    };
    Ok(Some(Header { length: end + 2, endpoints }))
}

fn addresses<'a, A: Into<IpAddr>, E>(
    mut fields: impl Iterator<Item = &'a [u8]>,
    parse: fn(&str) -> Result<A, E>,
) -> Result<Endpoints, HeaderError> {
    let mut next = || fields.next().and_then(|field| str::from_utf8(field).ok()).ok_or(HeaderError::Addresses);
    let address = |field| parse(field).map(Into::into).map_err(|_| HeaderError::Addresses);
    let (source, destination) = (address(next()?)?, address(next()?)?);
    let (from, to) = (port(next()?)?, port(next()?)?);
    if fields.next().is_some() {
        return Err(HeaderError::Addresses);
    }
    Endpoints::new((source, from).into(), (destination, to).into()).ok_or(HeaderError::Addresses)
}

/// Digits only, and no zero before others.
fn port(field: &str) -> Result<u16, HeaderError> {
    let decimal = field.bytes().all(|byte| byte.is_ascii_digit()) && (field == "0" || !field.starts_with('0'));
    field.parse().ok().filter(|_| decimal).ok_or(HeaderError::Addresses)
}

/// Version 2.
fn parse_binary(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    if bytes.get(12).is_some_and(|command| !matches!(command, 0x20 | 0x21)) {
        return Err(HeaderError::Command);
    }
    let [command, protocol, high, low] = match bytes.get(12..FIXED) {
        Some(fixed) => [fixed[0], fixed[1], fixed[2], fixed[3]],
        None => return Ok(None),
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST {
        return Err(HeaderError::TooLong);
    }
    let Some(block) = bytes.get(FIXED..length) else { return Ok(None) };
    let endpoints = if command == 0x20 { None } else { block_endpoints(protocol, block)? };
    Ok(Some(Header { length, endpoints }))
}

/// Of the family (the high four bits of `protocol`) and transport (the low four) only TCP over IP is understood here; what
/// else the specification knows counts as unspecified, as it allows.
fn block_endpoints(protocol: u8, block: &[u8]) -> Result<Option<Endpoints>, HeaderError> {
    let mut rest = block;
    let endpoints = match (protocol >> 4, protocol & 0x0f) {
        (0, 0..=2) | (1..=3, 0) => return Ok(None),
        (1, 1 | 2) => over_ip::<4>(&mut rest),
        (2, 1 | 2) => over_ip::<16>(&mut rest),
        (3, 1 | 2) => take::<216>(&mut rest).map(|_paths| None),
        _ => return Err(HeaderError::Protocol),
    };
    let endpoints = endpoints.ok_or(HeaderError::Addresses)?;
    if !are_tlvs(rest) {
        return Err(HeaderError::Tlvs);
    }
    Ok(endpoints.filter(|_| protocol & 0x0f == 1))
}

fn over_ip<const N: usize>(rest: &mut &[u8]) -> Option<Option<Endpoints>>
where
    IpAddr: From<[u8; N]>,
{
    let (source, destination) = (IpAddr::from(take::<N>(rest)?), IpAddr::from(take::<N>(rest)?));
    let (from, to) = (u16::from_be_bytes(take(rest)?), u16::from_be_bytes(take(rest)?));
    Some(Endpoints::new((source, from).into(), (destination, to).into()))
}

/// None is looked at, but a header that lies about their lengths may lie about its own.
fn are_tlvs(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some([_kind, high, low]) = take(&mut rest) else { return false };
        let Some((_value, behind)) = rest.split_at_checked(u16::from_be_bytes([high, low]).into()) else {
            return false;
        };
        rest = behind;
    }
    true
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
}

#[cfg(test)]
mod tests;
