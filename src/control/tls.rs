//! TLS as configured, loaded from its files, and loaded again when they change: whole or not at all for each pair and route,
//! so that a file that is half written or does not fit its key leaves what was there.

mod trouble;

pub use trouble::{Trouble, certificates_out_of_time};

use crate::{
    config::Config,
    model::{PairName, RouteName, spec::PairSpec, table::UpstreamTls, tls::TerminateSpec},
    net::tls::{Connector, SetupError, server_config},
};
use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};
use std::{
    collections::BTreeMap,
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use trouble::Owner;

/// Everything that was loaded.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    routes: BTreeMap<RouteName, RouteSecrets>,
    pairs: BTreeMap<PairName, PairSecrets>,
}

#[derive(Debug, Clone)]
struct RouteSecrets {
    spec: TerminateSpec,
    stamps: Stamps,
    config: Arc<ServerConfig>,
    /// When each identity's certificate expires, in seconds since 1970.
    ends: Vec<i64>,
}

#[derive(Debug, Clone)]
struct PairSecrets {
    spec: PairSpec,
    stamps: Stamps,
    sessions: Arc<UpstreamTls>,
    checks: Arc<ClientConfig>,
    /// When our certificate expires, in seconds since 1970.
    end: Option<i64>,
}

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Returns once files have changed, or what is wrong with them has.
pub async fn changed(config: Config, loaded: Loaded, troubles: Vec<Trouble>) -> (Loaded, Vec<Trouble>) {
    if loaded.routes.is_empty() && loaded.pairs.is_empty() {
        return std::future::pending().await;
    }
    let (config, loaded) = (Arc::new(config), Arc::new(loaded));
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (config, known) = (Arc::clone(&config), Arc::clone(&loaded));
        let settled = troubles.is_empty();
        let looked =
            tokio::task::spawn_blocking(move || (!settled || known.is_outdated()).then(|| known.renewed(&config)));
        // It only fails if it panics, which ends the process.
        let Ok(Some((fresh, words))) = looked.await else { continue };
        if words != troubles || !fresh.different_from(&loaded).is_empty() {
            return (fresh, words);
        }
    }
}

impl Loaded {
    /// Loads what `config` names. What is in `self` already and whose files did not change is taken over; so is what can't be
    /// loaded now, with a word about it. Blocks for the file system.
    #[must_use]
    pub fn renewed(&self, config: &Config) -> (Self, Vec<Trouble>) {
        let (mut fresh, mut troubles) = (Self::default(), Vec::new());
        for route in config.routes.values() {
            let Some(spec) = &route.tls else { continue };
            let known = self.routes.get(&route.name);
            let loaded = match known {
                Some(known) if known.spec == *spec && known.stamps == Stamps::of(files_of_route(spec)) => {
                    Ok(known.clone())
                }
                _ => load_route(spec),
            };
            let whose = || Owner::Route(route.name.clone());
            let same = known.is_some_and(|known| known.spec == *spec);
            keep(&mut fresh.routes, &route.name, loaded, (known, same), whose, &mut troubles);
        }
        for spec in config.pairs.values().filter(|spec| spec.tls.is_some()) {
            let known = self.pairs.get(&spec.name);
            let loaded = match known {
                Some(known) if same(&known.spec, spec) && known.stamps == Stamps::of(files_of_pair(spec)) => {
                    Ok(known.clone())
                }
                _ => load_pair(spec),
            };
            let whose = || Owner::Pair(spec.name.clone());
            let same = known.is_some_and(|known| same(&known.spec, spec));
            keep(&mut fresh.pairs, &spec.name, loaded, (known, same), whose, &mut troubles);
        }
        (fresh, troubles)
    }

    /// Has a file changed since?
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        let routes = self.routes.values().any(|known| known.stamps != Stamps::of(files_of_route(&known.spec)));
        routes || self.pairs.values().any(|known| known.stamps != Stamps::of(files_of_pair(&known.spec)))
    }

    /// Whose TLS is another one than in `other`.
    #[must_use]
    pub fn different_from(&self, other: &Self) -> Vec<String> {
        let routes = self
            .routes
            .iter()
            .filter(|(name, mine)| other.routes.get(*name).is_none_or(|its| !Arc::ptr_eq(&its.config, &mine.config)));
        let pairs = self.pairs.iter().filter(|(name, mine)| {
            other.pairs.get(*name).is_none_or(|its| !Arc::ptr_eq(&its.sessions, &mine.sessions))
        });
        let routes = routes.map(|(name, _)| format!("route `{name}`"));
        routes.chain(pairs.map(|(name, _)| format!("pair `{name}`"))).collect()
    }

    /// TLS with the clients of a route.
    #[must_use]
    pub fn route(&self, name: &RouteName) -> Option<Arc<ServerConfig>> {
        self.routes.get(name).map(|secrets| Arc::clone(&secrets.config))
    }

    /// TLS with the upstreams of a pair.
    #[must_use]
    pub fn pair(&self, name: &PairName) -> Option<Arc<UpstreamTls>> {
        self.pairs.get(name).map(|secrets| Arc::clone(&secrets.sessions))
    }

    /// TLS for the checks of a pair's upstreams.
    #[must_use]
    pub fn checks(&self, name: &PairName) -> Option<(Arc<ClientConfig>, ServerName<'static>)> {
        let secrets = self.pairs.get(name)?;
        Some((Arc::clone(&secrets.checks), secrets.sessions.ask_for.clone()))
    }

    /// When our own certificates, as they are shown now, expire, in seconds since 1970: by whose they are and their file's
    /// name, with as many of its folders as tell it from the owner's other files.
    #[must_use]
    pub fn expiries(&self) -> BTreeMap<String, i64> {
        let routes = self.routes.iter().flat_map(|(name, secrets)| {
            secrets.spec.identities.iter().zip(&secrets.ends).map(move |(files, end)| (&**name, &*files.cert, *end))
        });
        let pairs = self.pairs.iter().filter_map(|(name, secrets)| {
            let identity = secrets.spec.tls.as_ref()?.identity.as_ref()?;
            Some((&**name, &*identity.cert, secrets.end?))
        });
        let all: Vec<(&str, &Path, i64)> = routes.chain(pairs).collect();
        let mut ends = BTreeMap::new();
        for (whose, file, end) in &all {
            let others = all.iter().filter(|(other, ..)| other == whose).map(|(_, other, _)| *other);
            let label = format!("{whose}/{}", short_name(file, others).display());
            // A route and a pair of one name may show the same file, loaded at different times.
            ends.entry(label).and_modify(|known: &mut i64| *known = (*known).min(*end)).or_insert(*end);
        }
        ends
    }
}

/// As much of the end of `path` as no other path of `all` ends with.
fn short_name<'a>(path: &Path, all: impl Iterator<Item = &'a Path>) -> PathBuf {
    let parts: Vec<_> = path.components().collect();
    let same =
        |other: &Path| other.components().rev().zip(parts.iter().rev()).take_while(|(its, mine)| its == *mine).count();
    let shared = all.filter(|other| *other != path).map(same).max().unwrap_or(0);
    parts.iter().skip(parts.len().saturating_sub(shared + 1)).collect()
}

fn keep<K: Ord + Clone, V: Clone>(
    fresh: &mut BTreeMap<K, V>,
    name: &K,
    loaded: Result<V, SetupError>,
    (known, same): (Option<&V>, bool),
    whose: impl Fn() -> Owner,
    troubles: &mut Vec<Trouble>,
) {
    match loaded {
        Ok(secrets) => {
            fresh.insert(name.clone(), secrets);
        }
        Err(error) => {
            troubles.push(Trouble::new(whose(), &error, same));
            if let Some(known) = known {
                fresh.insert(name.clone(), known.clone());
            }
        }
    }
}

fn load_route(spec: &TerminateSpec) -> Result<RouteSecrets, SetupError> {
    // Before the files are read: one that changes meanwhile is read again.
    let stamps = Stamps::of(files_of_route(spec));
    let (config, ends) = server_config(spec)?;
    Ok(RouteSecrets { spec: spec.clone(), stamps, config: Arc::new(config), ends })
}

fn load_pair(spec: &PairSpec) -> Result<PairSecrets, SetupError> {
    let stamps = Stamps::of(files_of_pair(spec));
    let Some(tls) = &spec.tls else { return Err(SetupError::Rustls(rustls::Error::General("no tls".into()))) };
    let connector = Connector::load(tls)?;
    let mut configs = BTreeMap::new();
    for (_, upstream) in spec.upstreams() {
        configs.insert(upstream.name.clone(), Arc::new(connector.for_sessions()?));
    }
    let sessions = Arc::new(UpstreamTls { configs, ask_for: connector.ask_for() });
    let (checks, end) = (Arc::new(connector.for_checks()?), connector.not_after());
    Ok(PairSecrets { spec: spec.clone(), stamps, sessions, checks, end })
}

/// As far as TLS is concerned.
fn same(one: &PairSpec, other: &PairSpec) -> bool {
    one.tls == other.tls && one.upstreams().eq(other.upstreams())
}

fn files_of_route(spec: &TerminateSpec) -> impl Iterator<Item = &Path> {
    let identities = spec.identities.iter().flat_map(|files| [&*files.cert, &*files.key]);
    identities.chain(spec.client_ca.as_deref())
}

fn files_of_pair(spec: &PairSpec) -> impl Iterator<Item = &Path> {
    let tls = spec.tls.iter();
    tls.flat_map(|tls| {
        let identity = tls.identity.iter().flat_map(|files| [&*files.cert, &*files.key]);
        identity.chain(tls.ca.as_deref())
    })
}

/// Which file stands behind each path: symbolic links are followed, so that a swapped one (as of a Kubernetes secret) shows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamps(BTreeMap<PathBuf, Option<Stamp>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamps {
    fn of<'a>(files: impl Iterator<Item = &'a Path>) -> Self {
        Self(files.map(|path| (path.into(), std::fs::metadata(path).ok().map(|file| Stamp::of(&file)))).collect())
    }
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_as_briefly_as_tells_it_from_others() {
        let files = ["/run/x/tls.crt", "/run/y/tls.crt", "/run/y/other.crt", "/srv/y/tls.crt"].map(Path::new);
        let short = |path: &str| short_name(Path::new(path), files.into_iter());
        assert_eq!(short("/run/x/tls.crt"), Path::new("x/tls.crt"));
        assert_eq!(short("/run/y/tls.crt"), Path::new("run/y/tls.crt"));
        assert_eq!(short("/run/y/other.crt"), Path::new("other.crt"));
    }
}
