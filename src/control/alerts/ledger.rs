//! What recipients believe to stand. An alert that comes again within the hour is counted, not told again: a server that
//! comes and goes every minute is one message an hour, which says how often.

use crate::model::alert::{Alert, AlertKey, Phase};
use serde::{Deserialize, Serialize};

/// Seconds between two times of telling the same.
const AGAIN_AFTER: u64 = 3_600;
/// Alerts remembered at most; more are told without being remembered. No node has so many pairs and servers.
const MOST: usize = 4_096;

/// One alert that stands, or stood within the hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    alert: Alert,
    /// Does it stand?
    stands: bool,
    /// Do recipients believe that it stands?
    believed: bool,
    /// When its beginning was told last; seconds since 1970.
    told: u64,
    /// Beginnings that were not told since.
    repeats: u32,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    pub(super) phase: Phase,
    pub(super) alert: Alert,
    /// So many times it began within the last hour without being told.
    pub(super) repeats: u32,
}

/// All of them. `now` is in seconds since 1970 everywhere: it must mean the same after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Ledger(Vec<Entry>);

impl Ledger {
    /// It stands from now on.
    pub(super) fn raised(&mut self, alert: Alert, now: u64) -> Option<News> {
        if let Some(known) = self.0.iter_mut().find(|known| known.alert.key == alert.key) {
            let before = std::mem::replace(&mut known.stands, true);
            known.alert = alert;
            if !before && !known.believed {
                known.repeats += 1;
            }
            return known.tell_again(now);
        }
        if self.0.len() < MOST {
            self.0.push(Entry { alert: alert.clone(), stands: true, believed: true, told: now, repeats: 0 });
        }
        Some(News { phase: Phase::Raised, alert, repeats: 0 })
    }

    /// It stands no longer. Who was not told of its beginning is not told of its end.
    pub(super) fn ended(&mut self, key: &AlertKey) -> Option<News> {
        let known = self.0.iter_mut().find(|known| known.alert.key == *key && known.stands)?;
        known.stands = false;
        std::mem::take(&mut known.believed).then(|| News {
            phase: Phase::Ended,
            alert: known.alert.clone(),
            repeats: 0,
        })
    }

    /// What stands and was not told because it had been told within the hour, which is over now.
    pub(super) fn overdue(&mut self, now: u64) -> Vec<News> {
        let news = self.0.iter_mut().filter_map(|known| known.tell_again(now)).collect();
        self.0.retain(|known| known.stands || now.saturating_sub(known.told) < AGAIN_AFTER);
        news
    }

    /// The wall clock was set and shows `now`: no hour is over for it.
    pub(super) fn clock_set(&mut self, by: i64, now: u64) {
        for known in &mut self.0 {
            known.told = known.told.saturating_add_signed(by).min(now);
        }
    }

    /// What stands.
    pub(super) fn standing(&self) -> impl Iterator<Item = &Alert> {
        self.0.iter().filter(|known| known.stands).map(|known| &known.alert)
    }
}

impl Entry {
    fn tell_again(&mut self, now: u64) -> Option<News> {
        if !self.stands || self.believed || now.saturating_sub(self.told) < AGAIN_AFTER {
            return None;
        }
        (self.believed, self.told) = (true, now);
        let repeats = std::mem::take(&mut self.repeats).saturating_sub(1);
        Some(News { phase: Phase::Raised, alert: self.alert.clone(), repeats })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::alerts::tests::alert;

    fn told(news: Option<News>) -> Option<(Phase, u32)> {
        news.map(|news| (news.phase, news.repeats))
    }

    #[test]
    fn the_same_alert_within_an_hour_is_counted_and_told_when_the_hour_is_over() {
        let (mut ledger, one) = (Ledger::default(), alert("AGG_V"));
        assert_eq!(told(ledger.raised(one.clone(), 0)), Some((Phase::Raised, 0)));
        assert_eq!(told(ledger.ended(&one.key)), Some((Phase::Ended, 0)));
        for now in [60, 120, 180] {
            assert_eq!(ledger.raised(one.clone(), now), None);
            assert_eq!(ledger.ended(&one.key), None, "nobody was told of its beginning");
        }
        assert_eq!(ledger.raised(one.clone(), 240), None);
        assert_eq!(ledger.overdue(3_599), []);
        let news = ledger.overdue(3_600);
        assert_eq!(news.into_iter().map(|news| (news.phase, news.repeats)).collect::<Vec<_>>(), [(Phase::Raised, 3)]);
        assert_eq!(told(ledger.ended(&one.key)), Some((Phase::Ended, 0)));
        assert_eq!(ledger.overdue(7_200), []);
        assert_eq!(ledger, Ledger::default(), "what neither stands nor stood lately is forgotten");
    }

    #[test]
    fn what_stood_before_a_restart_is_not_told_again() {
        let (mut ledger, one) = (Ledger::default(), alert("AGG_V"));
        ledger.raised(one.clone(), 0);
        let mut ledger: Ledger = serde_json::from_str(&serde_json::to_string(&ledger).unwrap()).unwrap();
        assert_eq!(ledger.raised(one.clone(), 5), None);
        assert_eq!(ledger.raised(one.clone(), 50_000), None, "it stood all the time");
        assert_eq!(ledger.standing().count(), 1);
        assert_eq!(told(ledger.ended(&one.key)), Some((Phase::Ended, 0)));
    }
}
