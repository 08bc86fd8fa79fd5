//! One fault of one group, from the start of its nodes to the reckoning.

use crate::{
    crowd::{Crowd, written},
    fault::{Fault, LEEWAY},
    group::Kind,
    harness::report::{Fleet, Report},
    watch::{Seen, Watch},
};
use anyhow::Context;
use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

/// How long all is well before the fault, at least.
const BEFORE: Duration = Duration::from_secs(2);
/// How long is looked on after its end.
const AFTER: Duration = Duration::from_secs(4);
/// Nobody waits longer for the first answer.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);

/// What came of it.
pub(crate) struct Outcome {
    /// From the fault to the first answer to a client who came after it.
    pub(crate) first: Option<Duration>,
    /// The longest that any event waited for its answer, from the moment it was due.
    pub(crate) longest: Duration,
    pub(crate) fleet: Fleet,
    /// Answers that belonged to another or came from a server that was stale.
    pub(crate) misrouted: u64,
    /// The servers that were written to.
    pub(crate) servers: Vec<&'static str>,
    /// For how long both hosts had the address while the fault lasted, and after its end.
    pub(crate) both: [Duration; 2],
    /// Who had it at the end.
    pub(crate) holders: Vec<&'static str>,
    /// The second node had it at some time.
    pub(crate) moved: bool,
}

/// Lets `fault` happen to nodes of this kind; all files of the round are in `dir`.
pub(crate) fn play(kind: Kind, fault: Fault, number: usize, probes: u32, dir: &Path) -> anyhow::Result<Outcome> {
    // Servers that find a store of another run would call themselves stale.
    fs::create_dir(dir).with_context(|| format!("{}: a new folder is needed", dir.display()))?;
    let mut group = kind.start(dir)?;
    let watch = Watch::start(group.lab());
    let lasts = fault.lasts(kind.timeout());
    let crowd = Crowd::start(group.lab(), dir, probes, BEFORE + Duration::from_secs(1) + lasts + AFTER)?;
    // The fault hits heartbeats and checks at another moment each time.
    sleep(BEFORE + Duration::from_millis((number as u64 * 618) % 1000));

    let struck = Instant::now();
    fault.strike(group.as_mut());
    // Who came while it was being done may have been served by who was there before.
    let done = Instant::now();
    let (first, _) = crowd.newcomers.first(done, LIMIT, |_| true);
    let first = first.map(|first| first + (done - struck));
    sleep(lasts.saturating_sub(struck.elapsed()));
    let healed = Instant::now();
    fault.heal(group.as_mut());
    sleep(AFTER);

    let end = Instant::now();
    let seen = watch.stop();
    group.tell(dir)?;
    let report = crowd.report()?;
    reckon(first, report, &seen, [struck, healed, end], dir)
}

fn reckon(
    first: Option<Duration>,
    report: Report,
    seen: &Seen,
    [struck, healed, end]: [Instant; 3],
    dir: &Path,
) -> anyhow::Result<Outcome> {
    Ok(Outcome {
        first,
        longest: Duration::from_secs_f64(report.latency.context("no event was answered")?.max_us / 1e6),
        fleet: report.fleet.context("a fleet's report")?,
        misrouted: report.misrouted,
        servers: written(dir),
        both: [seen.both(struck, healed), seen.both(healed, end)],
        holders: seen.holders(end),
        moved: seen.moved(),
    })
}

impl Outcome {
    /// What must never be, of nodes that protect each other, and was.
    pub(crate) fn broken(&self, kind: Kind, fault: Fault) -> Vec<String> {
        let limit = kind.heartbeat() * 2;
        let [during, after] = self.both;
        let took_over = self.moved && self.holders == ["b"];
        let stayed = !self.moved && self.holders == ["a"];
        let counts = [
            ("acknowledged events lost", self.fleet.lost),
            ("events duplicated", self.fleet.duplicated),
            ("events never answered", self.fleet.unanswered),
            ("events to a server after another had taken over", self.fleet.split),
            ("answers from who should not answer", self.misrouted),
        ];
        let mut broken: Vec<String> =
            counts.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")).collect();
        let mut object = |is: bool, what: String| broken.extend(is.then_some(what));
        object(self.servers != ["AGG_P"], format!("of the pair, {:?} were written to", self.servers));
        object(self.first.is_none(), format!("nobody was answered for {LIMIT:?}"));
        object(
            fault.takes_over() && !took_over,
            format!("it was not taken over: at the end {:?} hold it", self.holders),
        );
        object(!fault.takes_over() && !stayed, format!("it changed hands: at the end {:?} hold it", self.holders));
        object(!fault.parts() && during > limit, format!("both held the address for {during:?}"));
        object(after > limit, format!("both held the address for {after:?} after the heal"));
        broken
    }

    /// What is wanted of failback's speed, and was missed.
    pub(crate) fn late(&self, kind: Kind, fault: Fault) -> Option<String> {
        let limit = kind.timeout() + LEEWAY;
        let first = self.first.filter(|first| fault.takes_over() && *first > limit)?;
        Some(format!("the first answer came after {first:?}, wanted are {limit:?}"))
    }
}
