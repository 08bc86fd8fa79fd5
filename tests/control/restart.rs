//! What outlives the process.

use crate::common::{client::Client, eventually, proxy::Proxy, server::Server};
use failback::model::{
    Side, TransitionReason,
    view::{HealthName, PairStateName},
};
use std::{fs, time::Duration};

/// A backup is admitted, and a pair returns, without the five seconds of the default.
const PROMPT: &str = "failback = { stable_for = \"300ms\" }";

#[test]
fn a_restart_in_the_middle_of_a_failover_keeps_side_and_epoch() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, PROMPT);
    let mut epoch = 1;
    for round in 0..6 {
        proxy.until_health("AGG_P", HealthName::Up);
        let pair = proxy.until_health("AGG_B", HealthName::Up);
        assert_eq!(pair.active_side, Side::Primary, "round {round}");
        primary.kill();
        // From "not noticed yet" to "long over".
        std::thread::sleep(Duration::from_millis(round * 12));
        proxy.restart();
        let pair = proxy.settled_on(Side::Backup);
        assert!(pair.epoch.0 > epoch, "round {round}: {pair:?}");
        epoch = pair.epoch.0;
        proxy.restart();
        let pair = proxy.settled_on(Side::Backup);
        assert_eq!((pair.epoch.0, pair.active_side), (epoch, Side::Backup), "round {round}");
        primary.revive();
        proxy.until_health("AGG_P", HealthName::Up);
        assert!(proxy.admin.resync("AGG_V", "{}").accepted);
        let pair = proxy.settled_on(Side::Primary);
        assert_eq!(pair.epoch.0, epoch + 1, "round {round}");
        epoch += 1;
    }
}

#[test]
fn events_go_on_counting_over_a_restart() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, PROMPT);
    proxy.until_health("AGG_B", HealthName::Up);
    primary.kill();
    proxy.settled_on(Side::Backup);
    let before = proxy.events();
    proxy.restart();
    let after = proxy.events();
    let numbers: Vec<u64> = after.iter().map(|event| event.seq).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert!(after.iter().any(|event| event.kind == "failover"), "{after:#?}");
    assert!(after[after.len() - 1].seq > before[before.len() - 1].seq);
}

#[test]
fn an_unreadable_journal_serves_nobody_until_an_operator_decides() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, &format!("{PROMPT}\nhold = {{ time = \"0s\" }}"));
    proxy.until_health("AGG_B", HealthName::Up);
    primary.kill();
    proxy.settled_on(Side::Backup);
    primary.revive();
    proxy.kill();
    let journal = proxy.dir().join("state/journal");
    let mut bytes = fs::read(&journal).expect("the journal");
    bytes[..200].fill(0xaa);
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("some bytes");
    bytes[200..used].iter_mut().step_by(50).for_each(|byte| *byte ^= 0xff);
    fs::write(&journal, bytes).expect("the journal");

    proxy.launch();

    let pair = proxy.until_health("AGG_P", HealthName::Up);
    assert_eq!((pair.state, pair.reason), (PairStateName::NoServer, TransitionReason::StateUnreadable));
    let served = Client::try_connect(proxy.route).and_then(|mut client| client.ask("who"));
    assert!(served.is_err(), "nobody is served: {served:?}");
    let status = proxy.admin.status();
    assert!(status.warnings.iter().any(|warning| warning.contains("could not be read")), "{:?}", status.warnings);
    assert!(proxy.events().iter().any(|event| event.kind == "journal_damaged"));

    assert!(proxy.admin.command("AGG_V", "switch", r#"{"to":"backup","force":true}"#).changed);
    proxy.until("served by the backup", |pair| pair.state == PairStateName::OnBackup);
    assert_eq!(proxy.leads_to(), "AGG_B");
    proxy.restart();
    proxy.until("still there", |pair| pair.state == PairStateName::OnBackup);
}

/// Fails over, lets the stale primary return, and stops the proxy.
fn stopped_on_the_backup(primary: &Server, backup: &Server) -> Proxy {
    let mut proxy = Proxy::start(primary, backup, &format!("{PROMPT}\nhold = {{ time = \"0s\" }}"));
    proxy.until_health("AGG_B", HealthName::Up);
    primary.kill();
    proxy.settled_on(Side::Backup);
    primary.revive();
    proxy.until_health("AGG_P", HealthName::Up);
    proxy.kill();
    proxy
}

/// The proxy starts with the pair under this name, and serves nobody until an operator decides; then it keeps to that.
fn serves_nobody_before_an_order(proxy: &mut Proxy, pair: &str, why: &str, decided: &Server) {
    proxy.launch();
    for _ in 0..2 {
        eventually("both servers are up", || {
            proxy.admin.pair(pair).upstreams.iter().all(|its| its.health == HealthName::Up).then_some(())
        });
        let shown = proxy.admin.pair(pair);
        assert_eq!((shown.state, shown.reason), (PairStateName::NoServer, TransitionReason::Reconfigured));
        assert!(shown.blockers.iter().any(|words| words.contains(why)), "{:?}", shown.blockers);
        assert!(proxy.events().iter().any(|event| event.kind == "identity" && event.message.contains(why)));
        assert!(proxy.refuses());
        proxy.restart();
    }
    assert!(proxy.admin.command(pair, "switch", r#"{"to":"backup","force":true}"#).changed);
    for _ in 0..2 {
        let answer = || Client::try_connect(proxy.route).ok()?.ask("who").ok();
        let served_by = eventually("somebody serves", answer);
        assert!(served_by.starts_with(decided.name()), "{served_by}");
        proxy.restart();
    }
}

#[test]
fn a_restart_with_other_addresses_sends_nobody_to_the_stale_primary() {
    let (primary, backup, third) = (Server::start("AGG_P"), Server::start("AGG_B"), Server::start("THIRD"));
    let mut proxy = stopped_on_the_backup(&primary, &backup);
    proxy.configure(&format!(
        "primary = {{ name = \"AGG_P\", address = \"{}\" }}\nbackups = [{{ name = \"AGG_B\", address = \"{}\" }}]\n\
         {PROMPT}\nhold = {{ time = \"0s\" }}\n",
        third.address(),
        primary.address()
    ));
    serves_nobody_before_an_order(&mut proxy, "AGG_V", "which was AGG_P's", &primary);
}

#[test]
fn a_restart_under_another_name_sends_nobody_to_the_stale_primary() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = stopped_on_the_backup(&primary, &backup);
    let text = fs::read_to_string(proxy.config()).expect("its configuration");
    fs::write(proxy.config(), text.replace("AGG_V", "AGG_W")).expect("its configuration");
    serves_nobody_before_an_order(&mut proxy, "AGG_W", "those of AGG_V", &backup);
}
