//! What stands about the group as alerts and metrics.

use super::{Group, fitness::unfit};
use crate::{
    control::seats::SeatOrder,
    decide::seat::RoleConflict,
    model::{
        NodeName, Time,
        alert::{Alert, AlertKey, AlertKind},
        view::group::{GroupView, SeatView, SyncResult},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A sync that failed and stays so is worth an alert.
const FAILED_FOR: Duration = Duration::from_secs(30);
/// So is a copy that another node could not take.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// A serial change of roles takes a second or two.
const AT_ODDS_FOR: Duration = Duration::from_secs(5);

/// The alert that this node holds a seat and does not serve it.
pub(super) fn not_served(seat: &NodeName) -> AlertKey {
    AlertKey::about(AlertKind::NotServed, Some(seat.to_string()))
}

impl Group {
    /// It stands from now on, as it was when it began to.
    pub(super) fn stand(&mut self, alert: Alert) {
        self.standing.entry(alert.key.clone()).or_insert(alert);
    }

    /// Alerts and metrics.
    pub(super) fn show(&mut self, view: &GroupView) {
        let now = self.clock.now();
        self.never_pulled(view, now);
        self.failing_syncs(view, now);
        self.roles_at_odds(now);
        // What is held elsewhere need not be brought up here.
        let held =
            |seat: &NodeName| view.seats.iter().any(|its| its.seat == *seat && its.holder.as_ref() == Some(&self.me));
        self.hindrances.failing.retain(|seat, _| held(seat));
        let failing = &self.hindrances.failing;
        self.hindrances.not_coming.retain(|seat, _| failing.contains_key(seat));
        // Whoever holds it stands by for it no more; that says nothing of its being fit.
        let taken: Vec<AlertKey> =
            view.seats.iter().filter(|its| held(&its.seat)).map(|its| unfit(&self.me, &its.seat)).collect();
        self.forget_doubts(|key| taken.contains(key));
        self.count_silences(now);
        self.forget_paths_of_the_silent();
        let mut doubts = self.held_and_not_served();
        doubts.extend(self.nobody_serves(now));
        doubts.extend(self.served_unheard());
        doubts.extend(self.served_behind());
        doubts.extend(self.silent_backups(now));
        doubts.extend(self.unfit());
        doubts.extend(self.lost_paths(now));
        doubts.extend(self.troubles(view));
        self.weigh(now, doubts);
        // Also what came or went between two looks; what finds no room is sent at the next.
        if self.standing != self.told {
            let standing = SeatOrder::Standing(self.standing.values().cloned().collect());
            if self.driver.try_send(standing).is_ok() {
                self.told.clone_from(&self.standing);
            }
        }
        self.metrics.group(view);
        self.metrics.peer_dropped(&self.links.counts().each());
    }

    /// Nobody pulled for too long (`B7`).
    fn never_pulled(&mut self, view: &GroupView, now: Time) {
        let limit = self.spec.sync.alert_after;
        for seat in view.seats.iter().filter(|seat| seat.here) {
            let key = AlertKey::about(AlertKind::NotPulled, Some(seat.seat.to_string()));
            let served = self.served_since.get(&seat.seat).copied().unwrap_or(now);
            let since = self.last_pulled(&seat.seat).unwrap_or(served);
            if view.nodes.len() > 1 && now.since(since) >= limit {
                self.stand(Alert::new(
                    key,
                    self.clock.wall(since),
                    format!("no backup node has copied seat {}", seat.seat),
                    format!(
                        "Nobody has pulled for {} s, so a takeover would go on from what was known then.",
                        now.since(since).as_secs()
                    ),
                    "look at the backup nodes: `failback status` there says why their sync fails".into(),
                ));
            } else {
                self.standing.remove(&key);
            }
        }
    }

    /// Copies that can't be taken, here or elsewhere.
    fn failing_syncs(&mut self, view: &GroupView, now: Time) {
        let key = |about: String| AlertKey::about(AlertKind::SyncFailed, Some(about));
        let running = |seat: &&SeatView| seat.last_sync.as_ref().is_some_and(|sync| sync.result == SyncResult::Running);
        let open: BTreeSet<_> = view.seats.iter().filter(running).map(|seat| key(seat.seat.to_string())).collect();
        let mut failing = BTreeMap::new();
        for seat in view.seats.iter().filter(|_| now.since(self.started) >= FAILED_FOR) {
            let Some(sync) = seat.last_sync.as_ref().filter(|sync| sync.result == SyncResult::Failed) else { continue };
            let text = format!("The last pull from {} failed: {}.", sync.from, sync.error.clone().unwrap_or_default());
            failing.insert(key(seat.seat.to_string()), (now, format!("seat {} can't be copied", seat.seat), text));
        }
        for ((seat, node), words) in self.refusals() {
            let since = self.copies.refused.get(&(seat.clone(), node.clone())).map_or(now, |refused| refused.since);
            if now.since(since) >= REFUSED_FOR {
                let title = format!("{node} can't copy seat {seat}");
                failing.insert(key(format!("{seat} on {node}")), (since, title, format!("{words}.")));
            }
        }
        let over =
            |key: &AlertKey| key.kind == AlertKind::SyncFailed && !failing.contains_key(key) && !open.contains(key);
        self.standing.retain(|key, _| !over(key));
        for (key, (since, title, text)) in failing {
            let since = self.clock.wall(since);
            let advice = "what was copied before is kept; mend the cause, then: failback sync".into();
            self.stand(Alert::new(key, since, title, text, advice));
        }
    }

    /// Configured roles that contradict each other for longer than a change of roles takes (`B12`, `B14`).
    fn roles_at_odds(&mut self, now: Time) {
        let key = AlertKey::about(AlertKind::Conflict, Some("roles".into()));
        let words = match self.machine.role_conflict(now) {
            None => {
                self.at_odds_since = None;
                self.standing.remove(&key);
                return;
            }
            Some(RoleConflict::TwoPrimaries(other)) => format!("{} and {other} are both primary nodes", self.me),
            Some(RoleConflict::NoPrimary) => "all nodes are backup nodes".into(),
        };
        let since = *self.at_odds_since.get_or_insert(now);
        if now.since(since) < AT_ODDS_FOR || self.standing.contains_key(&key) {
            return;
        }
        let title = format!("{words}: `failback group resolve` mends it");
        self.event("roles_at_odds", true, title.clone());
        let text =
            "Where two are primary nodes, neither protects the other; where none is, no seat is anybody's own.".into();
        let advice = "failback group resolve, on any of them".into();
        let since = self.clock.wall(since);
        self.stand(Alert::new(key, since, title, text, advice));
    }

    /// Which seats that are held here which nodes can't copy, in words.
    pub(super) fn refusals(&self) -> impl Iterator<Item = ((&NodeName, &NodeName), String)> {
        let served = self.served();
        let here = self.copies.refused.iter().filter(move |((seat, _), _)| served.contains(seat));
        here.map(|((seat, node), refused)| ((seat, node), format!("{node} can't copy seat {seat}: {}", refused.why)))
    }
}
