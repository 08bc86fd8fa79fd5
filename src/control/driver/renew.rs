//! Certificates: loaded again when their files change, and watched for their end.

use super::Driver;
use crate::{
    config::Config,
    control::tls::{Loaded, Trouble, changed},
    model::{PairName, UpstreamName},
};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::task::JoinSet;

/// TLS as loaded, and the task that watches its files.
#[derive(Debug)]
pub(super) struct Renewals {
    pub(super) loaded: Loaded,
    troubles: Vec<Trouble>,
    /// When the certificates seen in checks expire.
    seen: BTreeMap<(PairName, UpstreamName), i64>,
    watching: JoinSet<(Loaded, Vec<Trouble>)>,
}

/// A certificate that ends soon, or has.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) name: String,
    /// The whole of it in a sentence.
    pub(super) words: String,
}

impl Renewals {
    pub(super) fn new(loaded: Loaded) -> Self {
        Self { loaded, troubles: Vec::new(), seen: BTreeMap::new(), watching: JoinSet::new() }
    }

    /// Waits until files have changed. `None` where nobody watches.
    pub(super) async fn next(&mut self) -> Option<(Loaded, Vec<Trouble>)> {
        self.watching.join_next().await?.ok()
    }

    /// A check saw an upstream's certificate.
    pub(super) fn seen(&mut self, pair: &PairName, upstream: &UpstreamName, expires: i64) {
        self.seen.insert((pair.clone(), upstream.clone()), expires);
    }

    /// All certificates, by whose they are, with their end in seconds since 1970.
    pub(super) fn expiries(&self) -> BTreeMap<String, i64> {
        let mut ends = self.loaded.expiries();
        ends.extend(self.seen.iter().map(|((pair, upstream), expires)| (shown_by(pair, upstream), *expires)));
        ends
    }

    /// What an operator should look at.
    pub(super) fn warnings(&self, within: Duration) -> Vec<String> {
        let ending = self.ending(within).into_iter().map(|ending| ending.words);
        self.troubles.iter().map(|trouble| format!("{trouble}; what was loaded before is used")).chain(ending).collect()
    }

    /// The certificates that end soon, or have.
    pub(super) fn ending(&self, within: Duration) -> Vec<Ending> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let ending = self.expiries().into_iter().filter_map(|(name, expires)| {
            let end = u64::try_from(expires).unwrap_or(0);
            let date = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(end));
            let words = match end.checked_sub(now) {
                None => format!("the certificate {name} has expired ({date})"),
                Some(left) if left < within.as_secs() => {
                    format!("the certificate {name} expires in {} days ({date})", left / 86_400)
                }
                Some(_) => return None,
            };
            Some(Ending { name, words })
        });
        ending.collect()
    }

    fn watch(&mut self, config: &Config) {
        self.watching.abort_all();
        self.watching = JoinSet::new();
        self.watching.spawn(changed(config.clone(), self.loaded.clone(), self.troubles.clone()));
    }
}

/// What the certificate that an upstream shows is called.
pub(super) fn shown_by(pair: &PairName, upstream: &UpstreamName) -> String {
    format!("{pair}/{upstream}")
}

impl Driver {
    pub(super) fn watch_certificates(&mut self) {
        self.tls.watch(&self.config);
        self.metrics.certificates(self.tls.expiries());
    }

    /// Files have changed.
    pub(super) fn renewed(&mut self, (loaded, troubles): (Loaded, Vec<Trouble>)) {
        for trouble in troubles.iter().filter(|trouble| !self.tls.troubles.contains(trouble)) {
            let message = format!("{trouble}; what was loaded before is used");
            self.chronicle.node(&self.journal, "certificates_refused", true, message);
        }
        let anew = loaded.different_from(&self.tls.loaded);
        if !anew.is_empty() {
            let message = format!("certificates loaded anew: {}", anew.join(", "));
            self.chronicle.node(&self.journal, "certificates", false, message);
        }
        self.take_over_tls(loaded, troubles);
    }

    /// Sessions that begin from now on use what was loaded.
    pub(super) fn take_over_tls(&mut self, loaded: Loaded, troubles: Vec<Trouble>) {
        self.publisher.tls = loaded.clone();
        self.tls.loaded = loaded;
        self.tls.troubles = troubles;
        let pairs = &self.config.pairs;
        self.tls.seen.retain(|(pair, upstream), _| {
            pairs.get(pair).is_some_and(|spec| spec.tls.is_some() && spec.checked().any(|its| its.name == *upstream))
        });
        self.publish_all();
        self.watch_certificates();
    }
}
