//! Log lines about trouble that may come with every connection: one in a while, not one each.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

const QUIET: Duration = Duration::from_secs(5);

/// What there is to complain about. Each has a quiet time of its own, so that a scanner's handshakes hide nothing of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// No client can be accepted.
    Accepting,
    /// The event loop takes no client.
    EventLoop,
    /// A dial failed on this machine.
    Dial,
    /// A client's PROXY protocol header.
    Header,
    /// A client's handshake.
    ClientHandshake,
    /// An upstream's handshake. The last of them.
    UpstreamHandshake,
}

const KINDS: usize = About::UpstreamHandshake as usize + 1;

/// Says something at most once in 5 s about each kind of trouble.
#[derive(Debug, Default)]
pub(super) struct Complaints([Cell<Option<Instant>>; KINDS]);

impl Complaints {
    pub(super) fn say(&self, about: About, line: impl FnOnce()) {
        let last = &self.0[about as usize];
        if last.get().is_none_or(|last| last.elapsed() >= QUIET) {
            last.set(Some(Instant::now()));
            line();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_of_trouble_keeps_no_other_from_being_told() {
        let complaints = Complaints::default();
        let said = Cell::new(0);
        let say = |about| complaints.say(about, || said.set(said.get() + 1));
        say(About::ClientHandshake);
        say(About::ClientHandshake);
        assert_eq!(said.get(), 1, "one in a while");
        say(About::Accepting);
        say(About::UpstreamHandshake);
        assert_eq!(said.get(), 3);
    }
}
