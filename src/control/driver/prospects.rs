//! What serving a seat would meet here, asked before it is taken.

use super::Driver;
use crate::{
    control::seats::Prospects,
    model::{NodeName, PairName},
};

impl Driver {
    /// The server in use of each pair has to answer, or nobody is better off.
    pub(super) fn preflight(&self, seat: &NodeName) -> Result<(), String> {
        let names = self.pairs_of(seat);
        if names.is_empty() {
            return Err(format!("no pair of seat {seat} is known here"));
        }
        let now = self.clock.now();
        for name in names {
            let status = self.pairs.get(&name).map(|pair| pair.machine.status(now));
            let in_use = status
                .as_ref()
                .and_then(|status| status.upstreams.iter().find(|its| its.name == status.active_upstream));
            if !in_use.is_some_and(|its| its.answers) {
                return Err(format!("{name}: no server that clients could be sent to answers its checks from here"));
            }
        }
        Ok(())
    }

    /// What is asked of a node that stands by: any server of a pair will do, as the pair may fail over.
    pub(super) fn prospects(&self, seat: &NodeName) -> Prospects {
        let now = self.clock.now();
        let deaf = |name: &PairName| {
            let pair = self.pairs.get(name)?;
            let answers = pair.machine.status(now).upstreams.iter().any(|its| its.answers);
            (!answers).then(|| format!("no server of {name} answers its checks from here"))
        };
        let part = self.seats.as_ref().and_then(|seats| seats.layout.get(seat));
        let routes = part.iter().flat_map(|part| &part.routes).filter_map(|route| self.config.routes.get(route));
        let listens = routes.flat_map(|route| route.listen.iter().map(|address| (route.name.clone(), *address)));
        Prospects { unreached: self.pairs_of(seat).iter().filter_map(deaf).collect(), listens: listens.collect() }
    }
}
