//! Could this node serve the seats that it stands by for? What a takeover would fail by is looked for all the time.

use super::{Done, Group, arrange::Aside, doubts::Doubt};
use crate::{
    control::{
        address::probe::hindrance,
        seats::{Prospects, SeatOrder},
        sync::Copy,
    },
    decide::seat::input::Input,
    model::{
        NodeName, Time,
        alert::{AlertKey, AlertKind},
        causes::chain,
        group::InterfaceAddress,
        seat::SeatRefusal,
    },
    net::listen,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};

const LOOK_EVERY: Duration = Duration::from_secs(2);
const SAID_AFTER: Duration = Duration::from_secs(3);
const ALERT_AFTER: Duration = Duration::from_secs(10);

/// A pair that was just copied anew has not passed a check yet: servers that are there pass it well within this time.
const PREFLIGHT_WAIT: Duration = Duration::from_millis(1500);
const PREFLIGHT_AGAIN: Duration = Duration::from_millis(50);

/// Bytes; a takeover writes some kilobytes.
const LEAST_ROOM: u64 = 64 * 1024;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Fitness {
    looked: Time,
    looking: bool,
    /// What each seat would fail by, as the last look found it.
    found: BTreeMap<NodeName, Found>,
    /// Why nothing can be done with this node's own shared address.
    own_address: Option<String>,
    /// Why what was copied can't be run, not even to watch it.
    unarranged: Option<String>,
    /// The same of single seats.
    aside: Aside,
    /// It is being tried again.
    arranging: bool,
}

impl Fitness {
    /// Would an order without `--force` be refused for what is found here?
    pub(super) fn refuses(&self, seat: &NodeName) -> bool {
        self.found.get(seat).is_some_and(|found| !found.unreached.is_empty() || !found.host.is_empty())
    }

    /// Why what was copied of it can't be run, not even to watch it.
    fn unrun(&self, seat: &NodeName) -> Vec<String> {
        let words = |why: &String| format!("what was copied can't be run here: {why}");
        self.unarranged.iter().chain(self.aside.get(seat)).map(words).collect()
    }

    /// What the seat would fail by here.
    fn reasons(&self, seat: &NodeName) -> Vec<String> {
        let whole = self.unrun(seat).into_iter();
        let found = self.found.get(seat).map(|found| found.host.iter().chain(&found.disk).chain(&found.unreached));
        whole.chain(found.into_iter().flatten().cloned()).collect()
    }

    /// Why nothing can be done with this node's own shared address.
    pub(super) fn own_address(&self) -> Option<&str> {
        self.own_address.as_deref()
    }
}

/// What the host was found to be like.
#[derive(Debug)]
pub(super) struct Look {
    own_address: Option<String>,
    seats: BTreeMap<NodeName, Found>,
}

/// What a seat would fail by, in words.
#[derive(Debug)]
struct Found {
    /// Its ports and its address can't be had.
    host: Vec<String>,
    /// Nothing can be stored.
    disk: Option<String>,
    /// Pairs no server of which answers.
    unreached: Vec<String>,
}

/// What a seat needs of this node.
#[derive(Debug)]
struct Needs {
    seat: NodeName,
    address: Option<InterfaceAddress>,
    state_dir: PathBuf,
    /// What is missing whatever is found.
    lacks: Option<String>,
}

impl Group {
    /// Looks, if it is time to.
    pub(super) fn look_at_fitness(&mut self) {
        let now = self.clock.now();
        if self.fitness.looking || now.since(self.fitness.looked) < LOOK_EVERY {
            return;
        }
        (self.fitness.looked, self.fitness.looking) = (now, true);
        let (needs, own, driver) = (self.needs(), self.spec.shared_address.clone(), self.driver.clone());
        self.tasks.spawn(async move {
            let Some(seats) = look_at(&driver, needs).await else { return Done::Nothing };
            let own = tokio::task::spawn_blocking(move || own.as_ref().and_then(hindrance)).await;
            own.map_or(Done::Nothing, |own_address| Done::Looked(Look { own_address, seats }))
        });
        if self.fitness.unarranged.is_some() || !self.fitness.aside.is_empty() {
            self.arrange();
        }
    }

    /// A holder may have to be succeeded in a moment: what was found is not to be two seconds old then.
    pub(super) fn look_again(&mut self) {
        self.fitness.looked = Time::ZERO;
        self.look_at_fitness();
    }

    pub(super) fn looked(&mut self, found: Look) {
        self.fitness.looking = false;
        (self.fitness.own_address, self.fitness.found) = (found.own_address, found.seats);
        let unfit = self.fitness.found.keys().filter(|seat| !self.fitness.reasons(seat).is_empty()).cloned().collect();
        self.input(Input::Unfit(unfit));
    }

    /// Runs all that is known; said once if that fails, and tried again.
    pub(super) fn arrange(&mut self) {
        if std::mem::replace(&mut self.fitness.arranging, true) {
            return;
        }
        let arranger = self.arranger.clone();
        self.tasks.spawn(async move { Done::Arranged(arranger.arrange().await) });
    }

    pub(super) fn arranged(&mut self, result: Result<Aside, String>) {
        self.fitness.arranging = false;
        let (aside, unarranged) = match result {
            Ok(aside) => (aside, None),
            Err(why) => (std::mem::take(&mut self.fitness.aside), Some(why)),
        };
        if let Some(why) = unarranged.as_ref().filter(|why| self.fitness.unarranged.as_ref() != Some(why)) {
            self.event("seats_refused", true, format!("what was copied can't be watched here: {why}"));
        }
        for (seat, why) in aside.iter().filter(|(seat, why)| self.fitness.aside.get(*seat) != Some(why)) {
            self.event("seats_refused", true, format!("what was copied of seat {seat} can't be watched here: {why}"));
        }
        (self.fitness.aside, self.fitness.unarranged) = (aside, unarranged);
    }

    /// Of all seats that another node holds and this one may have to take.
    fn needs(&self) -> Vec<Needs> {
        let others = |seat: &NodeName| {
            self.machine.seats().any(|(name, its)| name == seat && its.holder.as_ref().is_some_and(|by| *by != self.me))
        };
        let known = self.arranger.known();
        let wanted = known.values().filter(|copy| self.machine.has_use_for(&self.me, &copy.seat) && others(&copy.seat));
        wanted.map(|copy| self.needs_of(copy)).collect()
    }

    fn needs_of(&self, copy: &Copy) -> Needs {
        let address = self.address_of(&copy.seat);
        let moves = copy.shared_address.filter(|_| address.is_none() && self.spec.takeover.command.is_empty());
        Needs {
            seat: copy.seat.clone(),
            address,
            state_dir: self.state_dir.clone(),
            lacks: moves.map(|moves| {
                format!(
                    "the seat's address is {moves}, and this node has no group.shared_address to say on which interface"
                )
            }),
        }
    }

    /// Looks whether the seat could be served here.
    pub(super) fn preflight(&mut self, seat: NodeName, upstreams: bool) {
        let needs = self.arranger.known().get(&seat).map(|copy| self.needs_of(copy));
        let (driver, mut reasons) = (self.driver.clone(), self.fitness.unrun(&seat));
        self.tasks.spawn(async move {
            if let Some(needs) = needs {
                let Some(found) = look_at(&driver, vec![needs]).await else { return Done::Nothing };
                reasons.extend(found.into_values().flat_map(|found| found.host));
            }
            if !reasons.is_empty() {
                return Done::Preflight(seat, Err((SeatRefusal::CannotServe, reasons.join("; "))));
            }
            let reached = if upstreams { reached(&driver, &seat).await } else { Ok(()) };
            Done::Preflight(seat, reached.map_err(|why| (SeatRefusal::PreflightFailed, why)))
        });
    }

    /// The seats that could not be served here.
    pub(super) fn unfit(&self) -> Vec<Doubt> {
        let doubt = |seat: &NodeName| {
            let reasons = self.fitness.reasons(seat);
            let could_not = format!("{} could not take over seat {seat}", self.me);
            (!reasons.is_empty()).then(|| Doubt {
                key: unfit(&self.me, seat),
                title: could_not.clone(),
                message: format!("{could_not}: {}", reasons.join("; ")),
                advice: "mend it before the seat's holder fails".into(),
                event: "standby_unfit",
                over: Some(("standby_fit", format!("nothing is known that would keep {} from seat {seat}", self.me))),
                said_after: SAID_AFTER,
                alert_after: ALERT_AFTER,
            })
        };
        self.fitness.found.keys().filter_map(doubt).collect()
    }

    /// What the other nodes are told of it.
    pub(super) fn unfit_lines(&self) -> Vec<String> {
        let said = self.unfit().into_iter().filter(|doubt| self.doubts.said(&doubt.key).is_some());
        said.map(|doubt| doubt.message).collect()
    }
}

/// The alert that `node` could not take over `seat`.
pub(super) fn unfit(node: &NodeName, seat: &NodeName) -> AlertKey {
    AlertKey::about(AlertKind::StandbyUnfit, Some(format!("seat {seat} on {node}")))
}

/// What each seat would fail by; nothing while the node stops.
async fn look_at(driver: &mpsc::Sender<SeatOrder>, needs: Vec<Needs>) -> Option<BTreeMap<NodeName, Found>> {
    let (reply, prospects) = oneshot::channel();
    let seats = needs.iter().map(|its| its.seat.clone()).collect();
    let _stopping = driver.send(SeatOrder::Prospects(seats, reply)).await;
    let prospects = prospects.await.unwrap_or_default();
    let look = move || {
        let found = |its: Needs| (its.seat.clone(), found(&its, prospects.get(&its.seat)));
        needs.into_iter().map(found).collect()
    };
    tokio::task::spawn_blocking(look).await.ok()
}

/// A server that is being checked for the first time has a moment to answer.
async fn reached(driver: &mpsc::Sender<SeatOrder>, seat: &NodeName) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let (reply, reached) = oneshot::channel();
        let _stopping = driver.send(SeatOrder::Preflight(seat.clone(), reply)).await;
        let reached = reached.await.unwrap_or(Err("the node is stopping".into()));
        if reached.is_ok() || began.elapsed() >= PREFLIGHT_WAIT {
            return reached;
        }
        sleep(PREFLIGHT_AGAIN).await;
    }
}

/// Looks at the host. Blocks; must be called within a runtime.
fn found(needs: &Needs, prospects: Option<&Prospects>) -> Found {
    let listens = prospects.into_iter().flat_map(|prospects| &prospects.listens);
    let taken =
        listens.filter_map(|(route, address)| Some(format!("route {route}: {}", chain(&listen::hindrance(*address)?))));
    let address = needs.address.as_ref().and_then(hindrance);
    let lacks = needs.lacks.iter().cloned().chain(address);
    let unreached = prospects.map(|prospects| prospects.unreached.clone()).unwrap_or_default();
    Found { host: lacks.chain(taken).collect(), disk: no_room(&needs.state_dir), unreached }
}

/// A takeover has to be stored before it is acted on.
fn no_room(state_dir: &Path) -> Option<String> {
    let disk = rustix::fs::statvfs(state_dir).ok()?;
    (disk.f_bavail.saturating_mul(disk.f_frsize) < LEAST_ROOM)
        .then(|| format!("the disk of {} is full", state_dir.display()))
}
