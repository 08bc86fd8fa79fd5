//! The data plane on real sockets, with tables made by hand: what a client feels.

#[cfg(test)]
#[path = "../common/address.rs"]
mod address;
#[cfg(test)]
mod bytes;
#[cfg(test)]
mod dials;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod held;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod pressure;
#[cfg(test)]
mod proxy_protocol;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod table;
