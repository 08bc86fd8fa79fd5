//! Writing headers.

use super::{Endpoints, FIXED, SIGNATURE};
use crate::model::proxy_protocol::HeaderVersion;
use std::net::SocketAddr;

/// A header that we write is no longer: it fits into the smallest segment every host takes, so that it arrives in one piece
/// (specification §2).
pub const SEGMENT: usize = 536;

/// A type-length-value vector of version 2 (specification §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// `PP2_TYPE_…`.
    pub kind: u8,
    /// Its value; one that has vectors inside is made of them by [`Tlv::append_to`].
    pub value: &'a [u8],
}

impl Tlv<'_> {
    /// Writes it behind `bytes`. `false`, and nothing is written, if it would not fit into [`SEGMENT`].
    pub fn append_to(&self, bytes: &mut Vec<u8>) -> bool {
        let fits = bytes.len() + 3 + self.value.len() <= SEGMENT;
        if fits && let Ok(length) = u16::try_from(self.value.len()) {
            bytes.push(self.kind);
            bytes.extend(length.to_be_bytes());
            bytes.extend(self.value);
        }
        fits
    }
}

/// The header for a connection between `endpoints`; `None`: on our own behalf, as health checks are.
///
/// Version 1 has no room for `tlvs`, and in version 2 those that don't fit into [`SEGMENT`] are left out: a receiver must
/// get along without them.
#[must_use]
pub fn header(version: HeaderVersion, endpoints: Option<Endpoints>, tlvs: &[Tlv<'_>]) -> Vec<u8> {
    match version {
        HeaderVersion::V1 => line(endpoints),
        HeaderVersion::V2 => binary(endpoints, tlvs),
    }
}

fn line(endpoints: Option<Endpoints>) -> Vec<u8> {
    let words = |protocol, source: SocketAddr, to: SocketAddr| {
        format!("PROXY {protocol} {} {} {} {}\r\n", source.ip(), to.ip(), source.port(), to.port()).into_bytes()
    };
    match endpoints {
        Some(Endpoints::V4 { source, destination }) => words("TCP4", source.into(), destination.into()),
        Some(Endpoints::V6 { source, destination }) => words("TCP6", source.into(), destination.into()),
        None => b"PROXY UNKNOWN\r\n".to_vec(),
    }
}

fn binary(endpoints: Option<Endpoints>, tlvs: &[Tlv<'_>]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    // Version and command (LOCAL or PROXY), family and transport, and a length that is not known yet.
    bytes.extend(match endpoints {
        None => [0x20, 0x00, 0, 0],
        Some(Endpoints::V4 { .. }) => [0x21, 0x11, 0, 0],
        Some(Endpoints::V6 { .. }) => [0x21, 0x21, 0, 0],
    });
    match endpoints {
        None => {}
        Some(Endpoints::V4 { source, destination }) => {
            bytes.extend(source.ip().octets());
            bytes.extend(destination.ip().octets());
        }
        Some(Endpoints::V6 { source, destination }) => {
            bytes.extend(source.ip().octets());
            bytes.extend(destination.ip().octets());
        }
    }
    if let Some(endpoints) = endpoints {
        bytes.extend(endpoints.source().port().to_be_bytes());
        bytes.extend(endpoints.destination().port().to_be_bytes());
    }
    for tlv in tlvs {
        let _left_out = !tlv.append_to(&mut bytes);
    }
    // At most SEGMENT, so it fits.
    let length = u16::try_from(bytes.len() - FIXED).unwrap_or(u16::MAX);
    bytes[FIXED - 2..FIXED].copy_from_slice(&length.to_be_bytes());
    bytes
}
