//! A node's beginning: offline, with what the disk had.

use super::{
    NodeMachine,
    effect::NodeRecord,
    input::{Start, Stored},
    state::{Granted, Peer, Question, Seat},
    work::GRANT_BACK,
};
use crate::model::{Epoch, Time, group::Role, seat::SeatReason};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub(super) fn machine(start: Start, now: Time) -> NodeMachine {
    let Start { me, role, spec, stored, peers, synced } = start;
    let mut machine = NodeMachine {
        me,
        spec,
        role,
        peers: peers.into_iter().map(|(name, role)| (name, Peer::new(role, now))).collect(),
        overheard: BTreeMap::new(),
        seats: BTreeMap::new(),
        synced,
        unfit: BTreeSet::new(),
        pending: None,
        dirty: true,
        on_disk: BTreeMap::new(),
        retry_at: None,
        work: None,
        witnesses: Question::default(),
        beat_at: now,
        beaten: None,
        may_change: None,
        effects: VecDeque::new(),
        next_ask: 0,
        next_persist: 0,
        ran: None,
    };
    let first = matches!(stored, Stored::Nothing);
    if let Stored::Record(record) = stored {
        machine.take_up(now, *record);
    }
    machine.know_seats();
    if first && machine.role == Role::Primary {
        let me = machine.me.clone();
        if let Some(seat) = machine.seats.get_mut(&me) {
            seat.holder = Some(me);
            seat.epoch = Epoch::FIRST;
        }
    }
    machine
}

impl NodeMachine {
    fn take_up(&mut self, now: Time, record: NodeRecord) {
        self.role = record.role;
        self.on_disk = self.held_by(&record);
        for stored in record.seats {
            let mut seat = Seat::new(stored.home);
            seat.epoch = stored.epoch;
            seat.reason = if stored.holder.as_ref() == Some(&self.me) { SeatReason::Restarted } else { stored.reason };
            seat.holder = stored.holder;
            // How much of the grant's time is left is not known: all of it, to be safe.
            seat.granted = stored.granted.map(|(to, epoch)| Granted { to, epoch, until: now + GRANT_BACK });
            self.seats.insert(stored.seat, seat);
        }
    }

    /// Every primary node has a seat called by its name, unless it gave its own away.
    pub(super) fn know_seats(&mut self) {
        let own = (self.role == Role::Primary).then(|| self.me.clone());
        let others = self.peers.iter().filter(|(_, peer)| peer.role == Role::Primary).map(|(name, _)| name.clone());
        for name in own.into_iter().chain(others).collect::<Vec<_>>() {
            let has = self.seats.values().any(|seat| seat.home == name);
            if !has && !self.seats.contains_key(&name) {
                let mut seat = Seat::new(name.clone());
                // Whoever it is called by is taken for its holder until somebody is heard.
                seat.holder = (name != self.me).then(|| name.clone());
                self.seats.insert(name, seat);
            }
        }
    }
}
