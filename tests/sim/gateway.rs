//! The gateway between the servers: it notices that one was out, makes it whole again, and says so; sometimes too early,
//! late, twice, or never.

use crate::{
    scenario::{NAMES, role},
    world::{Event, World},
};
use failback::{
    decide::{effect::Ticket, input::Input},
    model::{Epoch, Side, view::UpstreamRole},
};
use std::time::Duration;

impl World {
    /// The gateway looks around.
    pub(crate) fn gateway(&mut self) {
        self.after(Duration::from_millis(200), Event::Gateway);
        let reference = self.reference;
        let source_is_well = self.servers[reference].is_running();
        for number in 0..self.servers.len() {
            if number == reference {
                if source_is_well {
                    self.servers[number].is_whole();
                }
                continue;
            }
            let server = &mut self.servers[number];
            if server.resyncing && !source_is_well {
                server.resyncing = false;
                server.resync += 1;
            }
            if !server.unsure || server.resyncing || !server.is_running() || !source_is_well {
                continue;
            }
            server.resyncing = true;
            server.resync += 1;
            let resync = server.resync;
            let (from, to) = self.scenario.resync;
            let takes = self.chance.millis(from, to);
            if number == 0 {
                self.source_done = false;
                if self.chance.percent(self.scenario.lies) {
                    // The products' own `gw_counterpart_up`: too early.
                    self.after(takes / 2, Event::Signal { of: Side::Primary, with_epoch: false });
                }
            }
            self.after(takes, Event::ResyncEnds(number, resync));
        }
    }

    pub(crate) fn resync_ends(&mut self, number: usize, resync: u64) {
        if self.servers[number].resync != resync || !self.servers[number].resyncing {
            return;
        }
        self.servers[number].is_whole();
        self.judge.truth_again(number);
        let of =
            if role(&self.proxy.spec, number) == Some(UpstreamRole::Backup) { Side::Backup } else { Side::Primary };
        self.log(|| format!("{} is whole again", NAMES[number]));
        if number == 0 {
            self.source_done = true;
        }
        if self.chance.percent(self.scenario.lost) {
            return;
        }
        for _ in 0..self.chance.pick(&[1, 1, 1, 2, 3]) {
            let late = if self.chance.percent(20) { self.chance.millis(0, 5000) } else { self.chance.millis(0, 50) };
            let with_epoch = self.chance.percent(50);
            self.after(late, Event::Signal { of, with_epoch });
        }
    }

    /// Signals reach the proxy, if it is there. The epoch they name is the one the sender read a while ago.
    pub(crate) fn signal(&mut self, of: Side, with_epoch: bool) {
        let ticket = Ticket(self.fresh());
        let epoch =
            with_epoch.then(|| if self.chance.percent(90) { self.judge.epoch } else { Epoch(self.judge.epoch.0 + 1) });
        let input = Input::ResyncSignal { ticket, of, epoch };
        if self.proxy.machine.is_some() {
            self.tell_after(Duration::ZERO, input);
        }
    }

    /// Whom a signal is about, as the machine understands it.
    pub(crate) fn signal_target(&self, of: Side) -> Option<usize> {
        let active = self.judge.upstream.clone();
        (0..NAMES.len()).find(|number| match (of, role(&self.proxy.spec, *number)) {
            (Side::Primary, Some(UpstreamRole::Primary | UpstreamRole::Elsewhere)) => true,
            (Side::Backup, Some(UpstreamRole::Backup)) => active.as_deref() != Some(NAMES[*number]),
            _ => false,
        })
    }

    /// What a polled source would say now.
    pub(crate) fn source_says(&self) -> bool {
        self.source_done && (!self.servers[0].lacks || self.scenario.stale_source)
    }
}
