//! Real PostgreSQL clusters (Debian's `postgresql`), each in a directory of its own. PostgreSQL refuses to be root, so under
//! root it runs as Debian's user `postgres`.
#![allow(dead_code, reason = "every test target compiles this anew and uses its own part of it")]

use crate::common::{
    address::own_address,
    eventually,
    process::{Process, command, run},
};
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// The superuser of the clusters.
const SUPERUSER: &str = "postgres";

/// One cluster and its server.
pub(crate) struct Postgres {
    name: &'static str,
    address: SocketAddr,
    dir: TempDir,
    process: Option<Process>,
}

impl Postgres {
    /// A new, empty cluster, at work. Commits are acknowledged when a standby, once there is one, has them.
    pub(crate) fn primary(name: &'static str) -> Self {
        let mut server = Self::nowhere(name);
        let data = server.data();
        server.tool("initdb", &["-D", &data, "-A", "trust", "-U", SUPERUSER, "--no-sync", "-E", "UTF8", "--no-locale"]);
        server.launch();
        server
    }

    /// A standby of `primary`, streaming from it.
    pub(crate) fn standby_of(name: &'static str, primary: &Self) -> Self {
        let mut server = Self::nowhere(name);
        server.clone_from_primary(primary);
        server
    }

    /// Makes it a standby of `primary`: what it had is thrown away.
    pub(crate) fn clone_from_primary(&mut self, primary: &Self) {
        self.kill();
        let (data, source) = (self.data(), format!("{} application_name={}", primary.dsn(), self.name));
        let _nothing_there = fs::remove_dir_all(&data);
        self.tool("pg_basebackup", &["-D", &data, "-d", &source, "-R", "-X", "stream", "-c", "fast", "--no-sync"]);
        self.launch();
        eventually("the standby streams", || {
            let streaming = "select count(*) from pg_stat_replication where state = 'streaming'";
            (primary.ask(streaming) == "1").then_some(())
        });
    }

    /// Its table in a pair's configuration.
    pub(crate) fn toml(&self) -> String {
        format!("{{ name = \"{}\", address = \"{}\" }}", self.name, self.address)
    }

    /// How a client reaches it directly, as the superuser.
    pub(crate) fn dsn(&self) -> String {
        format!("host={} port={} user={SUPERUSER}", self.address.ip(), self.address.port())
    }

    /// Starts the server with the data it has.
    pub(crate) fn launch(&mut self) {
        let (ip, port, data) = (self.address.ip().to_string(), self.address.port().to_string(), self.data());
        let sockets = format!("unix_socket_directories={}", self.dir.path().display());
        let program = bin("postgres");
        let mut argv = as_postgres();
        argv.extend([&program, "-D", &data, "-h", &ip, "-p", &port, "-c", &sockets]);
        // A killed process loses nothing the kernel has; only a power loss would.
        argv.extend(["-c", "fsync=off"]);
        argv.extend(["-c", "max_connections=60", "-c", "shared_buffers=16MB", "-c", "wal_keep_size=128MB"]);
        self.process = Some(Process::start(&argv, &self.dir.path().join("postgres.log")));
        eventually("postgres answers", || self.try_ask("select 1").status.success().then_some(()));
    }

    /// Shows this certificate to who asks for TLS, from now on.
    pub(crate) fn speak_tls(&self, cert: &Path, key: &Path) {
        let data = PathBuf::from(self.data());
        for (from, name) in [(cert, "server.crt"), (key, "server.key")] {
            let to = data.join(name);
            fs::copy(from, &to).expect("the file can be copied");
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("it is ours");
            if rustix::process::geteuid().is_root() {
                run(&["chown", SUPERUSER, to.to_str().expect("a path in words")]);
            }
        }
        self.ask("alter system set ssl = on");
        self.ask("select pg_reload_conf()");
        eventually("postgres speaks TLS", || (self.ask("show ssl") == "on").then_some(()));
    }

    /// `kill -9` of every process of the server at once.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            let id = process.id();
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            // A child may have ended by itself since.
            let _gone =
                Command::new("kill").args(["-s", "KILL", &id.to_string()]).args(children.split_whitespace()).output();
        }
    }

    /// `pg_ctl promote`.
    pub(crate) fn promote(&self) {
        self.tool("pg_ctl", &["promote", "-w", "-D", &self.data()]);
    }

    /// Commits wait from now on until a standby has them.
    pub(crate) fn wait_for_standby(&self) {
        self.ask("alter system set synchronous_standby_names = '*'");
        self.ask("select pg_reload_conf()");
    }

    /// Asks it directly.
    #[track_caller]
    pub(crate) fn ask(&self, sql: &str) -> String {
        text(&self.try_ask(sql))
    }

    fn try_ask(&self, sql: &str) -> Output {
        psql(&format!("{} dbname=postgres", self.dsn()), sql)
    }

    fn nowhere(name: &'static str) -> Self {
        let dir = TempDir::with_prefix("failback-postgres-").expect("a directory");
        if rustix::process::geteuid().is_root() {
            run(&["chown", SUPERUSER, dir.path().to_str().expect("a path in words")]);
        }
        Self { name, address: own_address(), dir, process: None }
    }

    fn data(&self) -> String {
        self.dir.path().join("data").to_str().expect("a path in words").into()
    }

    #[track_caller]
    fn tool(&self, name: &str, arguments: &[&str]) {
        let program = bin(name);
        let mut argv = as_postgres();
        argv.push(&program);
        argv.extend(arguments);
        run(&argv);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs one statement.
pub(crate) fn psql(dsn: &str, sql: &str) -> Output {
    let argv = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", dsn, "-c", sql];
    command(&argv).env("PGCONNECT_TIMEOUT", "15").output().expect("psql is installed")
}

/// What it answered; panics if it failed.
#[track_caller]
pub(crate) fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().into()
}

/// A program of the newest PostgreSQL that is installed; Debian keeps them out of the path.
pub(crate) fn bin(name: &str) -> String {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("Debian's postgresql is installed");
    let newest: PathBuf = versions.flatten().map(|version| version.path()).max().expect("a version of postgresql");
    newest.join("bin").join(name).to_str().expect("a path in words").into()
}

/// The words before a program that must not run as root.
fn as_postgres() -> Vec<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    // Changing the user forgets who is to be told of the parent's death, so that is said again.
    vec!["setpriv", "--reuid", SUPERUSER, "--regid", SUPERUSER, "--clear-groups", "--pdeathsig", "KILL", "--"]
}
