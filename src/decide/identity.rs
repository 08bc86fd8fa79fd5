//! Is a server still the one that clients were on? A name and an address are all that tells, and a new configuration may
//! change either: of a server, or of a whole pair. What follows from it is decided by whoever asks; never a guess.

use super::effect::PairRecord;
use crate::model::{HostPort, PairName, UpstreamName, spec::PairSpec};

/// A pair's servers as they were before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// Whose turn it was; `None`: nobody knew.
    pub turn: Option<UpstreamName>,
    /// Whose it will be once the change that is being stored is stored.
    pub next: Option<UpstreamName>,
    /// All of them, as configured then.
    pub servers: Vec<(UpstreamName, HostPort)>,
}

/// A name that got another address, where that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swap<'a> {
    /// The name.
    pub name: &'a UpstreamName,
    /// Its address before.
    pub from: &'a HostPort,
    /// Its address now.
    pub to: &'a HostPort,
    /// Whose address that was.
    pub whose: Option<&'a UpstreamName>,
    /// It was its turn.
    pub active: bool,
}

impl Former {
    /// The names whose address was another server's before, and the one whose turn it was, if it has another address now.
    pub fn swaps<'a>(&'a self, new: &'a PairSpec) -> impl Iterator<Item = Swap<'a>> {
        new.checked().filter_map(|upstream| {
            let (name, from) = self.servers.iter().find(|(name, _)| *name == upstream.name)?;
            let whose = self.servers.iter().find(|(_, address)| is_same(address, &upstream.address));
            let swap = Swap {
                name,
                from,
                to: &upstream.address,
                whose: whose.map(|(whose, _)| whose),
                active: self.turn.iter().chain(&self.next).any(|turn| turn == name),
            };
            (!is_same(from, swap.to) && (swap.active || whose.is_some())).then_some(swap)
        })
    }

    /// Would a pair of another name, beginning on `first`, have servers of this one, and not begin where clients are?
    #[must_use]
    pub fn is_contradicted_by(&self, other: &PairSpec, first: &HostPort) -> bool {
        let has = |address: &HostPort| self.servers.iter().any(|(_, known)| is_same(known, address));
        let on = self.turn.as_ref().and_then(|turn| self.servers.iter().find(|(name, _)| name == turn));
        other.checked().any(|upstream| has(&upstream.address)) && !on.is_some_and(|(_, on)| is_same(on, first))
    }

    /// Of the pairs that are there no more, the one whose servers `new`, of which nothing is stored, would have without
    /// beginning where its clients were.
    pub fn predecessor<'a>(
        new: &PairSpec,
        gone: impl IntoIterator<Item = (&'a PairName, Self)>,
    ) -> Option<(&'a PairName, Self)> {
        let first = &new.upstreams().next()?.1.address;
        gone.into_iter().find(|(_, former)| former.is_contradicted_by(new, first))
    }
}

impl From<&PairRecord> for Former {
    fn from(record: &PairRecord) -> Self {
        Self { turn: Some(record.upstream.clone()), next: None, servers: record.addresses.clone() }
    }
}

/// Is it the same address, however it is written?
fn is_same(one: &HostPort, other: &HostPort) -> bool {
    let same_host = match (one.ip(), other.ip()) {
        (Some(one), Some(other)) => one == other,
        _ => one.host.trim_end_matches('.').eq_ignore_ascii_case(other.host.trim_end_matches('.')),
    };
    same_host && one.port == other.port
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> HostPort {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        for (one, other, same) in [
            ("AGG-P.test:1", "agg-p.test.:1", true),
            ("[::1]:1", "[0:0::1]:1", true),
            ("10.0.0.1:1", "10.0.0.1:2", false),
            ("agg-p.test:1", "10.0.0.1:1", false),
        ] {
            assert_eq!(is_same(&address(one), &address(other)), same, "{one} {other}");
        }
    }
}
