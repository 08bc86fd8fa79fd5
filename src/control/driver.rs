//! The driver: one task that owns every pair's machine. It turns what happens into inputs, and effects into deeds; it
//! decides nothing and waits for nothing but the next thing to happen.
//!
//! ```text
//!  admin API ──── mpsc<Request> 256 ──────────────▶┌────────┐── watch<Arc<RouteTable>> ──▶ every worker
//!  every worker ─ mpsc<Outcome> 4096, lossy ──────▶│        │── sync_channel 1024 ───────▶ journal thread
//!  every worker ─ watch<Progress> ─ task, bell ───▶│        │── oneshot ─────────────────▶ who asked
//!  journal ────── mpsc<News> 256 ─────────────────▶│ driver │── EventLog, PairMetrics ───▶ admin API
//!  resolver ───── mpsc<Resolved> 256, task a name ▶│        │
//!  kernel ─────── netlink ─ thread, bell ─────────▶│        │── Alerts ──────────────────▶ post
//!                                                  │        │══ JoinSet: a task a check, 4096 at most
//!  signals ────── mpsc<Command> 256 ──────────────▶│        │══ JoinSet: a task a poll, one a pair at most
//!  certificates ─ JoinSet: one task, looks at files ▶│        │
//!  the machines' timers ──────────────────────────▶└────────┘══ JoinSet: a reload, one at most
//! ```
//!
//! What has happened already is always taken before a timer, so that a driver that was held up does not take its own
//! slowness for somebody else's.

mod alerts;
mod chronicle;
mod effects;
mod inputs;
mod orders;
mod pair;
mod progress;
mod prospects;
mod reconfigure;
mod renew;
mod seats;
mod table;
mod view;
mod words;

pub use table::Listeners;

use super::{
    admin::Tokens,
    alerts::{Alerts, Watch},
    clock::{Clock, wall_now},
    journal::{Journal, News, Recovered},
    link::{self, Links},
    orders::{OrderError, Request},
    probe,
    reload::Plan,
    resolve::{Resolved, Resolver},
    seats::{FromDriver, SeatOrder},
    signal,
    threads::Share,
    tls::Loaded,
};
use crate::{
    config::Config,
    decide::{
        effect::Ticket,
        input::{Input, Stored},
    },
    model::{
        PairName, UpstreamName,
        ports::{Outcome, Progress, Workers},
        table::RouteTable,
    },
    observe::{event::EventLog, metrics::Metrics},
};
use chronicle::Chronicle;
use pair::Pair;
use progress::Watchers;
use renew::Renewals;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use table::Publisher;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

/// Outcomes handled before anything else gets its turn again.
const OUTCOMES_AT_ONCE: usize = 64;
/// Changes of addresses on their way at most.
const RESOLVED: usize = 256;
/// How long sessions may take to end when the node stops.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// What the driver is made from.
#[derive(Debug)]
pub struct Parts {
    /// The running configuration.
    pub config: Config,
    /// Its listeners, bound.
    pub listeners: Listeners,
    /// The clock.
    pub clock: Clock,
    /// The journal.
    pub journal: Journal,
    /// What it held.
    pub recovered: Recovered,
    /// The node's events.
    pub events: EventLog,
    /// The node's metrics.
    pub metrics: Metrics,
    /// The workers' counters.
    pub workers: Workers,
    /// The API's tokens.
    pub tokens: Tokens,
    /// TLS as loaded.
    pub tls: Loaded,
    /// The way to who is told.
    pub alerts: Alerts,
    /// Where the route table goes.
    pub table: watch::Sender<Arc<RouteTable>>,
    /// The way to the group; nothing for a node alone. With it, nothing of `config` is served before the group says so.
    pub group: Option<mpsc::Sender<FromDriver>>,
}

/// The channels that lead to the driver.
#[derive(Debug)]
pub struct Inbox {
    /// From the API.
    pub requests: mpsc::Receiver<Request>,
    /// From the workers.
    pub outcomes: mpsc::Receiver<Outcome>,
    /// From the workers, one each.
    pub progress: Vec<watch::Receiver<Progress>>,
    /// From the journal.
    pub news: mpsc::Receiver<News>,
    /// From whoever watches the process.
    pub commands: mpsc::Receiver<Command>,
    /// From the group.
    pub seats: mpsc::Receiver<SeatOrder>,
}

/// What the process is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// SIGHUP.
    Reload,
    /// SIGTERM, SIGINT.
    Stop,
}

/// Drives until told to stop, and then until the sessions have ended.
pub async fn drive(parts: Parts, mut inbox: Inbox) {
    let (addresses, resolved) = mpsc::channel(RESOLVED);
    let mut driver = Driver::new(parts, inbox.progress.clone(), addresses);
    driver.begin();
    driver.run(&mut inbox, resolved).await;
    driver.end(inbox).await;
}

/// The task's state.
#[derive(Debug)]
struct Driver {
    config: Config,
    loaded_at: String,
    listeners: Listeners,
    clock: Clock,
    journal: Journal,
    recovered: Recovered,
    chronicle: Chronicle,
    metrics: Metrics,
    workers: Workers,
    tokens: Tokens,
    tls: Renewals,
    publisher: Publisher,
    watchers: Watchers,
    resolver: Resolver,
    threads: signal::Threads,
    pairs: BTreeMap<PairName, Pair>,
    /// Last known records of pairs that were removed, should they come back.
    departed: BTreeMap<PairName, Stored>,
    /// Pairs whose machine has ended, until the next one goes on from it.
    parted: BTreeMap<PairName, Pair>,
    /// Where pairs were left that a watching machine has seen lost since, until the one that serves has begun.
    went: BTreeMap<PairName, UpstreamName>,
    incarnations: u32,
    /// Inputs that follow from effects; handled before anything else.
    backlog: VecDeque<(PairName, Input)>,
    checks: JoinSet<probe::Ended>,
    polls: JoinSet<(PairName, u64, Option<bool>)>,
    reloads: JoinSet<(orders::ReloadAsked, Result<Box<Plan>, OrderError>)>,
    asked: BTreeMap<Ticket, orders::Asked>,
    tickets: u64,
    journal_trouble: Option<String>,
    /// `None` where the kernel can't be asked.
    links: Option<Links>,
    link_bell: Arc<Notify>,
    alerts: Alerts,
    /// What was said to stand.
    standing: Watch,
    alerts_looked: tokio::time::Instant,
    seats: Option<seats::Seats>,
}

impl Driver {
    fn new(parts: Parts, progress: Vec<watch::Receiver<Progress>>, resolved: mpsc::Sender<Resolved>) -> Self {
        let Parts {
            config,
            listeners,
            clock,
            journal,
            recovered,
            events,
            metrics,
            workers,
            tokens,
            tls,
            alerts,
            table,
            group,
        } = parts;
        let threads = signal::Threads { lookups: Share::default(), starts: Share::default() };
        Self {
            config,
            loaded_at: wall_now(),
            listeners,
            clock,
            journal,
            chronicle: Chronicle::continued(events, &recovered),
            recovered,
            metrics,
            workers,
            tokens,
            publisher: Publisher::new(table, tls.clone()),
            tls: Renewals::new(tls),
            watchers: Watchers::new(progress),
            resolver: Resolver::new(resolved, threads.lookups.clone()),
            threads,
            pairs: BTreeMap::new(),
            departed: BTreeMap::new(),
            parted: BTreeMap::new(),
            went: BTreeMap::new(),
            incarnations: 0,
            backlog: VecDeque::new(),
            checks: JoinSet::new(),
            polls: JoinSet::new(),
            reloads: JoinSet::new(),
            asked: BTreeMap::new(),
            tickets: 0,
            journal_trouble: None,
            links: Links::open().ok(),
            link_bell: Arc::default(),
            standing: Watch::resumed(alerts.standing()),
            alerts,
            alerts_looked: tokio::time::Instant::now(),
            seats: group.map(seats::Seats::new),
        }
    }

    async fn run(&mut self, inbox: &mut Inbox, mut resolved: mpsc::Receiver<Resolved>) {
        loop {
            let wake = self.pairs.values().filter_map(|pair| pair.wake).min();
            let timer = self.clock.timer(wake.unwrap_or(self.clock.now() + Duration::from_secs(3600)));
            let mut outcomes = Vec::new();
            tokio::select! {
                biased;
                Some(ended) = self.checks.join_next() => if let Ok(ended) = ended { self.check_ended(ended) },
                Some(news) = inbox.news.recv() => self.journal_says(news),
                () = self.watchers.changed() => self.progress_changed(),
                Some(order) = inbox.seats.recv() => self.seat_order(order),
                Some(command) = inbox.commands.recv() => match command {
                    Command::Stop => return,
                    Command::Reload => self.reload(orders::ReloadAsked::by_signal()),
                },
                Some(polled) = self.polls.join_next() => if let Ok((pair, machine, done)) = polled {
                    self.polled(&pair, machine, done);
                },
                () = self.link_bell.notified() => self.links_changed(),
                1.. = inbox.outcomes.recv_many(&mut outcomes, OUTCOMES_AT_ONCE) => self.evidence(outcomes),
                Some(change) = resolved.recv() => self.resolved(change),
                Some(renewed) = self.tls.next() => self.renewed(renewed),
                Some(reload) = self.reloads.join_next() => if let Ok((asked, plan)) = reload {
                    self.reload_planned(asked, plan);
                },
                () = tokio::time::sleep_until(timer) => self.time_out(),
                () = tokio::time::sleep_until(self.alerts_looked + alerts::LOOK_EVERY) => {
                    // A route that went rings no bell.
                    self.links_changed();
                    self.look_for_alerts();
                }
                Some(request) = inbox.requests.recv() => self.request(request),
            }
        }
    }

    /// Brings the first configuration to life.
    fn begin(&mut self) {
        let message = format!("{} {} started", self.config.node.name, env!("CARGO_PKG_VERSION"));
        self.chronicle.node(&self.journal, "started", false, message);
        for remark in std::mem::take(&mut self.recovered.remarks) {
            self.chronicle.node(&self.journal, "journal_damaged", true, format!("the journal: {remark}"));
        }
        self.configured();
        for name in self.config.pairs.keys().cloned().collect::<Vec<_>>() {
            self.begin_pair(&name);
        }
        self.publish_all();
        self.watch_certificates();
        if let Err(error) = link::watch(Arc::clone(&self.link_bell)) {
            tracing::warn!(%error, "links can't be watched; one that is down will look like silent servers");
        }
    }

    async fn end(mut self, inbox: Inbox) {
        self.chronicle.node(&self.journal, "stopping", false, format!("{} stops", self.config.node.name));
        self.publisher.stop();
        drop(inbox);
        let sessions = || self.workers.stats.iter().flat_map(|worker| worker.flows()).map(|flow| flow.sessions.get());
        let all_ended = async {
            while sessions().sum::<u64>() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(STOP_WITHIN, all_ended).await.is_err() {
            tracing::warn!("{} sessions had not ended within {STOP_WITHIN:?}", sessions().sum::<u64>());
        }
    }
}
