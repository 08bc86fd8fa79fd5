//! Sockets: what is bound, how a server is dialled, which options a connection carries, how it is introduced. No routing and no
//! client bytes here.

pub mod dial;
pub mod listen;
pub mod neighbour;
pub mod netlink;
pub mod options;
pub mod packet;
pub mod ping;
pub mod proxy_protocol;
pub mod tls;

use std::{io, net::SocketAddr};

/// What can go wrong with our own sockets.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Another process (or another route) listens there.
    #[error("{0} is in use by another socket")]
    InUse(SocketAddr),
    /// Any other reason why an address can't be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}
