//! What is worth an alert: what the machines' notes tell of, and what stands, looked for every second.

use super::{Driver, view::SLOW_JOURNAL, words::Story};
use crate::{
    control::{alerts::Change, clock::wall_now},
    decide::{
        effect::Note,
        status::{PairStatus, UpstreamStatus},
    },
    model::{
        PairName, Side, Time,
        alert::{Alert, AlertKey, AlertKind},
        spec::{FailbackWhen, PairSpec},
        view::{HealthName, PairStateName, UpstreamRole},
    },
};
use std::time::Duration;

/// Between two looks at what stands.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A backup may be down for so long without an alert: a restart of it is no news. One that answers wrongly is no restart.
const STANDBY_DOWN_FOR: Duration = Duration::from_secs(60);

/// The alert that a note of `spec`'s pair is, if it is one; `story` is the same note as an event.
pub(super) fn of_change(spec: &PairSpec, note: &Note, story: &Story) -> Option<Alert> {
    let Note::Transition { from_upstream, to_upstream, epoch, reason, .. } = note else { return None };
    let pair = &spec.name;
    let (kind, title, advice) = match story.kind {
        "failover" => {
            let advice = match spec.failback.when {
                FailbackWhen::Resync => format!(
                    "repair {from_upstream}; clients return when it is resynchronised and `failback resync {pair}` says so"
                ),
                FailbackWhen::Poll => {
                    format!("repair {from_upstream}; clients return when it has been healthy for a while")
                }
                FailbackWhen::Manual => {
                    format!("repair {from_upstream}; clients return by `failback switch {pair} --to primary`")
                }
            };
            (AlertKind::Failover, format!("{pair} failed over to {to_upstream}"), advice)
        }
        "failback" => (AlertKind::Failback, format!("{pair} returns to {to_upstream}"), String::new()),
        _ => return None,
    };
    Some(Alert {
        key: AlertKey { kind, pair: Some(pair.clone()), about: Some(to_upstream.to_string()) },
        epoch: Some(*epoch),
        reason: Some(reason.as_str().into()),
        since: wall_now(),
        title,
        text: format!("Clients go from {from_upstream} to {to_upstream}: {}.", reason.words()),
        advice,
    })
}

impl Driver {
    /// Says what stands from now on, and what no longer. What the post can't take now is found again at the next look.
    pub(super) fn look_for_alerts(&mut self) {
        self.alerts_looked = tokio::time::Instant::now();
        let present = self.standing_alerts();
        for change in self.standing.changes(self.clock.now(), present) {
            if self.alerts.changed(&change) {
                match &change {
                    Change::Raised(alert) => tracing::info!(kind = %alert.key.kind, "alert: {}", alert.title),
                    Change::Ended(key) => tracing::info!(kind = %key.kind, "an alert is over"),
                }
                self.standing.said(&change);
            }
        }
    }

    fn standing_alerts(&self) -> Vec<Alert> {
        let now = self.clock.now();
        let mut alerts: Vec<Alert> = self.state_not_stored(now).into_iter().chain(self.certificates_ending()).collect();
        alerts.extend(self.seats.iter().flat_map(|seats| seats.standing.clone()));
        for (name, pair) in self.pairs.iter().filter(|(_, pair)| !pair.watched) {
            let status = pair.machine.status(now);
            alerts.extend(self.no_server(name, &status));
            alerts.extend(self.latched(name, &status));
            alerts.extend(self.signal_overdue(&pair.spec, &status, now));
            alerts.extend(self.standbys_unfit(name, &status, now));
        }
        alerts
    }

    fn no_server(&self, pair: &PairName, status: &PairStatus) -> Option<Alert> {
        let alert = Alert {
            title: format!("{pair}: nobody is served"),
            text: format!("No server is usable, it is {}'s turn: {}.", status.active_upstream, status.reason.words()),
            advice: match status.blockers.first() {
                Some(blocker) => format!("{blocker}; `failback why {pair}` says more"),
                None => format!("`failback why {pair}` says who has to come back"),
            },
            ..self.about_pair(AlertKind::NoServer, pair, None, status, status.since)
        };
        (status.state == PairStateName::NoServer).then_some(alert)
    }

    fn latched(&self, pair: &PairName, status: &PairStatus) -> Option<Alert> {
        let alert = Alert {
            title: format!("{pair} is latched on {}", status.active_upstream),
            text: "It failed over more often than `flap` allows, and stays where it is.".into(),
            advice: format!("find out why it flaps, then: failback switch {pair} --auto"),
            ..self.about_pair(AlertKind::Latched, pair, None, status, status.since)
        };
        status.latched.then_some(alert)
    }

    /// Nobody sent the signal although the primary has been healthy for long (`N7`). It ends when the signal comes, the pair is
    /// moved, or the primary fails; that a restart knows nothing of its health yet ends nothing.
    fn signal_overdue(&self, spec: &PairSpec, status: &PairStatus, now: Time) -> Option<Alert> {
        let waits = status.state == PairStateName::OnBackup
            && status.active_side == Side::Backup
            && spec.failback.when == FailbackWhen::Resync
            && !status.pinned
            && status.resynced_since.is_none();
        let primary = status.upstreams.iter().find(|its| its.role == UpstreamRole::Primary)?;
        let pair = &spec.name;
        let alert = Alert {
            title: format!("{pair}: resync signal overdue"),
            text: format!(
                "Failed over to {}, primary {} healthy since {}, and nobody said that its data is whole.",
                status.active_upstream,
                primary.name,
                self.clock.wall(primary.since)
            ),
            advice: format!("find out whether {} is resynchronised; if it is: failback resync {pair}", primary.name),
            ..self.about_pair(AlertKind::SignalOverdue, pair, Some(&primary.name), status, primary.since)
        };
        let since = primary.since.max(status.since);
        let long = primary.health == HealthName::Up && now.since(since) >= self.config.alerts.signal_overdue_after;
        let still = primary.health != HealthName::Down && self.standing.stands(&alert.key);
        (waits && (long || still)).then_some(alert)
    }

    /// While all is well on the primary: what would fail at a failover is said now.
    fn standbys_unfit(&self, pair: &PairName, status: &PairStatus, now: Time) -> Vec<Alert> {
        let alert = |its: &UpstreamStatus| {
            let failure = its.last_failure.as_deref().unwrap_or("it does not pass its checks");
            let alert = Alert {
                title: format!("{pair}: backup {} would fail", its.name),
                text: format!("{} is down, so a failover would find nobody: {failure}.", its.name),
                advice: format!("repair {} before {} needs it", its.name, status.active_upstream),
                ..self.about_pair(AlertKind::StandbyUnfit, pair, Some(&its.name), status, its.since)
            };
            let wrong = its.last_failure.as_ref().is_some_and(|words| words.starts_with("wrong answer"));
            let down = its.health == HealthName::Down && (wrong || now.since(its.since) >= STANDBY_DOWN_FOR);
            let still = its.health != HealthName::Up && self.standing.stands(&alert.key);
            (down || still).then_some(alert)
        };
        if status.active_side != Side::Primary || status.state == PairStateName::NoServer {
            return Vec::new();
        }
        status.upstreams.iter().filter(|its| its.role == UpstreamRole::Backup).filter_map(alert).collect()
    }

    fn state_not_stored(&self, now: Time) -> Option<Alert> {
        let waiting = self.longest_write(now).filter(|waiting| *waiting > SLOW_JOURNAL);
        let trouble = match (&self.journal_trouble, waiting) {
            (Some(trouble), _) => trouble.clone(),
            (None, Some(waiting)) => format!("the disk has not stored a record for {} s", waiting.as_secs()),
            (None, None) => return None,
        };
        Some(Alert::new(
            AlertKey::about(AlertKind::StateNotStored, None),
            wall_now(),
            "the journal is in trouble".into(),
            format!("{trouble}. What can't be stored does not happen: no pair changes sides then."),
            format!("look at the disk of {}", self.config.node.state_dir.display()),
        ))
    }

    fn certificates_ending(&self) -> Vec<Alert> {
        let alert = |ending: super::renew::Ending| {
            Alert::new(
                AlertKey::about(AlertKind::CertificateExpiring, Some(ending.name.clone())),
                wall_now(),
                format!("certificate {} ends soon", ending.name),
                format!("{}.", ending.words),
                "renew it; new files are taken up by themselves".into(),
            )
        };
        self.tls.ending(self.config.alerts.certificate_expires_within).into_iter().map(alert).collect()
    }

    /// What all that stand about a pair have in common.
    fn about_pair(
        &self,
        kind: AlertKind,
        pair: &PairName,
        about: Option<&str>,
        status: &PairStatus,
        since: Time,
    ) -> Alert {
        Alert {
            key: AlertKey { kind, pair: Some(pair.clone()), about: about.map(Into::into) },
            epoch: Some(status.epoch),
            reason: Some(status.reason.as_str().into()),
            since: self.clock.wall(since),
            title: String::new(),
            text: String::new(),
            advice: String::new(),
        }
    }
}
