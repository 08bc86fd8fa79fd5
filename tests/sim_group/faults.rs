//! What goes wrong, and when; operators with untimely orders; and in the end the calm in which everything is mended.

use crate::world::{Event, NAMES, World};
use failback::{
    decide::{
        effect::Ticket,
        seat::input::{Input, Order},
    },
    model::NodeName,
};
use std::{collections::BTreeSet, time::Duration};

/// Something that goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// From one to the other, on these paths (link, segment).
    Cut {
        from: usize,
        to: usize,
        paths: [bool; 2],
    },
    /// Both ways, all paths.
    Apart(usize, usize),
    Witness(usize),
    /// The node's whole network.
    Network(usize),
    Freeze(usize, Duration),
    Kill(usize),
    KillAfter(usize, usize),
    DiskFull(usize),
    DiskSlow(usize),
    /// It can't bring up routes or address.
    Unable(usize),
    /// The primary nodes are cut off while no backup node can bring up anything; each mends in its own time.
    NobodyAble,
}

impl World {
    pub(crate) fn plan_faults(&mut self, trouble: Duration) {
        let span = trouble.as_millis() as u64;
        for _ in 0..1 + self.chance.below(6) {
            let (at, fault) = (self.chance.millis(3000, span), self.draw_fault());
            self.after(at, Event::Fault(fault));
        }
        for _ in 0..self.chance.pick(&[0, 0, 1, 2, 4]) {
            let at = self.chance.millis(3000, span);
            self.after(at, Event::Operator);
        }
    }

    fn draw_fault(&mut self) -> Fault {
        let count = self.nodes.len();
        let node = self.chance.below(count);
        let other = (node + 1 + self.chance.below(count - 1)) % count;
        let span = self.chance.pick(&[400, 1500, 5000, 9000]);
        match self.chance.below(14) {
            0 => Fault::Cut { from: node, to: other, paths: [true, false] },
            1 => Fault::Cut { from: node, to: other, paths: [false, true] },
            2 => Fault::Cut { from: node, to: other, paths: [true, true] },
            3 => Fault::Apart(node, other),
            4 => Fault::Witness(node),
            5 => Fault::Network(node),
            6 | 7 => Fault::Freeze(node, self.chance.millis(50, span)),
            8 => Fault::Kill(node),
            9 => Fault::KillAfter(node, self.chance.below(30)),
            10 => Fault::DiskFull(node),
            11 => Fault::Unable(node),
            12 if count > 2 => Fault::NobodyAble,
            _ => Fault::DiskSlow(node),
        }
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        if self.calm.is_some() {
            return;
        }
        if matches!(fault, Fault::NobodyAble) {
            return self.nobody_is_able();
        }
        self.set(fault, true);
        match fault {
            Fault::Freeze(node, span) => self.nodes[node].frozen = (self.now, self.now + span),
            Fault::Kill(node) if self.nodes[node].machine.is_some() => self.dies(node),
            Fault::KillAfter(node, effects) => self.nodes[node].dies_after = Some(effects),
            _ => {}
        }
        let longest = self.chance.pick(&[500, 3000, 10_000]);
        let lasts = self.chance.millis(100, longest);
        self.after(lasts, Event::Mends(fault));
    }

    fn nobody_is_able(&mut self) {
        for node in 0..self.nodes.len() {
            let fault = if node < self.primaries { Fault::Network(node) } else { Fault::Unable(node) };
            self.set(fault, true);
            let lasts = self.chance.millis(4000, 20_000);
            self.after(lasts, Event::Mends(fault));
        }
    }

    pub(crate) fn mends(&mut self, fault: Fault) {
        self.set(fault, false);
    }

    fn set(&mut self, fault: Fault, on: bool) {
        match fault {
            Fault::Cut { from, to, paths } => {
                for path in (0..2).filter(|path| paths[*path]) {
                    self.cut[from][to][path] = on;
                }
            }
            Fault::Apart(one, two) => {
                self.cut[one][two] = [on; 2];
                self.cut[two][one] = [on; 2];
            }
            Fault::Witness(node) => self.witness_cut[node] = on,
            Fault::Network(node) => {
                for other in 0..self.nodes.len() {
                    self.cut[node][other] = [on; 2];
                    self.cut[other][node] = [on; 2];
                }
                self.witness_cut[node] = on;
            }
            Fault::DiskFull(node) => self.nodes[node].disk_full = on,
            Fault::DiskSlow(node) => self.nodes[node].disk_slow = on,
            Fault::Unable(node) => {
                self.nodes[node].unable = on;
                self.looks_at_itself(node);
            }
            Fault::Freeze(..) | Fault::Kill(_) | Fault::KillAfter(..) | Fault::NobodyAble => {}
        }
        self.watch_isolation();
    }

    /// Soon after a fault a node finds that it could not serve; or it took a seat before.
    pub(crate) fn looks_at_itself(&mut self, node: usize) {
        let seats = if self.nodes[node].unable {
            NAMES[..self.primaries].iter().map(|name| (*name).into()).collect()
        } else {
            BTreeSet::new()
        };
        let wait = self.chance.millis(0, 2000);
        self.tell(node, wait, Input::Unfit(seats));
    }

    fn seat(&mut self) -> NodeName {
        NAMES[self.chance.below(self.primaries)].into()
    }

    pub(crate) fn order(&mut self, node: usize, order: Order) {
        let ticket = Ticket(self.fresh());
        if let Order::Takeover { seat, force: true } = &order {
            self.judge.forced.insert(seat.clone());
        }
        self.tell(node, Duration::ZERO, Input::Order { ticket, order });
    }

    pub(crate) fn operator(&mut self) {
        let (node, seat) = (self.chance.below(self.nodes.len()), self.seat());
        let order = match self.chance.below(8) {
            0..4 => Order::Takeover { seat, force: self.chance.percent(15) },
            4..7 => Order::Reverse { seat },
            _ => Order::Resolve,
        };
        if self.calm.is_none() {
            self.order(node, order);
        }
    }

    /// Everything is mended, and stays so.
    pub(crate) fn calm(&mut self) {
        self.log(|| "calm: everything is mended".into());
        self.calm = Some(self.now);
        self.cut = Default::default();
        self.witness_cut = Default::default();
        for node in &mut self.nodes {
            (node.disk_full, node.disk_slow, node.unable, node.dies_after) = (false, false, false, None);
            node.frozen.1 = node.frozen.1.min(self.now);
        }
        (0..self.nodes.len()).for_each(|node| self.looks_at_itself(node));
        self.watch_isolation();
        self.after(Duration::from_secs(10), Event::OperatorMends);
    }

    /// A patient operator gives every seat back to its own node.
    pub(crate) fn operator_mends(&mut self) {
        let late = self.calm.is_some_and(|calm| self.now.since(calm) > Duration::from_secs(40));
        for (home, name) in NAMES.iter().enumerate().take(self.primaries) {
            let seat: NodeName = (*name).into();
            let served = (0..self.nodes.len()).find(|node| self.nodes[*node].accepts.contains_key(&seat));
            match served {
                Some(node) if node == home => {}
                // A stranger that was forced to take it can't be asked for it.
                Some(node) if !self.are_joined(node, home) => {
                    self.order(home, Order::Takeover { seat, force: true });
                }
                Some(_) => self.order(home, Order::Reverse { seat }),
                None if late => self.order(home, Order::Takeover { seat, force: true }),
                None => self.order(home, Order::Resolve),
            }
        }
        self.after(Duration::from_secs(6), Event::OperatorMends);
    }
}
