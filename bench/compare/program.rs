//! The programs that are compared: which there are on this machine, and how each is told to do the same thing.

use crate::place::Place;
use anyhow::Context;
use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

/// What kind of program, and so how it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Failback,
    HaProxy,
    /// With `splice(2)` for everything.
    HaProxySplice,
    /// With everything set for a fast failover.
    HaProxyTuned,
    Nginx,
    Envoy,
    Sozu,
    /// Built with its feature `splice`.
    SozuSplice,
    Traefik,
}

/// `option splice-auto` hardly ever engages here; this always does.
const ALWAYS_SPLICE: &str = "option splice-request\n    option splice-response";

/// The kinds by the names used on the command line.
const KINDS: [(Kind, &str); 9] = [
    (Kind::Failback, "failback"),
    (Kind::HaProxy, "haproxy"),
    (Kind::HaProxySplice, "haproxy-splice"),
    (Kind::HaProxyTuned, "haproxy-tuned"),
    (Kind::Nginx, "nginx"),
    (Kind::Envoy, "envoy"),
    (Kind::Sozu, "sozu"),
    (Kind::SozuSplice, "sozu-splice"),
    (Kind::Traefik, "traefik"),
];

/// A program on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// How tables call it: its kind and version, or what `--program` says.
    pub(crate) label: String,
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    /// What it says of itself.
    pub(crate) version: String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(KINDS.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || KINDS.map(|(_, name)| name).join(", ");
        let found = KINDS.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind).ok_or_else(|| format!("no program is called {name}; known are: {}", known()))
    }
}

impl Kind {
    /// The file to look for.
    fn file(self) -> &'static str {
        match self {
            Self::HaProxy | Self::HaProxySplice | Self::HaProxyTuned => "haproxy",
            Self::Failback => "failback",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
            Self::Sozu => "sozu",
            Self::SozuSplice => "sozu-splice",
            Self::Traefik => "traefik",
        }
    }

    /// What shows its version.
    fn version_argument(self) -> &'static str {
        match self {
            Self::HaProxy | Self::HaProxySplice | Self::HaProxyTuned | Self::Nginx => "-v",
            Self::Traefik => "version",
            Self::Failback | Self::Envoy | Self::Sozu | Self::SozuSplice => "--version",
        }
    }
}

/// `LABEL=KIND:PATH`, a program that is not looked for but given.
impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not LABEL=KIND:PATH");
        let (label, rest) = text.split_once('=').ok_or_else(form)?;
        let (kind, path) = rest.split_once(':').ok_or_else(form)?;
        let kind = kind.parse()?;
        let version = version_of(kind, path.as_ref()).map_err(|error| format!("{error:#}"))?;
        Ok(Self { label: label.into(), kind, path: path.into(), version })
    }
}

impl Program {
    /// All programs of `kinds` in `dirs`, one for each version, named by kind and version, newest first.
    pub(crate) fn find(kinds: &[Kind], dirs: &[PathBuf]) -> Vec<Self> {
        let mut found = Vec::<Self>::new();
        for kind in kinds {
            let mut versions = Vec::new();
            for path in dirs.iter().map(|dir| dir.join(kind.file())).filter(|path| path.is_file()) {
                let Ok(version) = version_of(*kind, &path) else { continue };
                let label =
                    if *kind == Kind::Failback { "failback".into() } else { format!("{kind} {}", short(&version)) };
                versions.push(Self { label, kind: *kind, path, version });
            }
            versions.sort_by_key(|program| std::cmp::Reverse(numbers(&program.version)));
            versions.dedup_by_key(|program| program.label.clone());
            found.append(&mut versions);
        }
        found
    }

    /// Writes its configuration for `place` into `dir`; the command that runs it in the foreground.
    pub(crate) fn command(&self, place: &Place, dir: &Path) -> anyhow::Result<Command> {
        let write = |name: &str, template: &str| -> anyhow::Result<PathBuf> {
            let path = dir.join(name);
            fs::write(&path, place.fill(template, dir))?;
            Ok(path)
        };
        let mut command = Command::new(&self.path);
        match self.kind {
            Kind::Failback => {
                command.args(["run", "-c"]).arg(write("failback.toml", include_str!("configs/failback.toml"))?);
            }
            Kind::HaProxy | Kind::HaProxySplice => {
                let option = if self.kind == Kind::HaProxy { "" } else { ALWAYS_SPLICE };
                let template = include_str!("configs/haproxy.cfg").replace("@OPTIONS@", option);
                command.args(["-db", "-f"]).arg(write("haproxy.cfg", &template)?);
            }
            Kind::HaProxyTuned => {
                command.args(["-db", "-f"]).arg(write("haproxy.cfg", include_str!("configs/haproxy-tuned.cfg"))?);
            }
            Kind::Nginx => {
                let template = include_str!("configs/nginx.conf").replace("@MODULE@", nginx_module(&self.path)?);
                command.arg("-p").arg(dir).arg("-c").arg(write("nginx.conf", &template)?);
            }
            Kind::Envoy => {
                command.args(["--concurrency", "1", "--log-level", "error", "--disable-hot-restart", "-c"]);
                command.arg(write("envoy.yaml", include_str!("configs/envoy.yaml"))?);
            }
            Kind::Sozu | Kind::SozuSplice => {
                command.args(["start", "--config"]).arg(write("sozu.toml", include_str!("configs/sozu.toml"))?);
            }
            Kind::Traefik => {
                write("routes.yaml", include_str!("configs/traefik-routes.yaml"))?;
                command.env("GOMAXPROCS", "1");
                let mut option = std::ffi::OsString::from("--configFile=");
                option.push(write("traefik.yaml", include_str!("configs/traefik.yaml"))?);
                command.arg(option);
            }
        }
        Ok(command)
    }
}

/// Debian's nginx loads its stream module at run time, others have it built in.
fn nginx_module(nginx: &Path) -> anyhow::Result<&'static str> {
    let output = Command::new(nginx).arg("-V").output()?;
    let dynamic = String::from_utf8_lossy(&output.stderr).contains("--with-stream=dynamic");
    Ok(if dynamic { "load_module /usr/lib/nginx/modules/ngx_stream_module.so;" } else { "" })
}

/// The first line in which the program names a version.
fn version_of(kind: Kind, path: &Path) -> anyhow::Result<String> {
    let output = Command::new(path).arg(kind.version_argument()).output();
    let output = output.with_context(|| format!("cannot run {}", path.display()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()) && line.contains('.'));
    Ok(line.with_context(|| format!("{} says no version", path.display()))?.trim().into())
}

/// Major and minor version.
fn short(version: &str) -> String {
    let numbers = numbers(version);
    numbers.iter().take(2).map(u64::to_string).collect::<Vec<_>>().join(".")
}

/// The first `a.b.c` in the text.
fn numbers(version: &str) -> Vec<u64> {
    let words = version.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let dotted = words.map(|word| word.trim_matches('.')).find(|word| word.contains('.')).unwrap_or_default();
    dotted.split('.').map_while(|part| part.parse().ok()).collect()
}
