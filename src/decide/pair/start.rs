//! Taking up what the journal had: the same upstream and the same epoch, never a guess.

use super::{
    PairMachine,
    core::{Core, Plan},
    reconfigure::{fresh, roles},
};
use crate::{
    decide::{
        effect::PairRecord,
        flap::Flap,
        input::{Start, Stored},
        signal::Polling,
        timers::Jitter,
    },
    model::{
        Epoch, Side, Time, TransitionReason as Reason, UpstreamName,
        spec::PairSpec,
        view::{PairStateName as State, UpstreamRole},
    },
};
use std::collections::VecDeque;

/// The epoch while the journal can't be read: far above what a pair can have reached (at three changes every ten minutes, after
/// a century), so that the next one is new.
const UNREADABLE: Epoch = Epoch(1 << 24);
/// What can't be read may have held epochs above those that can: fewer than this many.
const UNREAD: u64 = 1 << 16;

pub(super) fn machine(start: Start, now: Time) -> PairMachine {
    let Start { spec, stored, incarnation, seed } = start;
    // A restart is a gap in our watching: no signal from before it holds.
    let generation = match &stored {
        Stored::Record(record) => record.generation + 1,
        Stored::Nothing | Stored::Unreadable(_) => 1,
    };
    let upstreams = roles(&spec)
        .map(|(role, wanted)| {
            fresh(now, role, wanted, &spec, if role == UpstreamRole::Backup { 0 } else { generation })
        })
        .collect();
    let (core, taken_up) = match stored {
        Stored::Nothing => (first(&spec, now), None),
        Stored::Unreadable(known) => (unreadable(&spec, known, now), None),
        Stored::Record(record) => (restored(&spec, &record, now), Some(record.state)),
    };
    let mut machine = PairMachine {
        upstreams,
        pending: None,
        stored: taken_up.is_some() || core.adrift,
        taken_up,
        retry_at: None,
        validations: Vec::new(),
        polling: Polling::default(),
        orders: VecDeque::new(),
        migration: None,
        unfinished: None,
        closing: None,
        closings: u64::from(incarnation) << 32,
        cut: false,
        rewrite: false,
        flap: Flap::default(),
        jitter: Jitter::new(seed),
        local_trouble: false,
        published: None,
        effects: VecDeque::new(),
        next_check: 0,
        next_persist: 0,
        begun: false,
        settled: now,
        core,
        spec,
    };
    // What can't be trusted is left as it is until an operator has decided.
    if !machine.core.adrift {
        machine.persist(Plan::keep(machine.core.clone()));
    }
    machine
}

/// A pair that was never seen before starts on its primary, or on its first backup if it has none.
fn first(spec: &PairSpec, now: Time) -> Core {
    let (side, upstream) = first_upstream(spec);
    let state = if side == Side::Primary { State::OnPrimary } else { State::OnBackup };
    core(Epoch::FIRST, (side, upstream), state, Reason::FirstStart, now)
}

fn unreadable(spec: &PairSpec, known: Epoch, now: Time) -> Core {
    let epoch = UNREADABLE.max(Epoch(known.0.saturating_add(UNREAD)));
    let lost = core(epoch, first_upstream(spec), State::NoServer, Reason::StateUnreadable, now);
    Core { adrift: true, ..lost }
}

fn restored(spec: &PairSpec, record: &PairRecord, now: Time) -> Core {
    // A server that the configuration has no more: which side it was on can be told from what clients were served by.
    let removed = match record.state {
        State::OnPrimary => Side::Primary,
        _ => Side::Backup,
    };
    let side = spec.side_of(&record.upstream).unwrap_or(removed);
    let state = match (record.state, side) {
        (State::NoServer, _) => State::NoServer,
        (_, Side::Primary) => State::OnPrimary,
        (_, Side::Backup) => State::OnBackup,
    };
    let taken_up = core(record.epoch, (side, record.upstream.clone()), state, Reason::Restarted, now);
    let (pinned, latched, frozen) = (record.pinned, record.latched, record.frozen);
    let swapped = is_swapped(spec, record);
    let state = if swapped { State::NoServer } else { taken_up.state };
    let reason = if swapped { Reason::Reconfigured } else { taken_up.reason };
    Core { pinned, latched, frozen, adrift: swapped, state, reason, ..taken_up }
}

/// Does the address of the server whose turn it is belong to another name now? Then nobody knows who holds the data.
fn is_swapped(spec: &PairSpec, record: &PairRecord) -> bool {
    let before = record.addresses.iter().find(|(name, _)| *name == record.upstream).map(|(_, address)| address);
    let now = |name: &UpstreamName| spec.upstreams().find(|(_, other)| other.name == *name).map(|(_, other)| other);
    let (Some(before), Some(active)) = (before, now(&record.upstream)) else { return false };
    let taken = spec.upstreams().any(|(_, other)| other.address == *before && other.name != record.upstream);
    active.address != *before && taken
}

fn first_upstream(spec: &PairSpec) -> (Side, UpstreamName) {
    let first = spec.upstreams().next().map(|(side, upstream)| (side, upstream.name.clone()));
    first.unwrap_or((Side::Backup, UpstreamName::from("")))
}

fn core(epoch: Epoch, (side, upstream): (Side, UpstreamName), state: State, reason: Reason, since: Time) -> Core {
    Core {
        epoch,
        upstream,
        side,
        state,
        reason,
        since,
        signal: None,
        pinned: false,
        latched: false,
        frozen: false,
        adrift: false,
    }
}
