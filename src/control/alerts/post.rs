//! The post: takes letters, keeps them, carries them out.

use super::{
    Change, Letter, Status,
    channel::{Channel, channels},
    keep::{Keep, Kept},
    ledger::{Ledger, News},
    message::Message,
    outbox::{Failure, Item, Outbox},
    trial,
};
use crate::{
    control::{clock::wall_now, orders::OrderError},
    model::{
        NodeName,
        alert::{AlertKey, AlertResult, AlertsSpec, Phase},
    },
    observe::metrics::Metrics,
};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    path::Path,
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

/// Between two looks at what became due by the wall clock.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The other ends of what leads to the post and away from it.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) inbox: mpsc::Receiver<Letter>,
    pub(super) settings: watch::Receiver<AlertsSpec>,
    pub(super) status: Status,
    pub(super) metrics: Metrics,
}

/// One recipient, and what waits for it.
#[derive(Debug)]
struct Route {
    channel: Channel,
    outbox: Outbox,
    /// Since when nothing arrives.
    failing_since: Option<String>,
}

/// The post's state.
#[derive(Debug)]
pub struct Post {
    node: NodeName,
    ends: Ends,
    keep: Keep,
    next_id: u64,
    ledger: Ledger,
    /// In the order of the configuration.
    routes: Vec<Route>,
    sending: JoinSet<(String, Result<(), Failure>)>,
    testing: JoinSet<()>,
    /// Something is not in the file yet.
    dirty: bool,
    not_kept: Option<String>,
    wall: WallClock,
}

impl Post {
    pub(super) fn open(dir: &Path, node: NodeName, ends: Ends) -> Self {
        let keep = Keep::within(dir);
        let kept = keep.load().unwrap_or_else(|error| {
            tracing::warn!(%error, "alerts.json can't be read; what waited there to be sent is lost");
            Kept::default()
        });
        let Kept { next_id, ledger, outboxes } = kept;
        let mut post = Self {
            node,
            ends,
            keep,
            next_id: next_id.max(1),
            ledger,
            routes: Vec::new(),
            sending: JoinSet::new(),
            testing: JoinSet::new(),
            dirty: false,
            not_kept: None,
            wall: WallClock { shown: seconds(), at: Instant::now() },
        };
        post.configure(outboxes);
        post
    }

    /// What recipients believe to stand.
    pub(super) fn standing(&self) -> Arc<[AlertKey]> {
        self.ledger.standing().map(|alert| alert.key.clone()).collect()
    }

    /// Works until `stop`. What waits then is in the file.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            self.look();
            let now = Instant::now();
            let due = self.routes.iter().filter_map(|route| route.outbox.due()).min();
            let due = due.unwrap_or(now + LOOK_EVERY).min(now + LOOK_EVERY);
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return self.end(),
                Some(letter) = self.ends.inbox.recv() => {
                    self.take(letter);
                    self.take_all();
                }
                Some(ended) = self.sending.join_next() => if let Ok((name, sent)) = ended { self.sent(&name, sent) },
                Some(_) = self.testing.join_next() => {}
                Ok(()) = self.ends.settings.changed() => self.reconfigure(),
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    /// What came last is kept, too.
    fn end(mut self) {
        self.take_all();
        self.save();
    }

    /// What is there is kept by one write: in a storm the disk is wanted for changes of side.
    fn take_all(&mut self) {
        for _ in 0..self.ends.inbox.len() {
            if let Ok(letter) = self.ends.inbox.try_recv() {
                self.take(letter);
            }
        }
    }

    /// Whatever is due by now.
    fn look(&mut self) {
        let (now, seconds) = (Instant::now(), seconds());
        if let Some(by) = self.wall.set_by(seconds, now) {
            tracing::info!("the wall clock was set by {by} s; the age of alerts does not change");
            self.ledger.clock_set(by, seconds);
            self.routes.iter_mut().for_each(|route| route.outbox.clock_set(by, seconds));
            self.dirty = true;
        }
        for news in self.ledger.overdue(seconds) {
            self.post(&news);
        }
        for route in &mut self.routes {
            let old = route.outbox.give_up(seconds);
            if old > 0 {
                tracing::warn!("{old} alerts were not delivered for a day and are given up: {}", route.channel.words());
                self.ends.metrics.alerts(&route.channel.label(), AlertResult::GivenUp, old);
                self.dirty = true;
            }
        }
        // First kept, then sent: a restart forgets none of them.
        self.save();
        for route in self.routes.iter_mut().filter(|route| route.outbox.due().is_some_and(|due| due <= now)) {
            let (items, lost) = route.outbox.next();
            let message = Message { node: self.node.clone(), items, lost };
            let channel = route.channel.clone();
            self.sending.spawn(async move { (channel.name(), channel.send(&message).await) });
        }
        self.show();
    }

    fn take(&mut self, letter: Letter) {
        let news = match letter {
            Letter::Happened(alert) => Some(News { phase: Phase::Happened, alert, repeats: 0 }),
            Letter::Changed(Change::Raised(alert)) => self.ledger.raised(alert, seconds()),
            Letter::Changed(Change::Ended(key)) => self.ledger.ended(&key),
            Letter::Test(reply) if !self.testing.is_empty() => {
                let busy = OrderError::Refused("a test is under way already; try again".into());
                let _gone = reply.send(Err(busy));
                return;
            }
            Letter::Test(reply) => {
                let channels = self.routes.iter().map(|route| route.channel.clone()).collect();
                self.testing.spawn(trial::run(channels, self.node.clone(), reply));
                return;
            }
        };
        self.dirty = true;
        if let Some(news) = news {
            self.post(&news);
        }
    }

    /// Into every outbox.
    fn post(&mut self, news: &News) {
        let now = Instant::now();
        let News { phase, alert, repeats } = news.clone();
        let item = Item { id: self.next_id, phase, repeats, queued: seconds(), alert };
        self.next_id += 1;
        self.dirty = true;
        for route in &mut self.routes {
            let dropped = route.outbox.push(item.clone(), now);
            self.ends.metrics.alerts(&route.channel.label(), AlertResult::Dropped, dropped);
        }
    }

    /// A message was taken, or not.
    fn sent(&mut self, name: &str, sent: Result<(), Failure>) {
        let Some(route) = self.routes.iter_mut().find(|route| route.channel.name() == *name) else { return };
        let (now, label, words) = (Instant::now(), route.channel.label(), route.channel.words());
        match sent {
            Ok(()) => {
                let count = route.outbox.taken(now);
                self.ends.metrics.alerts(&label, AlertResult::Delivered, count);
                if route.failing_since.take().is_some() {
                    tracing::info!("alerts are delivered again: {words}");
                }
                self.dirty = true;
            }
            Err(failure) => {
                if route.failing_since.is_none() {
                    tracing::warn!("alerts are not delivered: {words}: {}", failure.words);
                    route.failing_since = Some(wall_now());
                }
                self.ends.metrics.alerts(&label, AlertResult::Retried, 1);
                route.outbox.failed(failure, now, chance());
            }
        }
    }

    /// Other settings: what waits for a recipient that stays, stays. Everything is tried at once, it may be mended.
    fn reconfigure(&mut self) {
        let nobody_was_told = self.routes.is_empty();
        let waiting = self.routes.iter().map(|route| (route.channel.name(), route.outbox.items().cloned().collect()));
        let waiting = waiting.collect();
        // What is under way counts as not sent: its receiver may see it twice.
        self.sending = JoinSet::new();
        self.configure(waiting);
        if nobody_was_told {
            let standing: Vec<_> = self.ledger.standing().cloned().collect();
            for alert in standing {
                self.post(&News { phase: Phase::Raised, alert, repeats: 0 });
            }
        }
    }

    fn configure(&mut self, mut waiting: BTreeMap<String, Vec<Item>>) {
        let (now, spec) = (Instant::now(), self.ends.settings.borrow_and_update().clone());
        let route = |channel: Channel| {
            let items = waiting.remove(&channel.name()).unwrap_or_default();
            Route { channel, outbox: Outbox::new(items, now), failing_since: None }
        };
        self.routes = channels(&spec).into_iter().map(route).collect();
        for (name, items) in waiting.into_iter().filter(|(_, items)| !items.is_empty()) {
            tracing::warn!("{} alerts waited for {name}, which is not configured any more", items.len());
        }
        self.dirty = true;
    }

    /// Nobody to tell and nothing kept: no file.
    fn save(&mut self) {
        if !std::mem::take(&mut self.dirty) || (self.routes.is_empty() && self.next_id == 1) {
            return;
        }
        let outboxes = self.routes.iter().map(|route| (route.channel.name(), route.outbox.items().cloned().collect()));
        let kept = Kept { next_id: self.next_id, ledger: self.ledger.clone(), outboxes: outboxes.collect() };
        let saved = self.keep.save(&kept);
        self.dirty = saved.is_err();
        self.not_kept =
            saved.err().map(|error| format!("alerts can't be stored and would not outlive a restart: {error}"));
    }

    /// For status and metrics.
    fn show(&self) {
        let mut pending: BTreeMap<String, u64> = BTreeMap::new();
        let mut warnings: Vec<String> = self.not_kept.iter().cloned().collect();
        for route in &self.routes {
            let waiting = route.outbox.items().len() as u64;
            *pending.entry(route.channel.label()).or_default() += waiting;
            if let (Some(trouble), Some(since)) = (route.outbox.trouble(), &route.failing_since) {
                let words = route.channel.words();
                warnings.push(format!(
                    "alerts are not delivered since {since} ({waiting} wait): {words}: {}",
                    trouble.words
                ));
            }
        }
        self.ends.metrics.alerts_pending(&pending);
        *self.ends.status.lock().unwrap_or_else(PoisonError::into_inner) = warnings;
    }
}

/// Notices that somebody sets the wall clock: a machine may start without the right time and be given it later.
#[derive(Debug)]
struct WallClock {
    shown: u64,
    at: Instant,
}

impl WallClock {
    /// By how many seconds it was set since the last question, unless that is hardly worth mentioning.
    fn set_by(&mut self, shows: u64, now: Instant) -> Option<i64> {
        let expected = self.shown + now.duration_since(self.at).as_secs();
        (self.shown, self.at) = (shows, now);
        let by = shows.cast_signed() - expected.cast_signed();
        (by.abs() > 5).then_some(by)
    }
}

/// Since 1970.
pub(super) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Between 0 and 1.
fn chance() -> f64 {
    let bits = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}
