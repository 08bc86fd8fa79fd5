//! Socket options of a session's two connections.

use crate::model::spec::TransportSpec;
use rustix::net::sockopt;
use std::{io, os::fd::AsFd, time::Duration};

/// A peer that vanished without a word is noticed: keepalive while the connection is silent, `TCP_USER_TIMEOUT` while sent
/// data stays unacknowledged.
///
/// # Errors
/// What `setsockopt` says; a connection that has just ended is no error worth more than a glance.
pub fn set_liveness(socket: impl AsFd, transport: &TransportSpec) -> io::Result<()> {
    let socket = socket.as_fd();
    sockopt::set_tcp_keepidle(socket, whole_seconds(transport.keepalive_idle))?;
    sockopt::set_tcp_keepintvl(socket, whole_seconds(transport.keepalive_interval))?;
    sockopt::set_tcp_keepcnt(socket, transport.keepalive_count)?;
    let user_timeout = u32::try_from(transport.user_timeout.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(socket, user_timeout)?;
    sockopt::set_socket_keepalive(socket, true)?;
    Ok(())
}

/// The connection ends with RST, not FIN, when its descriptor is closed: what is cut short must not look complete.
pub fn reset_on_close(socket: impl AsFd) {
    // It fails only on what is no open socket; then there is nobody to tell either.
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// Small writes leave at once, although earlier ones are not acknowledged yet.
pub fn send_at_once(socket: impl AsFd) {
    // It fails only if the connection is gone, which the next write tells.
    let _ = sockopt::set_tcp_nodelay(socket, true);
}

/// `TCP_KEEPIDLE` and `TCP_KEEPINTVL` count seconds, and refuse 0.
fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs_f64().ceil().max(1.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn liveness_is_what_the_pair_says_and_fractions_are_rounded_up() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let transport = TransportSpec { keepalive_idle: Duration::from_millis(1500), ..TransportSpec::default() };

        set_liveness(&socket, &transport).unwrap();

        assert!(sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), Duration::from_secs(2));
        assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), transport.keepalive_interval);
        assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), transport.keepalive_count);
        assert_eq!(u128::from(sockopt::tcp_user_timeout(&socket).unwrap()), transport.user_timeout.as_millis());
    }
}
