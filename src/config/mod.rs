//! Configuration: parse, don't validate. `file` is the raw TOML, `check` turns it into [`Config`], whose types can't hold
//! nonsense, or into errors that name file, line, column, key, reason and mend, all of them in one go.
//!
//! ```text
//!   text ──toml──▶ document ──read──▶ file::File ──check──▶ Config
//!                                │                  │
//!                                └──── Findings ────┴──▶ ConfigErrors
//! ```

mod check;
mod error;
mod file;
mod named;
mod path;
mod read;
mod url;
mod values;
mod whole;

pub use error::{ConfigErrors, Finding};
pub use named::NamedFile;

use crate::model::{
    NodeName, PairName, RouteName, alert::AlertsSpec, group::GroupSpec, proxy_protocol::ProxyProtocolSpec,
    spec::PairSpec, tls::TerminateSpec,
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use toml::de::{DeTable, DeValue};

/// More than this is no configuration file.
const MOST_BYTES: u64 = 4 << 20;

/// Reads and checks the file at `path`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let unreadable = |source| ConfigErrors::Unreadable { path: path.into(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let read = std::io::Read::read_to_string(&mut std::io::Read::take(file, MOST_BYTES + 1), &mut text);
    match read.map_err(unreadable)? as u64 {
        0..=MOST_BYTES => parsed(&text, path, Whose::Nodes),
        _ => Err(unreadable(std::io::Error::other("it is larger than 4 MiB"))),
    }
}

/// The same for the file of a node that runs: a regular one, because nobody waits for the other end of a pipe then.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_again(path: &Path) -> Result<Config, ConfigErrors> {
    parsed(&text_of(path)?, path, Whose::Nodes)
}

/// The text of such a file, if nothing is wrong with it, and what is doubtful in it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_again(path: &Path) -> Result<(String, Vec<Finding>), ConfigErrors> {
    let text = text_of(path)?;
    let doubts = parsed(&text, path, Whose::Nodes)?.warnings;
    Ok((text, doubts))
}

fn text_of(path: &Path) -> Result<String, ConfigErrors> {
    let unreadable = |source| ConfigErrors::Unreadable { path: path.into(), source };
    let text = crate::model::file::read(path, MOST_BYTES).map_err(unreadable)?;
    String::from_utf8(text).map_err(|error| unreadable(std::io::Error::other(error)))
}

/// Checks `text` as if it stood in the file at `path` (relative paths in it start at that file's folder, and its token
/// file is looked for).
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigErrors> {
    parsed(text, path, Whose::Any)
}

/// The same of what a node runs: the files it names are not looked for again. They were read when it was taken, and a node that runs does
/// not stop serving for what became of them.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_running(text: &str, path: &Path) -> Result<Config, ConfigErrors> {
    parsed(text, path, Whose::Running)
}

/// Whose pairs and routes a text has.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    /// The node's that it is the file of.
    Nodes,
    /// Also those of other nodes, as it is served.
    Any,
    /// The same while it is served.
    Running,
}

fn parsed(text: &str, path: &Path, whose: Whose) -> Result<Config, ConfigErrors> {
    let mut findings = error::Findings::default();
    (findings.blind, findings.at_home) = (whose == Whose::Running, whose == Whose::Nodes);
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    for error in &syntax_errors {
        let span = error.span().unwrap_or_default();
        let place = error::Place { start: span.start, ..Default::default() };
        let culprit = text.get(span).filter(|culprit| !culprit.trim().is_empty() && culprit.len() < 40);
        // A key written out may well be what breaks the syntax.
        let culprit = culprit.filter(|_| !text.contains("-----BEGIN"));
        let near = culprit.map(|culprit| format!(" near `{}`", culprit.escape_debug())).unwrap_or_default();
        findings.add(&place, format!("{}{near}", error.message()), "mend the TOML");
    }
    if !syntax_errors.is_empty() {
        // What a parser makes of a broken document would only be blamed for what the syntax did.
        return Err(findings.into_errors(text, path));
    }
    let document = DeValue::Table(document.into_inner());
    let file: file::File = read::Read::read(&read::Given::document(&document), &mut findings).unwrap_or_default();
    let mut config = check::check(&file, path, &mut findings);
    if whose == Whose::Nodes {
        check::unserved(&file, &mut findings);
    }
    config.files = findings.files.drain(..).map(|(place, path)| NamedFile::new(place, path, text)).collect();
    findings.or_warned(config, text, path)
}

/// The JSON Schema of the file (`failback check --schema`), draft 2020-12.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(file::File);
    schema.insert("title".into(), "failback.toml".into());
    let either = ["pairs", "group"].map(|key| serde_json::json!({ "required": [key] }));
    schema.insert("anyOf".into(), either.into_iter().collect());
    schema.to_value()
}

/// A whole, checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[node]`.
    pub node: NodeConfig,
    /// `[admin]`.
    pub admin: AdminConfig,
    /// `[metrics]`: an extra listener that serves only `/metrics`.
    pub metrics: Option<SocketAddr>,
    /// `[pairs.NAME]`.
    pub pairs: BTreeMap<PairName, PairSpec>,
    /// `[routes.NAME]`.
    pub routes: BTreeMap<RouteName, RouteConfig>,
    /// `[alerts]`.
    pub alerts: AlertsSpec,
    /// The files of `tls` and `[alerts]`, where they are named.
    pub files: Vec<NamedFile>,
    /// `[group]`; `None` for a node alone.
    pub group: Option<GroupSpec>,
    /// The file it was read from, for `reload` and messages.
    pub source: PathBuf,
    /// What is no mistake and may still not be meant.
    pub warnings: Vec<Finding>,
}

impl Config {
    /// What is left of it for a node that holds no seat.
    #[must_use]
    pub fn without_seats(self) -> Self {
        Self { pairs: BTreeMap::new(), routes: BTreeMap::new(), ..self }
    }
}

/// `[node]`: what is this node's own.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeConfig {
    /// Its name; default: the host's.
    pub name: NodeName,
    /// Where the journal lives.
    pub state_dir: PathBuf,
    /// Data-plane threads, never 0 (the file's 0 is already one per core).
    pub workers: usize,
    /// How long a worker that just worked spins before it sleeps; 0 = never.
    pub busy_poll: Duration,
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminConfig {
    /// Where the API listens.
    pub listen: AdminListen,
    /// The tokens file; read anew at every reload. Needed unless loopback or unix.
    pub token_file: Option<PathBuf>,
}

/// Where the API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminListen {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// `[routes.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteConfig {
    /// Its name.
    pub name: RouteName,
    /// Where it listens; at least one, no two alike in the whole file.
    pub listen: Vec<SocketAddr>,
    /// The pair it leads to; exists.
    pub pair: PairName,
    /// Sessions at most, held clients included.
    pub max_sessions: u32,
    /// Zero = never.
    pub idle_timeout: Duration,
    /// TLS that ends here; `None`: bytes pass through.
    pub tls: Option<TerminateSpec>,
    /// Alike in `send` for all routes to one pair.
    pub proxy_protocol: ProxyProtocolSpec,
}

impl AdminListen {
    /// Reachable from this machine only.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}
