//! The composition root: reads the configuration, makes every room's ends meet, starts the threads, ends them in order.
//!
//! ```text
//!   main thread    control: driver, health probes, resolver, signals        nice −5, if the system lets us
//!   worker 0..n    data: one client session lives on one of them
//!   journal        the disk; nobody waits for it but a change of side        nice −5 too
//!   admin          API and /metrics
//!   alerts         mail servers and webhooks; nobody waits for them
//!   link           listens to the kernel's messages about links
//! ```
//!
//! A worker or journal that ends brings the process down: a supervisor that starts it again is better than a node that
//! serves by halves. Losing the API does not.

use crate::{
    config::{self, AdminListen, Config, ConfigErrors, Finding},
    control::{
        admin::{AdminDeps, AdminServer, MetricsServer, TokenError, Tokens},
        alerts::{Alerts, Post, unusable_files},
        clock::Clock,
        driver::{Command, Inbox, Listeners, Parts, drive},
        group::{self, GroupParts},
        journal::{Journal, StateLock},
        orders::Orders,
        reload, threads,
        tls::{Loaded, Trouble, certificates_out_of_time},
    },
    data,
    model::{
        ports::{Outcome, Progress, WorkerPorts, Workers},
        stats::WorkerStats,
        table::RouteTable,
    },
    net::listen::Presence,
    observe::{event::EventLog, metrics::Metrics},
};
use anyhow::{Context, anyhow};
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use std::{
    path::Path,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};

/// Requests that wait for the driver at most.
const REQUESTS: usize = 256;
/// Outcomes on their way at most; more are dropped and counted by the worker.
const OUTCOMES: usize = 4096;
/// Questions on their way to one worker at most.
const QUERIES: usize = 16;
/// News and commands on their way at most.
const SMALL: usize = 256;
/// How long the journal may take to write what it was given last.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// Runs a node until it is told to stop (SIGTERM, SIGINT). Blocks; makes its own runtimes and threads.
///
/// # Errors
/// [`ConfigErrors`] if the configuration is wrong; else whatever keeps the node from starting, or ended it.
pub fn run(path: &Path) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let control = runtime()?;
    // Before anything that takes time: it ends a process that does not listen for it yet.
    let reloads = control.block_on(async { signal(SignalKind::hangup()) })?;
    let config = config::load(path)?;
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let _until_the_end = StateLock::take(&config.node.state_dir)?;
    let tokens = Tokens::load(config.admin.token_file.as_deref()).context("admin.token_file")?;
    let tls = load_tls(&config)?;
    let listeners = bind_routes(&config)?;
    let (admin, metrics) = bind_api(&config, &tokens)?;

    let (news_out, news) = mpsc::channel(SMALL);
    let (journal, recovered, journal_thread) = Journal::open(&config.node.state_dir, news_out)?;
    let (orders, requests) = Orders::inbox(REQUESTS);
    let (table_out, table) = watch::channel(Arc::new(RouteTable::default()));
    let workers = start_workers(&config, &table)?;
    let (ready_out, ready) = watch::channel(false);
    let (stop_out, stop) = watch::channel(false);
    let events = EventLog::default();
    let counters = Metrics::default();
    let (alerts, post) =
        Alerts::open(&config.node.state_dir, config.node.name.clone(), config.alerts.clone(), counters.clone());
    let alerts_thread = start_alerts(post, stop.clone())?;
    let clock = Clock::start();
    let (seats_out, seats) = mpsc::channel(SMALL);
    let (to_group, from_driver) = mpsc::channel(SMALL);
    let metrics_of_group = counters.clone();
    let parts = GroupParts { clock, metrics: metrics_of_group, driver: seats_out, from_driver, stop: stop.clone() };
    let group = start_group(&config, &control, parts)?;
    let deps = AdminDeps {
        orders,
        group: group.as_ref().map(|group| group.orders.clone()),
        workers: workers.handles.clone(),
        events: events.clone(),
        metrics: counters.clone(),
        ready,
        stop,
    };
    let admin_thread = start_admin(admin, metrics, deps)?;

    // Last, because threads inherit it.
    let _not_allowed = setpriority_process(None, -5);
    let (commands_out, commands) = mpsc::channel(SMALL);
    let parts = Parts {
        config: if group.is_some() { config.without_seats() } else { config },
        listeners,
        clock,
        journal,
        recovered,
        events,
        metrics: counters,
        workers: workers.handles,
        tokens,
        tls,
        alerts,
        table: table_out,
        group: group.as_ref().map(|_| to_group),
    };
    let levels = workers.progress.clone();
    let inbox = Inbox { requests, outcomes: workers.outcomes, progress: workers.progress, news, commands, seats };
    let ended = control.block_on(async {
        tokio::spawn(say_ready(levels, ready_out));
        tokio::select! {
            () = drive(parts, inbox) => Ok(()),
            ended = heed_signals(reloads, commands_out) => ended,
            fault = supervise(&workers.threads, &journal_thread, &table) => Err(fault),
        }
    });
    stop_out.send_replace(true);
    end_group(&control, group);
    // A name server that does not answer must not keep us here.
    control.shutdown_background();
    wait_for(&journal_thread, LAST_WRITE);
    wait_for(&admin_thread, Duration::from_secs(1));
    // Its file must be whole before another process may have the directory.
    wait_for(&alerts_thread, Duration::from_secs(1));
    ended
}

/// What is in the files that the configuration names: `failback check` looks at certificates and keys as a start does, and at
/// secrets as an alert that is sent. Returns what a node serves with all the same, and may be wrong.
///
/// # Errors
/// All that is wrong.
pub fn check_files(config: &Config) -> Result<Vec<Finding>, ConfigErrors> {
    let mut findings = load_tls(config).map_or_else(|errors| errors.findings().to_vec(), |_loaded| Vec::new());
    findings.extend(unusable_files(config));
    findings.extend(bad_tokens(config));
    if !findings.is_empty() {
        findings.sort_by_key(|it| (it.line, it.column));
        return Err(ConfigErrors::Wrong(findings));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(certificates_out_of_time(config, i64::try_from(now).unwrap_or(i64::MAX)))
}

/// Where the tokens file is no such file: in that file itself.
fn bad_tokens(config: &Config) -> Option<Finding> {
    let error = Tokens::read(config.admin.token_file.as_deref()).err()?;
    let mend = "a token a line, `name:scope:secret`, scope being read, resync:PAIR or operate".into();
    let (file, line, reason) = match error {
        TokenError::BadLine { path, line, what } => (path, line, what.into()),
        TokenError::Empty { path } => (path, 1, "it holds no token".into()),
        TokenError::Unreadable { path, source } => (path, 1, format!("it can't be read: {source}")),
    };
    Some(Finding { file, line, column: 1, key: "admin.token_file".into(), reason, mend })
}

fn start_group(config: &Config, control: &Runtime, parts: GroupParts) -> anyhow::Result<Option<group::Ready>> {
    let Some(spec) = &config.group else { return Ok(None) };
    Ok(Some(control.block_on(async { group::start(config, spec, parts) })?))
}

/// The address is removed before this process is gone, so that another node need not wait for it.
fn end_group(control: &Runtime, group: Option<group::Ready>) {
    if let Some(group) = group {
        let _late = control.block_on(async { tokio::time::timeout(LAST_WRITE, group.task).await });
    }
}

fn load_tls(config: &Config) -> Result<Loaded, ConfigErrors> {
    let (loaded, troubles) = Loaded::default().renewed(config);
    if troubles.is_empty() { Ok(loaded) } else { Err(Trouble::findings(&troubles, config)) }
}

/// In a group they are bound when the seat is held.
fn bind_routes(config: &Config) -> anyhow::Result<Listeners> {
    let mut listeners = Listeners::new();
    if config.group.is_some() {
        return Ok(listeners);
    }
    for route in config.routes.values() {
        for address in &route.listen {
            listeners.extend(
                reload::bind(&route.name, *address, config.node.workers, Presence::Now)
                    .map_err(|error| anyhow!(error))?,
            );
            tracing::info!("clients of {} are taken at {address}, for route {}", route.pair, route.name);
        }
    }
    Ok(listeners)
}

fn bind_api(config: &Config, tokens: &Tokens) -> anyhow::Result<(AdminServer, Option<MetricsServer>)> {
    let admin = AdminServer::bind(&config.admin, tokens.clone()).context("admin.listen")?;
    match &config.admin.listen {
        AdminListen::Tcp(address) => tracing::info!("the API answers at http://{address}"),
        AdminListen::Unix(path) => tracing::info!("the API answers at unix:{}", path.display()),
    }
    let metrics = config.metrics.map(MetricsServer::bind).transpose().context("metrics.listen")?;
    if let Some(address) = config.metrics {
        tracing::info!("metrics are at http://{address}/metrics, too");
    }
    Ok((admin, metrics))
}

/// What there is of the data plane for the others.
struct DataPlane {
    handles: Workers,
    progress: Vec<watch::Receiver<Progress>>,
    outcomes: mpsc::Receiver<Outcome>,
    threads: Vec<JoinHandle<()>>,
}

fn start_workers(config: &Config, table: &watch::Receiver<Arc<RouteTable>>) -> anyhow::Result<DataPlane> {
    let (outcomes_out, outcomes) = mpsc::channel(OUTCOMES);
    let (mut ports, mut progress, mut stats, mut queries) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..config.node.workers {
        let (progress_out, level) = watch::channel(Progress::default());
        let (query_out, inbox) = mpsc::channel(QUERIES);
        let counters = Arc::new(WorkerStats::default());
        ports.push(WorkerPorts {
            table: table.clone(),
            outcomes: outcomes_out.clone(),
            progress: progress_out,
            queries: inbox,
            stats: Arc::clone(&counters),
        });
        progress.push(level);
        stats.push(counters);
        queries.push(query_out);
    }
    let threads =
        data::spawn_workers(config.node.workers, config.node.busy_poll, ports).context("starting the workers")?;
    Ok(DataPlane { handles: Workers { stats: stats.into(), queries: queries.into() }, progress, outcomes, threads })
}

/// API and metrics have a thread of their own, so that a large page delays no failover.
fn start_admin(admin: AdminServer, metrics: Option<MetricsServer>, deps: AdminDeps) -> anyhow::Result<JoinHandle<()>> {
    let runtime = runtime()?;
    let serve = async move {
        let (counters, workers, stop) = (deps.metrics.clone(), deps.workers.clone(), deps.stop.clone());
        let pages = async {
            match metrics {
                Some(server) => server.serve(counters, workers, stop).await,
                None => Ok(()),
            }
        };
        for ended in <[_; 2]>::from(tokio::join!(admin.serve(deps), pages)) {
            if let Err(error) = ended {
                tracing::error!(%error, "the API or metrics listener ended; clients are served on");
            }
        }
    };
    let thread = std::thread::Builder::new().name("admin".into()).spawn(move || runtime.block_on(serve));
    thread.context("starting the admin thread")
}

/// A mail server may take its time, and the file that keeps what it was not given yet may, too.
fn start_alerts(post: Post, stop: watch::Receiver<bool>) -> anyhow::Result<JoinHandle<()>> {
    let runtime = runtime()?;
    let thread = std::thread::Builder::new().name("alerts".into()).spawn(move || {
        runtime.block_on(post.run(stop));
        // A name server that does not answer must not keep us here.
        runtime.shutdown_background();
    });
    thread.context("starting the alerts thread")
}

fn runtime() -> anyhow::Result<Runtime> {
    // Blocking threads only ever resolve names, read files, bind listeners and start commands.
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(threads::THREADS)
        .build()
        .context("starting a runtime")
}

/// Ready once every worker has a table.
async fn say_ready(mut levels: Vec<watch::Receiver<Progress>>, ready: watch::Sender<bool>) {
    for level in &mut levels {
        // An error means that the worker is gone, which `supervise` notices.
        let _gone = level.wait_for(|progress| progress.table > 0).await;
    }
    ready.send_replace(true);
}

/// SIGHUP reloads; the first SIGTERM or SIGINT stops in order, the second one at once.
async fn heed_signals(mut reloads: Signal, commands: mpsc::Sender<Command>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut stopping = false;
    loop {
        let command = tokio::select! {
            _ = reloads.recv() => Command::Reload,
            _ = terminate.recv() => Command::Stop,
            _ = interrupt.recv() => Command::Stop,
        };
        if stopping && command == Command::Stop {
            return Ok(());
        }
        stopping |= command == Command::Stop;
        pass_on(&commands, command);
    }
}

/// The last place is for a stop. Of reloads so many are waiting then that one more adds nothing.
fn pass_on(commands: &mpsc::Sender<Command>, command: Command) {
    if command == Command::Stop || commands.capacity() > 1 {
        let _stopping_already = commands.try_send(command);
    }
}

/// Returns when a thread that must live has ended.
async fn supervise(
    workers: &[JoinHandle<()>],
    journal: &JoinHandle<()>,
    table: &watch::Receiver<Arc<RouteTable>>,
) -> anyhow::Error {
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if table.borrow().stopping {
            continue;
        }
        if let Some(index) = workers.iter().position(JoinHandle::is_finished) {
            return anyhow!("worker {index} ended, so the node ends");
        }
        if journal.is_finished() {
            return anyhow!("the journal's thread ended, so the node ends");
        }
    }
}

fn wait_for(thread: &JoinHandle<()>, limit: Duration) {
    let start = Instant::now();
    while !thread.is_finished() && start.elapsed() < limit {
        // A sleep that signals interrupt begins anew; under enough of them it has no end.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A session needs two descriptors, so the soft limit of 1024 that most systems start with is none for a proxy.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _kept = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_passed_on_however_many_reloads_wait() {
        let (commands_out, mut commands) = mpsc::channel(4);
        for _ in 0..10 {
            pass_on(&commands_out, Command::Reload);
        }
        pass_on(&commands_out, Command::Stop);
        let passed: Vec<_> = std::iter::from_fn(|| commands.try_recv().ok()).collect();
        assert_eq!(passed, [Command::Reload, Command::Reload, Command::Reload, Command::Stop]);
    }
}
