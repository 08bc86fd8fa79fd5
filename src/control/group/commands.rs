//! `takeover.command`: what swings traffic where no address can move. One at a time for each seat, so that *standby* never overtakes
//! *holder*; what became pointless meanwhile is not run; what failed is run again until it succeeds or another role is in force.

use super::{Done, Group};
use crate::{
    control::{clock::wall_now, program},
    model::{
        Epoch, NodeName,
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
    running: bool,
}

impl Group {
    pub(super) fn run_command(&mut self, seat: NodeName, holds: bool, epoch: Epoch) {
        if self.spec.takeover.command.is_empty() {
            return;
        }
        let aim = (holds, epoch);
        let swing = self.commands.entry(seat.clone()).or_insert(Swing { aim, running: false });
        swing.aim = aim;
        self.command_due(seat);
    }

    /// Runs it, unless it runs.
    pub(super) fn command_due(&mut self, seat: NodeName) {
        let Some(swing) = self.commands.get_mut(&seat).filter(|swing| !swing.running) else { return };
        swing.running = true;
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
        let Some(swing) = self.commands.get_mut(&seat) else { return };
        swing.running = false;
        if swing.aim != aim {
            return self.command_due(seat);
        }
        let key = AlertKey { kind: AlertKind::CommandFailed, pair: None, about: Some(seat.to_string()) };
        if result.is_ok() {
            self.commands.remove(&seat);
            self.standing.remove(&key);
            return;
        }
        let alert = Alert {
            key: key.clone(),
            epoch: None,
            reason: None,
            since: wall_now(),
            title: format!("takeover.command fails for seat {seat}"),
            text: format!("{message}. Clients may be led to a node that does not serve them."),
            advice: format!("it is run again every {} s; run it by hand to see what it says", AGAIN.as_secs()),
        };
        self.standing.entry(key).or_insert(alert);
        self.tasks.spawn(async move {
            tokio::time::sleep(AGAIN).await;
            Done::CommandDue(seat)
        });
    }
}
