//! What checks mean, and what must not be taken for an upstream's fault.

use super::*;

fn health_of(world: &World, name: &str) -> HealthName {
    world.status().upstreams.iter().find(|upstream| *upstream.name == *name).unwrap().health
}

#[test]
fn while_all_is_well_each_upstream_is_checked_once_an_interval() {
    let mut world = World::healthy(spec());
    world.run(seconds(60.0));
    assert_eq!(world.started.len(), 120);
}

#[test]
fn what_we_could_not_try_never_counts() {
    // Input: ten minutes without a free descriptor. Output: nothing.
    let mut world = World::healthy(spec());
    world.set("AGG_P", Server::Untried);
    world.set("AGG_B", Server::Untried);
    world.run(seconds(600.0));
    assert_eq!((world.transitions(), world.admits()), (vec![], Some("AGG_P")));
    let primary = &world.status().upstreams[0];
    assert_eq!(primary.last_failure.as_deref(), Some("could not be tried: too many open files"));
}

#[test]
fn while_the_node_has_trouble_of_its_own_failures_do_not_count() {
    // Input: netlink says that our link is down; the primary is silent meanwhile. Output: nothing until the trouble is over.
    let mut world = World::healthy(spec());
    world.input(Input::LocalTrouble(true));
    world.set("AGG_P", Server::Silent);
    world.run(seconds(30.0));
    assert_eq!((world.transitions(), health_of(&world, "AGG_P")), (vec![], HealthName::Up));
    assert!(world.blockers().contains("this node has trouble of its own"), "{}", world.blockers());
    world.input(Input::LocalTrouble(false));
    world.run(seconds(3.0));
    assert_eq!(world.transitions(), [(State::OnBackup, 2, Reason::UpstreamSilent)]);
}

#[test]
fn an_answer_that_comes_too_late_to_be_honest_is_forgotten() {
    // Input: every check of the primary is said to have timed out, 300 ms after that should have been noticed. Output:
    // whoever says so was starved; nothing.
    let mut world = World::healthy(spec());
    world.set("AGG_P", Server::Silent);
    for _ in 0..30 {
        world.run(Duration::from_millis(50));
        for check in &mut world.checks {
            if check.2 == CheckResult::TimedOut {
                check.0 = check.0.max(world.now + Duration::from_millis(1));
            }
        }
    }
    let late = Duration::from_millis(300);
    let mut delayed = std::collections::BTreeSet::new();
    for _ in 0..10_000 {
        for check in &mut world.checks {
            if check.2 == CheckResult::TimedOut && delayed.insert(check.1) {
                check.0 = check.0 + late;
            }
        }
        world.run(Duration::from_millis(1));
    }
    assert_eq!((world.transitions(), world.admits()), (vec![], Some("AGG_P")));
}

#[test]
fn a_starved_proxy_forgets_silence_but_not_refusals() {
    // Input: two checks of a silent primary have timed out; then the machine is called 250 ms too late. Output: counting
    // starts anew, so the failover comes later than it would have.
    let starve = |how: Server| {
        let mut world = World::healthy(spec());
        world.set("AGG_P", how);
        world.run_until(seconds(3.0), "two failures", |world| world.machine.active().unwrap().health.is_failing());
        world.now = world.machine.next_timeout().unwrap() + Duration::from_millis(250);
        world.machine.handle_timeout(world.now);
        world.drain();
        world.machine.active().unwrap().health.is_failing()
    };
    assert!(!starve(Server::Silent), "it may have been us");
    assert!(starve(Server::Killed), "nobody but the upstream refuses");
}

#[test]
fn a_frozen_proxy_fails_nobody_over() {
    // Input: the process is stopped for ten seconds at every possible moment of a second. Output: a gap is noted, no failover.
    for offset in (0..1000).step_by(50) {
        let mut world = World::healthy(spec());
        world.run(Duration::from_millis(offset));
        world.now = world.now + seconds(10.0);
        for check in &mut world.checks {
            (check.0, check.2) = (world.now, CheckResult::TimedOut);
        }
        world.run(seconds(20.0));
        assert!(world.notes.iter().any(|note| matches!(note, Note::Gap(_))), "stopped at {offset} ms");
        assert_eq!((world.transitions(), world.admits()), (vec![], Some("AGG_P")));
    }
}

#[test]
fn an_upstream_that_answers_again_rises_at_the_fast_interval() {
    let mut world = World::failed_over(spec(), Server::Killed);
    world.set("AGG_P", Server::Alive);
    let took = world.run_until(seconds(3.0), "up", |world| health_of(world, "AGG_P") == HealthName::Up);
    assert!(took <= Duration::from_millis(1000 + 200 + 2), "one interval and one fast interval: {took:?}");
}

#[test]
fn one_lost_check_changes_nothing_but_the_generation() {
    let mut world = World::healthy(spec());
    let generation = |world: &World| world.machine.active().unwrap().health.generation();
    let before = generation(&world);
    world.set("AGG_P", Server::Silent);
    world.run_until(seconds(3.0), "a failure", |world| world.machine.active().unwrap().health.is_failing());
    world.set("AGG_P", Server::Alive);
    world.run(seconds(5.0));
    assert_eq!((world.transitions(), world.admits()), (vec![], Some("AGG_P")));
    assert!(generation(&world) > before);
}

#[test]
fn clients_wait_until_the_active_upstream_has_an_address() {
    let now = Time::from_start(seconds(1.0));
    let mut machine = PairMachine::new(
        Start { spec: spec(), stored: Stored::Nothing, origin: Origin::Own, incarnation: 1, seed: 1 },
        now,
    );
    machine.handle_timeout(now);
    machine.handle_input(now, Input::Persisted(PersistId(0)));
    let published = |machine: &mut PairMachine| {
        let effects = std::iter::from_fn(|| machine.poll_effect());
        let routings = effects.filter_map(|effect| match effect {
            Effect::Publish(routing) => Some(routing.admit),
            _ => None,
        });
        routings.collect::<Vec<_>>()
    };
    assert_eq!(published(&mut machine), [Admit::Hold]);
    let address: std::net::SocketAddr = "10.0.0.1:4100".parse().unwrap();
    machine.handle_input(now, Input::Resolved("AGG_P".into(), Arc::new([address])));
    assert!(matches!(&published(&mut machine)[..], [Admit::To { addresses, .. }] if **addresses == [address]));
    machine.handle_input(now, Input::Resolved("AGG_P".into(), Arc::new([])));
    assert_eq!(published(&mut machine), [], "an empty answer keeps the last good one");
    let moved: std::net::SocketAddr = "10.0.0.9:4100".parse().unwrap();
    machine.handle_input(now, Input::Resolved("AGG_P".into(), Arc::new([moved])));
    assert!(matches!(&published(&mut machine)[..], [Admit::To { addresses, .. }] if **addresses == [moved]));
}

#[test]
fn x5_on_the_primary_it_is_said_when_nobody_could_stand_in() {
    // Input: the only backup fails its checks while all is well, then answers again. Output: why names it, until it is
    // healthy for stable_for.
    let mut world = World::healthy(spec());
    world.run(seconds(60.0));
    assert_eq!(world.blockers(), "");
    world.set("AGG_B", Server::Confused);
    world.run(seconds(30.0));
    let words = "if AGG_P failed now, nobody could stand in: AGG_B fails its checks: wrong answer: no greeting";
    assert_eq!((world.blockers().as_str(), world.transitions()), (words, vec![]));
    world.set("AGG_B", Server::Alive);
    world.run(seconds(3.0));
    assert!(
        world.blockers().contains("stand in: AGG_B has not been healthy for stable_for yet"),
        "{}",
        world.blockers()
    );
    world.run(seconds(60.0));
    assert_eq!(world.blockers(), "");
}

#[test]
fn a_backup_missed_traffic_only_while_the_primary_was_there_to_take_it() {
    // Input: both servers of a frozen pair go at the same time, the backup returns, then the primary. Output: no note.
    // Input: the backup is away for a while. Output: a note, until a signal for it.
    let note = |world: &World| world.status().upstreams[1].note.clone();
    let mut world = World::start(spec(), Stored::Nothing);
    world.order(Order::Freeze(true));
    world.set("AGG_P", Server::Killed);
    world.set("AGG_B", Server::Killed);
    world.run(seconds(30.0));
    for name in ["AGG_B", "AGG_P"] {
        world.set(name, Server::Alive);
        world.run(seconds(60.0));
    }
    assert_eq!((world.state(), note(&world)), (State::OnPrimary, None));

    let mut world = World::healthy(spec());
    world.run(seconds(60.0));
    world.set("AGG_B", Server::Killed);
    world.run(seconds(30.0));
    world.set("AGG_B", Server::Alive);
    world.run(seconds(60.0));
    assert_eq!(note(&world).as_deref(), Some("was down while the primary took traffic"));
    assert_eq!(world.resync(Side::Backup, None), Verdict::SignalAccepted);
    assert_eq!(note(&world), None);
}
