//! The stage: a folder, ports, and the programs that run on them as processes of their own, so that `kill -9` is real. When
//! it is dropped nothing is left of it.

use super::error::DemoError;
use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};
use std::{
    fs::{DirBuilder, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The primary's name.
pub(super) const PRIMARY: &str = "AGG_P";
/// The backup's name.
pub(super) const BACKUP: &str = "AGG_B";
/// The pair's name.
pub(super) const PAIR: &str = "AGG_V";
/// The proxy's name.
const PROXY: &str = "failback";
/// How long the proxy has to end in order.
const GRACE: Duration = Duration::from_secs(3);

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    dir: PathBuf,
    /// Where the primary listens.
    pub(super) primary: SocketAddr,
    /// Where the backup listens.
    pub(super) backup: SocketAddr,
    /// Where clients connect.
    pub(super) route: SocketAddr,
    /// The proxy's API.
    pub(super) admin: SocketAddr,
    children: Vec<(&'static str, Child)>,
    /// Killed, not yet waited for.
    dying: Vec<Child>,
    /// Bound and never listening: keeps each port from becoming somebody's outgoing port while its server is dead (a dial to
    /// it could even reach itself).
    _reserved: [Socket; 4],
}

impl Stage {
    /// Makes the folder and finds the ports.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn build() -> Result<Self, DemoError> {
        let dir = std::env::temp_dir().join(format!("failback-demo-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&dir);
        made.map_err(|error| DemoError::Io(dir.display().to_string(), error))?;
        let port = || reserve().map_err(|error| DemoError::System("no free port", error));
        let ((primary, a), (backup, b), (route, c), (admin, d)) = (port()?, port()?, port()?, port()?);
        Ok(Self {
            dir,
            primary,
            backup,
            route,
            admin,
            children: Vec::new(),
            dying: Vec::new(),
            _reserved: [a, b, c, d],
        })
    }

    /// Starts one of the servers.
    ///
    /// # Errors
    /// It can't be started.
    pub(super) fn start_server(&mut self, name: &'static str, resync_time: Duration) -> Result<(), DemoError> {
        let (listen, peer) = match name {
            PRIMARY => (self.primary, Some(self.backup)),
            _ => (self.backup, None),
        };
        for mut gone in self.dying.drain(..) {
            // Its port is free once it is gone; that is a matter of milliseconds.
            gone.wait().map_err(|error| DemoError::System("waiting for a killed server", error))?;
        }
        let mut command = Self::command("server")?;
        command.args(["--name", name]);
        command.args(["--listen", &listen.to_string(), "--resync-time", &format!("{}ms", resync_time.as_millis())]);
        command.arg("--data").arg(self.dir.join(format!("{name}.events")));
        if let Some(peer) = peer {
            // The one that dials its peer is the primary; it sends the signal, as a gateway would.
            let signal = format!("http://{}/api/v1/pairs/{PAIR}/resync", self.admin);
            command.args(["--peer", &peer.to_string(), "--signal", &signal]);
        }
        self.spawn(name, command)
    }

    /// Starts the proxy, with a configuration that is shown by [`Stage::config_path`].
    ///
    /// # Errors
    /// It can't be started.
    pub(super) fn start_proxy(&mut self, pace: u32) -> Result<(), DemoError> {
        let path = self.config_path();
        std::fs::write(&path, self.config(pace)).map_err(|error| DemoError::Io(path.display().to_string(), error))?;
        let mut command = Self::command("proxy")?;
        command.arg(&path);
        self.spawn(PROXY, command)
    }

    /// The proxy's configuration file.
    pub(super) fn config_path(&self) -> PathBuf {
        self.dir.join("failback.toml")
    }

    fn config(&self, pace: u32) -> String {
        let Self { dir, primary, backup, route, admin, .. } = self;
        let state = dir.join("state");
        format!(
            r#"# Written by `failback demo`. Everything about detection is left at its default.
[node]
name = "DEMO"
state_dir = "{state}"

[admin]
listen = "{admin}"

[pairs.{PAIR}]
primary = {{ name = "{PRIMARY}", address = "{primary}" }}
backups = [{{ name = "{BACKUP}", address = "{backup}" }}]
# The servers copy their events both ways, so both may be written during a planned change. The default waits longer (5s)
# and moves everybody at once.
failback = {{ stable_for = "1s", overlap = "allow", pace = {pace} }}
# Whoever plays with the keys fails over more often than a healthy site.
flap = {{ failovers = 1000, window = "1m" }}

[routes.probes]
listen = ["{route}"]
pair = "{PAIR}"
"#,
            state = state.display(),
        )
    }

    /// Kills a server as nothing else does: `kill -9`. Does not wait until it is gone.
    ///
    /// # Errors
    /// It did not run, or the system refused.
    pub(super) fn kill(&mut self, name: &'static str) -> Result<(), DemoError> {
        let Some(place) = self.children.iter().position(|(running, _)| *running == name) else {
            return Err(DemoError::Server(format!("{name} does not run")));
        };
        let (_, mut child) = self.children.swap_remove(place);
        child.kill().map_err(|error| DemoError::System("kill -9", error))?;
        self.dying.push(child);
        Ok(())
    }

    /// Does this server run?
    pub(super) fn runs(&self, name: &str) -> bool {
        self.children.iter().any(|(running, _)| *running == name)
    }

    /// Looks whether a program ended that nobody killed.
    ///
    /// # Errors
    /// [`DemoError::Ended`], with its last words.
    pub(super) fn watch(&mut self) -> Result<(), DemoError> {
        for (name, child) in &mut self.children {
            if let Ok(Some(status)) = child.try_wait() {
                let words = last_words(&self.dir.join(format!("{name}.log")));
                return Err(DemoError::Ended { name, status: status.to_string(), words });
            }
        }
        Ok(())
    }

    /// This program in one of its roles in the demo, bound to die with this process.
    fn command(role: &str) -> Result<Command, DemoError> {
        let myself = std::env::current_exe().map_err(|error| DemoError::System("the program's own path", error))?;
        let mut command = Command::new(myself);
        command.args(["demo", role, "--parent", &std::process::id().to_string()]).stdin(Stdio::null());
        Ok(command)
    }

    fn spawn(&mut self, name: &'static str, mut command: Command) -> Result<(), DemoError> {
        let path = self.dir.join(format!("{name}.log"));
        let log = || File::options().create(true).append(true).open(&path);
        let started =
            log().and_then(|out| Ok((out, log()?))).and_then(|(out, err)| command.stdout(out).stderr(err).spawn());
        self.children.push((name, started.map_err(|error| DemoError::Io(format!("starting {name}"), error))?));
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for mut gone in self.dying.drain(..) {
            let _gone = gone.wait();
        }
        for (name, mut child) in self.children.drain(..) {
            if name == PROXY {
                end_in_order(&mut child);
            }
            // Both fail only if it ended already.
            let _gone = child.kill();
            let _gone = child.wait();
        }
        let _nothing_left_to_do = std::fs::remove_dir_all(&self.dir);
    }
}

fn end_in_order(child: &mut Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
    let step = Duration::from_millis(10);
    let mut waited = Duration::ZERO;
    while asked && waited < GRACE && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(step);
        waited += step;
    }
}

fn reserve() -> io::Result<(SocketAddr, Socket)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Both, so that the server may bind the port again, whichever of the two it uses.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok((address, socket))
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(8)..];
    if last.is_empty() { "(none)".into() } else { last.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_reserved_port_refuses_until_a_server_listens_there() {
        let (address, _reserved) = reserve().unwrap();
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        // The standard library sets SO_REUSEADDR, as tokio does.
        let listener = TcpListener::bind(address).unwrap();
        TcpStream::connect(address).unwrap();
        drop(listener);
        TcpListener::bind(address).unwrap();
    }
}
