//! A network of the comparison's own: a namespace with room for the `TIME_WAIT` sockets that short connections leave. With
//! the usual 28,000 ports the kernel's search for a free one soon costs more than the proxies, and all look the same.

use anyhow::Context;
use rustix::process::geteuid;
use std::{
    io::{Write, stderr},
    os::unix::process::CommandExt,
    process::Command,
};

/// The comparison's own ports lie below those that connections are given.
pub(crate) const PORTS: &str = "12000 65535";
/// Tells the program that it runs there already.
const INSIDE: &str = "FAILBACK_COMPARE_INSIDE";

/// Runs this very program again in such a namespace, if there is the right to make one; returns if it is there already or
/// has to do without.
pub(crate) fn enter() -> anyhow::Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    if !geteuid().is_root() {
        writeln!(stderr(), "without root: in this host's network, whose ports may limit `connect` and `arrive`")?;
        return Ok(());
    }
    let prepare =
        format!("ip link set lo up && echo {PORTS} >/proc/sys/net/ipv4/ip_local_port_range && exec \"$0\" \"$@\"",);
    let error = Command::new("unshare")
        .args(["--net", "--", "sh", "-c", &prepare])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(error).context("cannot run unshare, from util-linux")
}
