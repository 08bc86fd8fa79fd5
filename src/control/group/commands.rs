//! `takeover.command`: what swings traffic where no address can move. One at a time for each seat, so that *standby* never overtakes
//! *holder*; what became pointless meanwhile is not run; what failed is run again until it succeeds or another role is in force.

use super::{Done, Group};
use crate::{
    control::{clock::wall_now, program},
    model::{
        Epoch, NodeName, Time,
        alert::{Alert, AlertKey, AlertKind},
    },
};
use std::time::Duration;

/// It is ended then.
const LIMIT: Duration = Duration::from_secs(60);
/// After it failed.
const AGAIN: Duration = Duration::from_secs(10);

/// What a seat's command is to bring about: is the seat held here, and under which epoch?
type Aim = (bool, Epoch);

/// One seat's command.
#[derive(Debug)]
pub(super) struct Swing {
    aim: Aim,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The routes come first.
    AwaitsRoutes,
    Running,
    /// It failed; the next attempt is then.
    Failed(Time),
}

impl Group {
    /// The machine wants it run. Clients are swung to this node only once it serves them.
    pub(super) fn want_command(&mut self, seat: NodeName, holds: bool, epoch: Epoch) {
        if self.spec.takeover.command.is_empty() {
            return;
        }
        let swing = self.commands.entry(seat.clone());
        let swing = swing.or_insert(Swing { aim: (holds, epoch), state: State::AwaitsRoutes });
        swing.aim = (holds, epoch);
        if !holds && matches!(swing.state, State::AwaitsRoutes) && self.stood_by.contains(&seat) {
            // Clients were never swung here since.
            self.commands.remove(&seat);
            return;
        }
        match swing.state {
            State::Running => {}
            _ if holds => swing.state = State::AwaitsRoutes,
            _ => self.run_command(seat),
        }
    }

    /// The seat's routes are open.
    pub(super) fn run_awaited_command(&mut self, seat: NodeName) {
        if self.commands.get(&seat).is_some_and(|swing| matches!(swing.state, State::AwaitsRoutes)) {
            self.run_command(seat);
        }
    }

    pub(super) fn run_what_failed(&mut self) {
        let now = self.clock.now();
        let due = |swing: &Swing| matches!(swing.state, State::Failed(at) if now >= at);
        let seats: Vec<_> =
            self.commands.iter().filter(|(_, swing)| due(swing)).map(|(seat, _)| seat.clone()).collect();
        seats.into_iter().for_each(|seat| self.run_command(seat));
    }

    fn run_command(&mut self, seat: NodeName) {
        let Some(swing) = self.commands.get_mut(&seat) else { return };
        swing.state = State::Running;
        let (holds, epoch) = swing.aim;
        let argv = self.spec.takeover.command.clone();
        let environment = [
            ("FAILBACK_NODE", self.me.to_string()),
            ("FAILBACK_SEAT", seat.to_string()),
            ("FAILBACK_ROLE", if holds { "holder" } else { "standby" }.into()),
            ("FAILBACK_EPOCH", epoch.to_string()),
        ];
        let starts = self.starts.clone();
        self.tasks.spawn(async move {
            let ended = program::run(&argv, &environment, LIMIT, &starts).await;
            let result = match ended {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(status.to_string()),
                Err(error) => Err(error.to_string()),
            };
            Done::Commanded(seat, (holds, epoch), result)
        });
    }

    pub(super) fn commanded(&mut self, seat: NodeName, aim: Aim, result: &Result<(), String>) {
        let became = result.as_ref().map_or_else(String::as_str, |()| "done");
        let role = if aim.0 { "holder" } else { "standby" };
        let message = format!("takeover.command for seat {seat} ({role}, epoch {}): {became}", aim.1);
        self.event("takeover_command", result.is_err(), message.clone());
        let again = self.clock.now() + AGAIN;
        let Some(swing) = self.commands.get_mut(&seat) else { return };
        swing.state = State::Failed(again);
        if swing.aim != aim {
            // What became wanted meanwhile. Its routes, if it needs them, are open or will be.
            if swing.aim.0 && !self.served_since.contains_key(&seat) {
                swing.state = State::AwaitsRoutes;
                return;
            }
            return self.run_command(seat);
        }
        let key = AlertKey::about(AlertKind::CommandFailed, Some(seat.to_string()));
        if result.is_ok() {
            if aim.0 {
                self.stood_by.remove(&seat);
            } else {
                self.stood_by.insert(seat.clone());
            }
            self.commands.remove(&seat);
            self.standing.remove(&key);
            return;
        }
        self.stand(Alert::new(
            key,
            wall_now(),
            format!("takeover.command fails for seat {seat}"),
            format!("{message}. Clients may be led to a node that does not serve them."),
            format!("it is run again every {} s; run it by hand to see what it says", AGAIN.as_secs()),
        ));
    }
}
