//! What this node is itself in trouble with: its disk, its record, an address that another host has too, witnesses that say nothing.

use super::{Done, Group, doubts::Doubt, record};
use crate::{
    control::witness,
    model::{
        NodeName, Time,
        alert::{AlertKey, AlertKind},
        group::Witness,
        view::group::GroupView,
    },
    net::neighbour::Mac,
};
use std::{collections::BTreeMap, time::Duration};

/// Two nodes that hold an address settle that within heartbeats; who still claims it then is somebody else.
const CLAIMED_FOR: Duration = Duration::from_secs(10);
/// Witnesses are asked so often, also when nobody is in doubt.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// Enough for a network that is slow.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// One lost packet is no silence: two questions in a row.
const SILENT_FOR: Duration = Duration::from_secs(15);
/// A witness that is started anew is no news.
const SILENT_ALERT: Duration = Duration::from_secs(60);

/// What stands, as it was found last.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// The node's record could not be read, and no operator has said since who serves.
    damaged: bool,
    /// Why the node's record can't be stored.
    record: Option<String>,
    /// Why what is known of the seats can't.
    seats: Option<String>,
    /// Who else claims the address of which seat.
    claimed: BTreeMap<NodeName, Mac>,
    /// The witnesses that did not answer, and why.
    silent: Vec<(Witness, String)>,
    asked: Option<Time>,
}

impl Troubles {
    /// None but the record that was found.
    pub(super) fn at_start(damaged: bool) -> Self {
        Self { damaged, ..Self::default() }
    }
}

impl Group {
    /// The node's record was stored, or could not be.
    pub(super) fn record_stored(&mut self, result: &Result<(), String>) {
        self.troubles.record = result.as_ref().err().cloned();
        self.changed = true;
    }

    /// What is known of the seats was stored, or could not be. True: it is again.
    pub(super) fn seats_stored(&mut self, result: Result<(), String>) -> bool {
        self.changed = true;
        let fails = result.err();
        let failed = std::mem::replace(&mut self.troubles.seats, fails).is_some();
        failed && self.troubles.seats.is_none()
    }

    /// Another host claims the address of a seat that is held here, or nobody does any more.
    pub(super) fn claimed(&mut self, seat: &NodeName, by: Option<Mac>) {
        match by {
            Some(mac) => self.troubles.claimed.insert(seat.clone(), mac),
            None => self.troubles.claimed.remove(seat),
        };
        self.changed = true;
    }

    /// Asks the configured witnesses, if it is time to: one that never answers would be found out when it is needed.
    pub(super) fn look_at_witnesses(&mut self) {
        let now = self.clock.now();
        if self.troubles.asked.is_some_and(|asked| now.since(asked) < ASK_EVERY) {
            return;
        }
        self.troubles.asked = Some(now);
        let witnesses = self.spec.witnesses.clone();
        self.tasks.spawn(async move { Done::Testified(witness::ask(&witnesses, ANSWERED_WITHIN).await) });
    }

    pub(super) fn testified(&mut self, testimony: witness::Testimony) {
        self.troubles.silent = testimony.silent;
    }

    /// All that stand.
    pub(super) fn troubles(&mut self, view: &GroupView) -> Vec<Doubt> {
        // Whoever has let go of an address claims it no more.
        self.troubles.claimed.retain(|seat, _| self.held.contains_key(seat));
        // A damaged record stands until it is known of every seat who holds it.
        let settled = !view.seats.is_empty() && view.seats.iter().all(|seat| seat.holder.is_some());
        self.troubles.damaged &= !settled;
        let Troubles { damaged, record, seats, claimed, silent, .. } = &self.troubles;
        let mut doubts: Vec<Doubt> = claimed.iter().map(|(seat, mac)| twice(seat, *mac)).collect();
        doubts.extend(record.as_ref().map(|why| self.not_stored(why)));
        doubts.extend(seats.as_ref().map(|why| self.not_written_down(why)));
        doubts.extend(damaged.then(|| self.damaged()));
        doubts.extend(silent.iter().map(|(witness, why)| unanswered(witness, why)));
        doubts
    }

    fn not_stored(&self, why: &str) -> Doubt {
        let file = record::path(&self.state_dir);
        Doubt {
            key: AlertKey::about(AlertKind::NodeRecord, Some("not stored".into())),
            title: format!("{} can't store what it knows of seats", self.me),
            message: format!("the node's record can't be stored, so no seat changes hands here: {why}"),
            advice: format!("look at the disk of {}; it is tried again every second", file.display()),
            event: "node_not_stored",
            over: Some(("node_stored", "the node's record is stored again".into())),
            said_after: Duration::ZERO,
            alert_after: Duration::ZERO,
        }
    }

    fn not_written_down(&self, why: &str) -> Doubt {
        Doubt {
            key: AlertKey::about(AlertKind::StateNotStored, Some("seats".into())),
            title: format!("{} can't write down what changed", self.me),
            message: format!(
                "what changed of a seat is not on this node's disk, the other nodes get it nevertheless: {why}"
            ),
            advice: "make room on the disk of `state_dir`; it is tried again".into(),
            event: "not_written_down",
            over: Some(("written_down", "what is known of the seats is on this node's disk again".into())),
            said_after: Duration::ZERO,
            alert_after: Duration::ZERO,
        }
    }

    fn damaged(&self) -> Doubt {
        let file = record::path(&self.state_dir);
        let kept = file.with_extension("damaged");
        Doubt {
            key: AlertKey::about(AlertKind::NodeRecord, Some("damaged".into())),
            title: format!("the record of {} is damaged", self.me),
            message: format!(
                "the node's record ({}) was damaged: no seat is served here before an operator orders it",
                file.display()
            ),
            advice: format!(
                "if no other node serves the seat: failback group resolve; the damaged file is kept as {}",
                kept.display()
            ),
            event: "node_damaged",
            over: Some(("node_settled", "of every seat it is known again who holds it".into())),
            said_after: Duration::ZERO,
            alert_after: Duration::ZERO,
        }
    }
}

fn twice(seat: &NodeName, mac: Mac) -> Doubt {
    Doubt {
        key: AlertKey::about(AlertKind::Conflict, Some(format!("{seat}'s address"))),
        title: format!("the address of seat {seat} is claimed twice"),
        message: format!("another host ({mac}) claims the shared address of seat {seat}"),
        advice: "find the host with that hardware address; `failback status` shows who holds the seat".into(),
        event: "address_conflict",
        over: Some((
            "address_conflict_over",
            format!("nobody else claims the shared address of seat {seat}, or answers for it"),
        )),
        said_after: Duration::ZERO,
        alert_after: CLAIMED_FOR,
    }
}

fn unanswered(witness: &Witness, why: &str) -> Doubt {
    Doubt {
        key: AlertKey::about(AlertKind::WitnessSilent, Some(witness.to_string())),
        title: format!("witness {witness} does not answer"),
        message: format!("witness {witness} does not answer: {why}"),
        advice: "a node that hears no other asks its witnesses whether it is itself cut off: mend this one, or name another in \
                 group.witnesses"
            .into(),
        event: "witness_silent",
        over: Some(("witness_back", format!("witness {witness} answers again"))),
        said_after: SILENT_FOR,
        alert_after: SILENT_ALERT,
    }
}
