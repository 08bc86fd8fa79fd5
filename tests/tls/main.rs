//! TLS end to end with the real program: certificates made by it and by `openssl`, clients that are `openssl s_client`, `curl` and
//! `psql`, and the ends of a connection as each side feels them. Needs Debian's `openssl`, `curl`, `postgresql`.

#[cfg(test)]
mod abuse;
#[cfg(test)]
mod agreed;
#[cfg(test)]
mod authority;
#[cfg(test)]
mod client;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod foresight;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod names;
#[cfg(test)]
mod passing;
#[cfg(test)]
#[path = "../real/postgres_server.rs"]
mod postgres_server;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod server;
#[cfg(test)]
mod virtual_name;
