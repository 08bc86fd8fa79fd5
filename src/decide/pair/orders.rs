//! An operator's orders: `switch`, `freeze`, `migration`.

use super::{
    PairMachine,
    core::{Plan, Sessions},
};
use crate::{
    decide::{
        effect::{Effect, Note, Ticket, Verdict},
        input::{MigrationOrder, Order},
        migration::{Journey, Phase},
        upstream::Upstream,
    },
    model::{
        EndReason, Side, Time, TransitionReason as Reason, UpstreamName,
        spec::{Admission, FailbackWhen},
        view::{PairStateName as State, UpstreamRole},
    },
};

/// A `switch --to`.
#[derive(Debug, Clone, Copy)]
struct Switch {
    to: Side,
    now: bool,
    force: bool,
}

impl PairMachine {
    /// Takes the orders that wait, until one needs something stored.
    pub(super) fn plan_order(&mut self, now: Time) -> Option<Plan> {
        while self.stored || self.core.adrift {
            let (ticket, order) = self.orders.pop_front()?;
            let planned = match order {
                _ if self.core.adrift && !matches!(order, Order::Switch { .. }) => {
                    let words = "nobody is served, as it is not known which server holds the data: `switch` first";
                    Err(Verdict::Refused(words.into()))
                }
                Order::Switch { to, now: at_once, force } => self.switch(now, Switch { to, now: at_once, force }),
                Order::SwitchAuto => self.switch_auto(),
                Order::Freeze(frozen) => self.freeze(frozen),
                Order::Migration(order) => self.migration_order(now, order),
            };
            match planned {
                Ok((plan, words)) => return Some(plan.ordered(ticket, order, words)),
                Err(verdict) => self.answer_order(ticket, order, verdict),
            }
        }
        None
    }

    pub(super) fn answer_order(&mut self, ticket: Ticket, order: Order, verdict: Verdict) {
        self.note(Note::Order { order: order.to_string(), verdict: verdict.clone() });
        self.effects.push_back(Effect::Answer(ticket, verdict));
    }

    fn switch(&mut self, now: Time, switch: Switch) -> Result<(Plan, String), Verdict> {
        let stays = switch.to == self.core.side && !self.core.adrift;
        if stays && self.can_stay(switch) {
            return self.switch_to_same(now, switch);
        }
        let to = self.switch_target(switch)?;
        if let Some(migration) = self.migration.as_mut().filter(|migration| migration.phase == Phase::Leaving)
            && migration.journey.to == to
        {
            // It is going there already; from now on because an operator wants it.
            migration.journey.pin = true;
            migration.journey.force |= switch.force;
            migration.journey.at_once |= switch.now;
            return Err(Verdict::Done(format!("on its way to {to}, and stays there until `switch --auto`")));
        }
        let journey = Journey {
            from: self.core.upstream.clone(),
            from_side: self.core.side,
            to: to.clone(),
            why: Reason::OperatorSwitch,
            end: EndReason::Switch,
            pin: true,
            force: switch.force,
            at_once: switch.now,
        };
        let plan = self.change_to(journey);
        Ok((plan, format!("going to {to}; stays there until `failback switch {} --auto`", self.spec.name)))
    }

    /// Is the server that has the turn the one an operator means by this side? Not a dead backup, if there are others.
    fn can_stay(&self, switch: Switch) -> bool {
        let dead = self.active().is_none_or(|active| active.health.is_down());
        let others = self.upstreams.iter().any(|other| {
            other.role == UpstreamRole::Backup && other.name != self.core.upstream && other.health.is_up()
        });
        !(switch.to == Side::Backup && dead && others)
    }

    fn switch_to_same(&mut self, now: Time, switch: Switch) -> Result<(Plan, String), Verdict> {
        let name = self.core.upstream.clone();
        let leaving = self.is_leaving();
        if let Some(migration) = self.migration.as_mut().filter(|_| switch.now && !leaving) {
            migration.force(now);
        }
        if self.core.pinned && !leaving {
            let dead = self.core.state == State::NoServer || self.active().is_none_or(|active| active.health.is_down());
            let words = match dead {
                true => format!(
                    "{name} does not pass its checks, so nobody is served; it has the turn until `switch --auto`"
                ),
                false => format!("clients are on {name} already, until `switch --auto`"),
            };
            return Err(Verdict::Unchanged(words));
        }
        let mut next = self.core.clone();
        let mut sessions = Sessions::Keep;
        if leaving {
            next = next.turned(self.resting(), Reason::OperatorSwitch);
            sessions = Sessions::GivenUp;
        }
        next.pinned = true;
        Ok((Plan::new(next, sessions), format!("stays on {name} until `failback switch {} --auto`", self.spec.name)))
    }

    /// The server a switch leads to, if it may be used without `--force` or `--force` was given.
    fn switch_target(&self, switch: Switch) -> Result<UpstreamName, Verdict> {
        let of_side = |upstream: &&Upstream| match switch.to {
            Side::Primary => upstream.role == UpstreamRole::Primary,
            Side::Backup => upstream.role == UpstreamRole::Backup,
        };
        let others = || {
            let side = self.upstreams.iter().filter(of_side);
            side.filter(|upstream| upstream.name != self.core.upstream || self.core.adrift)
        };
        let best = others().find(|upstream| self.switch_doubt(upstream).is_none());
        if let Some(best) = best {
            return Ok(best.name.clone());
        }
        let up = others().find(|upstream| upstream.health.is_up());
        let Some(target) = up.or_else(|| others().next()) else {
            return Err(Verdict::Refused(format!("the pair has no other {}", switch.to)));
        };
        match self.switch_doubt(target) {
            Some(doubt) if !switch.force => {
                Err(Verdict::Refused(format!("{doubt}; if you know better, repeat it with --force")))
            }
            _ => Ok(target.name.clone()),
        }
    }

    /// Why clients should not be sent to this server, in words.
    fn switch_doubt(&self, to: &Upstream) -> Option<String> {
        let name = &to.name;
        if self.core.adrift {
            return Some(format!("nobody knows whether {name} holds the current data"));
        }
        if !to.health.is_up() {
            return Some(format!("{name} does not pass its checks"));
        }
        let served_by_backup = self.core.side == Side::Backup;
        if let Some(active) = self.active().filter(|active| to.coincides_with(active)) {
            return Some(format!("{name} resolves to an address of {}", active.name));
        }
        match to.role {
            UpstreamRole::Primary => {
                let trusted = self.spec.failback.when == FailbackWhen::Poll || self.signal_holds();
                (served_by_backup && !trusted)
                    .then(|| format!("no valid resync signal says that {name} holds what {} took", self.core.upstream))
            }
            _ if to.is_resynced() => None,
            _ if served_by_backup => Some(format!("{name} is not known to hold what {} took", self.core.upstream)),
            _ => (self.spec.admission == Admission::Resynced)
                .then(|| format!("no valid resync signal says that {name} holds everything")),
        }
    }

    fn switch_auto(&mut self) -> Result<(Plan, String), Verdict> {
        self.flap.clear();
        if let Some(migration) = &mut self.migration {
            migration.journey.pin = false;
        }
        if !self.core.pinned && !self.core.latched {
            return Err(Verdict::Unchanged("the pair decides by itself already".into()));
        }
        let mut next = self.core.clone();
        (next.pinned, next.latched) = (false, false);
        Ok((Plan::keep(next), "the pair decides by itself again".into()))
    }

    fn freeze(&mut self, frozen: bool) -> Result<(Plan, String), Verdict> {
        if self.core.frozen == frozen {
            let so = if frozen { "frozen" } else { "not frozen" };
            return Err(Verdict::Unchanged(format!("the pair is {so} already")));
        }
        let mut next = self.core.clone();
        next.frozen = frozen;
        let words = if frozen { "no side is changed until `unfreeze`" } else { "sides are changed again as need be" };
        Ok((Plan::keep(next), words.into()))
    }

    fn migration_order(&mut self, now: Time, order: MigrationOrder) -> Result<(Plan, String), Verdict> {
        let Some(migration) = &mut self.migration else {
            return Err(Verdict::Refused("no migration is under way".into()));
        };
        let moving = matches!(migration.phase, Phase::Moving { .. });
        let verdict = match order {
            MigrationOrder::Abort => return self.abort(),
            MigrationOrder::Pause | MigrationOrder::Resume if !moving => {
                Verdict::Refused("the old side's sessions are closed already; there is nothing to pause".into())
            }
            MigrationOrder::Pause if migration.pause(now, true) => Verdict::Done("paused".into()),
            MigrationOrder::Pause => Verdict::Unchanged("it is paused already".into()),
            MigrationOrder::Resume if migration.pause(now, false) => Verdict::Done("resumed".into()),
            MigrationOrder::Resume => Verdict::Unchanged("it is not paused".into()),
            MigrationOrder::Force => {
                migration.force(now);
                Verdict::Done("all that are left are closed at once".into())
            }
        };
        if let Verdict::Done(how) = &verdict {
            self.note(Note::Migration(how.clone()));
        }
        Err(verdict)
    }

    /// Back to the side that is being left. It stays there: otherwise the same signal would start the same migration again.
    fn abort(&mut self) -> Result<(Plan, String), Verdict> {
        let Some(migration) = &self.migration else {
            return Err(Verdict::Refused("no migration is under way".into()));
        };
        let (left, auto) = (migration.journey.from.clone(), format!("`failback switch {} --auto`", self.spec.name));
        if self.is_homecoming() {
            let mut next = self.core.clone();
            next.signal = None;
            return Ok((Plan::new(next, Sessions::GivenUp), "the sessions that are left stay".into()));
        }
        if self.is_leaving() {
            let mut next = self.core.turned(self.resting(), Reason::MigrationAborted);
            next.pinned = true;
            return Ok((Plan::new(next, Sessions::GivenUp), format!("stays on {left} until {auto}")));
        }
        let back = self.upstream(&left).filter(|upstream| upstream.health.is_up());
        let back = back.filter(|_| matches!(migration.phase, Phase::Moving { .. }));
        if back.is_none() {
            return Err(Verdict::Refused(format!(
                "{left} can't be returned to any more; `failback switch {} --to {}` decides by the rules",
                self.spec.name,
                self.core.side.other(),
            )));
        }
        let journey = Journey {
            from: self.core.upstream.clone(),
            from_side: self.core.side,
            to: left.clone(),
            why: Reason::MigrationAborted,
            end: EndReason::Switch,
            pin: true,
            force: true,
            at_once: false,
        };
        Ok((self.change_to(journey), format!("back to {left}; stays there until {auto}")))
    }
}
