//! From what is known of seats to a running configuration: whatever changes it goes one after the other.

use super::edits::is_emptied;
use crate::{
    config::{self, Config, ConfigErrors},
    control::{
        orders::OrderError,
        reload::{self, Files, Running},
        seats::{Layout, Permit, SeatOrder, SeatPart},
        sync::{Copy, Known, SeatStore, Settings, StoreError, merged, others_words},
    },
    model::{Epoch, NodeName, RouteName, causes::chain, group::InterfaceAddress},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::sync::{mpsc, oneshot, watch};

/// Seats that can't be run here, not even to watch them, and why.
pub(super) type Aside = BTreeMap<NodeName, String>;

/// How a new configuration is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By `reload`: files are read anew, and unless it is forced no server may have moved.
    Reload { force: bool },
    /// With a copy that is new to this node: its files must be here.
    Taken,
    /// By what happens in the group: what was loaded before counts.
    Kept,
    /// The same with settings that are new, and no server may have moved.
    KeptCarefully,
}

impl How {
    fn is_careful(self) -> bool {
        matches!(self, Self::Reload { force: false } | Self::KeptCarefully)
    }

    /// Were the files it names looked for before?
    fn is_known(self) -> bool {
        matches!(self, Self::Kept | Self::KeptCarefully)
    }

    fn files(self) -> Files {
        if matches!(self, Self::Reload { .. }) { Files::Anew } else { Files::Kept }
    }
}

/// What every change needs.
#[derive(Debug, Clone)]
pub(super) struct Arranger {
    pub(super) me: NodeName,
    /// This node's configuration file.
    pub(super) source: PathBuf,
    /// What it said when it was taken last: only `reload` and a start read it. What becomes of it meanwhile keeps no seat from being served.
    pub(super) own: Arc<Mutex<String>>,
    pub(super) state_dir: PathBuf,
    pub(super) shared_address: Option<InterfaceAddress>,
    /// Who writes holds it while the disk works: in blocking tasks only.
    pub(super) store: Arc<Mutex<SeatStore>>,
    /// What it holds, for everybody else.
    pub(super) known: watch::Receiver<Known>,
    /// The seats whose routes are open.
    pub(super) open: Arc<Mutex<BTreeSet<NodeName>>>,
    /// Those that can't be run here.
    pub(super) aside: Arc<Mutex<Aside>>,
    pub(super) driver: mpsc::Sender<SeatOrder>,
    /// One at a time.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    /// This node's file says something else than what it serves.
    pub(super) file_behind: Arc<AtomicBool>,
}

impl Arranger {
    /// What is known of seats.
    pub(super) fn known(&self) -> Known {
        Known::clone(&self.known.borrow())
    }

    pub(super) fn store(&self) -> MutexGuard<'_, SeatStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open_seats(&self) -> MutexGuard<'_, BTreeSet<NodeName>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn event(&self, kind: &'static str, grave: bool, message: String) {
        let _stopping = self.driver.send(SeatOrder::Event { kind, grave, message }).await;
    }

    /// Runs all that is known, but what can't be run: one seat must not keep the node from the others. Which those are, and why.
    pub(super) async fn arrange(&self) -> Result<Aside, String> {
        let _turn = self.turn.lock().await;
        let found = self.look_for_aside().await.map_err(|error| error.to_string())?;
        let before = std::mem::replace(&mut *self.aside(), found.clone());
        // At a start there is nothing yet that it could be the same as.
        if (before.is_empty() || before != found)
            && let Err(error) = self.arrange_now(Vec::new(), None, How::Kept).await
        {
            *self.aside() = before;
            return Err(error.to_string());
        }
        Ok(found)
    }

    /// The seats that can't be run beside those that can: what is served comes first and is never among them, then names decide.
    async fn look_for_aside(&self) -> Result<Aside, OrderError> {
        let (running, opened, this) = (self.running().await?, self.open_seats().clone(), self.clone());
        let look = move || {
            let known = Known::unwrap_or_clone(this.known()).into_values();
            let (mut good, others): (Vec<Copy>, Vec<Copy>) = known.partition(|copy| opened.contains(&copy.seat));
            let mut aside = Aside::new();
            for copy in others {
                let seat = copy.seat.clone();
                good.push(copy);
                if let Err(why) = this.plan(&running, &good, &opened, How::Kept) {
                    good.pop();
                    aside.insert(seat, others_words(&why.to_string()));
                }
            }
            aside
        };
        tokio::task::spawn_blocking(look).await.map_err(|_| OrderError::Stopping)
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn running(&self) -> Result<Running, OrderError> {
        let (reply, running) = oneshot::channel();
        let _stopping = self.driver.send(SeatOrder::Snapshot(reply)).await;
        running.await.map(|running| *running).map_err(|_| OrderError::Stopping)
    }

    /// Runs all that is known, with these copies in place of what is known of their seats, and this seat opened.
    pub(super) async fn arrange_now(
        &self,
        news: Vec<Copy>,
        open: Option<(NodeName, Permit)>,
        how: How,
    ) -> Result<Vec<String>, OrderError> {
        let running = self.running().await?;
        let mut copies = Known::unwrap_or_clone(self.known());
        let opens = |seat: &NodeName| open.as_ref().is_some_and(|(opened, _)| opened == seat);
        let aside = self.aside().clone();
        copies.retain(|seat, _| !aside.contains_key(seat) || opens(seat));
        copies.extend(news.into_iter().map(|copy| (copy.seat.clone(), copy)));
        let copies: Vec<Copy> = copies.into_values().collect();
        let runs: BTreeSet<NodeName> = copies.iter().map(|copy| copy.seat.clone()).collect();
        let mut opened = self.open_seats().clone();
        opened.extend(open.iter().map(|(seat, _)| seat.clone()));
        let this = self.clone();
        let planned = move || this.plan(&running, &copies, &opened, how);
        let planned = tokio::task::spawn_blocking(planned).await.map_err(|_| OrderError::Stopping)?;
        let (plan, layout) = planned?;
        let (reply, installed) = oneshot::channel();
        let order = SeatOrder::Install { plan: Box::new(plan), layout, open, reply };
        let _stopping = self.driver.send(order).await;
        let changes = installed.await.unwrap_or(Err(OrderError::Stopping))?;
        self.aside().retain(|seat, _| !runs.contains(seat));
        Ok(changes)
    }

    fn plan(
        &self,
        running: &Running,
        copies: &[Copy],
        opened: &BTreeSet<NodeName>,
        how: How,
    ) -> Result<(reload::Plan, Layout), OrderError> {
        let bad = |error: &dyn std::error::Error| OrderError::BadConfig(chain(error));
        let own = self.own_text();
        let parts = copies.iter().map(|copy| (&copy.seat, copy.settings.as_str()));
        let text = merged(&own, &self.me, parts).map_err(|error| bad(&error))?;
        let parse = if how.is_known() { config::parse_running } else { config::parse };
        let config = parse(&text, &self.source).map_err(|errors| blame(&errors))?;
        let layout = self.layout(copies, &config);
        if how.is_careful() {
            let moved = reload::moved_servers(running, &config);
            if !moved.is_empty() {
                return Err(OrderError::Refused(moved.join("\n")));
            }
        }
        let opens =
            |route: &RouteName| layout.iter().any(|(seat, part)| opened.contains(seat) && part.routes.contains(route));
        Ok((reload::plan_copied(running, config, how.files(), &opens)?, layout))
    }

    fn layout(&self, copies: &[Copy], config: &Config) -> Layout {
        let part = |copy: &Copy| {
            let (pairs, routes) = Settings::received(copy.settings.clone()).names();
            let pairs = pairs.into_iter().filter(|pair| config.pairs.contains_key(pair));
            SeatPart {
                pairs: pairs.map(|pair| (pair.clone(), copy.pairs.get(&pair).cloned())).collect(),
                routes: routes.into_iter().filter(|route| config.routes.contains_key(route)).collect(),
                own: copy.by == self.me,
            }
        };
        copies.iter().map(|copy| (copy.seat.clone(), part(copy))).collect()
    }

    /// What this node's file said when it was taken last.
    pub(super) fn own_text(&self) -> String {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The seat is this node's to serve under `epoch`: its routes are opened with its newest settings.
    pub(super) async fn open(
        &self,
        seat: NodeName,
        epoch: Epoch,
        permit: Permit,
    ) -> Result<Option<InterfaceAddress>, String> {
        let _turn = self.turn.lock().await;
        let mut new = if seat == self.me { self.new_in_file().await? } else { None };
        let known = self.known().get(&seat).cloned();
        let opens = Some((seat.clone(), permit.clone()));
        if let (Some(copy), Some(settings)) = (&known, &new) {
            let refused = if is_emptied(copy, settings) {
                Some("it has no pairs any more".to_owned())
            } else {
                let copy = Copy { settings: settings.text().into(), ..copy.clone() };
                let arranged = self.arrange_now(vec![copy], opens.clone(), How::KeptCarefully).await;
                arranged.err().map(|error| others_words(&error.to_string()))
            };
            if let Some(why) = refused {
                // What was served until now can be served.
                self.file_behind.store(true, Relaxed);
                self.event("file_refused", true, format!("what is new in this node's file can't be served: {why}"))
                    .await;
                new = None;
            }
        }
        let copy = match (known, &new) {
            (Some(copy), None) => copy,
            (Some(copy), Some(settings)) => Copy { settings: settings.text().into(), ..copy },
            (None, Some(settings)) => Copy::first(seat.clone(), settings, self.me.clone()),
            (None, None) => return Err(format!("nothing was ever copied of seat {seat}")),
        };
        let address = self.address_of(copy.shared_address);
        let arranged = self.arrange_now(vec![copy], opens, How::Kept).await;
        arranged.map_err(|error| others_words(&error.to_string()))?;
        self.open_seats().insert(seat.clone());
        if !permit.holds() {
            self.open_seats().remove(&seat);
            return Err("it was let go meanwhile".into());
        }
        let (this, shared) = (self.clone(), self.shared_address.as_ref().map(|shared| shared.address));
        let written = tokio::task::spawn_blocking(move || {
            let mut store = this.store();
            let shared = if seat == this.me { shared } else { store.get(&seat).and_then(|copy| copy.shared_address) };
            if let Err(error) = store.hold(&seat, epoch, &this.me, shared, new.as_ref()) {
                tracing::error!(error = %chain(&error), "what is new in the file is served, and is not given to the others yet");
                store.hold(&seat, epoch, &this.me, shared, None)?;
            }
            store.write_down()?;
            this.remember_import();
            Ok::<(), StoreError>(())
        });
        // What the disk does not take now is tried again by the group.
        let _tried_again = written.await;
        Ok(address)
    }

    /// Forgets seats, on disk and in what runs.
    pub(super) async fn forget(&self, seats: Vec<NodeName>) {
        let _turn = self.turn.lock().await;
        let this = self.clone();
        let forgotten = tokio::task::spawn_blocking(move || {
            for seat in seats {
                if let Err(error) = this.store().forget(&seat) {
                    tracing::error!(%seat, error = %chain(&error), "a seat could not be forgotten");
                }
            }
        });
        let _stopping = forgotten.await;
        if let Err(error) = self.arrange_now(Vec::new(), None, How::Kept).await {
            self.event("seats_refused", true, format!("what was copied could not be let go: {error}")).await;
        }
    }

    /// Another node's address is added to this node's own interface.
    pub(super) fn address_of(&self, seats: Option<ipnet::IpNet>) -> Option<InterfaceAddress> {
        let own = self.shared_address.as_ref()?;
        Some(InterfaceAddress { address: seats.unwrap_or(own.address), interface: own.interface.clone() })
    }
}

/// What is wrong with a whole that stands in no file.
fn blame(whole: &ConfigErrors) -> OrderError {
    let lines: Vec<_> =
        whole.findings().iter().map(|its| format!("{}: {}; {}", its.key, its.reason, its.mend)).collect();
    OrderError::BadConfig(lines.join("\n"))
}
