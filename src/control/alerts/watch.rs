//! What stands now, compared with what was said to stand: the difference is news. A level, so nothing is lost when the
//! queue was full: it is found again at the next look.

use crate::model::{
    Time,
    alert::{Alert, AlertKey},
};
use std::{collections::BTreeMap, time::Duration};

/// What is not seen for so long has ended. It takes the flutter out, and a restart needs a moment to see all of it again.
const ENDED_AFTER: Duration = Duration::from_secs(10);

/// A change of what stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It stands from now on.
    Raised(Alert),
    /// It stands no longer.
    Ended(AlertKey),
}

/// What was said to stand.
#[derive(Debug, Default)]
pub struct Watch(BTreeMap<AlertKey, Option<Time>>);

impl Watch {
    /// Goes on with what was said before a restart.
    #[must_use]
    pub fn resumed(standing: impl IntoIterator<Item = AlertKey>) -> Self {
        Self(standing.into_iter().map(|key| (key, None)).collect())
    }

    /// Was it said to stand?
    #[must_use]
    pub fn stands(&self, key: &AlertKey) -> bool {
        self.0.contains_key(key)
    }

    /// What changed, `present` being all that stands now. The same again until [`Self::said`].
    pub fn changes(&mut self, now: Time, present: Vec<Alert>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, missed_since) in &mut self.0 {
            if present.iter().any(|alert| alert.key == *key) {
                *missed_since = None;
            } else if now.since(*missed_since.get_or_insert(now)) >= ENDED_AFTER {
                changes.push(Change::Ended(key.clone()));
            }
        }
        changes.extend(present.into_iter().filter(|alert| !self.stands(&alert.key)).map(Change::Raised));
        changes
    }

    /// The change was taken.
    pub fn said(&mut self, change: &Change) {
        match change {
            Change::Raised(alert) => drop(self.0.insert(alert.key.clone(), None)),
            Change::Ended(key) => drop(self.0.remove(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::alerts::tests::alert;

    fn at(seconds: u64) -> Time {
        Time::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn what_stands_is_said_once_and_its_end_once() {
        let (mut watch, one) = (Watch::default(), alert("AGG_V"));
        let raised = watch.changes(at(0), vec![one.clone()]);
        assert_eq!(raised, [Change::Raised(one.clone())]);
        assert_eq!(watch.changes(at(1), vec![one.clone()]), raised, "the queue was full");
        watch.said(&raised[0]);
        assert_eq!(watch.changes(at(2), vec![one.clone()]), []);
        assert_eq!(watch.changes(at(3), vec![]), []);
        let ended = watch.changes(at(13), vec![]);
        assert_eq!(ended, [Change::Ended(one.key)]);
        watch.said(&ended[0]);
        assert_eq!(watch.changes(at(14), vec![]), []);
    }

    #[test]
    fn flutter_and_a_restart_are_no_end() {
        let one = alert("AGG_V");
        let mut watch = Watch::resumed([one.key.clone()]);
        for second in 0..60 {
            let present = if second % 9 == 8 { vec![one.clone()] } else { vec![] };
            assert_eq!(watch.changes(at(second), present), [], "{second}");
        }
    }
}
