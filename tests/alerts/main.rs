//! Alerts with the real program: a real mail server (Debian's Exim, with STARTTLS and a login), a webhook receiver that goes
//! away and comes back, and `kill -9` in between. Needs Debian's `exim4-daemon-light` and `openssl`, and root: Exim will not
//! give up rights it does not have.

#[cfg(test)]
#[path = "../tls/authority.rs"]
mod authority;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod exim;
#[cfg(test)]
mod foresight;
#[cfg(test)]
mod hook;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod node;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod trouble;
