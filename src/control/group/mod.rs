//! The group: one task that owns the node's machine (`decide/seat`). It turns what the other nodes, the network and operators do into
//! inputs, and effects into deeds; it decides nothing and waits for nothing but the next thing to happen.
//!
//! ```text
//!   peer link ──── PeerEvent 256, Asked 64 ────▶┌───────┐── say, call ─────────────▶ peer link
//!   admin API ──── mpsc<GroupRequest> 64 ──────▶│       │── watch<GroupView> ──────▶ admin API
//!   driver ─────── mpsc<FromDriver> 256 ───────▶│ group │── mpsc<SeatOrder> 256 ───▶ driver
//!   the machine's timers, a tick ──────────────▶│       │── Held ──────────────────▶ kernel, neighbours
//!                                               └───────┘══ JoinSet: disk, witnesses, probes, pulls, pushes, commands
//! ```
//!
//! What changes the running configuration goes one after the other (`arrange`); letting go of a seat waits for none of it.

mod arrange;
mod commands;
mod copies;
mod doubts;
mod edits;
mod effects;
mod fallback;
mod fitness;
mod hindrance;
mod inputs;
mod joining;
mod orders;
mod paths;
mod pulls;
mod record;
mod series;
mod standing;
mod start;
mod succession;
mod taking;
mod troubles;
mod view;
mod words;

pub use start::{GroupError, GroupParts, Ready, start};

use super::{
    address::{AddressEvent, Held, probe::Ownership},
    clock::Clock,
    journal::Receipt,
    orders::{GroupRequest, OrderError, Reply},
    peer::{PeerEvent, PeerLinks},
    seats::{FromDriver, Permit, SeatOrder},
    sync,
    threads::Share,
};
use crate::{
    decide::{
        NodeMachine,
        effect::{PersistId, Ticket},
        seat::{
            effect::{AskId, Effect, Message},
            input::Input,
        },
    },
    model::{
        Epoch, NodeName, PairName, RouteName, Time,
        alert::Alert,
        group::GroupSpec,
        revision::Revision,
        seat::{SeatRefusal, Suspicion},
        view::{
            OrderAnswer,
            group::{GroupView, SyncView},
        },
    },
    observe::metrics::Metrics,
};
use arrange::Arranger;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

/// Between two confirmations of an address that is held, and two looks at what is due: far below the half second that one counts.
const TICK: Duration = Duration::from_millis(200);

/// What a task of the group came back with.
#[derive(Debug)]
enum Done {
    Stored(PersistId, Result<(), String>),
    Witnesses(AskId, bool),
    Probed(AskId, NodeName, Ownership),
    /// The seat's routes are open, or why not; the address it is served under; what it was opened for, which may be over.
    Opened(NodeName, Permit, Result<Option<crate::model::group::InterfaceAddress>, String>),
    Closed(NodeName),
    Pulled {
        seat: NodeName,
        from: NodeName,
        /// Of the copy that came, if one did.
        order: Option<(Epoch, u64)>,
        result: Result<(u64, String), String>,
    },
    /// Joined: a new peer, or one more time.
    Joined(NodeName, Reply<OrderAnswer>, bool),
    /// A member no more, by this node's wish.
    Parted(NodeName),
    Taken(NodeName, u64),
    Behind(NodeName),
    Preflight(NodeName, Result<(), (SeatRefusal, String)>),
    Pushed {
        receipts: Vec<(PairName, Receipt)>,
        results: Vec<(NodeName, NodeName, bool)>,
        seats: BTreeMap<NodeName, (Epoch, u64)>,
    },
    WrittenDown(Result<(), String>),
    Gone(NodeName),
    Address(NodeName, mpsc::Receiver<AddressEvent>, AddressEvent),
    Commanded(NodeName, (bool, Epoch), Result<(), String>),
    FallbackAsked(Ownership),
    Fallback(mpsc::Receiver<AddressEvent>, AddressEvent),
    About(NodeName, sync::About),
    /// What the configured witnesses said, asked for no reason.
    Testified(super::witness::Testimony),
    /// What each seat that is not held here would fail by.
    Looked(fitness::Look),
    /// All that is known runs but this, or why nothing does.
    Arranged(Result<arrange::Aside, String>),
    Changed,
    Left,
    Nothing,
}

/// Pairs and routes.
type Names = (Vec<PairName>, Vec<RouteName>);

/// The task's state.
struct Group {
    me: NodeName,
    spec: GroupSpec,
    clock: Clock,
    metrics: Metrics,
    machine: NodeMachine,
    wake: Option<Time>,
    links: Arc<PeerLinks>,
    driver: mpsc::Sender<SeatOrder>,
    arranger: Arranger,
    state_dir: std::path::PathBuf,
    tasks: JoinSet<Done>,
    permits: BTreeMap<NodeName, Permit>,
    held: BTreeMap<NodeName, Held>,
    fallback: fallback::Fallback,
    addresses: BTreeMap<NodeName, crate::model::group::InterfaceAddress>,
    /// Who waits for an answer, and who that is, for the audit trail.
    waiting: BTreeMap<Ticket, (Reply<OrderAnswer>, String)>,
    tickets: u64,
    copies: copies::Copies,
    pulls: pulls::Pulls,
    joining: joining::Joining,
    hindrances: hindrance::Hindrances,
    troubles: troubles::Troubles,
    fitness: fitness::Fitness,
    doubts: doubts::Doubts,
    series: series::Series,
    /// Nodes to which there is no peer link from here, and why.
    links_down: BTreeMap<NodeName, String>,
    silent_since: BTreeMap<NodeName, Time>,
    /// Another node was heard in this run.
    heard_any: bool,
    at_odds_since: Option<Time>,
    /// When this node began to serve each seat.
    served_since: BTreeMap<NodeName, Time>,
    about: BTreeMap<NodeName, sync::About>,
    standing: BTreeMap<crate::model::alert::AlertKey, Alert>,
    /// What the driver was told of it.
    told: BTreeMap<crate::model::alert::AlertKey, Alert>,
    view: watch::Sender<Arc<GroupView>>,
    leaving: bool,
    holders: BTreeMap<NodeName, Option<NodeName>>,
    started: Time,
    asked_about: Time,
    /// What is shown is behind.
    changed: bool,
    /// Commands that run, or have to.
    commands: BTreeMap<NodeName, commands::Swing>,
    /// Seats whose command last said *standby*.
    stood_by: BTreeSet<NodeName>,
    /// They are started on these.
    starts: Share,
    /// The names in each seat's settings of that revision.
    names: BTreeMap<NodeName, (Option<Revision>, Names)>,
}

/// The channels that lead to the group.
struct Inbox {
    events: mpsc::Receiver<PeerEvent>,
    asked: mpsc::Receiver<sync::Asked>,
    requests: mpsc::Receiver<GroupRequest>,
    driver: mpsc::Receiver<FromDriver>,
    stop: watch::Receiver<bool>,
}

impl Group {
    async fn run(mut self, mut inbox: Inbox) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.begin();
        loop {
            let wake = self.clock.timer(self.wake.unwrap_or(self.clock.now() + TICK));
            tokio::select! {
                biased;
                _ = inbox.stop.wait_for(|stop| *stop) => break,
                Some(event) = inbox.events.recv() => self.peer_says(event),
                Some(done) = self.tasks.join_next() => if let Ok(done) = done { self.done(done) },
                Some(asked) = inbox.driver.recv() => self.driver_asks(asked),
                Some(asked) = inbox.asked.recv() => self.peer_asks(asked),
                Some(request) = inbox.requests.recv() => self.request(request),
                () = tokio::time::sleep_until(wake) => self.timed(),
                _ = tick.tick() => self.look(),
            }
            if self.changed {
                self.refresh();
            }
        }
        // Orderly: the address goes first, so that the others need not wait for it.
        self.held.clear();
        self.fallback.held = None;
    }

    fn begin(&mut self) {
        self.timed();
        self.arrange();
        self.look();
    }

    fn timed(&mut self) {
        let now = self.clock.now();
        self.machine.handle_timeout(now);
        self.carry_out();
    }

    fn input(&mut self, input: Input) {
        let now = self.clock.now();
        self.machine.handle_input(now, input);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.machine.poll_effect() {
            self.changed |= !matches!(effect, Effect::Beat(_) | Effect::AskWitnesses(_) | Effect::ProbeAddress(..));
            self.effect(effect);
        }
        self.wake = self.machine.next_timeout();
        self.tell_holders();
    }

    /// Whom to ask about a seat that is not held here.
    fn tell_holders(&mut self) {
        let holders: BTreeMap<_, _> =
            self.machine.seats().map(|(seat, status)| (seat.clone(), status.holder)).collect();
        if holders != self.holders && self.driver.try_send(SeatOrder::Holders(holders.clone())).is_ok() {
            self.holders = holders;
        }
    }

    /// What is due: addresses are confirmed, seats pulled, the view made anew.
    fn look(&mut self) {
        self.held.values().chain(&self.fallback.held).for_each(Held::confirm);
        self.mind_fallback();
        self.ask_about_all();
        self.look_at_fitness();
        self.look_at_witnesses();
        self.run_what_failed();
        self.pull_what_is_due();
        self.push_what_waits();
        self.write_down_what_is_due();
        self.answer_joins();
        self.refresh();
    }

    fn refresh(&mut self) {
        self.changed = false;
        self.learn_names();
        let view = Arc::new(self.make_view());
        self.show(&view);
        self.view.send_replace(view);
    }

    fn event(&self, kind: &'static str, grave: bool, message: String) {
        if let Err(lost) = self.driver.try_send(SeatOrder::Event { kind, grave, message })
            && let SeatOrder::Event { kind, message, .. } = lost.into_inner()
        {
            tracing::warn!(event = kind, what = message, "the driver is too busy for an event");
        }
    }

    /// The other nodes of the group.
    fn others(&self) -> Vec<NodeName> {
        self.machine.peers(self.clock.now()).map(|(name, ..)| name.clone()).collect()
    }

    /// Those that are not silent.
    fn heard(&self) -> BTreeSet<NodeName> {
        let heard = self.machine.peers(self.clock.now()).filter(|(_, suspicion, ..)| *suspicion != Suspicion::Red);
        heard.map(|(name, ..)| name.clone()).collect()
    }

    fn served(&self) -> BTreeSet<NodeName> {
        self.machine.seats().filter(|(_, status)| status.serving).map(|(seat, _)| seat.clone()).collect()
    }

    fn reply(&mut self, ticket: Ticket, answer: Result<OrderAnswer, OrderError>) {
        if let Some((reply, _)) = self.waiting.remove(&ticket) {
            let _gone = reply.send(answer);
        }
    }
}

/// A message that could not be delivered is lost; time runs out on either side then.
async fn tell(links: Arc<PeerLinks>, to: NodeName, message: Message) -> Done {
    if let Err(error) = sync::tell(&links, &to, &message).await {
        tracing::warn!(peer = %to, %error, "a message about a seat was lost");
    }
    Done::Nothing
}

/// The last pulls, for who asks about this node.
fn newest(pulls: impl Iterator<Item = SyncView>) -> Option<SyncView> {
    pulls.max_by(|one, other| one.at.cmp(&other.at))
}
