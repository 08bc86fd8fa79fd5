//! Real servers and real tools through the real program. Needs Debian's `redis-server`, `redis-tools`, `postgresql`,
//! `haproxy`, `iperf3`, `curl`, `jq`.

#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod haproxy;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod postgres_server;
#[cfg(test)]
mod redis;
#[cfg(test)]
mod tools;

/// A script of `docs/recipes/`, which the tests run as it is.
#[cfg(test)]
fn recipe(name: &str) -> String {
    format!("{}/docs/recipes/{name}", env!("CARGO_MANIFEST_DIR"))
}
