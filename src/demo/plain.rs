//! The rule by which a plain load balancer returns to a server that was down: it answers again.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::TcpStream,
    time::{MissedTickBehavior, interval},
};

/// Between two checks. HAProxy's default is 2 s, so this is an attentive one.
const EVERY: Duration = Duration::from_secs(1);
/// Good checks in a row after which a server is up again: the default of HAProxy and of most others.
const RISE: u32 = 2;

/// Checks the server by connecting to it, and returns when it is up by the plain rule.
pub(super) async fn two_good_checks(server: SocketAddr) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut good = 0;
    while good < RISE {
        ticks.tick().await;
        good = if TcpStream::connect(server).await.is_ok() { good + 1 } else { 0 };
    }
}
