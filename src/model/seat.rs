//! Why a seat changes hands, or does not, and how sure a node is of another's life (design §4).

use super::{Epoch, reason::labelled};
use serde::{Deserialize, Serialize};
use std::fmt;

/// More takeovers than this are no seat's life: a number above it is an error or an attack. It is neither believed nor used, whoever says it.
pub const HIGHEST_EPOCH: Epoch = Epoch(1 << 22);

/// A revision as a number has the epoch in which it was made above so many bits of its serial number.
pub const SERIAL_BITS: u32 = 40;

/// The epoch of the seat in which this revision was made.
#[must_use]
pub fn epoch_of_revision(revision: u64) -> Epoch {
    Epoch(revision >> SERIAL_BITS)
}

labelled! {
    /// How a node stands with one of its peers.
    Suspicion {
        /// Heard on both paths.
        Green = "green": "is heard on both paths",
        /// One path is silent or late; nothing is done about it.
        Yellow = "yellow": "is heard on one path only, or late",
        /// Neither path was heard for `primary_timeout`.
        Red = "red": "is heard on neither path",
    }
}

labelled! {
    /// Why a node serves a seat, or no longer does.
    SeatReason {
        /// The seat was never held before.
        FirstStart = "first_start": "the seat was never held before",
        /// The stored record says that this node holds it.
        Restarted = "restarted": "the node was started and holds the seat by its record",
        /// The holder was silent on both paths, a witness answered, nobody owned the address.
        HolderSilent = "holder_silent": "its holder was silent and nobody owned its address",
        /// An operator's `takeover`.
        OperatorTakeover = "operator_takeover": "an operator ordered the takeover",
        /// An operator's `takeover --force`; audited.
        OperatorForce = "operator_force": "an operator forced the takeover",
        /// An operator's `reverse` (`G6`).
        Reversed = "reversed": "an operator gave the seat back to its own node",
        /// An operator's `replace` (`G7`).
        Replaced = "replaced": "another node took the place of the seat's own",
        /// An operator changed configured roles (`B13`).
        RolesChanged = "roles_changed": "an operator changed the configured roles",
        /// A grant was not taken up in time.
        TakenBack = "taken_back": "the grant was not taken up in time",
        /// An operator's `group resolve` (`B14`).
        Resolved = "resolved": "an operator resolved what was left open",
        /// Another node holds it, or held it, under a higher (epoch, name).
        Superseded = "superseded": "another node has the higher epoch",
        /// This node did not run for longer than the kernel keeps the address.
        Gap = "gap": "the node did not run for too long and has to recheck",
        /// The seat is handed to another node.
        HandedOver = "handed_over": "the seat is handed to another node",
        /// The node that held it could not serve it, and asked for help or yielded it.
        HolderUnable = "holder_unable": "the node that held it could not serve it",
        /// Routes or address could not be brought up here.
        ServeFailed = "serve_failed": "its routes or its address could not be brought up",
    }
}

labelled! {
    /// Why an order about seats is refused, or why a node does not take over by itself.
    SeatRefusal {
        /// One writer of roles (`B15`).
        Busy = "busy": "another change of seats is under way; try again",
        /// Unknown seat.
        NoSuchSeat = "no_such_seat": "there is no such seat in the group",
        /// Unknown node.
        NoSuchNode = "no_such_node": "there is no such node in the group",
        /// It can't be asked.
        NotHeard = "not_heard": "the node that should take the seat is not heard: it does not run, or is cut off",
        /// `G3`: the configured role.
        NotBackup = "not_backup": "this node's configured role is not backup (--force overrides)",
        /// `G6` is the order for that.
        OwnSeat = "own_seat": "it is this node's own seat: `failback reverse` takes it back",
        /// `G3`: the state. Whoever serves one seat can take another (`G2`).
        NotStandby = "not_standby": "this node does not stand by: it holds a seat already (--force overrides)",
        /// `G3`: it has to have the seat's configuration.
        NeverSynced = "never_synced": "this node never synced that seat (--force overrides)",
        /// Clients would be led by what it did not hear of.
        NewerElsewhere = "newer_elsewhere": "another node that is heard has a newer copy of that seat (--force overrides)",
        /// It would have to be given back.
        FitterElsewhere = "fitter_elsewhere": "it could not be served from here, and another node that is heard could serve it",
        /// Not even with `--force`: it would serve nothing.
        NothingCopied = "nothing_copied": "nothing was ever copied of that seat, so there is nothing this node could serve",
        /// Whoever serves it can't be asked, and would not let go.
        HeldByStranger = "held_by_stranger": "a node that this one is not joined with is heard to serve the seat: join it, or stop it first",
        /// `replace` with oneself.
        HoldsItself = "holds_itself": "this node holds the seat itself: `failback group role primary` makes it its own",
        /// `G12`.
        PreflightFailed = "preflight_failed": "the seat's upstreams are not reached from here (--force overrides)",
        /// What the host is like: a port that is taken, an interface that is down.
        CannotServe = "cannot_serve": "the node that would take it could not bring up the seat's routes or its address: its event `preflight_failed` says why",
        /// `takeover.auto` is off.
        AutoOff = "auto_off": "takeover.auto is off: an operator has to order the takeover",
        /// `G5`: no second automatic takeover.
        Degraded = "degraded": "the seat was taken over before and is degraded until reverse, replace, or a change of roles",
        /// `G8`: its heartbeats arrive, here or at another node.
        StillHeard = "still_heard": "the seat's holder is still heard",
        /// `B10`.
        CutOff = "cut_off": "no witness answers: this node itself is cut off",
        /// Not dead.
        AddressOwned = "address_owned": "somebody still owns the shared address",
        /// A node said one that leaves no room.
        EpochsSpent = "epochs_spent": "no epoch is left above the highest one known of this seat",
        /// The probe or the witnesses gave no answer in time.
        NoProof = "no_proof": "it could not be shown in time that nobody holds the seat",
        /// The holder did not answer.
        NoAnswer = "no_answer": "the other node did not answer in time",
        /// It is no holder to ask.
        NotHolder = "not_holder": "the node asked does not hold the seat",
        /// Nobody is heard holding it: it would have to be taken, at the price of what only the holder has.
        HolderNotHeard = "holder_not_heard": "the seat's holder is not heard: try again in a moment; if it is dead, `takeover --force` takes the seat",
        /// It started a moment ago, or the way there leads one way only.
        NotHeardThere = "not_heard_there": "the other node does not hear this one, or not yet: try again in a moment",
        /// It could not be pulled what changed.
        SyncFailed = "sync_failed": "what changed could not be pulled from the holder",
        /// A grant holds for a bounded time.
        GrantExpired = "grant_expired": "the grant was not taken up in time",
        /// Another node has the higher epoch.
        Overtaken = "overtaken": "another node took the seat meanwhile",
        /// It has to be handed over first.
        StillHolds = "still_holds": "this node holds a seat: hand it over first (--force overrides)",
        /// Leaving would take it from all.
        HoldsForGroup = "holds_for_group": "this node holds a seat that others protect: hand it over first, or part from them one by one (`group leave --node`)",
        /// Nobody could take it.
        NoSuccessor = "no_successor": "no backup node is heard that could take the seat",
        /// It would have to be said which.
        WhichSeat = "which_seat": "it is not clear which seat is meant: order a takeover of one first",
        /// Which of the two shall stop is the operator's to say (`B14`).
        BothServe = "both_serve": "both are primary nodes and serve: order `group role backup --force` on the one that shall not",
        /// The disk.
        NotStored = "not_stored": "this node could not store its record, so nothing was changed: look at its disk (`failback status` says more)",
        /// The other one's.
        NotStoredThere = "not_stored_there": "the other node could not store its record, so nothing was changed: look at its disk (`failback status` there says more)",
    }
}

impl SeatRefusal {
    /// The same as the node sees it to which it is told: what is ours is the other's there.
    #[must_use]
    pub fn as_told(self) -> Self {
        match self {
            Self::NotStored => Self::NotStoredThere,
            Self::NotStoredThere => Self::NotStored,
            other => other,
        }
    }
}
