//! Keeps the shared address: one task that renews it, announces it, and listens for others who claim it.

use super::{
    announce::{Schedule, announce},
    kernel::AddressError,
    lease::{Lease, Loss, Renewal, lifetime},
};
use crate::{
    model::group::InterfaceAddress,
    net::{
        neighbour::{Mac, claim, question},
        packet::{Wire, own_macs},
    },
};
use std::{
    io,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

/// From one renewal to the next: two of them may fail within the shortest lifetime, one second.
pub(super) const RENEW_EVERY: Duration = Duration::from_millis(400);
/// While another host claims the address, it is asked for and announced so often. RFC 5227 §2.4 would have a host give in; who of two nodes
/// must is decided elsewhere, and any other host is in the wrong.
const DEFEND_EVERY: Duration = Duration::from_secs(1);
/// A conflict is over when so many questions in a row were answered by nobody else.
const QUESTIONS: u32 = 3;

/// What to hold, and how.
#[derive(Debug, Clone)]
pub struct HoldSpec {
    /// The shared address.
    pub address: InterfaceAddress,
    /// After how long others take it for lost: it is gone sooner.
    pub primary_timeout: Duration,
    /// The program that is started as guard: [`super::guard::THIS_PROGRAM`].
    pub guard: PathBuf,
}

/// What happened to an address that is held.
#[derive(Debug)]
pub enum AddressEvent {
    /// Another host claims it, from now on (RFC 5227 §2.4). Who of the two must let go is decided elsewhere.
    Conflict(Mac),
    /// Nobody else claims it or answers for it any more; it was announced again, as caches may have followed the other.
    ConflictOver,
    /// Somebody had removed it, or its interface was down; it is there again, and announced.
    Restored,
    /// It is no longer held, and won't come back by itself.
    Lost(Loss),
}

/// A shared address on one of our interfaces. Dropped, it is removed at once, which takes a few milliseconds.
#[derive(Debug)]
pub struct Held {
    lease: Arc<Mutex<Lease>>,
    announce: Arc<Notify>,
    task: AbortHandle,
}

impl Held {
    /// Adds the address and announces it. That no other host has it must have been asked before ([`super::probe`]).
    ///
    /// From now on [`Self::confirm`] must be called at every heartbeat. Must be called within a runtime; blocks for the
    /// milliseconds in which the guard starts. Should `events` be full, renewals wait with it.
    ///
    /// # Errors
    /// [`AddressError`]; nothing is left behind.
    pub fn take(spec: HoldSpec, events: mpsc::Sender<AddressEvent>) -> Result<Self, AddressError> {
        let HoldSpec { address, primary_timeout, guard } = spec;
        let lease = Lease::take(address.clone(), lifetime(primary_timeout), guard)?;
        let again = Arc::new(Notify::new());
        let carriers = lease.kernel().carriers(&address.interface);
        let lease = Arc::new(Mutex::new(lease));
        let keeper = Keeper {
            ip: address.address.addr(),
            address,
            lease: Arc::clone(&lease),
            again: Arc::clone(&again),
            events,
            wire: None,
            schedule: Schedule::burst(),
            conflict: None,
            carriers,
        };
        let task = tokio::spawn(keeper.keep()).abort_handle();
        Ok(Self { lease, announce: again, task })
    }

    /// Vouches that this node is well and still the holder. An address for which nobody vouches ends by itself.
    pub fn confirm(&self) {
        lock(&self.lease).confirm();
    }

    /// Announces it again, several times, as after a network was healed.
    pub fn announce(&self) {
        self.announce.notify_one();
    }

    /// Removes it and dismisses the guard. Does nothing if it was lost.
    ///
    /// # Errors
    /// [`AddressError`]; then the kernel removes it when its lifetime is over.
    pub fn release(self) -> Result<(), AddressError> {
        self.task.abort();
        lock(&self.lease).end()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = lock(&self.lease).end() {
            tracing::warn!(%error, "the shared address is left to its end");
        }
    }
}

/// A panic ends the process, so the lease is whole whatever the lock says.
fn lock(lease: &Mutex<Lease>) -> MutexGuard<'_, Lease> {
    lease.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Keeper {
    address: InterfaceAddress,
    ip: IpAddr,
    lease: Arc<Mutex<Lease>>,
    again: Arc<Notify>,
    events: mpsc::Sender<AddressEvent>,
    wire: Option<Wire>,
    schedule: Schedule,
    conflict: Option<Conflict>,
    /// The link's [`super::kernel::Addresses::carriers`] when last seen.
    carriers: Option<u32>,
}

/// Another host claimed the address.
#[derive(Debug, Clone, Copy)]
struct Conflict {
    /// When we say and ask again.
    next: Instant,
    /// Questions since the last claim.
    asked: u32,
}

impl Keeper {
    async fn keep(mut self) {
        self.open_wire();
        let mut renewal = interval(RENEW_EVERY);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                biased;
                _ = renewal.tick() => self.renew(),
                () = sleep_until(self.schedule.next()) => self.tell(),
                () = self.again.notified() => {
                    self.schedule = Schedule::burst();
                    None
                }
                () = until(self.conflict.map(|conflict| conflict.next)) => self.defend(),
                frame = hear(self.wire.as_ref()) => self.heard(frame),
            };
            if let Some(event) = event {
                let end = matches!(event, AddressEvent::Lost(_));
                if self.events.send(event).await.is_err() || end {
                    return;
                }
            }
        }
    }

    fn renew(&mut self) -> Option<AddressEvent> {
        let (renewal, carriers) = {
            let mut lease = lock(&self.lease);
            (lease.renew(), lease.kernel().carriers(&self.address.interface))
        };
        let healed = carriers.is_some() && self.carriers != carriers;
        self.carriers = carriers;
        if self.wire.is_none() {
            self.open_wire();
        }
        match renewal {
            Err(loss) => return Some(AddressEvent::Lost(loss)),
            Ok(Renewal::Restored) => {
                self.schedule = Schedule::burst();
                return Some(AddressEvent::Restored);
            }
            // Behind a link that was down others may have answered for the address.
            Ok(Renewal::Good) if healed => self.schedule = Schedule::burst(),
            Ok(Renewal::Good) => {}
        }
        None
    }

    fn tell(&mut self) -> Option<AddressEvent> {
        self.schedule.said();
        if let Some(wire) = &self.wire
            && let Err(error) = announce(wire, self.ip, wire.mac())
        {
            tracing::warn!(address = %self.ip, %error, "the shared address could not be announced");
        }
        None
    }

    fn heard(&mut self, frame: io::Result<Vec<u8>>) -> Option<AddressEvent> {
        let frame = match frame {
            Ok(frame) => frame,
            // The link went down, or is no more. The next renewal looks for it.
            Err(_) => {
                self.wire = None;
                return None;
            }
        };
        let other = claim(&frame, self.ip).filter(|mac| !own_macs().contains(mac))?;
        if let Some(conflict) = &mut self.conflict {
            conflict.asked = 0;
            return None;
        }
        self.conflict = Some(Conflict { next: Instant::now() + DEFEND_EVERY, asked: 0 });
        Some(AddressEvent::Conflict(other))
    }

    /// Says again whose it is, and asks who else answers. Silence counts only where the question got out.
    fn defend(&mut self) -> Option<AddressEvent> {
        let conflict = self.conflict.as_mut()?;
        if conflict.asked >= QUESTIONS {
            self.conflict = None;
            self.schedule = Schedule::burst();
            return Some(AddressEvent::ConflictOver);
        }
        conflict.next = Instant::now() + DEFEND_EVERY;
        let asked = self.wire.as_ref().is_some_and(|wire| {
            let said = announce(wire, self.ip, wire.mac());
            said.and_then(|()| wire.send(&question(self.ip, wire.mac()))).is_ok()
        });
        conflict.asked = if asked { conflict.asked + 1 } else { 0 };
        None
    }

    fn open_wire(&mut self) {
        match Wire::open(&self.address.interface, self.ip) {
            Ok(wire) => {
                // Whoever could not be told before is told now.
                self.schedule = Schedule::burst();
                self.wire = Some(wire);
            }
            Err(error) if self.carriers.is_some() => {
                tracing::warn!(interface = %self.address.interface, %error, "the shared address can't be announced yet");
            }
            Err(_) => {}
        }
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

async fn hear(wire: Option<&Wire>) -> io::Result<Vec<u8>> {
    match wire {
        Some(wire) => wire.receive().await,
        None => std::future::pending().await,
    }
}
