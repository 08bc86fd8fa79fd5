//! Seats that no node is heard to serve, and seats that are not where they belong: what is so, and what an operator would order.

use super::{Group, doubts::Doubt, fitness::unfit, orders::listed, standing::not_served};
use crate::{
    control::{address::probe::Ownership, sync::draft_path},
    decide::seat::SeatStatus,
    model::{
        Epoch, NodeName, Time,
        alert::{AlertKey, AlertKind},
        group::{NodeStateName, Role},
        seat::{SeatReason, SeatRefusal, Suspicion},
    },
};
use std::time::Duration;

/// Beside the silence that a takeover asks for, what it takes to bring a seat up.
const SAID_AFTER: Duration = Duration::from_secs(3);
const ALERT_AFTER: Duration = Duration::from_secs(8);
/// A node that is heard pulls what is served within a second or two.
const BEHIND_AFTER: Duration = Duration::from_secs(4);
/// A backup node that is started anew is no news.
const SILENT_AFTER: Duration = Duration::from_secs(10);
const SILENT_ALERT: Duration = Duration::from_secs(30);
/// A member that is silent for so long may be gone for good.
const GONE_FOR: Duration = Duration::from_secs(600);

impl Group {
    /// The seats that this node knows and does not hold, and that no node is heard to serve.
    pub(super) fn nobody_serves(&self, now: Time) -> Vec<Doubt> {
        let concerns = |seat: &NodeName, status: &SeatStatus| {
            let known = status.epoch > Epoch(0) && self.machine.has_use_for(&self.me, seat);
            known && status.holder.as_ref() != Some(&self.me) && !self.machine.is_served_elsewhere(now, seat)
        };
        let doubt = |(seat, status): (&NodeName, SeatStatus)| {
            if !concerns(seat, &status) {
                return None;
            }
            let who = self.who_fails(now, status.holder.as_ref());
            Some(Doubt {
                key: not_served(seat),
                title: format!("no node is heard to serve seat {seat}"),
                message: format!(
                    "no node is heard to serve seat {seat}: {who}; {}",
                    self.why_not_here(now, seat, &status)
                ),
                advice: format!("look at the nodes of seat {seat}; {}", self.way_out(now, seat, &status)),
                event: "seat_not_served",
                over: Some(("seat_served", format!("seat {seat} is served again"))),
                said_after: SAID_AFTER,
                alert_after: ALERT_AFTER,
            })
        };
        self.machine.seats().filter_map(doubt).collect()
    }

    /// A seat that is served by what this node's record says, while no other node was heard since it was started: one of them may have served it
    /// since that was written, and changed sides.
    pub(super) fn served_unheard(&self) -> Vec<Doubt> {
        let unheard = !self.heard_any && !self.others().is_empty();
        let by_record = |status: &SeatStatus| status.serving && status.reason == SeatReason::Restarted;
        let seats = self.machine.seats().filter(|(_, status)| unheard && by_record(status));
        let doubt = |(seat, _): (&NodeName, SeatStatus)| Doubt {
            key: AlertKey::about(AlertKind::Conflict, Some(format!("{seat}, served alone"))),
            title: format!("{} serves seat {seat} as it knew it when it stopped", self.me),
            message: format!(
                "{} serves seat {seat} as it knew it when it stopped, and has heard no other node since: if one served it meanwhile, pairs may \
                 be on the wrong server",
                self.me
            ),
            advice: "start the other node; `failback why PAIR` shows the side of each pair".into(),
            event: "served_unheard",
            over: Some((
                "heard",
                format!("another node is heard; what it knows of seat {seat} counts, if it is newer"),
            )),
            said_after: SAID_AFTER,
            alert_after: ALERT_AFTER,
        };
        seats.map(doubt).collect()
    }

    /// Seats that are served here from a copy that was not the newest one.
    pub(super) fn served_behind(&self) -> Vec<Doubt> {
        let me = &self.me;
        let doubt = |(seat, status): (&NodeName, SeatStatus)| {
            let node = status.lacks?;
            Some(Doubt {
                key: AlertKey::about(AlertKind::Conflict, Some(format!("{seat}, an older copy"))),
                title: format!("{me} serves seat {seat} with an older copy than {node} had"),
                message: format!(
                    "{me} serves seat {seat} with an older copy than {node} had when it was taken: pairs may be on servers that were left, and \
                     settings be those of before"
                ),
                advice: format!(
                    "compare `failback why PAIR` here and on {node}, and what is in its STATE_DIR/seats; `failback switch PAIR --to …` puts a pair right"
                ),
                event: "served_behind",
                over: Some(("copies_agree", format!("{node} has what is served of seat {seat}"))),
                said_after: BEHIND_AFTER,
                alert_after: BEHIND_AFTER,
            })
        };
        self.machine.seats().filter_map(doubt).collect()
    }

    fn who_fails(&self, now: Time, holder: Option<&NodeName>) -> String {
        let Some(holder) = holder else { return "no node is known to hold it".into() };
        match self.machine.peers(now).find(|(name, ..)| *name == holder) {
            None if self.machine.is_heard(now, holder) => format!("{holder}, which holds it, does not serve it"),
            None => format!("{holder}, which held it, is not heard, and not joined with this node"),
            Some((_, Suspicion::Red, ..)) => format!("{holder}, which holds it, is silent"),
            Some(_) => format!("{holder}, which holds it, does not serve it (`failback status` there says why)"),
        }
    }

    fn why_not_here(&self, now: Time, seat: &NodeName, status: &SeatStatus) -> String {
        let me = &self.me;
        let lacks = self.unfit().into_iter().find(|doubt| doubt.key == unfit(me, seat));
        match (status.held_back, self.hindrances.owner(seat)) {
            (Some(SeatRefusal::AddressOwned), Some(Ownership::Owned(mac))) => format!(
                "{me} does not take it over, as its address is answered for ({mac}): if that is the holder, it serves, and only the paths \
                 between the nodes are cut; if the holder is dead, take the address from that host"
            ),
            (Some(SeatRefusal::FitterElsewhere), _) => {
                let lacks =
                    lacks.map_or_else(|| format!("{me} could not take over seat {seat}"), |doubt| doubt.message);
                match self.machine.fitter(now, seat) {
                    Some((node, true)) => format!("{lacks}; {node} could, and is to take it"),
                    Some((node, false)) => format!(
                        "{lacks}; {node} could, with an older copy: mend {me}, or failback takeover {seat} --force on {node}, which goes on without \
                         what only {me} has"
                    ),
                    None => lacks,
                }
            }
            _ if status.home == *me => format!("it is {me}'s own; {}", self.way_out(now, seat, status)),
            (Some(why), _) => {
                format!("{me} does not take it over by itself: {}; {}", why.words(), self.way_out(now, seat, status))
            }
            (None, _) if lacks.is_some() => lacks.map(|doubt| doubt.message).unwrap_or_default(),
            (None, Some(Ownership::CannotTell(why))) => {
                format!("{me} does not take it over: nobody can say whether another host has its address: {why}")
            }
            (None, _) if status.holder.is_none() => {
                format!("{me} does not take over by itself what nobody held; {}", self.way_out(now, seat, status))
            }
            (None, _) => format!("{me} can't show that nobody else does"),
        }
    }

    /// The order that would have it served here.
    fn way_out(&self, now: Time, seat: &NodeName, status: &SeatStatus) -> String {
        if status.held_back == Some(SeatRefusal::CutOff) {
            return format!("mend the network of {}", self.me);
        }
        if status.home == self.me && self.machine.who_can_give(now, seat).is_some() {
            return format!("failback reverse {seat} takes it back");
        }
        if let Some(node) = self.machine.newer_copy(now, seat) {
            let role = self.machine.peers(now).find(|(name, ..)| *name == node).map(|(_, _, role, _)| role);
            let force = if role == Some(Role::Primary) { " --force" } else { "" };
            let here = format!("failback takeover {seat} --force here, which goes on without what only {node} has");
            if status.holder.as_ref() == Some(node) {
                return format!("mend {node}; or {here}");
            }
            return format!(
                "if no other node serves it: failback takeover {seat}{force} on {node}, which has a newer copy; if {node} can't take it, {here}"
            );
        }
        let stands_by = self.machine.role() == Role::Backup && self.machine.state() == NodeStateName::Standby;
        let holder = status.holder.as_ref();
        // A member hands it over; who is not joined can't be asked.
        let others = self.others();
        let stranger = holder.is_some_and(|holder| !others.contains(holder) && self.machine.is_heard(now, holder));
        let force = if stands_by && !stranger && !self.fitness.refuses(seat) { "" } else { " --force" };
        format!("if no other node serves it: failback takeover {seat}{force}")
    }

    /// What is not as it was set up, with the order that mends it.
    pub(super) fn what_to_order(&self, now: Time) -> Vec<String> {
        let seats = || self.machine.seats();
        let degraded = seats().filter(|(_, its)| its.degraded).filter_map(|(seat, its)| self.degraded(now, seat, &its));
        let settings = seats().filter_map(|(seat, status)| self.served_with_old_settings(seat, &status));
        let strangers = seats().filter_map(|(seat, _)| self.served_by_stranger(now, seat));
        let own = self.without_a_seat().into_iter().chain(self.called_by_another_name());
        degraded.chain(settings).chain(strangers).chain(own).chain(self.gone_for_good(now)).collect()
    }

    /// A seat that is not where it belongs.
    fn degraded(&self, now: Time, seat: &NodeName, status: &SeatStatus) -> Option<String> {
        let (home, holder) = (&status.home, status.holder.as_ref()?);
        let back = self.machine.peers(now).any(|(name, heard, ..)| name == home && heard != Suspicion::Red);
        if *holder == self.me && back {
            Some(format!("seat {seat} is {home}'s own, which is heard: `failback reverse {seat}` gives it back"))
        } else if *holder == self.me {
            Some(format!(
                "seat {seat} is {home}'s own, which is silent: there is no redundancy until it is back and `failback reverse {seat}` \
                 is ordered, or another takes its place (`failback replace {seat} --with NODE`)"
            ))
        } else if *home == self.me
            && self.machine.is_served_elsewhere(now, seat)
            && self.machine.stranger_that_holds(now, seat).is_none()
        {
            Some(format!(
                "{holder} serves seat {seat}, which is this node's own: `failback reverse {seat}` takes it back"
            ))
        } else {
            None
        }
    }

    fn served_with_old_settings(&self, seat: &NodeName, status: &SeatStatus) -> Option<String> {
        let here = status.serving && status.holder.as_ref() == Some(&self.me);
        let why = self.pulls.lacking(seat).filter(|_| here)?;
        Some(format!(
            "seat {seat} is served with settings from before the last change, which could not be taken: {why}"
        ))
    }

    fn served_by_stranger(&self, now: Time, seat: &NodeName) -> Option<String> {
        let stranger = self.machine.stranger_that_holds(now, seat)?;
        Some(format!(
            "{stranger} serves seat {seat}, and is not joined with this node: to have it copied here, join this node from there \
             (`failback group join`; first `failback group leave` here if it was in the group before, and `failback group leave --node \
             {me}` there if that says so)",
            me = self.me
        ))
    }

    /// This node's own seat became another's, and it has no other.
    fn without_a_seat(&self) -> Option<String> {
        let (_, given) = self.machine.seats().find(|(seat, _)| **seat == self.me)?;
        let without = self.machine.role() == Role::Primary && !self.owns_any(&self.me);
        without.then(|| {
            let (me, home) = (&self.me, given.home);
            format!("seat {me} is {home}'s own now: `failback group role backup`, then `failback group leave`, frees this node for a new join")
        })
    }

    fn called_by_another_name(&self) -> Option<String> {
        let (seat, _) = self.machine.seats().find(|(seat, status)| status.home == self.me && **seat != self.me)?;
        let idle = self.machine.role() == Role::Primary && self.arranger.has_own_pairs();
        idle.then(|| {
            format!(
                "the pairs and routes in this node's file count for nothing: its seat is called {seat}, and its settings are in {}",
                draft_path(&self.state_dir, seat).display()
            )
        })
    }

    /// Backup nodes that would not take over what is served here, as they are not heard.
    pub(super) fn silent_backups(&self, now: Time) -> Vec<Doubt> {
        let served = listed(&self.served());
        let silent =
            self.machine.peers(now).filter(|(_, heard, role, _)| *heard == Suspicion::Red && *role == Role::Backup);
        let doubt = |node: &NodeName| Doubt {
            key: AlertKey::about(AlertKind::StandbyUnfit, Some(format!("{node} is silent"))),
            title: format!("{node}, a backup node, is not heard"),
            message: format!("{node}, a backup node, is not heard: nobody knows whether it could take over ({served})"),
            advice: format!("look at {node}: does it run, and is it reached?"),
            event: "standby_silent",
            over: None,
            said_after: SILENT_AFTER,
            alert_after: SILENT_ALERT,
        };
        silent.filter(|_| !served.is_empty()).map(|(node, ..)| doubt(node)).collect()
    }

    fn gone_for_good(&self, now: Time) -> impl Iterator<Item = String> {
        let silent = self.machine.peers(now).filter(|(_, heard, ..)| *heard == Suspicion::Red).map(|(node, ..)| node);
        let holds = |node: &NodeName| self.machine.seats().any(|(_, status)| status.holder.as_ref() == Some(node));
        let gone =
            silent.filter(move |node| !self.owns_any(node) && !holds(node) && self.silent_for(now, node) >= GONE_FOR);
        gone.map(|node| {
            format!("{node} has been silent for long: if it is gone for good, `failback group leave --node {node}` forgets it")
        })
    }

    fn owns_any(&self, node: &NodeName) -> bool {
        self.machine.seats().any(|(_, status)| status.home == *node)
    }

    /// Since when which members are silent.
    pub(super) fn count_silences(&mut self, now: Time) {
        let red = self.machine.peers(now).filter(|(_, heard, ..)| *heard == Suspicion::Red);
        let silent: Vec<NodeName> = red.map(|(node, ..)| node.clone()).collect();
        self.heard_any |= self.machine.peers(now).any(|(.., state)| state != NodeStateName::Unknown);
        self.silent_since.retain(|node, _| silent.contains(node));
        for node in silent {
            self.silent_since.entry(node).or_insert(now);
        }
    }

    fn silent_for(&self, now: Time, node: &NodeName) -> Duration {
        self.silent_since.get(node).map_or(Duration::ZERO, |since| now.since(*since))
    }
}
