//! One aggregation server's data as a pure machine: what it holds, what that is worth, and what a resync does to it.
//!
//! A **term** tells which of the two servers is stale. A server that stores an event without its peer raises its own; the
//! one with the lower term has missed something. A resync deletes what the stale one had, fills it, and gives it the
//! other's term. If both went on alone (one hung, and when it woke took what had been sent to it), the one that dials gives way:
//! the primary, which the proxy left.

use super::{
    protocol::{ProbeId, Standing, Status},
    store::{Full, Store},
};

/// What a server holds and knows.
#[derive(Debug, Default)]
pub(super) struct Core {
    name: String,
    store: Store,
    term: u64,
    alone: bool,
    stale: bool,
    paired: bool,
    incoming: Option<Incoming>,
}

/// A resync under way, at its receiving end. It is built aside and put in place at its end.
#[derive(Debug, Default)]
struct Incoming {
    store: Store,
    /// Of `total`, what is here; what is copied to it meanwhile is not of them.
    filled: u64,
    total: u64,
}

/// What a server remembers over its own death.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// What it held.
    pub(super) store: Store,
    /// Its term.
    pub(super) term: u64,
    /// It stored events without its peer since it raised the term.
    pub(super) alone: bool,
}

/// Where the two servers stand towards each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bond {
    /// Both hold the same: what one stores is copied to the other.
    Equal,
    /// This server went on without the other, and can fill it.
    Ahead,
    /// The other went on without this one.
    Behind,
}

impl Core {
    /// A server that starts. One that remembers something can't know what it missed until it hears its peer; only if it
    /// was alone when it died nobody can have gone on without it.
    pub(super) fn new(name: String, memory: Option<Memory>) -> Self {
        match memory {
            None => Self { name, term: 1, ..Self::default() },
            Some(Memory { store, term, alone }) => Self { name, store, term, alone, stale: !alone, ..Self::default() },
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its term.
    pub(super) fn term(&self) -> u64 {
        self.term
    }

    /// What must outlive it. During a resync that is nothing: what it had is deleted.
    pub(super) fn memory(&self) -> Memory {
        Memory { store: self.store.clone(), term: self.term, alone: self.alone }
    }

    /// Everything held that answers a question (during a resync: not what is being filled).
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// What its data is worth.
    pub(super) fn standing(&self) -> Standing {
        match (&self.incoming, self.stale, self.paired) {
            (Some(_), _, _) => Standing::Resyncing,
            (None, true, _) => Standing::Stale,
            (None, false, false) => Standing::Alone,
            (None, false, true) => Standing::Whole,
        }
    }

    /// At a glance.
    pub(super) fn status(&self) -> Status {
        let incoming = self.incoming.as_ref();
        Status {
            name: self.name.clone(),
            standing: self.standing(),
            events: self.store.rows(),
            filled: incoming.map_or(0, |it| it.filled),
            total: incoming.map_or(0, |it| it.total),
        }
    }

    /// A probe's event. Also a stale server takes it: that is what makes it dangerous. During a resync it is kept where
    /// the resync's end deletes it.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) fn event(&mut self, probe: ProbeId, seq: u64) -> Result<u64, Full> {
        self.store.insert(probe, seq, seq)
    }

    /// An event was stored that the peer does not have. `true` if that raised the term.
    pub(super) fn went_on_alone(&mut self) -> bool {
        let first = !self.stale && self.incoming.is_none() && !self.alone;
        if first {
            self.alone = true;
            self.term += 1;
        }
        first
    }

    /// The peer says its term; this server dialled it, or was dialled.
    pub(super) fn met(&mut self, peer_term: u64, dialled: bool) -> Bond {
        self.incoming = None;
        // After one that was alone filled its peer, it no longer is: both raised the term.
        if self.alone && self.term == peer_term {
            self.paired = false;
            self.stale = dialled;
            if !dialled {
                return Bond::Ahead;
            }
            self.alone = false;
            self.term -= 1;
            return Bond::Behind;
        }
        self.stale = self.term < peer_term;
        self.paired = self.term == peer_term;
        match self.term.cmp(&peer_term) {
            std::cmp::Ordering::Less => Bond::Behind,
            std::cmp::Ordering::Greater => Bond::Ahead,
            std::cmp::Ordering::Equal => Bond::Equal,
        }
    }

    /// The peer copies an event that it just took.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) fn copied(&mut self, probe: ProbeId, seq: u64) -> Result<u64, Full> {
        let store = self.incoming.as_mut().map_or(&mut self.store, |incoming| &mut incoming.store);
        store.insert(probe, seq, seq)
    }

    /// The peer fills this server, which asked for it: without a resync under way it changes nothing.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) fn filled(&mut self, probe: ProbeId, first: u64, last: u64) -> Result<(), Full> {
        if let Some(incoming) = &mut self.incoming {
            incoming.store.insert(probe, first, last)?;
            incoming.filled += last.saturating_add(1).saturating_sub(first);
        }
        Ok(())
    }

    /// A resync of `total` events begins: what this server had is deleted.
    pub(super) fn begin(&mut self, total: u64) {
        self.store = Store::default();
        self.stale = true;
        self.alone = false;
        self.paired = false;
        self.incoming = Some(Incoming { total, ..Incoming::default() });
    }

    /// The resync ends: this server holds what its peer holds. What it was given by others meanwhile is deleted.
    pub(super) fn end(&mut self, term: u64) {
        if let Some(incoming) = self.incoming.take() {
            self.store = incoming.store;
            self.term = term;
            self.stale = false;
            self.paired = true;
        }
    }

    /// The peer was filled by this server, and both are equal again.
    pub(super) fn filled_peer(&mut self) {
        self.alone = false;
        self.paired = true;
    }

    /// The peer is gone. A resync that was under way is void, and leaves nothing.
    pub(super) fn parted(&mut self) {
        self.incoming = None;
        self.paired = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: ProbeId = ProbeId(7);

    fn holding(last: u64) -> Core {
        let mut core = Core::new("AGG".into(), None);
        (1..=last).for_each(|seq| assert_eq!(core.copied(PROBE, seq), Ok(1)));
        core
    }

    fn reborn(core: &Core) -> Core {
        Core::new("AGG".into(), Some(core.memory()))
    }

    #[test]
    fn two_servers_that_start_empty_are_equal() {
        let mut core = Core::new("AGG_P".into(), None);
        assert_eq!(core.standing(), Standing::Alone);
        assert_eq!(core.met(1, true), Bond::Equal);
        assert_eq!(core.standing(), Standing::Whole);
    }

    #[test]
    fn the_one_that_was_dead_while_the_other_took_events_is_stale() {
        let (mut primary, mut backup) = (holding(10), holding(10));
        assert_eq!((primary.met(backup.term(), true), backup.met(primary.term(), false)), (Bond::Equal, Bond::Equal));
        backup.event(PROBE, 11).unwrap();
        assert!(backup.went_on_alone(), "the first event without the peer raises the term");
        assert!(!backup.went_on_alone(), "and only the first");

        let mut primary = reborn(&primary);
        assert_eq!(primary.standing(), Standing::Stale, "it can't know what it missed");
        assert_eq!((primary.met(backup.term(), true), backup.met(primary.term(), false)), (Bond::Behind, Bond::Ahead));
        assert_eq!((primary.standing(), backup.standing()), (Standing::Stale, Standing::Alone));
    }

    #[test]
    fn a_resync_deletes_all_the_stale_one_had_and_all_it_was_given_meanwhile() {
        let mut primary = reborn(&holding(10));
        primary.met(2, true);
        primary.event(ProbeId(99), 1).unwrap();
        assert!(!primary.went_on_alone(), "a stale server never claims to be ahead");

        primary.begin(11);
        assert_eq!(primary.store().rows(), 0);
        primary.event(ProbeId(99), 2).unwrap();
        primary.copied(PROBE, 11).unwrap();
        primary.copied(PROBE, 12).unwrap();
        primary.filled(PROBE, 1, 11).unwrap();
        let status = primary.status();
        let progress = (status.standing, status.filled, status.total);
        assert_eq!(progress, (Standing::Resyncing, 11, 11), "what is new is no part of what is to be filled");

        primary.end(2);
        assert_eq!((primary.standing(), primary.term()), (Standing::Whole, 2));
        assert_eq!(primary.store().iter().collect::<Vec<_>>(), [(PROBE, 1, 12)]);
        assert_eq!(primary.store().rows(), 12);
    }

    #[test]
    fn a_resync_that_is_cut_off_leaves_the_server_empty_and_stale() {
        let mut primary = reborn(&holding(10));
        primary.met(2, true);
        primary.begin(11);
        primary.filled(PROBE, 1, 11).unwrap();
        primary.parted();
        assert_eq!((primary.standing(), primary.store().rows()), (Standing::Stale, 0));
        assert_eq!(reborn(&primary).met(2, true), Bond::Behind, "also after another death");
    }

    #[test]
    fn the_one_that_was_alone_when_it_died_is_whole_when_it_returns() {
        let mut backup = holding(10);
        backup.event(PROBE, 11).unwrap();
        backup.went_on_alone();
        let mut backup = reborn(&backup);
        assert_eq!(backup.standing(), Standing::Alone);
        assert_eq!(backup.met(1, false), Bond::Ahead, "its peer is the stale one");
    }

    #[test]
    fn of_two_that_both_went_on_alone_the_one_that_dials_is_stale() {
        let (mut primary, mut backup) = (holding(10), holding(10));
        for core in [&mut primary, &mut backup] {
            core.event(PROBE, 11).unwrap();
            core.went_on_alone();
        }
        let (told, heard) = (primary.term(), backup.term());
        assert_eq!((primary.met(heard, true), backup.met(told, false)), (Bond::Behind, Bond::Ahead));
        assert_eq!((primary.standing(), backup.standing()), (Standing::Stale, Standing::Alone));
        assert!(!primary.went_on_alone(), "what it is sent now makes it no whole server either");
        assert_eq!(reborn(&primary).met(heard, true), Bond::Behind, "also after its death");

        primary.begin(11);
        primary.filled(PROBE, 1, 11).unwrap();
        primary.end(backup.term());
        backup.filled_peer();
        assert_eq!((primary.met(backup.term(), true), backup.met(primary.term(), false)), (Bond::Equal, Bond::Equal));
    }
}
