//! Pairs that belong to seats: served where this node holds the seat, only watched where it does not.
//!
//! A watched pair has a machine like any other, which checks its servers and decides, but nobody is routed by it and nothing of it is
//! stored. Each record that the node which serves it has acted on makes a new one, which knows of the servers what the last
//! one saw. At a takeover the pair goes on from that record, unless the machine has seen the server in use fail since: then from where the
//! machine went, under the next epoch.

use super::Driver;
use crate::{
    control::{
        journal::Receipt,
        orders::OrderError,
        reload::{Plan, Running},
        seats::{FromDriver, Layout, SeatOrder},
    },
    decide::{
        effect::{PairRecord, PersistId},
        input::{Input, Origin, Stored},
    },
    model::{Epoch, NodeName, PairName, RouteName, alert::Alert},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// Sessions of a seat that was closed are gone by then, or are left to their ends.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What the driver knows of seats.
#[derive(Debug)]
pub(super) struct Seats {
    group: mpsc::Sender<FromDriver>,
    pub(super) layout: Layout,
    open: BTreeSet<NodeName>,
    holders: BTreeMap<NodeName, Option<NodeName>>,
    /// This node is alone and cut off: no pair changes sides. So it begins, until somebody is heard.
    pub(super) cut_off: bool,
    /// That was said.
    pub(super) called_cut_off: bool,
    /// What stands about the group.
    pub(super) standing: Vec<Alert>,
    closing: JoinSet<()>,
}

impl Seats {
    pub(super) fn new(group: mpsc::Sender<FromDriver>) -> Self {
        Self {
            group,
            layout: Layout::new(),
            open: BTreeSet::new(),
            holders: BTreeMap::new(),
            cut_off: true,
            called_cut_off: false,
            standing: Vec::new(),
            closing: JoinSet::new(),
        }
    }

    fn of_pair(&self, pair: &PairName) -> Option<&NodeName> {
        self.layout.iter().find(|(_, part)| part.pairs.contains_key(pair)).map(|(seat, _)| seat)
    }

    fn of_route(&self, route: &RouteName) -> Option<&NodeName> {
        self.layout.iter().find(|(_, part)| part.routes.contains(route)).map(|(seat, _)| seat)
    }

    /// Are clients taken by this route?
    pub(super) fn takes(&self, route: &RouteName) -> bool {
        self.is_open(self.of_route(route))
    }

    fn is_open(&self, seat: Option<&NodeName>) -> bool {
        seat.is_some_and(|seat| self.open.contains(seat))
    }
}

impl Driver {
    /// Are clients taken by this route?
    pub(super) fn is_open(&self, route: &RouteName) -> bool {
        self.seats.as_ref().is_none_or(|seats| seats.takes(route))
    }

    /// The seat that this pair is only watched for.
    pub(super) fn watched_for(&self, pair: &PairName) -> Option<NodeName> {
        let seats = self.seats.as_ref()?;
        let seat = seats.of_pair(pair);
        (!seats.is_open(seat)).then(|| seat.cloned().unwrap_or_else(|| self.config.node.name.clone()))
    }

    /// Nobody may change what is only watched: who may be asked instead.
    pub(super) fn only_watched(&self, pair: &PairName) -> Option<OrderError> {
        let seat = self.watched_for(pair)?;
        let holder = self.seats.as_ref().and_then(|seats| seats.holders.get(&seat).cloned().flatten());
        let ask = match holder {
            Some(holder) if holder != self.config.node.name => format!("{holder} does: ask there"),
            _ => "nobody is known to; `failback status` shows the group".into(),
        };
        Some(OrderError::Refused(format!("pair `{pair}`: this node does not hold seat {seat}; {ask}")))
    }

    pub(super) fn seat_order(&mut self, order: SeatOrder) {
        match order {
            SeatOrder::Snapshot(reply) => {
                let _gone = reply.send(Box::new(self.running()));
            }
            SeatOrder::Install { plan, layout, open, reply } => {
                let open = open.filter(|(_, permit)| permit.holds()).map(|(seat, _)| seat);
                let _gone = reply.send(Ok(self.install(*plan, layout, open)));
            }
            SeatOrder::Close(seat, reply) => self.close_seat(&seat, reply),
            SeatOrder::Records(seat, records) => self.records_of(&seat, records),
            SeatOrder::Outnumbered(seat, epochs) => self.outnumbered(&seat, epochs),
            SeatOrder::MayChange(may) => self.may_change(may),
            SeatOrder::Holders(holders) => {
                if let Some(seats) = &mut self.seats {
                    seats.holders = holders;
                }
            }
            SeatOrder::Replicated(pair, receipt) => self.replicated(&pair, receipt),
            SeatOrder::Preflight(seat, reply) => {
                let _gone = reply.send(self.preflight(&seat));
            }
            SeatOrder::Prospects(seats, reply) => {
                let _gone = reply.send(seats.into_iter().map(|seat| (seat.clone(), self.prospects(&seat))).collect());
            }
            SeatOrder::Event { kind, grave, message } => self.chronicle.node(&self.journal, kind, grave, message),
            SeatOrder::Alert(alert) => self.alerts.happened(*alert),
            SeatOrder::Standing(alerts) => {
                if let Some(seats) = &mut self.seats {
                    seats.standing = alerts;
                }
            }
        }
    }

    pub(super) fn running(&self) -> Running {
        Running {
            config: self.config.clone(),
            listeners: self.listeners.clone(),
            former: self.former(),
            tls: self.tls.loaded.clone(),
        }
    }

    fn install(&mut self, plan: Plan, layout: Layout, open: Option<NodeName>) -> Vec<String> {
        let changes = plan.changes.clone();
        let Some(seats) = &mut self.seats else { return changes };
        let before = std::mem::replace(&mut seats.layout, layout);
        let known = seats.layout.clone();
        seats.open.retain(|seat| known.contains_key(seat));
        let opened = open.filter(|seat| seats.open.insert(seat.clone()));
        if let Some(seat) = &opened {
            self.end_watching(seat);
        }
        self.reconfigure(plan);
        self.parted.clear();
        self.went.clear();
        for (seat, part) in known.iter().filter(|(seat, _)| before.get(*seat) != known.get(*seat)) {
            let records = part.pairs.iter().filter_map(|(pair, record)| Some((pair.clone(), record.clone()?)));
            self.records_of(seat, records.collect());
        }
        changes
    }

    /// The machines that only watched are ended; [`Self::reconfigure`] makes those that serve.
    fn end_watching(&mut self, seat: &NodeName) {
        for name in self.pairs_of(seat) {
            if let Some(pair) = self.pairs.get(&name).filter(|pair| pair.watched) {
                let seen = pair.stored.clone();
                self.part_from(&name);
                let left = self.recollection(&name);
                let best = later(seen, left.clone());
                if let (Stored::Record(went), Stored::Record(left)) = (&best, &left)
                    && (went.epoch, &went.upstream, went.state) != (left.epoch, &left.upstream, left.state)
                {
                    self.went.insert(name.clone(), left.upstream.clone());
                }
                self.departed.insert(name, best);
            }
        }
    }

    pub(super) fn pairs_of(&self, seat: &NodeName) -> Vec<PairName> {
        let part = self.seats.as_ref().and_then(|seats| seats.layout.get(seat));
        part.map(|part| part.pairs.keys().cloned().collect()).unwrap_or_default()
    }

    /// Who wrote what is known of a pair that begins.
    pub(super) fn origin_of(&mut self, pair: &PairName) -> Origin {
        if let Some(from) = self.went.remove(pair) {
            return Origin::Watched(from);
        }
        let part = self.seats.as_ref().and_then(|seats| seats.layout.get(seats.of_pair(pair)?));
        let inherited = part.is_some_and(|part| !part.own && part.pairs.get(pair).is_some_and(Option::is_some));
        if inherited { Origin::Inherited } else { Origin::Own }
    }

    /// What is known of a pair that begins: by the other nodes, and by the journal where it wrote what they know.
    pub(super) fn recollection(&self, pair: &PairName) -> Stored {
        let journal = || match self.departed.get(pair) {
            Some(Stored::Record(record)) => Stored::Record(record.clone()),
            _ => self.recovered.stored(pair),
        };
        let part = self.seats.as_ref().and_then(|seats| seats.layout.get(seats.of_pair(pair)?));
        match part.map(|part| (part.pairs.get(pair).cloned().flatten(), part.own)) {
            Some((Some(record), false)) => Stored::Record(Box::new(record)),
            Some((Some(record), true)) => later(Stored::Record(Box::new(record)), journal()),
            Some((None, _)) | None => journal(),
        }
    }

    fn close_seat(&mut self, seat: &NodeName, reply: oneshot::Sender<()>) {
        let Some(seats) = &mut self.seats else { return };
        if !seats.open.remove(seat) {
            let _gone = reply.send(());
            return;
        }
        let routes = seats.layout.get(seat).map(|part| part.routes.clone()).unwrap_or_default();
        for name in self.pairs_of(seat) {
            self.part_from(&name);
            self.keep_last_record(seat, &name);
        }
        let open = |route: &RouteName| self.is_open(route);
        let wanted = crate::control::reload::listened(&self.config, open);
        self.listeners.retain(|address, _| wanted.contains(address));
        self.publish_all();
        for name in self.pairs_of(seat) {
            self.begin_pair(&name);
        }
        let (workers, closed) = (self.workers.clone(), seat.clone());
        let left = async move {
            let sessions = || {
                let flows = workers.stats.iter().flat_map(|worker| worker.flows());
                flows.filter(|flow| routes.contains(&flow.route)).map(|flow| flow.sessions.get()).sum::<u64>()
            };
            let began = Instant::now();
            // A worker obeys the table at its next turn.
            sleep(Duration::from_millis(2)).await;
            while sessions() > 0 && began.elapsed() < CLOSE_WITHIN {
                sleep(Duration::from_millis(2)).await;
            }
            if sessions() > 0 {
                tracing::warn!(seat = %closed, sessions = sessions(), "sessions of a seat that was let go have not ended yet");
            }
            let _gone = reply.send(());
        };
        if let Some(seats) = &mut self.seats {
            while seats.closing.try_join_next().is_some() {}
            seats.closing.spawn(async move {
                let _late = timeout(CLOSE_WITHIN * 2, left).await;
            });
        }
    }

    /// Until the next holder's is known.
    fn keep_last_record(&mut self, seat: &NodeName, pair: &PairName) {
        let Some(Stored::Record(record)) = self.departed.get(pair) else { return };
        let part = self.seats.as_mut().and_then(|seats| seats.layout.get_mut(seat));
        if let Some(known) = part.and_then(|part| part.pairs.get_mut(pair)) {
            *known = Some((**record).clone());
        }
    }

    /// Makes a configured pair's machine, from what is known of it.
    pub(super) fn begin_pair(&mut self, name: &PairName) {
        if let Some(spec) = self.config.pairs.get(name).cloned() {
            let stored = if self.seats.is_some() { self.recollection(name) } else { self.remembered(&spec) };
            self.departed.remove(name);
            self.start_pair(spec, stored);
        }
    }

    fn records_of(&mut self, seat: &NodeName, records: Vec<(PairName, PairRecord)>) {
        let Some(seats) = self.seats.as_mut().filter(|seats| !seats.open.contains(seat)) else { return };
        for (pair, record) in &records {
            if let Some(known) = seats.layout.get_mut(seat).and_then(|part| part.pairs.get_mut(pair)) {
                *known = Some(record.clone());
            }
        }
        for (name, record) in records {
            let news = |stored: &Stored| !matches!(stored, Stored::Record(known) if **known == record);
            if self.pairs.get(&name).is_some_and(|pair| pair.watched && news(&pair.stored)) {
                self.part_from(&name);
                self.departed.remove(&name);
                self.begin_pair(&name);
            }
        }
    }

    fn outnumbered(&mut self, seat: &NodeName, epochs: BTreeMap<PairName, Epoch>) {
        if self.seats.as_ref().is_some_and(|seats| seats.open.contains(seat)) {
            let ours = self.pairs_of(seat);
            for (pair, epoch) in epochs.into_iter().filter(|(pair, _)| ours.contains(pair)) {
                self.input(&pair, Input::Outnumbered(epoch));
            }
        }
    }

    fn may_change(&mut self, may: bool) {
        let Some(seats) = &mut self.seats else { return };
        if std::mem::replace(&mut seats.cut_off, !may) == may {
            let (kind, message) = match may {
                true => ("not_cut_off", "this node hears another, or reaches a witness, again"),
                false => ("cut_off", "this node hears no other and reaches no witness: no pair changes sides"),
            };
            if std::mem::replace(&mut seats.called_cut_off, !may) || !may {
                self.chronicle.node(&self.journal, kind, !may, message.into());
            }
            self.links_changed();
        }
    }

    /// Hands a record that is on the disk to the other nodes. `false`: there is nobody who has to have it.
    pub(super) fn replicate(&mut self, pair: &PairName, receipt: Receipt, record: &PairRecord) -> bool {
        let Some(seats) = &self.seats else { return false };
        let Some(seat) = seats.of_pair(pair).cloned() else { return false };
        let record = Box::new(record.clone());
        seats.group.try_send(FromDriver::Replicate { seat, pair: pair.clone(), record, receipt }).is_ok()
    }

    fn replicated(&mut self, name: &PairName, receipt: Receipt) {
        let Some(pair) = self.pairs.get_mut(name).filter(|pair| pair.incarnation == receipt.incarnation) else {
            return;
        };
        if pair.replicating.remove(&receipt) {
            self.input(name, Input::Persisted(receipt.id));
        }
    }

    /// The configuration is read again by the group, which knows whose it is.
    pub(super) fn hand_reload_to_group(&mut self, asked: super::orders::ReloadAsked) {
        let Some(seats) = &self.seats else { return };
        let reload = FromDriver::Reload { force: asked.force, by: asked.by, reply: asked.reply };
        if let Err(full) = seats.group.try_send(reload) {
            full.into_inner().refuse(OrderError::Busy);
        }
    }

    /// What a machine that only watches has decided is in force for it at once, and on no disk.
    pub(super) fn remember(&mut self, name: &PairName, id: PersistId, record: Box<PairRecord>) {
        if let Some(pair) = self.pairs.get_mut(name) {
            pair.stored = Stored::Record(record);
        }
        self.backlog.push_back((name.clone(), Input::Persisted(id)));
    }
}

/// The one with the higher epoch; the first if they are alike.
fn later(one: Stored, other: Stored) -> Stored {
    match (&one, &other) {
        (Stored::Record(first), Stored::Record(second)) if second.epoch > first.epoch => other,
        (Stored::Record(_), _) => one,
        _ => other,
    }
}
