//! What goes wrong, and when: a schedule from the seed, an adversary that strikes at the worst moments, operators with
//! untimely orders; and in the end the calm in which everything is mended.

use crate::{
    scenario::{NAMES, Theme, role, server},
    servers::Condition,
    world::{Event, World},
};
use failback::{
    decide::{
        effect::{Note, Ticket},
        input::{Input, MigrationOrder, Order},
    },
    model::{Side, TransitionReason as Reason, spec::FailbackWhen, view::PairStateName as State},
};
use std::time::Duration;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Server(usize, Condition),
    /// For so long, and not for as long as chance wants.
    ServerFor(usize, Condition, Duration),
    /// Our own link; `told`: and the driver notices.
    LinkCut {
        told: bool,
    },
    /// Our own link, but only the way to this server; the driver is told at once, so nobody may be failed over.
    WayCut(usize),
    /// No free port is left to this server, which is our own trouble too.
    NoPorts(usize),
    /// Whoever checks this server is starved: he finds out far too late that there was no answer, although there was.
    LateProber(usize),
    /// The process dies and is back after so long.
    KillFor(Duration),
    NoDescriptors {
        told: bool,
    },
    /// The process does not run for so long; `told`: and the driver notices when it does again.
    Freeze(Duration, bool),
    Kill,
    KillAfter(usize),
    DiskFull,
    DiskSlow,
    /// The server gets another address.
    Moves(usize),
}

impl World {
    pub(crate) fn plan_faults(&mut self) {
        let span = self.scenario.trouble.as_millis() as u64;
        for _ in 0..self.scenario.faults {
            let at = self.chance.millis(0, span);
            if self.chance.percent(15) && self.scenario.theme != Theme::Upstreams {
                self.plan_starvation(at);
                continue;
            }
            let fault = self.draw_fault();
            self.after(at, Event::Fault(fault));
        }
        for _ in 0..self.scenario.orders {
            let (at, order) = (self.chance.millis(2000, span), self.draw_order());
            self.after(at, Event::Order(order));
        }
        if self.scenario.reconfigures {
            for _ in 0..2 {
                let at = self.chance.millis(1000, span);
                self.after(at, Event::Reconfigure);
            }
        }
    }

    /// A busy machine: the process runs only now and then.
    fn plan_starvation(&mut self, mut at: Duration) {
        for _ in 0..self.chance.below(30) {
            let span = self.chance.millis(20, 1100);
            self.after(at, Event::Fault(Fault::Freeze(span, false)));
            at += span + self.chance.millis(1, 300);
        }
    }

    fn draw_fault(&mut self) -> Fault {
        let own = match self.scenario.theme {
            Theme::Upstreams => false,
            Theme::OwnTrouble => true,
            Theme::Everything | Theme::Crashes => self.chance.percent(40),
        };
        if self.scenario.theme == Theme::Crashes && self.chance.percent(50) {
            return Fault::KillAfter(self.chance.below(40));
        }
        if own {
            let span = self.chance.pick(&[300, 1500, 4000, 12_000]);
            let number = self.chance.pick(&[0, 0, 1]);
            return match self.chance.below(12) {
                8 => Fault::WayCut(number),
                9 => Fault::NoPorts(number),
                10 | 11 => Fault::LateProber(number),
                0 => Fault::LinkCut { told: self.chance.percent(50) },
                1 => Fault::NoDescriptors { told: self.chance.percent(50) },
                2 => Fault::Freeze(self.chance.millis(1, span), self.chance.percent(30)),
                3 => Fault::Kill,
                4 => Fault::KillAfter(self.chance.below(60)),
                5 => Fault::DiskFull,
                6 => Fault::DiskSlow,
                _ => Fault::Moves(self.chance.below(NAMES.len())),
            };
        }
        use Condition::{Dead, Silent, Slow, Unreachable, Wrong};
        let number = self.chance.pick(&[0, 0, 0, 1, 1, 2]);
        Fault::Server(number, self.chance.pick(&[Dead, Dead, Dead, Silent, Silent, Unreachable, Slow, Wrong]))
    }

    fn draw_order(&mut self) -> Order {
        let to = self.chance.pick(&[Side::Primary, Side::Backup]);
        let (now, force) = (self.chance.percent(30), self.chance.percent(15));
        match self.chance.below(12) {
            0..5 => Order::Switch { to, now, force },
            5..7 => Order::SwitchAuto,
            7 => Order::Freeze(true),
            8 => Order::Freeze(false),
            9 => Order::Migration(MigrationOrder::Pause),
            10 => Order::Migration(MigrationOrder::Abort),
            _ => Order::Migration(self.chance.pick(&[MigrationOrder::Force, MigrationOrder::Resume])),
        }
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        if self.calm {
            return;
        }
        let lasts = self.chance.pick(&[200, 1000, 4000, 15_000]);
        let lasts = self.chance.millis(10, lasts);
        match fault {
            Fault::Server(number, condition) => {
                self.servers[number].set(self.now, condition, self.bridged);
                if condition == Condition::Dead {
                    self.cut_sessions(number);
                }
            }
            Fault::ServerFor(number, condition, span) => {
                self.servers[number].set(self.now, condition, self.bridged);
                if condition == Condition::Dead {
                    self.cut_sessions(number);
                }
                return self.after(span, Event::Mends(fault));
            }
            Fault::WayCut(number) => {
                self.way_cut[number] = true;
                self.trouble_is_told(1, Duration::ZERO);
            }
            Fault::NoPorts(number) => self.no_ports[number] = true,
            Fault::LateProber(number) => self.late_prober[number] = true,
            Fault::LinkCut { told } => {
                self.link_cut = true;
                if told {
                    let wait = self.chance.millis(0, 200);
                    self.trouble_is_told(1, wait);
                }
            }
            Fault::NoDescriptors { told } => {
                self.proxy.no_descriptors = true;
                if told {
                    self.trouble_is_told(1, Duration::ZERO);
                }
            }
            Fault::Freeze(span, told) => {
                self.proxy.frozen_until = self.proxy.frozen_until.max(self.now + span);
                if told {
                    self.tell_after(span, Input::Gap(span));
                }
                return;
            }
            Fault::Kill => {
                self.proxy_dies();
                let wait = self.chance.millis(10, 4000);
                return self.after(wait, Event::ProxyStarts);
            }
            Fault::KillFor(span) => {
                self.proxy_dies();
                return self.after(span, Event::ProxyStarts);
            }
            Fault::KillAfter(effects) => {
                self.proxy.dies_after = Some(effects);
                return;
            }
            Fault::DiskFull => self.proxy.disk_full = true,
            Fault::DiskSlow => self.proxy.disk_slow = true,
            Fault::Moves(number) => {
                self.servers[number].moves = (self.servers[number].moves + 1) % 100;
                let wait = self.chance.millis(0, 3000);
                return self.resolve(number, wait);
            }
        }
        self.after(lasts, Event::Mends(fault));
    }

    pub(crate) fn mends(&mut self, fault: Fault) {
        match fault {
            Fault::WayCut(number) => {
                self.way_cut[number] = false;
                // The driver calls it over when it is over, never before.
                let wait = self.chance.millis(0, 200);
                self.trouble_is_told(-1, wait);
            }
            Fault::NoPorts(number) => self.no_ports[number] = false,
            Fault::LateProber(number) => self.late_prober[number] = false,
            Fault::Server(number, _) | Fault::ServerFor(number, ..) => {
                self.servers[number].set(self.now, Condition::Alive, self.bridged);
            }
            Fault::LinkCut { told } | Fault::NoDescriptors { told } => {
                self.link_cut = false;
                self.proxy.no_descriptors = false;
                if told {
                    let wait = self.chance.millis(0, 200);
                    self.trouble_is_told(-1, wait);
                }
            }
            Fault::DiskFull => self.proxy.disk_full = false,
            Fault::DiskSlow => self.proxy.disk_slow = false,
            Fault::Freeze(..) | Fault::Kill | Fault::KillAfter(_) | Fault::KillFor(_) | Fault::Moves(_) => {}
        }
    }

    /// The driver hears of a trouble of its own, or of the end of one.
    fn trouble_is_told(&mut self, more: i32, wait: Duration) {
        self.troubles += more;
        self.tell_after(wait, Input::LocalTrouble(self.troubles > 0));
    }

    /// Strikes when something has just happened.
    pub(crate) fn adversary(&mut self, note: &Note) {
        let Note::Transition { to, from_upstream, to_upstream, .. } = note else { return };
        if self.calm || self.scenario.theme == Theme::OwnTrouble || self.chance.percent(40) {
            return;
        }
        let soon = self.chance.millis(0, 3000);
        let at_once = self.chance.millis(0, 40);
        let condition = self.chance.pick(&[Condition::Dead, Condition::Silent]);
        let moved = from_upstream != to_upstream;
        match (to, self.chance.below(10)) {
            (State::Resynced, 0..2) => self.after(soon, Event::Fault(Fault::Server(0, condition))),
            (State::Resynced | State::Returning, 2..=5) => self.strike_unseen(condition),
            (State::Resynced, 6) => self.after(soon, Event::Fault(Fault::Server(1, condition))),
            (State::Returning, 0) => self.after(at_once, Event::Fault(Fault::Server(0, condition))),
            (State::Returning, 1) => self.after(at_once, Event::Fault(Fault::Server(1, condition))),
            (State::OnBackup, 0) if moved => self.after(soon, Event::Fault(Fault::Server(1, condition))),
            (State::OnBackup, 1..3) if moved => {
                let mend = self.chance.millis(0, 4000);
                self.after(mend, Event::Mends(Fault::Server(0, Condition::Dead)));
            }
            (State::Resynced | State::Returning | State::OnBackup, 7) => {
                let kill = Fault::KillAfter(self.chance.below(12));
                self.after(at_once, Event::Fault(kill));
            }
            (State::Resynced | State::Returning, 8) => self.after(at_once, Event::Fault(Fault::Kill)),
            _ => {}
        }
    }

    /// The primary dies, its data falls behind, and it returns, while nobody can see it: the proxy is frozen, or dead, or the
    /// backup goes down with it so that it is the primary's turn when both return.
    fn strike_unseen(&mut self, condition: Condition) {
        let begin = self.chance.millis(0, 300);
        let out = self.bridged + self.chance.millis(10, 3000);
        let after_it = out + self.chance.millis(1, 500);
        self.after(begin, Event::Fault(Fault::ServerFor(0, condition, out)));
        match self.chance.below(3) {
            0 => {
                let before = begin.saturating_sub(Duration::from_millis(1));
                self.after(before, Event::Fault(Fault::Freeze(after_it, false)));
            }
            1 => {
                let moment = self.chance.millis(20, 500);
                self.after(begin + moment, Event::Fault(Fault::KillFor(after_it)));
            }
            _ => {
                let moment = self.chance.millis(20, 800);
                self.after(begin + moment, Event::Fault(Fault::ServerFor(1, condition, after_it * 2)));
            }
        }
    }

    pub(crate) fn order(&mut self, order: Order) {
        let ticket = Ticket(self.fresh());
        if self.proxy.machine.is_some() {
            self.tell_after(Duration::ZERO, Input::Order { ticket, order });
        }
    }

    /// The configuration changes: other numbers, one backup more or less.
    pub(crate) fn reconfigure(&mut self) {
        if self.calm || self.proxy.machine.is_none() {
            return;
        }
        let mut spec = self.proxy.spec.clone();
        match self.chance.below(4) {
            3 => return self.pair_is_removed_and_added(),
            0 => spec.failback.pace = self.chance.pick(&[0, 5]),
            1 => spec.failback.stable_for = self.chance.millis(100, 4000),
            _ if spec.backups.len() == 2 => spec.backups.truncate(1),
            _ if spec.backups.len() == 1 => spec.backups.push(server(2)),
            _ => return,
        }
        self.proxy.spec = spec.clone();
        self.tell_after(Duration::ZERO, Input::Reconfigured(Box::new(spec)));
        self.resolve(2, Duration::from_millis(5));
    }

    /// Another machine in the same process, whose workers remember what they were told by the one before.
    fn pair_is_removed_and_added(&mut self) {
        let seen: Vec<_> = self.workers.iter().map(|worker| worker.seen_order).collect();
        self.proxy_dies();
        for (worker, seen) in self.workers.iter_mut().zip(seen) {
            worker.seen_order = seen;
        }
        self.proxy_starts();
    }

    /// Everything is mended, and stays so.
    pub(crate) fn calm(&mut self) {
        self.log(|| "calm: everything is mended".into());
        self.calm = true;
        for number in 0..self.servers.len() {
            self.servers[number].set(self.now, Condition::Alive, self.bridged);
        }
        self.link_cut = false;
        self.way_cut.fill(false);
        self.no_ports.fill(false);
        self.late_prober.fill(false);
        self.proxy.no_descriptors = false;
        self.proxy.disk_full = false;
        self.proxy.disk_slow = false;
        self.proxy.dies_after = None;
        self.troubles = 0;
        self.tell_after(Duration::from_millis(1), Input::LocalTrouble(false));
        self.after(Duration::from_millis(2), Event::ProxyStarts);
        self.judge.deadline = Some(self.now + self.scenario.patience());
        self.after(Duration::from_millis(500), Event::OperatorLooks);
    }

    /// In the calm an operator looks now and then, and does what `why` says has to be done.
    pub(crate) fn operator_looks(&mut self) {
        self.after(Duration::from_millis(500), Event::OperatorLooks);
        let Some(status) = self.proxy.machine.as_ref().map(|machine| machine.status(self.now)) else { return };
        let at_home = match self.proxy.spec.primary {
            Some(_) => status.state == State::OnPrimary && status.migration.is_none(),
            None => status.state == State::OnBackup,
        };
        let free = !status.frozen && !status.pinned && !status.latched;
        let served = self.everybody_is_served();
        if at_home && free && served {
            self.judge.satisfied = true;
            let untouched = self.scenario.theme != Theme::OwnTrouble || self.judge.epoch.0 == 1;
            self.require(untouched, "nobody is failed over because the proxy had trouble");
            return;
        }
        if self.judge.deadline.is_some_and(|deadline| self.now > deadline) {
            let state = format!("served: {served}, {status:#?}");
            return self.require(false, &format!("everybody is served again in the end; but {state}"));
        }
        let known = (0..NAMES.len())
            .any(|number| *NAMES[number] == *status.active_upstream && role(&self.proxy.spec, number).is_some());
        let adrift = status.blockers.iter().any(|blocker| blocker.contains("it is not known which server"));
        if adrift || !known {
            let to = if self.reference == 0 { Side::Primary } else { Side::Backup };
            let to = if self.proxy.spec.primary.is_none() { Side::Backup } else { to };
            return self.order(Order::Switch { to, now: true, force: true });
        }
        if status.frozen {
            self.order(Order::Freeze(false));
        }
        if status.migration.as_ref().is_some_and(|migration| migration.paused) {
            self.order(Order::Migration(MigrationOrder::Resume));
        }
        let whole = !self.servers[0].lacks && !self.servers[0].unsure;
        if status.active_side == Side::Backup && whole && self.proxy.spec.primary.is_some() {
            self.signal(Side::Primary, false);
        }
        let manual = self.proxy.spec.failback.when == FailbackWhen::Manual
            && self.proxy.spec.primary.is_some()
            && status.active_side == Side::Backup;
        if manual && status.resynced_since.is_some() && status.migration.is_none() {
            return self.order(Order::Switch { to: Side::Primary, now: false, force: false });
        }
        if (status.pinned || status.latched) && status.migration.is_none() {
            self.order(Order::SwitchAuto);
        }
    }
}

/// Did an operator want it?
pub(crate) fn is_ordered(reason: Reason) -> bool {
    matches!(reason, Reason::OperatorSwitch | Reason::MigrationAborted | Reason::OperatorAuto)
}
