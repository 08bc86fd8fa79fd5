//! The data plane on real sockets, with tables made by hand: what a client feels.

mod bytes;
mod rig;
