//! The active upstream dies.

use super::*;

#[test]
fn n2_a_killed_primary_is_left_within_milliseconds() {
    // Input: the primary's process is killed; its sessions end. Output: three refusals 5 ms apart, the backup passes a check
    // in between, epoch 2, newcomers to the backup, all sessions but the backup's closed at once.
    let mut world = World::healthy(spec());
    world.set("AGG_P", Server::Killed);
    let ended = |upstream: &str| Input::Evidence { upstream: upstream.into(), evidence: Evidence::Reset };
    world.input(ended("AGG_P"));
    let took = world.run_until(seconds(1.0), "failover", |world| world.state() == State::OnBackup);
    assert!(took <= Duration::from_millis(30), "took {took:?}");
    assert_eq!(world.transitions(), [(State::OnBackup, 2, Reason::UpstreamRefused)]);
    assert_eq!(world.admits(), Some("AGG_B"));
    let closing = world.closing();
    assert_eq!((closing.allowed, closing.reason, closing.spare_exempt), (None, EndReason::Failover, false));
    assert_eq!(closing.spare_upstream.as_deref(), Some("AGG_B"));
    assert_eq!(closing.id >> 32, 1, "the machine is the number's upper half");
    assert_eq!(world.records.last().unwrap().epoch, Epoch(2));
}

#[test]
fn n2_a_silent_primary_is_left_within_three_seconds_of_its_last_good_answer() {
    let mut world = World::healthy(spec());
    let last_good = world.started.len();
    world.run_until(seconds(2.0), "a check", |world| world.started.len() > last_good + 1);
    world.set("AGG_P", Server::Silent);
    let took = world.run_until(seconds(5.0), "failover", |world| world.state() == State::OnBackup);
    assert!(took <= Duration::from_millis(3000), "took {took:?}");
    assert_eq!(world.transitions(), [(State::OnBackup, 2, Reason::UpstreamSilent)]);
}

#[test]
fn a_primary_that_answers_wrongly_is_left() {
    let mut world = World::healthy(spec());
    world.set("AGG_P", Server::Confused);
    world.run(seconds(2.0));
    assert_eq!(world.transitions(), [(State::OnBackup, 2, Reason::UpstreamWrong)]);
}

#[test]
fn when_both_are_silent_it_may_be_us_so_sessions_stay_and_newcomers_wait() {
    // Input: neither server answers. Output: NoServer on the same epoch, newcomers held, nobody closed; when both answer
    // again, the primary goes on, and no failover has happened.
    let mut world = World::healthy(spec());
    world.set("AGG_P", Server::Silent);
    world.set("AGG_B", Server::Silent);
    world.run(seconds(20.0));
    assert_eq!(world.transitions(), [(State::NoServer, 1, Reason::UpstreamSilent)]);
    assert_eq!(world.admits(), None);
    assert_eq!(world.routing().close, None);
    world.set("AGG_P", Server::Alive);
    world.set("AGG_B", Server::Alive);
    world.run(seconds(10.0));
    assert_eq!(world.transitions()[1..], [(State::OnPrimary, 1, Reason::UpstreamReturned)]);
    assert_eq!(world.admits(), Some("AGG_P"));
}

#[test]
fn when_our_link_comes_back_and_the_backup_answers_a_moment_earlier_the_primary_is_asked_once_more() {
    // Input: our link is cut for 2.6 s, so that every check goes unanswered, and comes back just before the primary's last
    // check fails. Output: no failover, whatever the order in which the servers' checks happen to be.
    for cut in (1000..6000).step_by(37) {
        let mut world = World::healthy(spec());
        world.run(Duration::from_millis(cut % 1000));
        world.set("AGG_P", Server::Silent);
        world.set("AGG_B", Server::Silent);
        world.run(Duration::from_millis(cut));
        world.set("AGG_P", Server::Alive);
        world.set("AGG_B", Server::Alive);
        world.run(seconds(10.0));
        assert_eq!((world.state(), world.epoch()), (State::OnPrimary, 1), "cut for {cut} ms");
    }
}

#[test]
fn when_both_processes_are_gone_what_is_established_is_closed() {
    let mut world = World::healthy(spec());
    world.set("AGG_B", Server::Killed);
    world.run(seconds(5.0));
    world.set("AGG_P", Server::Killed);
    world.run(seconds(5.0));
    assert_eq!(world.transitions(), [(State::NoServer, 1, Reason::UpstreamRefused)]);
    assert_eq!(world.closing().allowed, None);
}

#[test]
fn silence_that_turns_into_refusal_closes_what_is_established() {
    let mut world = World::healthy(spec());
    world.set("AGG_B", Server::Killed);
    world.set("AGG_P", Server::Silent);
    world.run(seconds(10.0));
    assert_eq!(world.routing().close, None);
    world.set("AGG_P", Server::Killed);
    world.run(seconds(3.0));
    assert_eq!(world.closing().reason, EndReason::Failover);
}

#[test]
fn n1_a_lone_primary_that_dies_closes_its_sessions_and_serves_again_when_it_returns() {
    for how in [Server::Killed, Server::Silent] {
        let mut spec = spec();
        spec.backups.clear();
        let mut world = World::healthy(spec);
        world.set("AGG_P", how);
        world.run(seconds(5.0));
        assert_eq!((world.state(), world.admits()), (State::NoServer, None));
        assert_eq!((world.closing().allowed, world.closing().spare_upstream.as_ref()), (None, None));
        world.set("AGG_P", Server::Alive);
        world.run(seconds(5.0));
        assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnPrimary, Some("AGG_P"), 1));
    }
}

#[test]
fn a_backup_that_is_not_admitted_yet_takes_over_once_it_was_healthy_for_stable_for() {
    // Input: the primary is dead from the first start on. Output: NoServer, and the backup's turn after `stable_for`.
    let mut world = World::start(spec(), Stored::Nothing);
    world.set("AGG_P", Server::Killed);
    world.run(seconds(4.5));
    assert_eq!((world.state(), world.admits()), (State::NoServer, None));
    assert!(world.blockers().contains("AGG_B has not been healthy for stable_for yet"), "{}", world.blockers());
    world.run(seconds(3.0));
    assert_eq!(world.transitions().last(), Some(&(State::OnBackup, 2, Reason::BackupAdmitted)));
}

#[test]
fn the_first_admissible_backup_in_order_is_taken() {
    let mut spec = spec();
    spec.backups.push(backup("AGG_C", "10.0.0.3:4100"));
    let mut world = World::healthy(spec);
    world.set("AGG_B", Server::Killed);
    world.run(seconds(3.0));
    world.set("AGG_P", Server::Killed);
    world.run(seconds(3.0));
    assert_eq!((world.state(), world.admits()), (State::OnBackup, Some("AGG_C")));
}

#[test]
fn a_backup_lost_after_serving_is_waited_for_and_a_later_one_is_not_used_by_itself() {
    // Input: primary dead, backup serves, then dies too; a second backup and later the stale primary are alive. Output: nobody
    // is served, and the reason is said, until the backup returns on the same epoch.
    let mut spec = spec();
    spec.backups.push(backup("AGG_C", "10.0.0.3:4100"));
    let mut world = World::failed_over(spec, Server::Killed);
    world.set("AGG_B", Server::Killed);
    world.set("AGG_P", Server::Alive);
    world.run(seconds(60.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::NoServer, None, 2));
    assert!(world.blockers().contains("AGG_C is not known to hold what AGG_B took"), "{}", world.blockers());
    assert!(
        world.blockers().contains("AGG_B, whose turn it is, fails its checks: it refused the connection"),
        "{}",
        world.blockers()
    );
    world.set("AGG_B", Server::Alive);
    world.run(seconds(5.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_B"), 2));
}

#[test]
fn x1_when_the_backup_dies_after_the_signal_the_resynced_primary_serves_at_once() {
    // Input: the primary is back for two seconds, its signal accepted; then the backup dies before `stable_for` is over.
    // Output: the primary holds everything, so nobody waits.
    let mut world = World::failed_over(spec(), Server::Killed);
    world.set("AGG_P", Server::Alive);
    world.run(seconds(2.0));
    assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
    assert_eq!(world.state(), State::Resynced);
    world.set("AGG_B", Server::Killed);
    world.run_until(seconds(2.0), "the primary's turn", |world| world.admits() == Some("AGG_P"));
    assert_eq!((world.state(), world.epoch()), (State::OnPrimary, 3));
}

#[test]
fn passive_evidence_never_fails_a_server_over_by_itself() {
    let mut world = World::healthy(spec());
    for _ in 0..500 {
        for evidence in [Evidence::DialRefused, Evidence::DialTimedOut, Evidence::Reset, Evidence::Ended] {
            world.input(Input::Evidence { upstream: "AGG_P".into(), evidence });
        }
        world.run(Duration::from_millis(5));
    }
    assert_eq!((world.transitions(), world.admits()), (vec![], Some("AGG_P")));
}

#[test]
fn a_failover_waits_for_the_disk_and_holds_newcomers_meanwhile() {
    // Input: the disk does not answer. Output: nobody is sent to a backup whose turn is not on the disk.
    let mut world = World::healthy(spec());
    world.disk = Disk::Stuck;
    world.set("AGG_P", Server::Killed);
    world.run(seconds(5.0));
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnPrimary, None, 1));
    assert_eq!(world.machine.in_use().map(|upstream| &**upstream).collect::<Vec<_>>(), ["AGG_P", "AGG_B"]);
    world.disk = Disk::Quick;
    world.write();
    assert_eq!((world.state(), world.admits(), world.epoch()), (State::OnBackup, Some("AGG_B"), 2));
}

#[test]
fn a_full_disk_changes_nothing_and_is_tried_again_each_second() {
    let mut world = World::healthy(spec());
    world.disk = Disk::Full;
    world.set("AGG_P", Server::Killed);
    world.run(seconds(10.0));
    assert_eq!((world.admits(), world.epoch()), (None, 1));
    assert_eq!(world.notes.iter().filter(|note| **note == Note::NotStored).count(), 1, "said once, not each second");
    assert!(world.blockers().contains("could not be stored"), "{}", world.blockers());
    world.disk = Disk::Quick;
    world.run(seconds(1.1));
    assert_eq!((world.admits(), world.epoch()), (Some("AGG_B"), 2));
}

#[test]
fn a_primary_that_comes_back_while_its_failover_is_being_stored_gets_no_newcomers() {
    let mut world = World::healthy(spec());
    world.disk = Disk::Stuck;
    world.set("AGG_P", Server::Killed);
    world.run(seconds(3.0));
    world.set("AGG_P", Server::Alive);
    world.run(seconds(5.0));
    assert_eq!(world.admits(), None, "the disk may say epoch 2 already");
    world.disk = Disk::Quick;
    world.write();
    assert_eq!((world.admits(), world.epoch()), (Some("AGG_B"), 2));
}

#[test]
fn more_failovers_than_the_budget_latch_the_pair_on_its_backup() {
    let mut spec = spec();
    spec.flap.failovers = 2;
    let mut world = World::healthy(spec);
    for round in 0..3 {
        world.set("AGG_P", Server::Killed);
        world.run(seconds(5.0));
        assert_eq!(world.state(), State::OnBackup);
        world.set("AGG_P", Server::Alive);
        world.run(seconds(10.0));
        assert_eq!(world.resync(Side::Primary, None), Verdict::SignalAccepted);
        world.run(seconds(10.0));
        if round < 2 {
            world.progress(0);
            world.run(seconds(1.0));
            assert_eq!(world.state(), State::OnPrimary);
        }
    }
    assert_eq!(world.state(), State::Resynced, "the signal is recorded, and does not help");
    assert!(world.status().latched && world.records.last().unwrap().latched);
    assert!(world.notes.contains(&Note::Latched { failovers: 3 }));
    assert!(world.blockers().contains("more than 2 failovers within 10 min latched it"), "{}", world.blockers());
    assert!(matches!(world.order(Order::SwitchAuto), Verdict::Done(_)));
    world.run(seconds(6.0));
    assert_eq!(world.state(), State::Returning);
}
