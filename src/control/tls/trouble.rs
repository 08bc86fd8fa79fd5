//! What is wrong with the files of TLS, and what may be.

use crate::{
    config::{Config, ConfigErrors, Finding},
    model::{PairName, RouteName, causes::chain, tls::IdentityFiles},
    net::tls::{Certificate, SetupError, certificates, date},
};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Who needs the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    Pair(PairName),
    Route(RouteName),
}

/// What could not be loaded; the rest was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    owner: Owner,
    file: Option<PathBuf>,
    reason: String,
    mend: &'static str,
    /// What was loaded for the very same settings is used instead.
    replaced: bool,
}

impl Trouble {
    pub(super) fn new(owner: Owner, error: &SetupError, replaced: bool) -> Self {
        Self { owner, file: error.file().map(Path::to_path_buf), reason: chain(error), mend: error.mend(), replaced }
    }

    /// Is what was loaded for the very same settings used instead? Else nothing is, or what other settings asked for.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.replaced
    }

    /// All of them as mistakes in `config`, which names the files.
    #[must_use]
    pub fn findings(all: &[Self], config: &Config) -> ConfigErrors {
        let finding = |it: &Self| it.owner.finding(config, it.file.as_deref(), it.reason.clone(), it.mend);
        ConfigErrors::Wrong(all.iter().map(finding).collect())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Owner::Pair(name) => write!(f, "pair `{name}`")?,
            Owner::Route(name) => write!(f, "route `{name}`")?,
        }
        write!(f, ": tls: {}; {}", self.reason, self.mend)
    }
}

impl Owner {
    fn finding(&self, config: &Config, file: Option<&Path>, reason: String, mend: &str) -> Finding {
        let within = match self {
            Self::Pair(name) => ["pairs", &**name],
            Self::Route(name) => ["routes", &**name],
        };
        config.finding(&within, file, reason, mend)
    }
}

/// Which of our own certificates the other end will not believe `now`, in seconds since 1970. Blocks for the file system.
#[must_use]
pub fn certificates_out_of_time(config: &Config, now: i64) -> Vec<Finding> {
    let pairs = config.pairs.values().filter_map(|pair| {
        let identity = pair.tls.as_ref()?.identity.as_ref()?;
        Some((Owner::Pair(pair.name.clone()), identity))
    });
    let routes = config.routes.values().flat_map(|route| {
        let identities = route.tls.iter().flat_map(|tls| &tls.identities);
        identities.map(|identity| (Owner::Route(route.name.clone()), identity))
    });
    let all = pairs.chain(routes);
    all.filter_map(|(owner, identity)| {
        let (reason, mend) = out_of_time(identity, now)?;
        Some(owner.finding(config, Some(&identity.cert), reason, mend))
    })
    .collect()
}

fn out_of_time(identity: &IdentityFiles, now: i64) -> Option<(String, &'static str)> {
    let chain = certificates(&identity.cert).ok()?;
    let shown = Certificate::read(chain.first()?).ok()?;
    let path = identity.cert.display();
    if now > shown.not_after {
        return Some((
            format!("the certificate in {path} has expired on {}", date(shown.not_after)),
            "have it renewed",
        ));
    }
    let early = now < shown.not_before;
    let reason = || format!("the certificate in {path} is not valid before {}", date(shown.not_before));
    early.then(|| (reason(), "is a clock wrong?"))
}
