//! The route table: what the machines decide, completed with sockets and options, published as a whole.

use super::progress::OrderGiven;
use crate::{
    config::RouteConfig,
    control::tls::Loaded,
    decide::effect::{Closing, Routing},
    model::{
        PairName,
        spec::PairSpec,
        table::{CloseOrder, CloseRate, ListenerSet, PairRow, RouteRow, RouteTable},
    },
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
};
use tokio::sync::watch;

/// The listening sockets, by the address the configuration calls them.
pub type Listeners = BTreeMap<SocketAddr, Arc<ListenerSet>>;

/// The table as published last. Rows of what did not change stay the same `Arc`.
#[derive(Debug)]
pub(super) struct Publisher {
    table: RouteTable,
    /// What sessions use from the next publication on.
    pub(super) tls: Loaded,
    sender: watch::Sender<Arc<RouteTable>>,
    /// Each pair's machine's last word, for when its options change.
    routings: BTreeMap<PairName, Routing>,
    orders: BTreeMap<PairName, (OrderGiven, Arc<AtomicU64>)>,
}

impl Publisher {
    pub(super) fn new(sender: watch::Sender<Arc<RouteTable>>, tls: Loaded) -> Self {
        Self { table: RouteTable::default(), tls, sender, routings: BTreeMap::new(), orders: BTreeMap::new() }
    }

    /// The machine of `spec`'s pair has decided. `true`: for the first time, so its routes have yet to be published.
    pub(super) fn route(&mut self, spec: &PairSpec, routing: Routing) -> bool {
        self.set_row(spec, &routing);
        let first = self.routings.insert(spec.name.clone(), routing).is_none();
        self.send();
        first
    }

    /// The configuration changed: these are the routes and the pairs now. A pair whose machine has not decided yet has no
    /// row, and its routes accept nobody: clients wait in the listeners' queues.
    pub(super) fn configure<'a>(
        &mut self,
        routes: impl Iterator<Item = &'a RouteConfig>,
        listeners: &Listeners,
        pairs: impl Iterator<Item = &'a PairSpec>,
    ) {
        let before = std::mem::take(&mut self.table.pairs);
        for spec in pairs {
            match (self.routings.get(&spec.name).cloned(), before.get(&spec.name)) {
                (Some(_), Some(row))
                    if same_options(row, spec) && same_tls(row.tls.as_ref(), self.tls.pair(&spec.name).as_ref()) =>
                {
                    self.table.pairs.insert(spec.name.clone(), Arc::clone(row));
                }
                (Some(routing), _) => self.set_row(spec, &routing),
                (None, _) => {}
            }
        }
        let rows = &self.table.pairs;
        self.routings.retain(|name, _| rows.contains_key(name));
        self.orders.retain(|name, _| rows.contains_key(name));
        let before = std::mem::take(&mut self.table.routes);
        for route in routes.filter(|route| rows.contains_key(&route.pair)) {
            let row = row_of(route, listeners, &self.tls);
            let kept = before.get(&route.name).filter(|known| same_route(known, &row));
            self.table.routes.insert(route.name.clone(), kept.map_or_else(|| Arc::new(row), Arc::clone));
        }
        self.send();
    }

    /// Accept nobody, close everybody.
    pub(super) fn stop(&mut self) {
        self.table.stopping = true;
        self.send();
    }

    /// The close order of `pair` under way.
    pub(super) fn order(&self, pair: &PairName) -> Option<OrderGiven> {
        self.orders.get(pair).map(|(given, _)| *given)
    }

    fn set_row(&mut self, spec: &PairSpec, routing: &Routing) {
        let close = routing.close.as_ref().map(|closing| self.close_order(&spec.name, closing));
        if close.is_none() {
            self.orders.remove(&spec.name);
        }
        let row = PairRow {
            name: spec.name.clone(),
            epoch: routing.epoch,
            admit: routing.admit.clone(),
            close,
            hold: spec.hold,
            exempt: Arc::clone(&spec.failback.exempt),
            transport: spec.transport,
            tls: self.tls.pair(&spec.name),
        };
        self.table.pairs.insert(spec.name.clone(), Arc::new(row));
    }

    fn close_order(&mut self, pair: &PairName, closing: &Closing) -> CloseOrder {
        let known = self.orders.get(pair).filter(|(given, _)| given.id == closing.id);
        let (given, taken) = known.cloned().unwrap_or_else(|| {
            (OrderGiven { id: closing.id, since: self.table.version + 1 }, Arc::new(AtomicU64::new(0)))
        });
        self.orders.insert(pair.clone(), (given, Arc::clone(&taken)));
        CloseOrder {
            id: closing.id,
            spare_upstream: closing.spare_upstream.clone(),
            spare_exempt: closing.spare_exempt,
            rate: closing.allowed.map_or(CloseRate::AtOnce, |allowed| CloseRate::Allowed { allowed, taken }),
            reason: closing.reason,
        }
    }

    fn send(&mut self) {
        self.table.version += 1;
        self.sender.send_replace(Arc::new(self.table.clone()));
    }
}

fn row_of(route: &RouteConfig, listeners: &Listeners, tls: &Loaded) -> RouteRow {
    RouteRow {
        name: route.name.clone(),
        pair: route.pair.clone(),
        listeners: route.listen.iter().filter_map(|address| listeners.get(address).cloned()).collect(),
        max_sessions: route.max_sessions,
        idle_timeout: route.idle_timeout,
        tls: tls.route(&route.name),
        proxy_protocol: route.proxy_protocol.clone(),
    }
}

fn same_route(known: &RouteRow, new: &RouteRow) -> bool {
    let same_sockets = known.listeners.len() == new.listeners.len()
        && known.listeners.iter().zip(&new.listeners).all(|(one, other)| Arc::ptr_eq(one, other));
    same_sockets
        && same_tls(known.tls.as_ref(), new.tls.as_ref())
        && (&known.pair, known.max_sessions, known.idle_timeout, &known.proxy_protocol)
            == (&new.pair, new.max_sessions, new.idle_timeout, &new.proxy_protocol)
}

fn same_tls<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}

fn same_options(row: &PairRow, spec: &PairSpec) -> bool {
    (row.hold, &row.exempt, row.transport) == (spec.hold, &spec.failback.exempt, spec.transport)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config,
        model::{EndReason, Epoch, proxy_protocol::HeaderVersion, table::Admit},
    };

    fn specs(text: &str) -> config::Config {
        let pair =
            |name: &str| format!("[pairs.{name}]\nprimary = {{ name = \"P\", address = \"10.0.0.1:1\" }}\n{text}\n");
        let routes = "[routes.one]\nlisten = [\"127.0.0.1:22001\"]\npair = \"ONE\"\n";
        config::parse(&format!("{}{}{routes}", pair("ONE"), pair("TWO")), "failback.toml".as_ref()).unwrap()
    }

    fn closing(id: u64, allowed: u64) -> Routing {
        let close = Closing {
            id,
            spare_upstream: None,
            spare_exempt: false,
            allowed: Some(allowed),
            reason: EndReason::Failback,
        };
        Routing { epoch: Epoch(2), admit: Admit::Hold, close: Some(close) }
    }

    fn taken(table: &RouteTable) -> Arc<AtomicU64> {
        match &table.pairs["ONE"].close.as_ref().unwrap().rate {
            CloseRate::Allowed { taken, .. } => Arc::clone(taken),
            CloseRate::AtOnce => panic!("a paced order"),
        }
    }

    #[test]
    fn one_order_keeps_its_count_and_the_next_one_begins_anew() {
        let config = specs("");
        let (sender, table) = watch::channel(Arc::default());
        let mut publisher = Publisher::new(sender, Loaded::default());
        publisher.route(&config.pairs["ONE"], closing(7, 1));
        let (first, since) = (taken(&table.borrow()), publisher.order(&"ONE".into()));
        publisher.route(&config.pairs["ONE"], closing(7, 2));
        assert!(Arc::ptr_eq(&first, &taken(&table.borrow())));
        assert_eq!(publisher.order(&"ONE".into()), since, "whoever obeyed the first version knows the order");
        publisher.route(&config.pairs["ONE"], closing(8, 0));
        assert!(!Arc::ptr_eq(&first, &taken(&table.borrow())));
        assert_eq!(publisher.order(&"ONE".into()), Some(OrderGiven { id: 8, since: table.borrow().version }));
    }

    #[test]
    fn what_did_not_change_stays_the_same_row() {
        let (before, after) = (specs(""), specs("hold = { time = \"9s\", max = 9 }"));
        let (sender, table) = watch::channel(Arc::default());
        let mut publisher = Publisher::new(sender, Loaded::default());
        for spec in before.pairs.values() {
            publisher.route(spec, Routing { epoch: Epoch(1), admit: Admit::Hold, close: None });
        }
        publisher.configure(before.routes.values(), &Listeners::new(), before.pairs.values());
        let old = Arc::clone(&table.borrow());
        let mixed = [&before.pairs["ONE"], &after.pairs["TWO"]];
        publisher.configure(before.routes.values(), &Listeners::new(), mixed.into_iter());
        let new = Arc::clone(&table.borrow());
        assert!(Arc::ptr_eq(&old.pairs["ONE"], &new.pairs["ONE"]));
        assert_eq!(new.pairs["TWO"].hold.max, 9);
        assert!(Arc::ptr_eq(&old.routes["one"], &new.routes["one"]));
        let mut routes = before.routes.clone();
        routes.values_mut().for_each(|route| route.proxy_protocol.send = Some(HeaderVersion::V2));
        publisher.configure(routes.values(), &Listeners::new(), mixed.into_iter());
        assert_eq!(table.borrow().routes["one"].proxy_protocol.send, Some(HeaderVersion::V2));
        publisher.configure(std::iter::empty(), &Listeners::new(), std::iter::empty());
        assert!(table.borrow().routes.is_empty() && table.borrow().pairs.is_empty());
    }
}
