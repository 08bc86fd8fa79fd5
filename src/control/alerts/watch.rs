//! What stands now, compared with what was said to stand: the difference is news. A level, so nothing is lost when the
//! queue was full: it is found again at the next look.

use crate::model::{
    Time,
    alert::{Alert, AlertKey},
};
use std::{collections::BTreeMap, time::Duration};

/// What is not seen for so long has ended. It takes the flutter out.
const ENDED_AFTER: Duration = Duration::from_secs(10);
/// The same for what was said before a restart, which has to see it for as long again as makes an alert of it (`control/group`: a minute; what
/// is configured to be longer, `sync.alert_after`, is told as over, and again).
const RESUMED_FOR: Duration = Duration::from_secs(90);

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
pub struct Watch(BTreeMap<AlertKey, Said>);

/// One of them.
#[derive(Debug)]
struct Said {
    /// Since when it is not seen.
    missed: Option<Time>,
    /// So long it may be missed.
    patience: Duration,
}

impl Watch {
    /// Goes on with what was said before a restart.
    #[must_use]
    pub fn resumed(standing: impl IntoIterator<Item = AlertKey>) -> Self {
        Self(standing.into_iter().map(|key| (key, Said { missed: None, patience: RESUMED_FOR })).collect())
    }

    /// Was it said to stand?
    #[must_use]
    pub fn stands(&self, key: &AlertKey) -> bool {
        self.0.contains_key(key)
    }

    /// What changed, `present` being all that stands now. The same again until [`Self::said`].
    pub fn changes(&mut self, now: Time, present: Vec<Alert>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, said) in &mut self.0 {
            if present.iter().any(|alert| alert.key == *key) {
                *said = Said { missed: None, patience: ENDED_AFTER };
            } else if now.since(*said.missed.get_or_insert(now)) >= said.patience {
                changes.push(Change::Ended(key.clone()));
            }
        }
        changes.extend(present.into_iter().filter(|alert| !self.stands(&alert.key)).map(Change::Raised));
        changes
    }

    /// The change was taken.
    pub fn said(&mut self, change: &Change) {
        match change {
            Change::Raised(alert) => {
                self.0.insert(alert.key.clone(), Said { missed: None, patience: ENDED_AFTER });
            }
            Change::Ended(key) => {
                self.0.remove(key);
            }
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
    fn what_was_said_before_a_restart_has_a_minute_to_be_seen_again() {
        let one = alert("AGG_V");
        let mut watch = Watch::resumed([one.key.clone()]);
        assert_eq!(watch.changes(at(0), vec![]), []);
        assert_eq!(watch.changes(at(75), vec![]), []);
        assert_eq!(watch.changes(at(76), vec![one.clone()]), [], "it was told");
        assert_eq!(watch.changes(at(80), vec![]), []);
        assert_eq!(watch.changes(at(90), vec![]), [Change::Ended(one.key.clone())], "an end like any other");
        let mut watch = Watch::resumed([one.key.clone()]);
        assert_eq!(watch.changes(at(0), vec![]), []);
        assert_eq!(watch.changes(at(90), vec![]), [Change::Ended(one.key)]);
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
