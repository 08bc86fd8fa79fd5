//! Taking up what the journal had: the same upstream and the same epoch, never a guess.

use super::{
    PairMachine,
    core::{Core, Plan},
    reconfigure::{fresh, roles},
};
use crate::{
    decide::{
        effect::{Note, PairRecord},
        flap::Flap,
        identity::Former,
        input::{Origin, Start, Stored},
        signal::Polling,
        timers::Jitter,
    },
    model::{
        Epoch, PairName, Side, Time, TransitionReason as Reason, UpstreamName,
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
    let Start { spec, stored, origin, incarnation, seed } = start;
    let why = match (&origin, &stored) {
        (Origin::Watched(_), Stored::Record(record)) => record.reason,
        (Origin::Own, _) => Reason::Restarted,
        (Origin::Inherited | Origin::Watched(_), _) => Reason::Inherited,
    };
    // A restart is a gap in our watching: no signal from before it holds.
    let generation = match &stored {
        Stored::Record(record) => record.generation + 1,
        Stored::Nothing | Stored::Renamed { .. } | Stored::Unreadable(_) => 1,
    };
    let upstreams = roles(&spec)
        .map(|(role, wanted)| {
            fresh(now, role, wanted, &spec, if role == UpstreamRole::Backup { 0 } else { generation })
        })
        .collect();
    let had_signal = matches!(&stored, Stored::Record(record) if record.signal == Some(record.generation));
    let doubt = doubt(&spec, &stored);
    let (core, taken_up) = match stored {
        Stored::Nothing => (first(&spec, now), None),
        Stored::Renamed { .. } => (lost(Epoch::FIRST, &spec, Reason::Reconfigured, now), None),
        Stored::Unreadable(known) => (lost(after_unreadable(known), &spec, Reason::StateUnreadable, now), None),
        // Its record stays as it is: that it names other addresses must be noticed at the next start as well.
        Stored::Record(record) if doubt.is_some() => (astray(restored(&spec, &record, why, now)), None),
        Stored::Record(record) => (restored(&spec, &record, why, now), Some(record.state)),
    };
    let mut machine = PairMachine {
        upstreams,
        pending: None,
        stored: taken_up.is_some() || core.adrift,
        doubt,
        taken_up,
        came_from: if let Origin::Watched(from) = origin { Some(from) } else { None },
        retry_at: None,
        validations: Vec::new(),
        polling: Polling::default(),
        orders: VecDeque::new(),
        migration: None,
        unfinished: None,
        closing: None,
        closings: u64::from(incarnation) << 32,
        cut: false,
        above: None,
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
    if let Some(home) = machine
        .home()
        .filter(|_| had_signal && machine.came_from.is_none() && !machine.core.adrift)
        .map(|home| home.name.clone())
    {
        machine.note(Note::SignalLost(home));
    }
    if let Some(doubt) = machine.doubt.clone() {
        machine.note(Note::Identity(format!("nobody is served until an operator's `switch --to … --force`: {doubt}")));
    }
    machine
}

/// A pair that was never seen before starts on its primary, or on its first backup if it has none.
fn first(spec: &PairSpec, now: Time) -> Core {
    let (side, upstream) = first_upstream(spec);
    let state = if side == Side::Primary { State::OnPrimary } else { State::OnBackup };
    core(Epoch::FIRST, (side, upstream), state, Reason::FirstStart, now)
}

fn after_unreadable(known: Epoch) -> Epoch {
    UNREADABLE.max(Epoch(known.0.saturating_add(UNREAD)))
}

/// Nobody knows where clients were.
fn lost(epoch: Epoch, spec: &PairSpec, why: Reason, now: Time) -> Core {
    Core { adrift: true, ..core(epoch, first_upstream(spec), State::NoServer, why, now) }
}

/// Where clients were may be another server now.
fn astray(restored: Core) -> Core {
    Core { adrift: true, state: State::NoServer, reason: Reason::Reconfigured, ..restored }
}

fn restored(spec: &PairSpec, record: &PairRecord, why: Reason, now: Time) -> Core {
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
    let taken_up = core(record.epoch, (side, record.upstream.clone()), state, why, now);
    let (pinned, latched, frozen) = (record.pinned, record.latched, record.frozen);
    Core { pinned, latched, frozen, ..taken_up }
}

/// Why the configuration's names don't tell who holds the data, in words; `None`: they do, as far as anybody can know.
fn doubt(spec: &PairSpec, stored: &Stored) -> Option<String> {
    match stored {
        Stored::Record(record) => moved(spec, record),
        Stored::Renamed { was, on } => Some(renamed(was, on.as_ref())),
        Stored::Nothing | Stored::Unreadable(_) => None,
    }
}

/// Has the server whose turn it is another address than in the record? Then it may be another machine.
fn moved(spec: &PairSpec, record: &PairRecord) -> Option<String> {
    let former = Former::from(record);
    let swap = former.swaps(spec).find(|swap| swap.active)?;
    let whose = swap.whose.map(|whose| format!(", which was {whose}'s")).unwrap_or_default();
    Some(format!("clients were on {} at {}, and its address is {} now{whose}", swap.name, swap.from, swap.to))
}

fn renamed(was: &PairName, on: Option<&UpstreamName>) -> String {
    let on = on.map_or_else(|| "nobody knew where".into(), |on| format!("on {on}"));
    format!("its servers were those of {was}, which the configuration has no more, and clients were {on}")
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
