//! Who stands behind the nodes and who comes to them: the harness's own ends, as processes on hosts of their own.

use crate::{common::process::Process, harness::report::Report, lab::Lab, newcomers::Newcomers, rig::route};
use anyhow::Context;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// A probe that is not answered for so long tries anew.
const PATIENCE: Duration = Duration::from_millis(500);
/// It tries again so long after it was refused: a crowd that is turned away must not starve who should serve it.
const RETRY: Duration = Duration::from_millis(100);
/// Events of a probe in a second.
const RATE: f64 = 4.0;
/// The servers by name, host and address.
const SERVERS: [(&str, &str, &str); 2] =
    [("AGG_P", "primary", "10.77.0.2:4100"), ("AGG_B", "backup", "10.77.0.3:4100")];

/// The pair's two servers.
pub(crate) struct Servers(#[expect(dead_code, reason = "they live as long as this")] Vec<Process>);

impl Servers {
    /// Each keeps its events in `dir`, in a file called like itself.
    pub(crate) fn start(lab: &Lab, dir: &Path) -> io::Result<Self> {
        let start = |(name, host, address): (&str, &str, &str)| {
            let store = dir.join(name).display().to_string();
            end(lab, host, dir, name, &format!("serve --name {name} --listen {address} --store {store}"))
        };
        Ok(Self(SERVERS.into_iter().map(start).collect::<io::Result<_>>()?))
    }
}

/// The servers that hold events.
pub(crate) fn written(dir: &Path) -> Vec<&'static str> {
    let holds = |name: &&str| dir.join(name).metadata().is_ok_and(|store| store.len() > 0);
    SERVERS.map(|(name, ..)| name).into_iter().filter(holds).collect()
}

/// The clients: a fleet of probes that stay, and newcomers one after the other.
pub(crate) struct Crowd {
    fleet: Process,
    pub(crate) newcomers: Newcomers,
}

impl Crowd {
    /// So many probes send events for so long.
    pub(crate) fn start(lab: &Lab, dir: &Path, probes: u32, span: Duration) -> io::Result<Self> {
        let stores = SERVERS.map(|(name, ..)| format!("--store {}", dir.join(name).display())).join(" ");
        let words = format!(
            "fleet --target {} --probes {probes} --rate {RATE} --seconds {} --patience-ms {} --retry-ms {} {stores}",
            route(),
            span.as_secs_f64(),
            PATIENCE.as_millis(),
            RETRY.as_millis()
        );
        let fleet = end(lab, "client", dir, "fleet", &words)?;
        Ok(Self { fleet, newcomers: lab.on("client", || Newcomers::start(route())) })
    }

    /// Waits until the probes are done, and takes their report.
    pub(crate) fn report(mut self) -> anyhow::Result<Report> {
        while self.fleet.ended().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let printed = self.fleet.printed();
        serde_json::from_str(&printed).with_context(|| format!("the fleet said: {printed}"))
    }
}

/// This very program as an end of the harness on a host; `main` sees to it.
fn end(lab: &Lab, host: &str, dir: &Path, name: &str, words: &str) -> io::Result<Process> {
    let own = std::env::current_exe()?;
    let namespace = lab.namespace(host);
    let mut argv: Vec<PathBuf> = ["ip", "netns", "exec", &namespace].map(Into::into).into();
    argv.extend([own, "end".into()]);
    argv.extend(words.split(' ').map(Into::into));
    Ok(Process::start(&argv, &dir.join(format!("{name}.log"))))
}
