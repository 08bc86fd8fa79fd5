//! One node's machine: whom it hears, which seats it holds, what it may take and when it must let go (design §4).
//!
//! ```text
//!            prove (nobody holds it)          Persist … Persisted          prove anew, if that took long
//!   Idle ─────────────────────────────▶ take ─────────────────────▶ Entering ─────────────────────────▶ Serving
//!     ▲   silence + witness + probe,     epoch raised                  ▲ start, or after a gap              │ higher epoch heard,
//!     │   a grant, or an operator        and on the disk               │ (holds it by its record)           │ gap, promised and stored
//!     └──────────────────────── Gone ◀── Leaving ◀─────────────────────┴────────────────────────────────────┘
//! ```
//!
//! **Epochs.** The nodes of a group, sorted by name, take turns: each raises a seat's epoch to the next number *of its own*, so two nodes
//! of one group never mean the same epoch. While two nodes see different groups (one was joined or dismissed a moment ago, or two
//! primary nodes share a backup and don't know each other) they might; then the greater name wins. Whoever hears of a higher epoch than it serves under lets go at once, also if nobody is
//! heard serving under it: no client is accepted under an epoch lower than one that is known.
//!
//! **What two nodes can't guarantee.** Two nodes that hear each other on neither path, do not see each other's ARP, and each reach a
//! witness, can't tell that from the other's death: both may serve until they hear each other again, and then the lower epoch lets go
//! within a heartbeat or two. Nothing short of a third node (which tells each that the other is heard), a common path to the
//! witness that also carries ARP, or etcd can rule that out. So put both on one switch fabric with two ways between them, and
//! choose a witness on the clients' side.
//!
//! **A holder that is cut off** from peers and witnesses goes on serving: the loss of everything else leaves the last table in force, and
//! if it were to let go, a rebooting witness would take the service down while the backup is being repaired. It changes no pair's
//! side meanwhile ([`Effect::LetPairsChange`]). The price: behind a cut that has clients on both sides, each side may be served by
//! another node until it heals. A cut-off node that holds nothing changes nothing at all.
//!
//! **What is kept.** Of several backup nodes that hear each other the one with the newest copy takes over, and a holder that goes on where
//! it stopped takes first what a member has beyond its own. So a revision that one of those which are left has acknowledged is not lost by a
//! takeover; a hand-over (`reverse`, `replace`, a planned takeover) carries the holder's last revision, and who gets the seat pulls it first.

mod commit;
mod copies;
pub mod effect;
mod handover;
mod hear;
mod hold;
pub mod input;
mod inputs;
mod orders;
mod prove;
mod resolve;
mod roles;
mod start;
mod state;
mod succeed;
#[cfg(test)]
mod tests;
mod unable;
mod work;

pub use resolve::RoleConflict;

use self::{
    commit::Pending,
    effect::{AskId, Beat, Effect, Note},
    input::{Input, NodeSpec, Start},
    state::{Peer, Phase, Question, Seat},
    work::Work,
};
use super::{
    suspicion::{LATE, Path},
    timers,
};
use crate::model::{
    Epoch, NodeName, Time,
    group::{Claim, NodeStateName, Role},
    seat::{SeatRefusal, Suspicion},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// Half heartbeats of silence that are enough where the peer's own host says that the process is gone: one is missing.
const GONE: u32 = 3;

/// Decides everything about one node's seats. Drive it so: after [`Self::new`] and after every `handle_*` drain
/// [`Self::poll_effect`], execute the effects in order, and call [`Self::handle_timeout`] when [`Self::next_timeout`] has
/// come (at once after `new`).
#[derive(Debug)]
pub struct NodeMachine {
    me: NodeName,
    spec: NodeSpec,
    role: Role,
    peers: BTreeMap<NodeName, Peer>,
    /// Nodes with the same pairing key that this one is not joined with, heard by beacon to speak of a seat that is known here: two backup
    /// nodes of one primary are such to each other. They are looked at where two must not serve one seat, and otherwise nobody.
    overheard: BTreeMap<NodeName, Peer>,
    seats: BTreeMap<NodeName, Seat>,
    /// The revisions of seats' configurations that are here.
    synced: BTreeMap<NodeName, u64>,
    /// Seats that could not be served here.
    unfit: BTreeSet<NodeName>,
    /// The one change that is being stored.
    pending: Option<Pending>,
    /// What is known is not on the disk yet. Only what holds us back takes effect before it is.
    dirty: bool,
    /// The seats that are this node's to serve by what the disk has, and the epochs.
    on_disk: BTreeMap<NodeName, Epoch>,
    /// The last record could not be stored; the next attempt is then.
    retry_at: Option<Time>,
    /// The one order that is being carried out (`B15`).
    work: Option<Work>,
    witnesses: Question<bool>,
    beat_at: Time,
    beaten: Option<Beat>,
    may_change: Option<bool>,
    effects: VecDeque<Effect>,
    next_ask: u64,
    next_persist: u64,
    /// When the machine last ran.
    ran: Option<Time>,
}

/// One seat at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatStatus {
    /// The highest epoch known.
    pub epoch: Epoch,
    /// Who holds it under that epoch, as far as is known.
    pub holder: Option<NodeName>,
    /// Whose own it is.
    pub home: NodeName,
    /// Does this node accept clients for it?
    pub serving: bool,
    /// Held by another node than its own: no redundancy, no automatic takeover (`G5`).
    pub degraded: bool,
    /// The revision of its configuration that is here.
    pub synced: Option<u64>,
    /// Why its holder holds it.
    pub reason: crate::model::seat::SeatReason,
    /// This node holds it by its record and has to show before it serves that nobody else does; what that fails by.
    pub hindrance: Option<SeatRefusal>,
    /// The node that had a newer copy than this one served it with at first, and has not taken what is served yet.
    pub lacks: Option<NodeName>,
    /// Why this node does not take it over by itself: what was found last, or would be.
    pub held_back: Option<SeatRefusal>,
}

impl NodeMachine {
    /// Takes up what the disk had. A node of a group starts offline.
    #[must_use]
    pub fn new(start: Start, now: Time) -> Self {
        start::machine(start, now)
    }

    /// Something happened.
    pub fn handle_input(&mut self, now: Time, input: Input) {
        self.observe(now);
        self.take_in(now, input);
        self.settle(now);
    }

    /// The time asked for by [`Self::next_timeout`] has come. Calling it early is harmless; far too late is noticed.
    pub fn handle_timeout(&mut self, now: Time) {
        self.observe(now);
        self.settle(now);
    }

    /// The next thing to do; `None` when all is done for now.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next; at least once a heartbeat.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        let ran = self.ran?;
        let silences = self.peers.values().map(|peer| Some(self.quiet_at(peer)));
        let work = self.work.as_ref().map(|work| work.deadline);
        let all = silences.chain([Some(self.beat_at), work, self.retry_at]);
        timers::earliest(all.map(|at| at.filter(|at| *at > ran)))
    }

    /// May this node's pairs change sides by themselves (X4, design §4)?
    #[must_use]
    pub fn may_change_sides(&self) -> bool {
        self.may_change.unwrap_or(false)
    }

    /// The configured role in force.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// What this node does now.
    #[must_use]
    pub fn state(&self) -> NodeStateName {
        if self.seats.values().any(Seat::is_serving) {
            NodeStateName::Online
        } else if self.role == Role::Backup && !self.holds_any() {
            NodeStateName::Standby
        } else {
            NodeStateName::Offline
        }
    }

    /// The seats it has to do with. A backup node of several speaks of all their seats: one whose node is no peer of this one's counts
    /// only while a known node holds it.
    pub fn seats(&self) -> impl Iterator<Item = (&NodeName, SeatStatus)> {
        let concerns = |name: &NodeName, seat: &Seat| {
            let member = |node: &NodeName| *node == self.me || self.peers.contains_key(node);
            seat.holder.as_ref().is_some_and(member) || seat.phase != Phase::Idle || member(&seat.home) || member(name)
        };
        self.seats.iter().filter(move |(name, seat)| concerns(name, seat)).map(|(name, seat)| {
            let status = SeatStatus {
                epoch: seat.epoch,
                holder: seat.holder.clone(),
                home: seat.home.clone(),
                serving: seat.is_serving(),
                degraded: seat.is_degraded(),
                synced: self.synced.get(name).copied(),
                reason: seat.reason,
                hindrance: seat.hindrance.filter(|_| matches!(seat.phase, Phase::Entering(_))),
                lacks: seat.lacks.clone().filter(|_| seat.is_serving()),
                held_back: self.held_back(name).or(seat.held_back),
            };
            (name, status)
        })
    }

    /// Is a node heard to serve it?
    #[must_use]
    pub fn is_served_elsewhere(&self, now: Time, seat: &NodeName) -> bool {
        self.heard_holder(now, seat).is_some() || self.stranger_that_holds(now, seat).is_some()
    }

    /// The node of the same pairing key, not joined with this one, that is heard to serve it.
    #[must_use]
    pub fn stranger_that_holds(&self, now: Time, seat: &NodeName) -> Option<&NodeName> {
        let holds = |peer: &Peer| peer.claim(seat).is_some_and(|claim| claim.holds) && !self.is_quiet(now, peer);
        self.overheard.iter().find(|(_, peer)| holds(peer)).map(|(name, _)| name)
    }

    /// Is a copy of the seat of use on that node: may it take it over, or is it its own?
    #[must_use]
    pub fn has_use_for(&self, node: &NodeName, seat: &NodeName) -> bool {
        let role = if *node == self.me { Some(self.role) } else { self.peers.get(node).map(|peer| peer.role) };
        role == Some(Role::Backup) || self.seats.get(seat).is_some_and(|seat| seat.home == *node)
    }

    /// How it stands with each peer, with the state each says it has; `Unknown` once it is red.
    pub fn peers(&self, now: Time) -> impl Iterator<Item = (&NodeName, Suspicion, Role, NodeStateName)> {
        self.peers.iter().map(move |(name, peer)| {
            let suspicion = self.suspicion(now, peer);
            let state = if suspicion == Suspicion::Red { NodeStateName::Unknown } else { peer.state };
            (name, suspicion, peer.role, state)
        })
    }

    /// The paths by which peers that are heard are not heard.
    pub fn late_paths(&self, now: Time) -> impl Iterator<Item = (&NodeName, Path)> {
        let heard = self.peers.iter().filter(move |(_, peer)| self.suspicion(now, peer) != Suspicion::Red);
        heard.flat_map(move |(name, peer)| {
            peer.hearing.late_paths(now, self.spec.heartbeat).map(move |path| (name, path))
        })
    }

    fn suspicion(&self, now: Time, peer: &Peer) -> Suspicion {
        if self.is_quiet(now, peer) {
            return Suspicion::Red;
        }
        peer.hearing.suspicion(now, self.spec.heartbeat, self.spec.primary_timeout)
    }

    /// Notices when we ourselves did not run: what looked like silence may have been ours, and the kernel may have removed
    /// our address.
    fn observe(&mut self, now: Time) {
        let Some(ran) = self.ran.replace(now) else { return };
        self.missed(now, now.since(ran));
    }

    fn missed(&mut self, now: Time, span: Duration) {
        if span > self.spec.heartbeat * LATE {
            let all = self.peers.values_mut().chain(self.overheard.values_mut());
            all.for_each(|peer| peer.hearing.listen_anew(now));
            self.witnesses = Question::default();
        }
        if span >= self.spec.lifetime {
            self.note(Note::Gap(span));
            self.recheck_all();
        }
    }

    /// Brings everything that follows from how things are now.
    fn settle(&mut self, now: Time) {
        self.note_silences(now);
        self.forget_overheard(now);
        self.watch_copies();
        self.advance_work(now);
        let names: Vec<NodeName> = self.seats.keys().cloned().collect();
        for name in &names {
            self.advance_seat(now, name);
            self.succeed(now, name);
            self.take_yielded(now, name);
        }
        self.store_what_is_known(now);
        self.watch_isolation(now);
        self.beat(now);
    }

    /// A node that is alone and reaches no witness changes no pair's side. A peer that was joined a moment ago is not missed yet.
    fn watch_isolation(&mut self, now: Time) {
        let recent = now - self.spec.heartbeat * LATE;
        let awaits = self.may_change == Some(true);
        let near = |peer: &Peer| peer.hearing.heard_since(recent) || (awaits && peer.hearing.is_awaited(recent));
        let alone = !self.peers.is_empty() && !self.peers.values().any(near);
        if alone {
            self.ask_witnesses(now, self.spec.heartbeat.max(Duration::from_millis(500)));
        }
        // Until the first answer is here, which is asked for at once, it stays as it was.
        let answer = self.witnesses.fresh(now, Time::ZERO, prove::FRESH_WITNESS);
        let may = !alone || answer.unwrap_or(self.may_change == Some(true));
        if self.may_change.replace(may) != Some(may) {
            self.effects.push_back(Effect::LetPairsChange(may));
        }
    }

    /// Tells the peers, once a heartbeat and at once when there is news.
    fn beat(&mut self, now: Time) {
        let beat = Beat { role: self.role, state: self.state(), claims: self.claims(now) };
        if now >= self.beat_at || self.beaten.as_ref() != Some(&beat) {
            self.beat_at = now + self.spec.heartbeat;
            self.beaten = Some(beat.clone());
            self.effects.push_back(Effect::Beat(beat));
        }
    }

    fn claims(&self, now: Time) -> Vec<Claim> {
        let claim = |(name, seat): (&NodeName, &Seat)| {
            let holder = seat.holder.as_ref().and_then(|holder| self.peers.get(holder));
            let left_to_us = seat.yielded.is_some();
            Claim {
                seat: name.clone(),
                epoch: seat.epoch,
                holds: seat.is_serving(),
                hears: seat.is_serving() || (!left_to_us && holder.is_some_and(|holder| self.is_near(now, holder))),
                copy: self.revision_of(name),
                fit: self.is_fit(name),
                vacant: seat.holder.is_none() && seat.epoch > Epoch(0),
                yields: self.yields(seat),
                home: (seat.home != *name).then(|| seat.home.clone()),
            }
        };
        self.seats.iter().map(claim).collect()
    }

    /// Was it heard within the last few heartbeats?
    fn is_near(&self, now: Time, peer: &Peer) -> bool {
        peer.hearing.heard_since(now - self.spec.heartbeat * LATE)
    }

    /// When its silence will have lasted long enough.
    fn quiet_at(&self, peer: &Peer) -> Time {
        let short = (self.spec.heartbeat * GONE / 2).min(self.spec.primary_timeout);
        let needed = if peer.hearing.is_gone() { short } else { self.spec.primary_timeout };
        peer.hearing.silent_since() + needed
    }

    fn is_quiet(&self, now: Time, peer: &Peer) -> bool {
        now >= self.quiet_at(peer)
    }

    /// Does it hold a seat by its record, served or not?
    fn holds_any(&self) -> bool {
        self.seats.values().any(|seat| seat.holder.as_ref() == Some(&self.me))
    }

    /// Who could hand the seat over: who is heard to serve it; else the one who is heard, and holds it by its record, but can't serve it.
    #[must_use]
    pub fn who_can_give(&self, now: Time, name: &NodeName) -> Option<NodeName> {
        self.heard_holder(now, name).or_else(|| {
            let holder = self.seats.get(name)?.holder.clone()?;
            let peer = self.peers.get(&holder)?;
            let claim = peer.claim(name)?;
            (self.is_near(now, peer) && !claim.vacant).then_some(holder)
        })
    }

    /// The next epoch of this seat that is this node's to use (see the module's page).
    fn next_epoch(&self, name: &NodeName, above: Epoch, node: &NodeName) -> Epoch {
        let mut members: Vec<&NodeName> = self.peers.keys().chain(self.overheard.keys()).chain([&self.me]).collect();
        members.sort();
        let place = |of: &NodeName| members.iter().position(|member| *member == of).unwrap_or(0);
        let count = members.len();
        let offset = (place(node) + count - place(name)) % count;
        let is_own = |epoch: &Epoch| (epoch.0 - 1) % count as u64 == offset as u64;
        std::iter::successors(Some(above.next()), |epoch| Some(epoch.next())).find(is_own).unwrap_or(above.next())
    }

    fn ask_id(&mut self) -> AskId {
        self.next_ask += 1;
        AskId(self.next_ask)
    }

    fn note(&mut self, note: Note) {
        self.effects.push_back(Effect::Note(note));
    }
}
