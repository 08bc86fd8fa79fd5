//! What would be found out too late if nobody said it: a line while it stands, an event for each change, and an alert after a while.

use super::Group;
use crate::model::{
    Time,
    alert::{Alert, AlertKey},
};
use std::{collections::BTreeMap, time::Duration};

/// Words that change sooner are not said yet.
const STEADY: Duration = Duration::from_secs(1);

/// One thing that stands, as it is seen now.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) key: AlertKey,
    /// The alert's title.
    pub(super) title: String,
    /// The whole of it in a line, without a full stop.
    pub(super) message: String,
    /// What to do about it.
    pub(super) advice: String,
    /// What the event is called.
    pub(super) event: &'static str,
    /// What the event of its end is called, and says; nothing where another event tells.
    pub(super) over: Option<(&'static str, String)>,
    /// It is a line and an event when it stands for so long.
    pub(super) said_after: Duration,
    /// It is an alert when it stands for so long.
    pub(super) alert_after: Duration,
}

/// Since when one stands, and what was said of it.
#[derive(Debug)]
struct Known {
    since: Time,
    message: String,
    changed: Time,
    told: Option<String>,
    over: Option<(&'static str, String)>,
}

/// All that stand.
#[derive(Debug, Default)]
pub(super) struct Doubts(BTreeMap<AlertKey, Known>);

impl Doubts {
    /// A line for each that was said.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.values().filter_map(|known| known.told.clone())
    }

    /// What is said of this one.
    pub(super) fn said(&self, key: &AlertKey) -> Option<&str> {
        self.0.get(key)?.told.as_deref()
    }
}

impl Group {
    /// What is not so any more, and whose end is told otherwise.
    pub(super) fn forget_doubts(&mut self, which: impl Fn(&AlertKey) -> bool) {
        self.doubts.0.retain(|key, _| !which(key));
        self.standing.retain(|key, _| !which(key));
    }

    /// Takes in all that stand now.
    pub(super) fn weigh(&mut self, now: Time, doubts: Vec<Doubt>) {
        let over = |key: &AlertKey| doubts.iter().all(|doubt| doubt.key != *key);
        let ended: Vec<AlertKey> = self.doubts.0.keys().filter(|key| over(key)).cloned().collect();
        for key in ended {
            self.standing.remove(&key);
            let Some(Known { told: Some(_), over: Some((kind, message)), .. }) = self.doubts.0.remove(&key) else {
                continue;
            };
            self.event(kind, false, message);
        }
        doubts.into_iter().for_each(|doubt| self.weigh_one(now, doubt));
    }

    fn weigh_one(&mut self, now: Time, doubt: Doubt) {
        let Doubt { key, title, message, advice, event, over, said_after, alert_after } = doubt;
        let known = self.doubts.0.entry(key.clone()).or_insert_with(|| Known {
            since: now,
            message: message.clone(),
            changed: now,
            told: None,
            over: None,
        });
        known.over = over;
        if known.message != message {
            (known.message, known.changed) = (message.clone(), now);
        }
        let (since, steady) = (known.since, now.since(known.changed) >= STEADY.min(said_after));
        if !steady || now.since(since) < said_after {
            return;
        }
        if known.told.replace(message.clone()).as_ref() != Some(&message) {
            self.event(event, true, message.clone());
        }
        if now.since(since) >= alert_after {
            let alert = Alert::new(key.clone(), self.clock.wall(since), title, format!("{message}."), advice);
            self.standing.insert(key, alert);
        }
    }
}
