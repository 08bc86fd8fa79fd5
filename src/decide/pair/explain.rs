//! The pair in words: where it is, since when, why, and what keeps it from going back (`X5`).

use super::PairMachine;
use crate::{
    decide::{
        migration::Migration,
        status::{PairStatus, UpstreamStatus},
        upstream::Upstream,
    },
    model::{
        Side, Time,
        spec::{Admission, FailbackWhen},
        view::{HealthName, PairStateName as State, UpstreamRole},
    },
};
use std::time::Duration;

impl PairMachine {
    pub(super) fn explain(&self, now: Time) -> PairStatus {
        let core = &self.core;
        PairStatus {
            active_side: core.side,
            active_upstream: core.upstream.clone(),
            state: core.state,
            epoch: core.epoch,
            since: core.since,
            reason: core.reason,
            blockers: self.blockers(now),
            frozen: core.frozen,
            pinned: core.pinned,
            latched: core.latched,
            resynced_since: core.signal.filter(|_| self.signal_holds()).map(|signal| signal.since),
            upstreams: self.upstreams.iter().map(|upstream| self.upstream_status(now, upstream)).collect(),
            migration: self.migration.as_ref().map(|migration| migration.view(now, self.spec.failback.pace)),
            counted: self.migration.as_ref().is_some_and(Migration::is_counted),
        }
    }

    fn upstream_status(&self, now: Time, upstream: &Upstream) -> UpstreamStatus {
        let health = &upstream.health;
        let active = upstream.role != UpstreamRole::Elsewhere && upstream.name == self.core.upstream;
        let admissible = match upstream.role {
            _ if active => !health.is_down() && !self.core.adrift,
            UpstreamRole::Primary => self.is_admissible_primary(),
            UpstreamRole::Backup => self.core.side == Side::Primary && self.is_admissible_backup(upstream),
            UpstreamRole::Elsewhere => false,
        };
        UpstreamStatus {
            name: upstream.name.clone(),
            role: upstream.role,
            address: upstream.address.clone(),
            resolved: upstream.resolved.clone(),
            health: health.state(),
            since: health.since(),
            answers: health.is_up() && !health.is_failing() && health.is_fresh(now),
            last_failure: health.last_failure().map(ToString::to_string),
            last_check: health.last_took(),
            admissible,
            note: self.upstream_note(upstream, active),
        }
    }

    fn upstream_note(&self, upstream: &Upstream, active: bool) -> Option<String> {
        let resynced_wanted = self.spec.admission == Admission::Resynced && !upstream.is_resynced();
        let words = match upstream.role {
            UpstreamRole::Backup if active => return None,
            _ if self.local_trouble => "this node has trouble of its own; failed checks count for nothing now".into(),
            _ if !active && self.active().is_some_and(|active| upstream.coincides_with(active)) => {
                format!("resolves to an address of {}", self.core.upstream)
            }
            UpstreamRole::Backup if upstream.missed_traffic => "was down while the primary took traffic".into(),
            UpstreamRole::Backup if self.core.side == Side::Backup => {
                format!("not known to hold what {} took", self.core.upstream)
            }
            UpstreamRole::Backup if resynced_wanted => "has no valid resync signal of its own".into(),
            UpstreamRole::Backup if upstream.health.is_up() && !upstream.health.is_admitted() => {
                "not yet healthy for stable_for".into()
            }
            UpstreamRole::Primary if !active && !self.signal_holds() => {
                format!("not known to hold what {} took", self.core.upstream)
            }
            _ => return None,
        };
        Some(words)
    }

    fn blockers(&self, now: Time) -> Vec<String> {
        let mut blockers = Vec::new();
        let name = &self.spec.name;
        if self.core.adrift {
            blockers.push(format!(
                "it is not known which server holds the current data ({}): find out, then `failback switch {name} --to \
                 primary --force` or `--to backup --force`",
                self.doubt.as_deref().unwrap_or(self.core.reason.words())
            ));
            return blockers;
        }
        if self.retry_at.is_some() {
            blockers
                .push("the last change could not be stored (is the disk full?); nothing changes before it is".into());
        }
        let usable = |it: &Upstream| !it.health.is_down() && !it.resolved.is_empty();
        let serving = self.core.state != State::NoServer && self.active().is_some_and(usable);
        if !serving {
            self.blockers_of_serving(&mut blockers);
        }
        if self.core.side == Side::Backup && self.home().is_some() {
            self.blockers_of_return(now, &mut blockers);
        }
        if self.core.state == State::OnPrimary && serving {
            self.blockers_of_failover(&mut blockers);
        }
        if self.core.side == Side::Backup || !serving {
            self.blockers_by_order(&mut blockers);
        }
        if self.local_trouble {
            blockers
                .push("this node has trouble of its own, which its event `local_trouble` names; failed checks count for nothing".into());
        }
        blockers
    }

    /// Why nobody is served.
    fn blockers_of_serving(&self, blockers: &mut Vec<String>) {
        let turn = &self.core.upstream;
        blockers.push(match self.active() {
            None => format!("{turn}, whose turn it is, was removed from the configuration"),
            Some(active) => format!("{turn}, whose turn it is, {}", health_words(active)),
        });
        for other in self.backups().filter(|other| other.name != *turn) {
            let name = &other.name;
            blockers.extend(match self.core.side {
                Side::Backup => Some(format!(
                    "{name} is not known to hold what {turn} took, so it is not used by itself: if it does, `failback \
                     switch {} --to backup --force`",
                    self.spec.name
                )),
                Side::Primary => self.backup_doubt(other),
            });
        }
    }

    /// Why a failover would find nobody, while all is well.
    fn blockers_of_failover(&self, blockers: &mut Vec<String>) {
        let doubts: Option<Vec<String>> = self.backups().map(|backup| self.backup_doubt(backup)).collect();
        if let Some(doubts) = doubts.filter(|doubts| !doubts.is_empty()) {
            let lost = &self.core.upstream;
            blockers.push(format!("if {lost} failed now, nobody could stand in: {}", doubts.join("; ")));
        }
    }

    fn backups(&self) -> impl Iterator<Item = &Upstream> {
        self.upstreams.iter().filter(|upstream| upstream.role == UpstreamRole::Backup)
    }

    /// Why this backup could not stand in for the primary.
    fn backup_doubt(&self, backup: &Upstream) -> Option<String> {
        let name = &backup.name;
        let doubt = match &backup.health {
            _ if backup.resolved.is_empty() => format!("no address is known for {name}"),
            health if !health.is_up() => format!("{name} {}", health_words(backup)),
            health if !health.is_admitted() => format!("{name} has not been healthy for stable_for yet"),
            _ if !self.is_admissible_backup(backup) => {
                format!("{name} has no valid resync signal: `failback resync {} --of backup`", self.spec.name)
            }
            _ => return None,
        };
        Some(doubt)
    }

    /// Why the pair does not return to its primary.
    fn blockers_of_return(&self, now: Time, blockers: &mut Vec<String>) {
        let Some(home) = self.home() else { return };
        if let Some(migration) = self.migration.as_ref().filter(|_| self.is_leaving()) {
            let left = migration.left();
            blockers.push(format!("{left} sessions on {} are still to be closed; newcomers wait", self.core.upstream));
        }
        let healthy = home.health.healthy_since().filter(|_| home.health.is_up()).map(|since| now.since(since));
        if healthy.is_none() {
            blockers.push(format!("{} {}", home.name, health_words(home)));
        }
        if self.is_home_here() {
            let active = &self.core.upstream;
            blockers.push(format!("{} resolves to an address of {active}: mend its name", home.name));
        }
        let when = self.spec.failback.when;
        if !self.signal_holds() && when != FailbackWhen::Poll {
            let since =
                healthy.map_or(String::new(), |span| format!(", though it has been healthy for {}", span_words(span)));
            let source = self.spec.failback.source.is_some() && !self.polling.counts(self.core.epoch);
            let polled = if source { "; its polled source has not said \"not done\" in this failover yet" } else { "" };
            blockers.push(format!(
                "no valid resync signal says that {} holds everything again{since}: `failback resync {}`{polled}",
                home.name, self.spec.name
            ));
        }
        if when == FailbackWhen::Manual && home.role == UpstreamRole::Primary {
            let name = &self.spec.name;
            blockers.push(format!("failback.when is \"manual\": `failback switch {name} --to primary`"));
        } else if let Some(span) = healthy.filter(|_| !home.health.is_stable()) {
            let (span, wanted) = (span_words(span), span_words(self.spec.failback.stable_for));
            blockers.push(format!("{} has been healthy for {span} of the {wanted} that stable_for asks", home.name));
        }
    }

    /// What an operator ordered, or the flap budget did.
    fn blockers_by_order(&self, blockers: &mut Vec<String>) {
        let name = &self.spec.name;
        if self.core.pinned {
            blockers.push(format!("an operator chose this side, and it stays: `failback switch {name} --auto`"));
        }
        if self.core.latched {
            let flap = self.spec.flap;
            blockers.push(format!(
                "more than {} failovers within {} latched it: `failback switch {name} --auto`",
                flap.failovers,
                span_words(flap.window)
            ));
        }
        if self.core.frozen {
            blockers.push(format!("the pair is frozen: `failback unfreeze {name}`"));
        }
    }
}

fn health_words(upstream: &Upstream) -> String {
    let failure = upstream.health.last_failure().map(ToString::to_string);
    match (upstream.health.state(), failure) {
        (HealthName::Up, None) => "passes its checks".into(),
        (HealthName::Unknown, None) => "is not known well enough yet".into(),
        (HealthName::Down, None) => "was down and has not passed enough checks since".into(),
        (_, Some(failure)) => format!("fails its checks: {failure}"),
    }
}

/// A span as a person says it: no digits that nobody needs.
fn span_words(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
