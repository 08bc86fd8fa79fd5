//! What a seed decides before anything happens: the pair's configuration, the habits of its world, how much goes wrong.

use crate::chance::Chance;
use failback::model::{
    spec::{
        Admission, Check, FailbackSpec, FailbackWhen, FlapSpec, HealthSpec, HoldSpec, Migrate, Overlap, PairSpec,
        SignalSource, TransportSpec, UpstreamSpec,
    },
    view::UpstreamRole,
};
use std::{sync::Arc, time::Duration};

/// What the whole run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Everything may happen.
    Everything,
    /// Only the proxy has trouble: starved, cut off, out of descriptors. Nobody may be failed over for that.
    OwnTrouble,
    /// The upstreams fail, and the proxy is well.
    Upstreams,
    /// The proxy crashes again and again.
    Crashes,
}

/// A seed's world before it begins.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) spec: PairSpec,
    pub(crate) theme: Theme,
    /// How long things go wrong.
    pub(crate) trouble: Duration,
    pub(crate) faults: usize,
    pub(crate) orders: usize,
    pub(crate) clients: usize,
    pub(crate) exempt_clients: usize,
    /// Of a hundred signals so many are sent although the resync is not done.
    pub(crate) lies: u64,
    /// Of a hundred signals so many are lost.
    pub(crate) lost: u64,
    /// The polled source says "done" from the last time, until a resync begins.
    pub(crate) stale_source: bool,
    /// How long a resync takes, in milliseconds.
    pub(crate) resync: (u64, u64),
    /// One of the restarts finds a journal that can't be read.
    pub(crate) unreadable: bool,
    pub(crate) reconfigures: bool,
}

impl Scenario {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let theme = match chance.below(10) {
            0..5 => Theme::Everything,
            5..7 => Theme::OwnTrouble,
            7..9 => Theme::Upstreams,
            _ => Theme::Crashes,
        };
        let calm = theme == Theme::OwnTrouble;
        let exempt_clients = if chance.percent(30) { 1 } else { 0 };
        Self {
            spec: pair(chance, exempt_clients > 0),
            theme,
            trouble: Duration::from_secs(10 + chance.below(40) as u64),
            faults: 1 + chance.below(8),
            orders: if calm || chance.percent(50) { 0 } else { 1 + chance.below(6) },
            clients: 2 + chance.below(4),
            exempt_clients,
            lies: if chance.percent(15) { 30 } else { 0 },
            lost: chance.pick(&[0, 0, 30]),
            stale_source: chance.percent(50),
            resync: chance.pick(&[(50, 300), (50, 300), (500, 4000), (2000, 9000)]),
            unreadable: !calm && chance.percent(4),
            reconfigures: !calm && chance.percent(20),
        }
    }

    /// The longest a pair may take to be on its primary again, once all is well and the gateway tells the truth.
    pub(crate) fn patience(&self) -> Duration {
        let drain = match self.spec.failback.migrate {
            Migrate::Drain { deadline } => deadline,
            Migrate::Close => Duration::ZERO,
        };
        let sessions = (self.clients + self.exempt_clients) as u32;
        let paced = Duration::from_secs(1) * sessions * 3;
        let checks = self.spec.health.interval * (self.spec.health.rise + 2) * 2 + self.spec.health.timeout * 4;
        Duration::from_secs(45) + self.spec.failback.stable_for * 3 + drain * 2 + paced + checks
    }
}

/// The server's name; its place among all of them is its number.
pub(crate) const NAMES: [&str; 3] = ["AGG_P", "AGG_B", "AGG_C"];

fn pair(chance: &mut Chance, exempt: bool) -> PairSpec {
    let shape = chance.below(20);
    let backups = match shape {
        0 => 0,
        1..5 => 2,
        _ => 1,
    };
    let elsewhere = shape >= 18;
    let millis = Duration::from_millis;
    let interval = chance.pick(&[millis(1000), millis(1000), millis(300), millis(2000)]);
    let timeout = chance.pick(&[interval * 4 / 5, interval / 2, millis(800)]);
    let when = match chance.below(10) {
        0..7 => FailbackWhen::Resync,
        7..9 => FailbackWhen::Poll,
        _ => FailbackWhen::Manual,
    };
    PairSpec {
        tls: None,
        name: "AGG_V".into(),
        primary: (!elsewhere).then(|| server(0)),
        backups: (1..=backups).map(server).collect(),
        elsewhere: elsewhere.then(|| server(0)),
        health: HealthSpec {
            check: Check::Connect,
            interval,
            timeout: timeout.min(interval * 9 / 10),
            fall: chance.pick(&[3, 3, 2, 1, 5]),
            rise: chance.pick(&[2, 2, 1, 4]),
            fast_interval: chance.pick(&[millis(200), millis(50), interval]).min(interval),
        },
        failback: FailbackSpec {
            when,
            stable_for: chance.pick(&[millis(0), millis(1500), millis(5000), millis(8000)]),
            overlap: chance.pick(&[Overlap::None, Overlap::None, Overlap::Allow]),
            pace: chance.pick(&[0, 0, 2, 50]),
            migrate: chance.pick(&[Migrate::Close, Migrate::Close, Migrate::Drain { deadline: millis(3000) }]),
            exempt: if exempt { Arc::new(["10.9.0.0/16".parse().unwrap()]) } else { Arc::new([]) },
            source: chance.percent(25).then(|| SignalSource::Command {
                argv: Arc::new(["is-it-whole".to_owned()]),
                every: millis(500),
                timeout: millis(2000),
            }),
        },
        hold: if backups == 0 {
            HoldSpec { time: Duration::ZERO, max: 0 }
        } else {
            HoldSpec { time: chance.pick(&[millis(10_000), millis(1000), millis(0)]), max: chance.pick(&[100, 2]) }
        },
        flap: FlapSpec { failovers: chance.pick(&[3, 1, 100]), window: Duration::from_secs(60) },
        admission: chance.pick(&[Admission::Healthy, Admission::Healthy, Admission::Healthy, Admission::Resynced]),
        transport: TransportSpec::default(),
    }
}

/// The upstream of that number.
pub(crate) fn server(number: usize) -> UpstreamSpec {
    UpstreamSpec { name: NAMES[number].into(), address: format!("10.0.0.{}:4100", number + 1).parse().unwrap() }
}

/// What the pair uses the server of that number for; `None`: it is not in the configuration.
pub(crate) fn role(spec: &PairSpec, number: usize) -> Option<UpstreamRole> {
    let is = |upstream: &UpstreamSpec| *upstream.name == *NAMES[number];
    if spec.primary.as_ref().is_some_and(is) {
        Some(UpstreamRole::Primary)
    } else if spec.backups.iter().any(is) {
        Some(UpstreamRole::Backup)
    } else {
        spec.elsewhere.as_ref().is_some_and(is).then_some(UpstreamRole::Elsewhere)
    }
}
