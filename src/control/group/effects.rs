//! What the machine wants, done.

use super::{Done, Group, record, tell, words};
use crate::{
    control::{
        address::{
            AddressError, AddressEvent, Held, HoldSpec, guard,
            probe::{Ownership, ownership},
        },
        orders::OrderError,
        peer::Saying,
        seats::{Permit, SeatOrder},
        witness,
    },
    decide::seat::{
        effect::{Beat, Effect, Note, Verdict},
        input::Input,
    },
    model::{
        Epoch, HostPort, NodeName,
        causes::chain,
        group::{InterfaceAddress, Witness},
        seat::SeatReason,
        view::OrderAnswer,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// A witness that is there answers within milliseconds.
const WITNESS_WAIT: Duration = Duration::from_millis(800);
/// RFC 5227 waits for seconds; a neighbour on a network that works answers within milliseconds.
pub(super) const PROBE_WAIT: Duration = Duration::from_millis(250);
/// Events of an address on their way at most.
const ADDRESS_EVENTS: usize = 16;

impl Group {
    pub(super) fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(id, record) => {
                let dir = self.state_dir.clone();
                self.tasks.spawn_blocking(move || {
                    Done::Stored(id, record::store(&dir, &record).map_err(|error| chain(&error)))
                });
            }
            Effect::Beat(Beat { role, state, claims }) => {
                self.links.say(Saying { role, state, claims });
                self.held.values().for_each(Held::confirm);
            }
            Effect::Serve { seat, epoch } => self.serve(seat, epoch),
            Effect::LetGo { seat } => self.let_go(seat),
            Effect::Announce { seat } => self.held.get(&seat).into_iter().for_each(Held::announce),
            Effect::RunCommand { seat, holds, epoch } => self.want_command(seat, holds, epoch),
            Effect::AskWitnesses(id) => {
                let witnesses = self.witnesses();
                self.tasks.spawn(async move {
                    Done::Witnesses(id, witness::ask(&witnesses, WITNESS_WAIT).await.is_connected())
                });
            }
            Effect::ProbeAddress(id, seat) => {
                let address = self.address_of(&seat);
                self.tasks.spawn(async move {
                    let found = match address {
                        Some(address) => ownership(&address, PROBE_WAIT).await,
                        None => Ownership::Free,
                    };
                    Done::Probed(id, seat, found)
                });
            }
            Effect::PullNow { seat, from } => self.pull_anew(seat, from),
            Effect::Preflight { seat, upstreams } => self.preflight(seat, upstreams),
            Effect::Tell(to, message) => drop(self.tasks.spawn(tell(Arc::clone(&self.links), to, message))),
            Effect::Dismiss(node) => {
                let links = Arc::clone(&self.links);
                self.tasks.spawn(async move {
                    if let Err(error) = links.dismiss(&node).await {
                        tracing::error!(%node, %error, "a node that was replaced could not be forgotten");
                    }
                    Done::Nothing
                });
            }
            Effect::LetPairsChange(may) => {
                let driver = self.driver.clone();
                self.tasks.spawn(async move {
                    let _stopping = driver.send(SeatOrder::MayChange(may)).await;
                    Done::Nothing
                });
            }
            Effect::Answer(ticket, verdict) => self.answered(ticket, verdict),
            Effect::Note(note) => self.note(&note),
        }
    }

    fn serve(&mut self, seat: NodeName, epoch: Epoch) {
        let permit = Permit::default();
        self.permits.insert(seat.clone(), permit.clone());
        let arranger = self.arranger.clone();
        self.tasks.spawn(async move {
            let opened = arranger.open(seat.clone(), epoch, permit.clone()).await;
            Done::Opened(seat, permit, opened)
        });
    }

    /// The routes are open: the address comes last.
    pub(super) fn opened(&mut self, seat: NodeName, permit: &Permit, opened: Result<Option<InterfaceAddress>, String>) {
        if !permit.holds() {
            return;
        }
        let address = match opened {
            Ok(address) => address,
            Err(why) => return self.serve_failed(seat, &why),
        };
        self.was_written(&seat);
        self.write_down();
        self.served_since.insert(seat.clone(), self.clock.now());
        if self.held.contains_key(&seat) {
            return;
        }
        let Some(address) = address else { return self.served_well(seat) };
        self.fallback.held = None;
        match self.take_address(&address) {
            Ok((held, events)) => {
                self.addresses.insert(seat.clone(), address);
                self.changed = true;
                self.held.insert(seat.clone(), held);
                self.watch_address(seat.clone(), events);
                self.served_well(seat);
            }
            Err(error) => {
                self.serve_failed(seat, &format!("the shared address can't be added: {}", chain(&error)));
            }
        }
    }

    /// Adds an address to this host, and vouches for it for the first time.
    pub(super) fn take_address(
        &self,
        address: &InterfaceAddress,
    ) -> Result<(Held, mpsc::Receiver<AddressEvent>), AddressError> {
        let (events_out, events) = mpsc::channel(ADDRESS_EVENTS);
        let spec = HoldSpec {
            address: address.clone(),
            primary_timeout: self.spec.takeover.primary_timeout,
            guard: guard::THIS_PROGRAM.into(),
        };
        let held = Held::take(spec, events_out)?;
        held.confirm();
        Ok((held, events))
    }

    /// It is tried again, as often as the machine says.
    pub(super) fn serve_failed(&mut self, seat: NodeName, why: &str) {
        self.hindrances.failing.insert(seat.clone(), why.into());
        self.changed = true;
        self.input(Input::ServeFailed(seat));
    }

    /// It is there for clients, its address included.
    fn served_well(&mut self, seat: NodeName) {
        if self.hindrances.failing.remove(&seat).is_some() {
            self.event(
                "seat_served",
                false,
                format!("{} serves seat {seat}: nothing keeps it from it any more", self.me),
            );
        }
        self.run_awaited_command(seat);
    }

    pub(super) fn watch_address(&mut self, seat: NodeName, mut events: mpsc::Receiver<AddressEvent>) {
        self.tasks.spawn(async move {
            match events.recv().await {
                Some(event) => Done::Address(seat, events, event),
                None => Done::Nothing,
            }
        });
    }

    fn let_go(&mut self, seat: NodeName) {
        if let Some(permit) = self.permits.remove(&seat) {
            permit.revoke();
        }
        self.addresses.remove(&seat);
        self.served_since.remove(&seat);
        self.copies.forget_seat(&seat);
        if let Some(held) = self.held.remove(&seat)
            && let Err(error) = held.release()
        {
            tracing::error!(%seat, %error, "the shared address is left to its end");
        }
        self.arranger.open_seats().remove(&seat);
        let (driver, (reply, closed)) = (self.driver.clone(), oneshot::channel());
        self.tasks.spawn(async move {
            let _stopping = driver.send(SeatOrder::Close(seat.clone(), reply)).await;
            let _stopping = closed.await;
            Done::Closed(seat)
        });
    }

    /// Those of the configuration, and the servers of all pairs: who reaches one of them is not cut off.
    fn witnesses(&self) -> Vec<Witness> {
        let known = self.arranger.known();
        let servers = known.values().flat_map(|copy| copy.pairs.values()).flat_map(|record| &record.addresses);
        let servers = servers.map(|(_, address)| Witness::Tcp(HostPort::clone(address)));
        self.spec.witnesses.iter().cloned().chain(servers.take(64)).collect()
    }

    pub(super) fn address_of(&self, seat: &NodeName) -> Option<InterfaceAddress> {
        let copied = self.arranger.known().get(seat).and_then(|copy| copy.shared_address);
        self.arranger.address_of(copied)
    }

    fn answered(&mut self, ticket: crate::decide::effect::Ticket, verdict: Verdict) {
        let answer = match verdict {
            Verdict::Done(message) => Ok(OrderAnswer { changed: true, message }),
            Verdict::Unchanged(message) => Ok(OrderAnswer { changed: false, message }),
            Verdict::Refused(why) => Err(OrderError::Refused(why.words().into())),
        };
        self.reply(ticket, answer);
    }

    fn note(&mut self, note: &Note) {
        let ticket = if let Note::Order { ticket, .. } = note { *ticket } else { None };
        let by = ticket.and_then(|ticket| self.waiting.get(&ticket)).map(|(_, by)| by.as_str());
        let Some(story) = words::story(&self.me, note, by) else { return };
        if let Note::LetGo { seat, reason: SeatReason::Superseded, .. } = note {
            self.pulls.served_twice.insert(seat.clone());
        }
        if let Note::Countdown { .. } = note {
            self.look_again();
        }
        if let Note::NotComing { seat, .. } = note {
            self.hindrances.not_coming.insert(seat.clone(), story.message.clone());
        }
        if self.is_one_more_try(note) {
            tracing::debug!(event = story.kind, "{}", story.message);
            return;
        }
        self.event(story.kind, story.grave, story.message.clone());
        let news = self.series.is_news(self.clock.now(), note);
        if let Some(alert) = words::alert(&self.me, note, &story).filter(|_| news)
            && self.driver.try_send(SeatOrder::Alert(Box::new(alert))).is_err()
        {
            tracing::warn!("an alert about the group was lost: the driver is too busy");
        }
    }

    /// Of a seat that could not be brought up, and is tried again and again: that was told.
    fn is_one_more_try(&self, note: &Note) -> bool {
        match note {
            Note::Serving { seat, .. } | Note::LetGo { seat, reason: SeatReason::ServeFailed, .. } => {
                self.hindrances.failing.contains_key(seat)
            }
            _ => false,
        }
    }
}
