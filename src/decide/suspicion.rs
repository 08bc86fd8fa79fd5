//! How long a peer has been silent, from what was heard of it on both paths, on monotonic time.

use crate::model::{Time, seat::Suspicion};
use std::time::Duration;

/// Runs of a peer's process that are remembered as over.
const MAX_PAST: usize = 8;
/// A path is late after so many heartbeats.
pub(super) const LATE: u32 = 3;

/// For so long after a heartbeat by the peer link no beacon can say that another run of its process has begun: [`LATE`] of the longest
/// heartbeats that make sense where a takeover takes seconds. A link that ends says so before.
const LINK_SPEAKS: Duration = Duration::from_secs(3);

/// The two paths by which a peer is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// The authenticated connection between two nodes.
    PeerLink,
    /// Signed, on the shared address's own network.
    Beacon,
}

/// What was heard of one peer.
#[derive(Debug)]
pub struct Hearing {
    /// Silence counts from here at the earliest: before it we did not listen.
    since: Time,
    link: Way,
    beacon: Way,
    boot: Option<u64>,
    /// The peer link said so: by it nobody but the node itself can speak, while any node with the pairing key can send beacons.
    by_link: bool,
    /// Heartbeats by the link of a run that was taken for over, since the last one of the present run.
    belied: u32,
    /// Runs that are over: what still arrives of them is no news.
    past: Vec<u64>,
    sequence: u64,
    /// Its host says that its process is gone.
    gone: bool,
}

#[derive(Debug, Default)]
struct Way {
    last: Option<Time>,
    sequence: u64,
}

/// What a heartbeat is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// A repetition or of an earlier run: as if it had not come.
    Nothing,
    /// A sign of life by this path, but what it says is known already.
    Life,
    /// What it says is new.
    News,
}

impl Hearing {
    /// Nothing was heard yet; we listen from `now`.
    #[must_use]
    pub fn new(now: Time) -> Self {
        let (link, beacon) = (Way::default(), Way::default());
        Self {
            since: now,
            link,
            beacon,
            boot: None,
            by_link: false,
            belied: 0,
            past: Vec::new(),
            sequence: 0,
            gone: false,
        }
    }

    /// A heartbeat came.
    pub fn hear(&mut self, now: Time, path: Path, boot: u64, sequence: u64) -> Worth {
        let linked = path == Path::PeerLink;
        if self.boot != Some(boot) {
            let known_as_over = self.past.contains(&boot);
            let is_over = if linked { known_as_over && self.by_link } else { known_as_over || self.is_on_link(now) };
            // What was on its way when a run ended is soon over; what goes on is the present one.
            self.belied += u32::from(linked && is_over);
            if is_over && self.belied < LATE {
                return Worth::Nothing;
            }
            self.turn_to(boot, linked);
        }
        if linked && sequence <= self.link.sequence {
            // It counts lower than before: late, or its state was put back, and this is another run under the same number.
            self.belied += 1;
            if self.belied < LATE {
                return Worth::Nothing;
            }
            (self.link.sequence, self.beacon.sequence, self.sequence) = (0, 0, 0);
        }
        if linked {
            (self.by_link, self.belied) = (true, 0);
        }
        let way = match path {
            Path::PeerLink => &mut self.link,
            Path::Beacon => &mut self.beacon,
        };
        if sequence <= way.sequence {
            return Worth::Nothing;
        }
        *way = Way { last: Some(now), sequence };
        self.gone = false;
        if sequence <= self.sequence {
            return Worth::Life;
        }
        self.sequence = sequence;
        Worth::News
    }

    /// Another run of its process. A later one that only beacons spoke of is not over when the link speaks of another: it may be the next.
    fn turn_to(&mut self, boot: u64, linked: bool) {
        self.past.retain(|past| *past != boot);
        let over = self.boot.replace(boot).filter(|over| self.by_link || !linked || *over < boot);
        self.past.extend(over);
        if self.past.len() > MAX_PAST {
            self.past.remove(0);
        }
        (self.link.sequence, self.beacon.sequence, self.sequence) = (0, 0, 0);
        self.by_link = false;
    }

    /// Does its link say which run is the present one?
    fn is_on_link(&self, now: Time) -> bool {
        self.by_link && self.link.last.is_some_and(|last| now.since(last) < LINK_SPEAKS)
    }

    /// The connection was lost. Not a sign of death, but no sign of life either.
    pub fn link_lost(&mut self) {
        self.link.last = None;
    }

    /// Its host refuses new connections: the process is gone. Any heartbeat takes this back.
    pub fn gone(&mut self) {
        self.gone = true;
        self.link_lost();
    }

    /// Its host said that its process, which was heard before, is gone, and nothing was heard since. Who has just begun to listen does not know
    /// who else there is.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone && self.boot.is_some()
    }

    /// *We* did not listen until `now`: what looked like silence may have been ours.
    pub fn listen_anew(&mut self, now: Time) {
        self.since = now;
        self.gone = false;
    }

    /// When the silence began: the last sign of life by either path, or when we began to listen.
    #[must_use]
    pub fn silent_since(&self) -> Time {
        self.link.last.max(self.beacon.last).unwrap_or(Time::ZERO).max(self.since)
    }

    /// Was anything heard at or after `time`?
    #[must_use]
    pub fn heard_since(&self, time: Time) -> bool {
        self.link.last.max(self.beacon.last).is_some_and(|last| last >= time)
    }

    /// Was it not heard at all yet, and is that no wonder, because we listen only since `time` or later?
    #[must_use]
    pub fn is_awaited(&self, time: Time) -> bool {
        self.boot.is_none() && self.since >= time
    }

    /// How it stands.
    #[must_use]
    pub fn suspicion(&self, now: Time, heartbeat: Duration, timeout: Duration) -> Suspicion {
        if now.since(self.silent_since()) >= timeout {
            Suspicion::Red
        } else if self.late_paths(now, heartbeat).next().is_some() {
            Suspicion::Yellow
        } else {
            Suspicion::Green
        }
    }

    /// The paths by which it is not heard, or late.
    pub fn late_paths(&self, now: Time, heartbeat: Duration) -> impl Iterator<Item = Path> {
        let late = move |way: &Way| way.last.is_none_or(|last| now.since(last) > heartbeat * LATE);
        let ways = [(Path::PeerLink, &self.link), (Path::Beacon, &self.beacon)];
        ways.into_iter().filter(move |(_, way)| late(way)).map(|(path, _)| path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_millis(200);
    const TIMEOUT: Duration = Duration::from_secs(3);

    fn at(millis: u64) -> Time {
        Time::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn one_silent_path_is_yellow_and_only_both_are_red() {
        let mut hearing = Hearing::new(at(0));
        hearing.hear(at(100), Path::PeerLink, 7, 1);
        hearing.hear(at(100), Path::Beacon, 7, 1);
        assert_eq!(hearing.suspicion(at(200), BEAT, TIMEOUT), Suspicion::Green);
        for beat in 2..30 {
            hearing.hear(at(beat * 200), Path::Beacon, 7, beat);
        }
        assert_eq!(hearing.suspicion(at(5_900), BEAT, TIMEOUT), Suspicion::Yellow);
        assert_eq!(hearing.suspicion(at(8_799), BEAT, TIMEOUT), Suspicion::Yellow);
        assert_eq!(hearing.suspicion(at(8_800), BEAT, TIMEOUT), Suspicion::Red);
    }

    #[test]
    fn a_lost_link_is_no_death() {
        let mut hearing = Hearing::new(at(0));
        hearing.hear(at(100), Path::PeerLink, 7, 1);
        hearing.hear(at(100), Path::Beacon, 7, 1);
        hearing.link_lost();
        assert_eq!(hearing.suspicion(at(200), BEAT, TIMEOUT), Suspicion::Yellow);
    }

    #[test]
    fn what_an_earlier_run_said_is_no_sign_of_life() {
        let mut hearing = Hearing::new(at(0));
        assert_eq!(hearing.hear(at(100), Path::Beacon, 7, 50), Worth::News);
        assert_eq!(hearing.hear(at(200), Path::Beacon, 8, 1), Worth::News);
        assert_eq!(hearing.hear(at(300), Path::Beacon, 7, 51), Worth::Nothing);
        assert_eq!(hearing.hear(at(300), Path::PeerLink, 8, 1), Worth::Life);
        assert_eq!(hearing.hear(at(400), Path::PeerLink, 8, 1), Worth::Nothing);
        assert_eq!(hearing.silent_since(), at(300));
    }

    #[test]
    fn another_node_with_the_same_name_deafens_nobody() {
        let mut hearing = Hearing::new(at(0));
        assert_eq!(hearing.hear(at(100), Path::PeerLink, 3, 50), Worth::News);
        assert_eq!(hearing.hear(at(200), Path::Beacon, 9, 1), Worth::Nothing, "its link speaks");
        hearing.link_lost();
        assert_eq!(hearing.hear(at(300), Path::Beacon, 9, 2), Worth::News, "it may have been started again");
        assert_eq!(hearing.hear(at(400), Path::PeerLink, 3, 51), Worth::News, "it was not");
        assert_eq!(hearing.hear(at(500), Path::Beacon, 3, 52), Worth::News);
        assert_eq!(hearing.hear(at(600), Path::Beacon, 9, 3), Worth::Nothing);
    }

    #[test]
    fn what_was_on_its_way_when_a_process_ended_keeps_the_next_one_from_nothing() {
        let mut hearing = Hearing::new(at(0));
        hearing.hear(at(100), Path::PeerLink, 7, 50);
        hearing.link_lost();
        assert_eq!(hearing.hear(at(200), Path::Beacon, 8, 1), Worth::News);
        hearing.hear(at(201), Path::PeerLink, 7, 51);
        assert_eq!(hearing.hear(at(300), Path::PeerLink, 8, 2), Worth::News);
        assert_eq!(hearing.hear(at(301), Path::PeerLink, 7, 52), Worth::Nothing);
        assert_eq!(hearing.hear(at(400), Path::Beacon, 8, 3), Worth::News);
    }

    #[test]
    fn a_run_that_was_taken_for_over_and_goes_on_is_heard_again() {
        let mut hearing = Hearing::new(at(0));
        hearing.hear(at(100), Path::PeerLink, 5, 1);
        assert_eq!(hearing.hear(at(101), Path::PeerLink, 4, 90), Worth::News, "it comes late, and was never heard of");
        let heard = [2, 3, 4].map(|number| hearing.hear(at(100 + number * 200), Path::PeerLink, 5, number));
        assert_eq!(heard, [Worth::Nothing, Worth::Nothing, Worth::News]);
        assert_eq!(hearing.hear(at(1100), Path::PeerLink, 4, 91), Worth::Nothing);
    }

    #[test]
    fn a_node_whose_count_was_put_back_is_heard_after_a_moment() {
        let mut hearing = Hearing::new(at(0));
        hearing.hear(at(100), Path::PeerLink, 5, 9000);
        hearing.hear(at(110), Path::Beacon, 5, 9000);
        let heard = [1, 2, 3, 4].map(|number| hearing.hear(at(1000 + number * 200), Path::PeerLink, 5, number));
        assert_eq!(heard, [Worth::Nothing, Worth::Nothing, Worth::News, Worth::News]);
        assert_eq!(hearing.hear(at(2000), Path::Beacon, 5, 5), Worth::News);
    }

    #[test]
    fn who_was_never_heard_is_awaited_for_a_moment() {
        let mut hearing = Hearing::new(at(1000));
        assert!(hearing.is_awaited(at(1000)) && !hearing.is_awaited(at(1001)));
        hearing.hear(at(1000), Path::Beacon, 7, 1);
        assert!(!hearing.is_awaited(at(1000)), "it is heard or not from now on");
    }

    #[test]
    fn silence_while_we_did_not_listen_is_ours() {
        let mut hearing = Hearing::new(at(0));
        hearing.hear(at(100), Path::Beacon, 7, 1);
        hearing.listen_anew(at(60_000));
        assert_eq!(hearing.suspicion(at(60_100), BEAT, TIMEOUT), Suspicion::Yellow);
    }
}
