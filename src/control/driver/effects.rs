//! Inputs go in, effects come out and are carried out in order.

use super::{Driver, alerts, orders::Asked, words};
use crate::{
    control::{journal::Receipt, probe, signal},
    decide::{
        effect::{CheckId, Effect, Note, PairRecord, PersistId, Ticket, Verdict},
        input::{CheckResult, Input, Stored},
    },
    model::{PairName, UpstreamName},
};
use std::time::Duration;

/// Checks under way at most, over all pairs; one more is this node's own trouble.
const CHECKS: usize = 4096;

impl Driver {
    /// Something happened to a pair that may have gone meanwhile.
    pub(super) fn input(&mut self, name: &PairName, input: Input) {
        self.backlog.push_back((name.clone(), input));
        self.settle();
    }

    /// A pair's time has come, or it begins.
    pub(super) fn timed(&mut self, name: &PairName) {
        let now = self.clock.now();
        if let Some(pair) = self.pairs.get_mut(name) {
            pair.machine.handle_timeout(now);
            self.carry_out(name);
        }
        self.settle();
    }

    /// Handles the backlog. Each effect adds one input at most, and none of these is answered with the same effect at
    /// once, so it ends.
    pub(super) fn settle(&mut self) {
        while let Some((name, input)) = self.backlog.pop_front() {
            let now = self.clock.now();
            if let Some(pair) = self.pairs.get_mut(&name) {
                pair.machine.handle_input(now, input);
                self.carry_out(&name);
            }
        }
    }

    fn carry_out(&mut self, name: &PairName) {
        let mut effects = Vec::new();
        if let Some(pair) = self.pairs.get_mut(name) {
            effects.extend(std::iter::from_fn(|| pair.machine.poll_effect()));
            pair.wake = pair.machine.next_timeout();
        }
        if effects.is_empty() {
            return;
        }
        let mut authors = self.authors(&effects);
        let watched = self.pairs.get(name).is_some_and(|pair| pair.watched);
        for effect in effects {
            match effect {
                // A machine that only watches decides for itself alone.
                Effect::Publish(_) | Effect::PollSignal | Effect::Note(_) if watched => {}
                Effect::Persist(id, record) if watched => self.remember(name, id, record),
                Effect::StartCheck { check, upstream, timeout } => self.start_check(name, check, upstream, timeout),
                Effect::Persist(id, record) => self.persist(name, id, record),
                Effect::Publish(routing) => {
                    let Some(pair) = self.pairs.get_mut(name) else { continue };
                    pair.told = None;
                    if self.publisher.route(&pair.spec, routing) {
                        self.publish_all();
                    }
                    self.look_at_links(name);
                }
                Effect::PollSignal => self.poll_signal(name),
                Effect::Answer(ticket, verdict) => {
                    if let Some(asked) = self.asked.remove(&ticket) {
                        asked.answer(&verdict);
                    }
                }
                Effect::Note(note) => self.note(name, &note, &mut authors),
            }
        }
        self.show_place(name);
    }

    /// Who is answered in these effects, with the verdict, so that the notes about it can name them.
    fn authors(&self, effects: &[Effect]) -> Vec<(Verdict, String)> {
        let answers = effects.iter().filter_map(|effect| match effect {
            Effect::Answer(ticket, verdict) => Some((verdict.clone(), self.asked.get(ticket)?.by().to_owned())),
            _ => None,
        });
        answers.collect()
    }

    fn start_check(&mut self, name: &PairName, check: CheckId, upstream: UpstreamName, timeout: Duration) {
        let Some(pair) = self.pairs.get(name) else { return };
        let refused = match pair.addresses(&upstream) {
            Some(_) if self.checks.len() < CHECKS => None,
            Some(_) => Some(CheckResult::Local(format!("{CHECKS} checks are under way already"))),
            None => Some(CheckResult::Unresolved("its host name is not resolved".into())),
        };
        let target = probe::Target {
            check: pair.spec.health.check.clone(),
            addresses: pair.addresses(&upstream).cloned().unwrap_or_default(),
            timeout,
            tls: self.tls.loaded.checks(name),
        };
        let (pair, machine) = (name.clone(), pair.incarnation);
        self.checks.spawn(async move {
            let probe::Checked { result, handshake } = match refused {
                Some(result) => probe::Checked { result, handshake: probe::Handshake::default() },
                None => probe::check(&target).await,
            };
            probe::Ended { pair, machine, check, upstream, result, handshake }
        });
    }

    fn persist(&mut self, name: &PairName, id: PersistId, record: Box<PairRecord>) {
        let now = self.clock.now();
        let Some(pair) = self.pairs.get_mut(name) else { return };
        let receipt = Receipt { incarnation: pair.incarnation, id };
        if self.journal.store(name, receipt, record.clone()) {
            pair.writing.insert(receipt, (now, record));
        } else {
            pair.metrics.not_stored();
            self.backlog.push_back((name.clone(), Input::PersistFailed(id)));
        }
    }

    /// The journal is through with a record.
    pub(super) fn written(&mut self, name: &PairName, receipt: Receipt, stored: bool) {
        let Some(pair) = self.pairs.get_mut(name).filter(|pair| pair.incarnation == receipt.incarnation) else {
            return;
        };
        let Some((_, record)) = pair.writing.remove(&receipt) else { return };
        let Receipt { id, .. } = receipt;
        if stored {
            pair.stored = Stored::Record(record.clone());
            if self.replicate(name, receipt, &record) {
                if let Some(pair) = self.pairs.get_mut(name) {
                    pair.replicating.insert(receipt);
                }
                return;
            }
        } else {
            pair.metrics.not_stored();
        }
        self.input(name, if stored { Input::Persisted(id) } else { Input::PersistFailed(id) });
    }

    fn poll_signal(&mut self, name: &PairName) {
        let now = self.clock.now();
        let Some(pair) = self.pairs.get_mut(name) else { return };
        let Some(source) = pair.spec.failback.source.clone() else { return };
        if std::mem::replace(&mut pair.polling, true) {
            return;
        }
        let (name, machine, epoch) = (name.clone(), pair.incarnation, pair.machine.status(now).epoch);
        let threads = self.threads.clone();
        self.polls.spawn(async move {
            let done = signal::poll(&source, &name, epoch, &threads).await;
            (name, machine, done)
        });
    }

    fn note(&mut self, name: &PairName, note: &Note, authors: &mut Vec<(Verdict, String)>) {
        let now = self.clock.now();
        let Some(pair) = self.pairs.get(name) else { return };
        pair.metrics.note(note);
        let verdict = match note {
            Note::Signal { verdict, .. } | Note::Order { verdict, .. } => Some(verdict),
            _ => None,
        };
        let author = verdict.and_then(|verdict| authors.iter().position(|(answer, _)| answer == verdict));
        let by = author.map(|index| authors.remove(index).1);
        let epoch = match note {
            Note::Transition { epoch, .. } => *epoch,
            _ => pair.machine.status(now).epoch,
        };
        let story = words::story(&pair.spec, note, by.as_deref());
        if let Some(alert) = alerts::of_change(&pair.spec, note, &story) {
            self.alerts.happened(alert);
        }
        self.chronicle.pair(&self.journal, name, epoch, story);
    }

    /// The metrics show where the pair and its servers stand now.
    pub(super) fn show_place(&self, name: &PairName) {
        if let Some(pair) = self.pairs.get(name) {
            let status = pair.machine.status(self.clock.now());
            let state = (!pair.watched).then_some(status.state);
            pair.metrics.state(state, status.active_side, status.epoch);
            status.upstreams.iter().for_each(|upstream| pair.metrics.health(&upstream.name, upstream.health));
            pair.metrics.migration_remaining(status.migration.map_or(0, |migration| migration.remaining));
        }
    }

    /// Gives the asker a ticket. `Err` gives them back: so many wait already.
    pub(super) fn ticket(&mut self, asked: Asked) -> Result<Ticket, Asked> {
        if self.asked.len() >= super::orders::WAITING {
            return Err(asked);
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.asked.insert(ticket, asked);
        Ok(ticket)
    }

    /// Everything a machine's end leaves behind: those who still wait for it.
    pub(super) fn forget_pair(&mut self, name: &PairName) {
        self.part_from(name);
        self.parted.remove(name);
    }

    /// The same where another machine goes on with the pair at once.
    pub(super) fn part_from(&mut self, name: &PairName) {
        if let Some(pair) = self.pairs.remove(name) {
            self.departed.insert(name.clone(), pair.stored.clone());
            self.parted.insert(name.clone(), pair);
        }
        self.asked.retain(|_, asked| asked.pair() != name);
        self.backlog.retain(|(pair, _)| pair != name);
    }
}
