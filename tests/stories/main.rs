//! The requirements' stories, end to end with the real program: each test is named by the requirement it holds.

#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod figure;
#[cfg(test)]
mod migration;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod signal;
#[cfg(test)]
mod way_back;
#[cfg(test)]
mod words;

#[cfg(test)]
use common::{proxy::Proxy, server::Server};

/// A pair's two servers.
#[cfg(test)]
fn servers() -> (Server, Server) {
    (Server::start("AGG_P"), Server::start("AGG_B"))
}

/// A proxy whose pair was failed over, and whose primary has come back since.
#[cfg(test)]
fn failed_over(primary: &Server, backup: &Server, more: &str) -> Proxy {
    use failback::model::{Side, view::HealthName};
    let proxy = Proxy::start(primary, backup, more);
    proxy.until_health("AGG_P", HealthName::Up);
    proxy.until_admissible("AGG_B");
    primary.kill();
    proxy.settled_on(Side::Backup);
    primary.revive();
    proxy.until_health("AGG_P", HealthName::Up);
    proxy
}
