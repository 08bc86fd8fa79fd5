//! Storing a change, and what follows once it is stored. An epoch is on the disk before anybody is served under it.

use super::{
    NodeMachine,
    effect::{Effect, Message, NodeRecord, Note, SeatRecord},
    input::Order,
    state::{Entry, Phase, Promise, Seat},
    unable::Unable,
    work::Step,
};
use crate::{
    decide::effect::PersistId,
    model::{
        Epoch, NodeName, Time,
        group::Role,
        seat::{HIGHEST_EPOCH, SeatReason, SeatRefusal},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// A record that could not be stored is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// The one change that is being stored.
#[derive(Debug)]
pub(super) struct Pending {
    id: PersistId,
    plan: Plan,
    /// What [`NodeMachine::on_disk`] is once it is stored.
    holds: BTreeMap<NodeName, Epoch>,
}

/// A change of what is in force.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    /// Only what is known already.
    Keep,
    /// This node becomes the holder.
    Take { seat: NodeName, epoch: Epoch, reason: SeatReason, adopt: bool, entry: Entry, ordered: bool },
    /// The seat is promised to another node.
    Promise { seat: NodeName, promise: Promise },
    /// Another configured role; the seats held become its own, or are released.
    Role { role: Role, own: Option<NodeName> },
}

impl Pending {
    /// Does it change who holds what?
    pub(super) fn is_change(&self) -> bool {
        !matches!(self.plan, Plan::Keep)
    }
}

impl Plan {
    fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Take { epoch, .. } | Self::Promise { promise: Promise { epoch, .. }, .. } => Some(*epoch),
            Self::Keep | Self::Role { .. } => None,
        }
    }
}

impl NodeMachine {
    /// Sends the change to the disk; nothing of it is in force until it is there.
    pub(super) fn persist(&mut self, plan: Plan) -> Option<PersistId> {
        if plan.epoch().is_some_and(|epoch| epoch > HIGHEST_EPOCH) {
            // The others would not believe it.
            self.give_up(plan, SeatRefusal::EpochsSpent);
            return None;
        }
        let id = PersistId(self.next_persist);
        self.next_persist += 1;
        self.dirty = false;
        let record = self.record(&plan);
        let holds = self.held_by(&record);
        self.effects.push_back(Effect::Persist(id, Box::new(record)));
        self.pending = Some(Pending { id, plan, holds });
        Some(id)
    }

    /// Takes a seat that nobody grants, under this node's next epoch above; what is shown for it must be shown of a time after `since`.
    pub(super) fn take(&mut self, name: &NodeName, above: Epoch, reason: SeatReason, since: Time) {
        let epoch = self.next_epoch(name, above, &self.me);
        let entry = Entry { since, forced: false, deadline: None };
        let seat = name.clone();
        self.persist(Plan::Take { seat, epoch, reason, adopt: false, entry, ordered: false });
    }

    /// The seats that are this node's to serve by such a record.
    pub(super) fn held_by(&self, record: &NodeRecord) -> BTreeMap<NodeName, Epoch> {
        let held = |seat: &&SeatRecord| seat.holder.as_ref() == Some(&self.me) && seat.granted.is_none();
        record.seats.iter().filter(held).map(|seat| (seat.seat.clone(), seat.epoch)).collect()
    }

    /// What was learned is stored when nothing else is.
    pub(super) fn store_what_is_known(&mut self, now: Time) {
        if self.dirty && self.pending.is_none() && self.retry_at.is_none_or(|at| now >= at) {
            self.persist(Plan::Keep);
        }
    }

    fn record(&self, plan: &Plan) -> NodeRecord {
        let mut record = NodeRecord { role: self.role, seats: self.seats.iter().map(stored).collect() };
        let find = |seats: &mut Vec<SeatRecord>, name: &NodeName, change: &dyn Fn(&mut SeatRecord)| {
            seats.iter_mut().filter(|seat| seat.seat == *name).for_each(change);
        };
        match plan {
            Plan::Keep => {}
            Plan::Take { seat, epoch, reason, adopt, .. } => {
                if *adopt {
                    record.role = Role::Primary;
                }
                find(&mut record.seats, seat, &|stored| {
                    (stored.epoch, stored.holder, stored.granted) = (*epoch, Some(self.me.clone()), None);
                    stored.reason = *reason;
                    if *adopt {
                        stored.home = self.me.clone();
                    }
                });
            }
            Plan::Promise { seat, promise } => {
                let granted = (promise.guest.name.clone(), promise.epoch);
                find(&mut record.seats, seat, &|stored| stored.granted = Some(granted.clone()));
            }
            Plan::Role { role, .. } => {
                record.role = *role;
                for stored in record.seats.iter_mut().filter(|stored| stored.holder.as_ref() == Some(&self.me)) {
                    self.change_owner(*role, &mut stored.holder, &mut stored.home);
                }
            }
        }
        record
    }

    /// As a primary node it owns what it holds; as a backup node it releases it.
    fn change_owner(&self, role: Role, holder: &mut Option<NodeName>, home: &mut NodeName) {
        match role {
            Role::Primary => *home = self.me.clone(),
            Role::Backup => *holder = None,
        }
    }

    pub(super) fn persisted(&mut self, now: Time, id: PersistId) {
        let Some(Pending { plan, holds, .. }) = self.pending.take_if(|pending| pending.id == id) else { return };
        self.retry_at = None;
        self.on_disk = holds;
        match plan {
            Plan::Keep => self.disk_tried(now, id),
            Plan::Take { .. } => self.commit_take(plan),
            Plan::Promise { seat, promise } => self.commit_promise(now, &seat, promise),
            Plan::Role { role, own } => self.commit_role(role, own),
        }
    }

    fn commit_take(&mut self, plan: Plan) {
        let Plan::Take { seat: name, epoch, reason, adopt, entry, ordered } = plan else { return };
        let me = self.me.clone();
        let Some(seat) = self.seats.get_mut(&name) else {
            // Its node left the group meanwhile.
            return self.refuse_if(ordered, SeatRefusal::NoSuchSeat);
        };
        if epoch <= seat.epoch {
            // Somebody with a higher epoch was heard meanwhile; the disk has to know it, too.
            self.dirty = true;
            return self.refuse_if(ordered, SeatRefusal::Overtaken);
        }
        let was = seat.home.clone();
        (seat.epoch, seat.holder, seat.reason, seat.granted) = (epoch, Some(me.clone()), reason, None);
        (seat.countdown, seat.held_back, seat.unable) = (0, None, None);
        if adopt {
            seat.home = me.clone();
            self.set_role(Role::Primary);
        }
        let Some(seat) = self.seats.get_mut(&name) else { return };
        if seat.is_serving() {
            // It goes on serving, under the new epoch.
            self.effects.push_back(Effect::Serve { seat: name.clone(), epoch });
        } else if !matches!(seat.phase, Phase::Leaving(_)) {
            seat.phase = Phase::Entering(entry);
        }
        if ordered {
            let swapped = adopt && self.work.as_ref().is_some_and(|work| matches!(work.order, Order::Role { .. }));
            let own =
                if swapped { format!("; it is its own now, and {was} is its backup node") } else { String::new() };
            self.work_done(format!("{me} holds seat {name} under epoch {epoch}{own}"));
        }
    }

    fn commit_promise(&mut self, now: Time, name: &NodeName, promise: Promise) {
        let Some(seat) = self.seats.get_mut(name) else { return };
        match &seat.phase {
            Phase::Promising { guest, serving } if *guest == promise.guest => {
                if *serving {
                    return self.let_go(name, SeatReason::HandedOver, Some(promise));
                }
                seat.phase = Phase::Idle;
                self.grant(now, name, promise);
            }
            // It was taken, or had to be let go, meanwhile: the promise is none any more.
            _ => {
                self.dirty = true;
                seat.unable.iter_mut().for_each(Unable::ask_again);
                let (guest, why) = (promise.guest, SeatRefusal::Busy);
                self.tell(&guest.name, Message::Refuse { seat: name.clone(), ask: guest.ask, why });
            }
        }
    }

    fn commit_role(&mut self, role: Role, own: Option<NodeName>) {
        let me = self.me.clone();
        for name in self.seats.keys().cloned().collect::<Vec<_>>() {
            if role == Role::Backup {
                self.let_go(&name, SeatReason::RolesChanged, None);
            }
            let Some(seat) = self.seats.get_mut(&name).filter(|seat| seat.holder.as_ref() == Some(&me)) else {
                continue;
            };
            match role {
                Role::Primary => seat.home = me.clone(),
                Role::Backup => {
                    (seat.holder, seat.granted) = (None, None);
                    if !matches!(seat.phase, Phase::Leaving(_)) {
                        seat.phase = Phase::Idle;
                    }
                }
            }
        }
        self.set_role(role);
        if let Some(own) = own {
            let mut seat = Seat::new(own.clone());
            (seat.epoch, seat.holder) = (Epoch::FIRST, Some(me));
            self.seats.entry(own).or_insert(seat);
            self.dirty = true;
        }
        self.work_done(format!("the configured role is {role}"));
    }

    pub(super) fn set_role(&mut self, role: Role) {
        if std::mem::replace(&mut self.role, role) != role {
            self.dirty = true;
            self.note(Note::Role(role));
        }
    }

    pub(super) fn persist_failed(&mut self, now: Time, id: PersistId) {
        let Some(Pending { plan, .. }) = self.pending.take_if(|pending| pending.id == id) else { return };
        self.dirty = true;
        if self.retry_at.replace(now + RETRY).is_none() {
            self.note(Note::NotStored);
        }
        self.give_up(plan, SeatRefusal::NotStored);
        if self.work.as_ref().is_some_and(|work| work.step == Step::TryDisk(Some(id))) {
            self.refuse(SeatRefusal::NotStored);
        }
    }

    /// Nothing of it comes into force.
    fn give_up(&mut self, plan: Plan, why: SeatRefusal) {
        match plan {
            Plan::Keep => {}
            Plan::Take { ordered, .. } => self.refuse_if(ordered, why),
            Plan::Role { .. } => self.refuse_if(true, why),
            Plan::Promise { seat, promise: Promise { guest, .. } } => {
                // All stays as it was.
                if let Some(known) = self.seats.get_mut(&seat)
                    && let Phase::Promising { guest: promised, serving } = &known.phase
                    && *promised == guest
                {
                    known.phase = if *serving { Phase::Serving } else { Phase::Idle };
                }
                self.tell(&guest.name, Message::Refuse { seat, ask: guest.ask, why });
            }
        }
    }
}

fn stored((name, seat): (&NodeName, &Seat)) -> SeatRecord {
    SeatRecord {
        seat: name.clone(),
        epoch: seat.epoch,
        holder: seat.holder.clone(),
        home: seat.home.clone(),
        reason: seat.reason,
        granted: seat.granted.as_ref().map(|granted| (granted.to.clone(), granted.epoch)),
    }
}
