//! Notes about seats in words: for events and alerts.

use crate::{
    control::{
        clock::wall_now,
        orders::GroupOrder,
        sync::{Copy, set_aside_path},
    },
    decide::{
        effect::PairRecord,
        seat::{
            effect::{Note, Verdict},
            input::Order,
        },
    },
    model::{
        NodeName, PairName,
        alert::{Alert, AlertKey, AlertKind},
        group::Role,
        seat::{SeatReason, SeatRefusal},
    },
};
use std::path::Path;

/// An event of the node.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) kind: &'static str,
    pub(super) grave: bool,
    pub(super) message: String,
}

/// Nothing where it is told elsewhere. `by`: who gave the order that it is about, if it is about one.
pub(super) fn story(me: &NodeName, note: &Note, by: Option<&str>) -> Option<Story> {
    let (kind, grave, message) = match note {
        Note::Serving { seat, epoch, reason, degraded } => {
            let alone = if *degraded { "; there is no redundancy until `reverse` or `replace`" } else { "" };
            ("seat_taken", *degraded, format!("{me} serves seat {seat} (epoch {epoch}): {}{alone}", reason.words()))
        }
        Note::LetGo { seat, epoch, reason } => {
            ("seat_left", true, format!("{me} no longer serves seat {seat} (epoch {epoch}): {}", reason.words()))
        }
        Note::Countdown { seat, holder, left, held_back } => {
            let then = match held_back {
                Some(why) => format!("no takeover by itself: {}", why.words()),
                None if left.is_zero() => "it has been silent for long enough".into(),
                None => format!("takeover in {:.1} s", left.as_secs_f64()),
            };
            ("countdown", true, format!("{holder}, which holds seat {seat}, is silent; {then}"))
        }
        Note::CountdownOver { seat, holder } => {
            ("countdown_over", false, format!("{holder}, which holds seat {seat}, is heard again"))
        }
        Note::HeldBack { seat, why } => {
            ("held_back", true, format!("{me} does not take over seat {seat} by itself: {}", why.words()))
        }
        Note::AskedToCome { seat, guest } => {
            ("asked_to_come", true, format!("{me} can't serve seat {seat} and asks {guest} to take it"))
        }
        Note::NotComing { seat, guest, why } => {
            ("not_coming", true, format!("{guest} does not take seat {seat} off {me}: {}", why.words()))
        }
        Note::Conflict { seat, other, epoch, lets_go } => {
            let who = if *lets_go { me } else { other };
            ("conflict", true, format!("{other} holds seat {seat} too (epoch {epoch}); {who} lets go"))
        }
        Note::Healed(node) => ("node_heard", false, format!("{node} is heard again")),
        Note::Silent(node) => ("node_silent", true, format!("{node} is heard on neither path")),
        Note::Order { order, forced, verdict, .. } => {
            let force = if *forced { " --force" } else { "" };
            let became = match verdict {
                Verdict::Done(words) | Verdict::Unchanged(words) => words.clone(),
                Verdict::Refused(why) => format!("refused: {}", why.words()),
            };
            let by = by.unwrap_or("another node");
            ("group_order", *forced, format!("order by {by}: {}{force}: {became}", as_typed(order)))
        }
        Note::Role(role) => ("role", false, format!("the configured role of {me} is {role}")),
        Note::Gap(span) => {
            ("node_gap", true, format!("{me} did not run for {:.3} s; it rechecks what it holds", span.as_secs_f64()))
        }
        // Told with what the disk says, and once.
        Note::NotStored => return None,
    };
    Some(Story { kind, grave, message })
}

/// An order about the group, as one would type it.
pub(super) fn order(order: &GroupOrder) -> String {
    match order {
        GroupOrder::Join { forward, reverse } => format!("group join {forward} --reverse {reverse}"),
        GroupOrder::Sync(None) => "sync".into(),
        GroupOrder::Sync(Some(node)) => format!("sync {node}"),
        GroupOrder::Part(node) => format!("group leave --node {node}"),
        GroupOrder::Seat(order) => {
            let forced = matches!(order, Order::Takeover { force: true, .. } | Order::Role { force: true, .. });
            format!("{}{}", as_typed(order), if forced { " --force" } else { "" })
        }
    }
}

/// The same, without `--force`.
fn as_typed(order: &Order) -> String {
    match order {
        Order::Takeover { seat, .. } => format!("takeover {seat}"),
        Order::Reverse { seat } => format!("reverse {seat}"),
        Order::Replace { seat, with } => format!("replace {seat} --with {with}"),
        Order::Role { role: Role::Primary, .. } => "group role primary".into(),
        Order::Role { role: Role::Backup, .. } => "group role backup".into(),
        Order::Resolve => "group resolve".into(),
        Order::Leave => "group leave".into(),
    }
}

/// The alert that a note is, if it is one (`B8`, `B14`).
pub(super) fn alert(me: &NodeName, note: &Note, story: &Story) -> Option<Alert> {
    let (kind, seat, title, advice) = match note {
        // It was told when it was taken.
        Note::Serving { degraded: true, reason: SeatReason::Restarted | SeatReason::Gap, .. } => return None,
        Note::Serving { seat, degraded: true, reason, .. } => {
            let when = match reason {
                SeatReason::OperatorTakeover => "when its own node is to serve it again",
                _ => "once its own node is well and has copied it",
            };
            (
                AlertKind::Takeover,
                seat,
                format!("{me} took over seat {seat}"),
                format!("{when}: failback reverse {seat}"),
            )
        }
        Note::Serving { seat, reason: SeatReason::Reversed | SeatReason::Replaced, .. } => {
            (AlertKind::Takeover, seat, format!("seat {seat} is whole again: {me} serves it"), String::new())
        }
        Note::CountdownOver { seat, holder } => {
            let title = format!("{holder} is heard: the countdown for seat {seat} is over");
            (AlertKind::Countdown, seat, title, String::new())
        }
        Note::Countdown { seat, holder, left, .. } => (
            AlertKind::Countdown,
            seat,
            format!("{holder} is silent, {:.1} s left", left.as_secs_f64()),
            format!("look at {holder} and at the network between it and {me}"),
        ),
        Note::HeldBack { seat, why } => {
            let advice = match why {
                SeatRefusal::NewerElsewhere | SeatRefusal::FitterElsewhere | SeatRefusal::NotStored => {
                    format!("`failback status` on {me} names what to order")
                }
                _ => format!("if its holder is dead: failback takeover {seat}"),
            };
            (AlertKind::Countdown, seat, format!("seat {seat} is not taken over"), advice)
        }
        Note::Conflict { seat, other, .. } => (
            AlertKind::Conflict,
            seat,
            format!("{me} and {other} both hold seat {seat}"),
            "one of them hung, or the network between them was cut; `failback group resolve` mends what is left".into(),
        ),
        _ => return None,
    };
    let key = AlertKey::about(kind, Some(seat.to_string()));
    Some(Alert::new(key, wall_now(), title, format!("{}.", story.message), advice))
}

/// A pair's change that is given up for what another node has.
pub(super) fn given_up(me: &NodeName, pair: &PairName, old: &PairRecord, new: &PairRecord) -> Story {
    let message = format!(
        "{pair}: {me} had it on {} (epoch {}) while the node that serves it now had not; it goes on with {} (epoch {}), and what was \
         written to {} meanwhile is not there",
        old.upstream, old.epoch, new.upstream, new.epoch, old.upstream
    );
    Story { kind: "diverged", grave: true, message }
}

/// Settings that no other node had are given up for what who holds the seat has.
pub(super) fn set_aside(state_dir: &Path, known: &Copy, copy: &Copy) -> Story {
    let name = |copy: &Copy| copy.lineage.head().map(ToString::to_string).unwrap_or_default();
    let message = format!(
        "seat {}: the settings of revision {}, which {} did not have when it took the seat, are set aside for its own ({}); they are kept as {}",
        copy.seat,
        name(known),
        copy.by,
        name(copy),
        set_aside_path(state_dir, &copy.seat).display()
    );
    Story { kind: "settings_set_aside", grave: true, message }
}

/// The alert about it (`X4`).
pub(super) fn given_up_alert(pair: &PairName, story: &Story) -> Alert {
    Alert::new(
        AlertKey { kind: AlertKind::Conflict, pair: Some(pair.clone()), about: None },
        wall_now(),
        format!("{pair} had two sides while nodes were parted"),
        format!("{}.", story.message),
        "compare the servers' data before you trust either".into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_told_as_one_would_type_them() {
        let address = |text: &str| text.parse().unwrap();
        let join = GroupOrder::Join { forward: address("b:9902"), reverse: address("a:9902") };
        let takeover = |force| GroupOrder::Seat(Order::Takeover { seat: "A".into(), force });
        let role = GroupOrder::Seat(Order::Role { role: Role::Backup, sync_first: false, force: true });
        let orders = [
            (join, "group join b:9902 --reverse a:9902"),
            (GroupOrder::Sync(None), "sync"),
            (GroupOrder::Sync(Some("B".into())), "sync B"),
            (GroupOrder::Part("B".into()), "group leave --node B"),
            (takeover(false), "takeover A"),
            (takeover(true), "takeover A --force"),
            (role, "group role backup --force"),
        ];
        for (given, words) in orders {
            assert_eq!(order(&given), words);
        }
    }
}
