//! The program itself, with a configuration, state directory and addresses of its own.

use super::{
    SOON,
    address::{free_ports, own_ip},
    admin::Admin,
    client::Client,
    eventually,
    process::{Process, command},
    server::Server,
};
use failback::model::{
    Side,
    view::{EventView, HealthName, PairStateName, PairView},
};
use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Output,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The pair every test's route leads to.
pub(crate) const PAIR: &str = "AGG_V";

/// A running proxy (or one that was killed and can be started again) with one route to [`PAIR`].
pub(crate) struct Proxy {
    process: Option<Process>,
    /// `ip netns exec NAME`, or nothing.
    wrapper: Vec<OsString>,
    dir: TempDir,
    /// Further lines of `[node]`.
    node: &'static str,
    /// Further lines of the route's table.
    more_of_route: String,
    /// Where clients connect.
    pub(crate) route: SocketAddr,
    /// Its API.
    pub(crate) admin: Admin,
}

impl Proxy {
    /// Starts the program for a primary and a backup; `more` are further lines of the pair's table.
    pub(crate) fn start(primary: &Server, backup: &Server, more: &str) -> Self {
        Self::with_pair(&format!("primary = {}\nbackups = [{}]\n{more}\n", primary.toml(), backup.toml()))
    }

    /// Starts the program with these lines as the pair's table, and waits until it is ready.
    pub(crate) fn with_pair(pair: &str) -> Self {
        let mut proxy = Self::prepared(pair);
        proxy.launch();
        proxy
    }

    /// The same with further lines for the route's table.
    pub(crate) fn with_route(pair: &str, more: &str) -> Self {
        let mut proxy = Self::prepared(pair);
        proxy.more_of_route = more.into();
        proxy.configure(pair);
        proxy.launch();
        proxy
    }

    /// The same with further lines for `[node]`.
    pub(crate) fn with_node(node: &'static str, pair: &str) -> Self {
        let mut proxy = Self::prepared(pair);
        proxy.node = node;
        proxy.configure(pair);
        proxy.launch();
        proxy
    }

    /// Writes the configuration, starts nothing.
    pub(crate) fn prepared(pair: &str) -> Self {
        let [route, admin] = free_ports(own_ip());
        Self::at(route, Admin::Tcp(admin), Vec::new(), pair)
    }

    /// The same at addresses of choice, the program being executed by `wrapper`.
    pub(crate) fn at(route: SocketAddr, admin: Admin, wrapper: Vec<OsString>, pair: &str) -> Self {
        Self::in_directory(directory(), route, admin, wrapper, pair)
    }

    /// Starts the program inside a network namespace, with its admin API on a unix socket, which is reached from here.
    pub(crate) fn inside(wrapper: &[&str], route: SocketAddr, pair: &str) -> Self {
        let dir = directory();
        let admin = Admin::Unix(dir.path().join("admin.sock"));
        let mut proxy = Self::in_directory(dir, route, admin, wrapper.iter().map(OsString::from).collect(), pair);
        proxy.launch();
        proxy
    }

    fn in_directory(dir: TempDir, route: SocketAddr, admin: Admin, wrapper: Vec<OsString>, pair: &str) -> Self {
        let proxy = Self { process: None, wrapper, dir, node: "", more_of_route: String::new(), route, admin };
        proxy.configure(pair);
        proxy
    }

    /// Writes the configuration anew; takes effect at the next launch or reload.
    pub(crate) fn configure(&self, pair: &str) {
        let (state, admin, route, node) = (self.dir.path().join("state"), &self.admin, self.route, self.node);
        let text = format!(
            "[node]\nname = \"PROXY\"\nstate_dir = {state:?}\n{node}\n\n[admin]\nlisten = \"{admin}\"\n\n[pairs.{PAIR}]\n{pair}\n\n\
             [routes.probes]\nlisten = [\"{route}\"]\npair = \"{PAIR}\"\n{}",
            self.more_of_route
        );
        fs::write(self.config(), text).expect("the configuration can be written");
    }

    /// Starts the program and waits until it says that it is ready.
    #[track_caller]
    pub(crate) fn launch(&mut self) {
        self.launch_until("/readyz");
    }

    /// Starts the program and waits until it answers at `path` with 200.
    #[track_caller]
    pub(crate) fn launch_until(&mut self, path: &str) {
        let mut argv = self.wrapper.clone();
        argv.extend([env!("CARGO_BIN_EXE_failback").into(), "run".into(), "-c".into(), self.config().into()]);
        let mut process = Process::start(&argv, &self.dir.path().join("proxy.log"));
        eventually(&format!("the proxy answers at {path}"), || {
            assert!(process.ended().is_none(), "the proxy ended: {}", process.printed());
            self.admin.get(path).is_ok_and(|(code, _)| code == 200).then_some(())
        });
        self.process = Some(process);
    }

    /// The program's process.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the proxy runs")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process().kill();
    }

    /// `kill -9` and a new start with the same state.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.launch();
    }

    /// The configuration's file.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("failback.toml")
    }

    /// A place for a test's own files, gone with the proxy.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// A client of the route.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.route)
    }

    /// Is a new client refused? That may show as early as in its connecting.
    pub(crate) fn refuses(&self) -> bool {
        Client::try_connect(self.route).and_then(|mut client| client.ask("who")).is_err()
    }

    /// Which server a new client is led to now.
    #[track_caller]
    pub(crate) fn leads_to(&self) -> String {
        self.client().server()
    }

    /// Is a new client led there? One that is closed while the pair changes sides is not, nor is that a fault.
    #[track_caller]
    pub(crate) fn reaches(&self, server: &str) -> bool {
        self.client().ask("who").is_ok_and(|answer| answer.split(':').next() == Some(server))
    }

    /// The pair as the API shows it.
    #[track_caller]
    pub(crate) fn pair(&self) -> PairView {
        self.admin.pair(PAIR)
    }

    /// Waits for the pair to be as wanted.
    #[track_caller]
    pub(crate) fn until(&self, wanted: &str, is: impl Fn(&PairView) -> bool) -> PairView {
        let start = Instant::now();
        loop {
            let pair = self.pair();
            if is(&pair) {
                return pair;
            }
            assert!(start.elapsed() < SOON, "not within {SOON:?}: {wanted}; now it is {pair:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the pair's active side is this one and its state has settled there.
    #[track_caller]
    pub(crate) fn settled_on(&self, side: Side) -> PairView {
        let settled = match side {
            Side::Primary => PairStateName::OnPrimary,
            Side::Backup => PairStateName::OnBackup,
        };
        self.until(&format!("settled on the {side}"), |pair| pair.active_side == side && pair.state == settled)
    }

    /// Waits until this upstream's health is as wanted.
    #[track_caller]
    pub(crate) fn until_health(&self, upstream: &str, health: HealthName) -> PairView {
        self.until(&format!("{upstream} is {health:?}"), |pair| {
            pair.upstreams.iter().any(|its| &*its.name == upstream && its.health == health)
        })
    }

    /// Waits until clients may be sent to this upstream, were it its turn.
    #[track_caller]
    pub(crate) fn until_admissible(&self, upstream: &str) -> PairView {
        self.until(&format!("{upstream} is admissible"), |pair| {
            pair.upstreams.iter().any(|its| &*its.name == upstream && its.admissible)
        })
    }

    /// The events so far.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<EventView> {
        self.admin.events()
    }

    /// The events of this kind so far.
    #[track_caller]
    pub(crate) fn events_of(&self, kind: &str) -> Vec<EventView> {
        let mut events = self.admin.events();
        events.retain(|event| event.kind == kind);
        events
    }

    /// Failovers so far.
    pub(crate) fn failovers(&self) -> f64 {
        self.admin.metric("failback_failovers_total", &[("pair", PAIR)])
    }

    /// Failbacks so far.
    pub(crate) fn failbacks(&self) -> f64 {
        self.admin.metric("failback_failbacks_total", &[("pair", PAIR)])
    }

    /// Runs a command of the program against this node.
    pub(crate) fn cli(&self, words: &[&str]) -> Output {
        let admin = match &self.admin {
            Admin::Tcp(address) => format!("http://{address}"),
            unix @ Admin::Unix(_) => unix.to_string(),
        };
        self.program(&[words, &["--admin", &admin]].concat())
    }

    /// Runs a command of the program that concerns no node.
    pub(crate) fn program(&self, words: &[&str]) -> Output {
        command(&[env!("CARGO_BIN_EXE_failback")]).args(words).output().expect("the program runs")
    }

    /// The same; must succeed; what it printed.
    #[track_caller]
    pub(crate) fn cli_says(&self, words: &[&str]) -> String {
        let output = self.cli(words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "failback {words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }
}

fn directory() -> TempDir {
    TempDir::with_prefix("failback-").expect("a directory")
}
