//! A machine that goes on from one that watched the same servers.

use super::*;

impl World {
    /// Another machine of this process takes the place of the one there is, with what that one stored last and saw.
    fn goes_on(mut self) -> Self {
        let stored = self.records.last().map_or(Stored::Nothing, |record| Stored::Record(Box::new(record.clone())));
        let spec = self.machine.spec.clone();
        let start = Start { spec, stored, origin: Origin::Inherited, incarnation: 2, seed: 1 };
        let former = std::mem::replace(&mut self.machine, PairMachine::new(start, self.now));
        self.machine.go_on_from(self.now, former);
        self.checks.clear();
        self.unwritten.clear();
        self.machine.handle_timeout(self.now);
        self.drain();
        self
    }
}

#[test]
fn a_server_that_was_seen_well_for_long_can_stand_in_at_once() {
    // Input: one machine after another, none of which lasts for `stable_for`. Output: the servers' health is as old as it is.
    let mut world = World::healthy(spec()).goes_on();
    world.run(seconds(1.0));
    let mut world = world.goes_on();
    world.set("AGG_P", Server::Killed);
    let took = world.run_until(seconds(3.0), "failover", |world| world.admits() == Some("AGG_B"));
    assert!(took < spec().failback.stable_for);
}

#[test]
fn a_server_that_was_seen_down_is_still_down() {
    let mut world = World::failed_over(spec(), Server::Killed).goes_on();
    world.run(seconds(0.1));
    assert_eq!((world.state(), world.epoch(), world.admits()), (State::OnBackup, 2, Some("AGG_B")));
    let health = world.status().upstreams.into_iter().find(|upstream| &*upstream.name == "AGG_P");
    assert_eq!(health.map(|upstream| upstream.health), Some(HealthName::Down));
}

#[test]
fn a_signal_does_not_outlive_the_machine_it_was_given_to() {
    // Input: the backup was said to hold everything, and `admission` asks for that. Output: it has to be said again.
    let mut spec = spec();
    spec.admission = crate::model::spec::Admission::Resynced;
    let mut world = World::healthy(spec);
    assert_eq!(world.resync(Side::Backup, None), Verdict::SignalAccepted);
    let mut world = world.goes_on();
    world.set("AGG_P", Server::Killed);
    world.run(seconds(30.0));
    assert_eq!((world.state(), world.admits()), (State::NoServer, None));
}

#[test]
fn what_a_watching_machine_found_is_told_as_the_failover_it_is() {
    // Input: it has seen AGG_P die, and gone to AGG_B; this node serves now. Output: a failover, and no "another node left it so".
    let record = World::failed_over(spec(), Server::Killed).records.last().expect("a record").clone();
    let now = Time::from_start(seconds(1000.0));
    let (stored, origin) = (Stored::Record(Box::new(record)), Origin::Watched("AGG_P".into()));
    let mut machine = PairMachine::new(Start { spec: spec(), stored, origin, incarnation: 2, seed: 1 }, now);
    let effects: Vec<Effect> = std::iter::from_fn(|| machine.poll_effect()).collect();
    let id = effects.iter().find_map(|effect| if let Effect::Persist(id, _) = effect { Some(*id) } else { None });
    machine.handle_input(now, Input::Persisted(id.expect("it is stored")));
    let told = std::iter::from_fn(|| machine.poll_effect()).find_map(|effect| match effect {
        Effect::Note(Note::Transition { from_upstream, to_upstream, reason, .. }) => {
            Some((from_upstream, to_upstream, reason))
        }
        _ => None,
    });
    assert_eq!(told, Some(("AGG_P".into(), "AGG_B".into(), Reason::UpstreamRefused)));
}
