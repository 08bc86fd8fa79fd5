//! Host names to addresses, again and again. One task for each upstream that has a host name; an IP needs none.
//!
//! `getaddrinfo` tells no TTL, so a name is asked every [`EVERY`]; the system's resolver caches as it is told to. An empty
//! or failing answer keeps the last good one.

use super::threads::Share;
use crate::model::{HostPort, PairName, UpstreamName};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, task::AbortHandle};

/// From the end of one question to the next.
pub const EVERY: Duration = Duration::from_secs(5);
/// The same until the first answer came.
const UNTIL_FIRST: Duration = Duration::from_secs(1);
/// A host with more addresses is asked for too much: these are kept.
const MOST: usize = 16;

/// An upstream's addresses changed, or are known for the first time.
#[derive(Debug)]
pub struct Resolved {
    /// The pair.
    pub pair: PairName,
    /// Its upstream.
    pub upstream: UpstreamName,
    /// The name that was resolved, so that an answer that was overtaken by a reload is noticed.
    pub address: HostPort,
    /// Both families interleaved; never empty.
    pub addresses: Arc<[SocketAddr]>,
}

/// The names being resolved.
#[derive(Debug)]
pub struct Resolver {
    news: mpsc::Sender<Resolved>,
    lookups: Share,
    tasks: BTreeMap<(PairName, UpstreamName), (HostPort, AbortHandle)>,
}

impl Resolver {
    /// A resolver of nothing yet, that asks on the threads of `lookups` and reports to `news`.
    #[must_use]
    pub fn new(news: mpsc::Sender<Resolved>, lookups: Share) -> Self {
        Self { news, lookups, tasks: BTreeMap::new() }
    }

    /// Resolves exactly these from now on. Must be called within a runtime.
    pub fn follow<'a>(&mut self, wanted: impl Iterator<Item = (&'a PairName, &'a UpstreamName, &'a HostPort)>) {
        let mut before = std::mem::take(&mut self.tasks);
        for (pair, upstream, address) in wanted.filter(|(_, _, address)| address.ip().is_none()) {
            let key = (pair.clone(), upstream.clone());
            let task = match before.remove(&key) {
                Some((known, task)) if known == *address => task,
                replaced => {
                    stop(replaced);
                    let (news, lookups) = (self.news.clone(), self.lookups.clone());
                    tokio::spawn(follow(news, lookups, pair.clone(), upstream.clone(), address.clone())).abort_handle()
                }
            };
            self.tasks.insert(key, (address.clone(), task));
        }
        before.into_values().for_each(|task| stop(Some(task)));
    }
}

fn stop(task: Option<(HostPort, AbortHandle)>) {
    if let Some((_, task)) = task {
        task.abort();
    }
}

async fn follow(
    news: mpsc::Sender<Resolved>,
    lookups: Share,
    pair: PairName,
    upstream: UpstreamName,
    address: HostPort,
) {
    let mut last: Option<Arc<[SocketAddr]>> = None;
    let mut failing = false;
    loop {
        let (host, port) = (address.host.clone(), address.port);
        let look_up = move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        let Some(answer) = lookups.run(look_up).await else { return };
        match answer.map(interleave) {
            Ok(found) if !found.is_empty() => {
                if failing {
                    tracing::info!(%pair, %upstream, %address, "the host name is resolved again");
                }
                failing = false;
                if last.as_deref() != Some(&found) {
                    let addresses: Arc<[SocketAddr]> = found.into();
                    last = Some(Arc::clone(&addresses));
                    let change = Resolved {
                        pair: pair.clone(),
                        upstream: upstream.clone(),
                        address: address.clone(),
                        addresses,
                    };
                    if news.send(change).await.is_err() {
                        return;
                    }
                }
            }
            unusable => {
                if !failing {
                    let why = unusable.err().map_or_else(|| "no address".into(), |error| error.to_string());
                    let kept = if last.is_some() { "its last addresses are kept" } else { "it can't be used yet" };
                    tracing::warn!(%pair, %upstream, %address, "the host name can't be resolved ({why}); {kept}");
                }
                failing = true;
            }
        }
        tokio::time::sleep(if last.is_some() { EVERY } else { UNTIL_FIRST }).await;
    }
}

/// Both families in turn (RFC 8305, section 4), beginning with the family of the first. Resolvers rotate their answers, so
/// each family is sorted: an answer that is only in another order is no change.
fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let v6_first = found.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == v6_first);
    for family in [&mut first, &mut second] {
        family.sort_unstable();
        family.dedup();
    }
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::new();
    loop {
        let both = [first.next(), second.next()];
        if both == [None, None] || order.len() >= MOST {
            return order;
        }
        order.extend(both.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_beginning_with_the_one_preferred() {
        let found = addresses(&["[::2]:1", "[::1]:1", "10.0.0.1:1", "[::1]:1", "[::3]:1"]);
        assert_eq!(interleave(found), addresses(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "[::3]:1"]));
    }

    #[test]
    fn a_rotated_answer_is_no_change() {
        let (one, two) = (addresses(&["10.0.0.1:1", "10.0.0.2:1"]), addresses(&["10.0.0.2:1", "10.0.0.1:1"]));
        assert_eq!(interleave(one), interleave(two));
    }

    #[tokio::test]
    async fn a_name_is_resolved_and_an_ip_is_left_alone() {
        let (news, mut changes) = mpsc::channel(4);
        let mut resolver = Resolver::new(news, Share::default());
        let (pair, name, ip) = ("AGG_V".into(), UpstreamName::from("AGG_P"), UpstreamName::from("AGG_B"));
        let (by_name, by_ip) = ("localhost:4100".parse().unwrap(), "127.0.0.1:4100".parse().unwrap());
        resolver.follow([(&pair, &name, &by_name), (&pair, &ip, &by_ip)].into_iter());
        let change = changes.recv().await.unwrap();
        assert_eq!(change.upstream, name);
        assert!(change.addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 4100));
        assert_eq!(resolver.tasks.len(), 1);
        resolver.follow(std::iter::empty());
        assert!(resolver.tasks.is_empty());
    }
}
