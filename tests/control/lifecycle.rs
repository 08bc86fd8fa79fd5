//! Start and stop.

use crate::common::{client::Client, eventually, process::Process, proxy::Proxy, server::Server, throughout};
use failback::model::{Side, view::HealthName};
use std::{fs, time::Duration};

#[test]
fn a_state_directory_belongs_to_one_process() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, "");
    let second = proxy.dir().join("second.toml");
    let text = fs::read_to_string(proxy.config()).expect("its configuration");
    fs::write(&second, text).expect("a copy");

    let output = proxy.cli(&["run", "-c", &second.to_string_lossy()]);

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let pid = proxy.process().id();
    assert!(said.contains(&format!("in use by process {pid};")), "{said}");
    assert_eq!(proxy.leads_to(), "AGG_P");
}

#[test]
fn an_address_in_use_is_named_with_its_route() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::prepared(&format!("primary = {}\nbackups = [{}]\n", primary.toml(), backup.toml()));
    let _taken = std::net::TcpListener::bind(proxy.route).expect("the address");

    let output = proxy.cli(&["run", "-c", &proxy.config().to_string_lossy()]);

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("probes") && said.contains(&proxy.route.to_string()), "{said}");
}

#[test]
fn sigterm_ends_the_sessions_and_then_the_process() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, "");
    let mut probe = proxy.client();
    assert_eq!(probe.server(), "AGG_P");

    proxy.process().signal("TERM");

    probe.wait_end();
    let status = eventually("the process has ended", || proxy.process().ended());
    assert!(status.success(), "{status}: {}", proxy.process().printed());
    assert!(Client::try_connect(proxy.route).is_err(), "nobody listens any more");
}

#[test]
fn a_node_is_ready_without_any_server() {
    let (primary, backup) = (Server::dead("AGG_P"), Server::dead("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, "");
    proxy.until_health("AGG_P", HealthName::Down);
    proxy.until_health("AGG_B", HealthName::Down);
    assert_eq!(proxy.admin.get("/readyz").expect("an answer").0, 200);
    assert!(!proxy.admin.status().warnings.is_empty());
}

#[test]
fn a_proxy_that_was_frozen_blames_no_server() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, "failback = { stable_for = \"200ms\" }");
    proxy.until_admissible("AGG_B");
    let mut probe = proxy.client();
    assert_eq!(probe.server(), "AGG_P");
    for span in [300, 900, 2500] {
        proxy.process().signal("STOP");
        std::thread::sleep(Duration::from_millis(span));
        proxy.process().signal("CONT");
        throughout(Duration::from_millis(1200), "the pair stays", || proxy.pair().active_side == Side::Primary);
    }
    assert_eq!(probe.server(), "AGG_P");
    assert_eq!(proxy.failovers(), 0.0);
    assert_eq!(proxy.pair().epoch.0, 1);
}

#[test]
fn sighup_does_not_end_a_node_that_is_starting() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::prepared(&format!("primary = {}\nbackups = [{}]\n", primary.toml(), backup.toml()));
    let argv = [env!("CARGO_BIN_EXE_failback").into(), "run".into(), "-c".into(), proxy.config()];
    let mut process = Process::start(&argv, &proxy.dir().join("proxy.log"));
    let lock = proxy.dir().join("state").join("lock");
    eventually("it has begun", || {
        assert!(process.ended().is_none(), "{}", process.printed());
        lock.exists().then_some(())
    });
    eventually("it is ready", || {
        assert!(process.ended().is_none(), "{}", process.printed());
        process.signal("HUP");
        proxy.admin.get("/readyz").is_ok_and(|(code, _)| code == 200).then_some(())
    });
    assert_eq!(proxy.leads_to(), "AGG_P");
}

#[test]
fn sigterm_is_heeded_in_a_storm_of_sighups() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, "");
    let storm = format!("while kill -HUP {}; do :; done", proxy.process().id());
    let _storm = Process::start(&["sh", "-c", &storm], &proxy.dir().join("storm.log"));
    eventually("it reloads", || proxy.process().printed().contains("reloaded by SIGHUP").then_some(()));

    proxy.process().signal("TERM");

    let status = eventually("the process has ended", || proxy.process().ended());
    assert!(status.success(), "{status}");
}

#[test]
fn a_state_directory_that_can_not_be_written_is_said_and_not_said_on_and_on() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, "");
    let state = proxy.dir().join("state");
    let said = |kind| proxy.events().iter().filter(|event| event.kind == kind).count();
    fs::remove_dir_all(&state).expect("it can be removed");
    fs::write(&state, "").expect("something in its place");

    let (code, why) = proxy.admin.post("/api/v1/pairs/AGG_V/freeze", "").expect("an answer");
    assert_eq!(code, 409, "{why}");
    eventually("it is said", || (said("journal_trouble") > 0).then_some(()));
    throughout(Duration::from_millis(1500), "it is not said on and on", || said("journal_trouble") <= 2);
    assert_eq!(proxy.leads_to(), "AGG_P");

    fs::remove_file(&state).expect("it can be removed");
    eventually("it goes on", || {
        proxy.admin.post("/api/v1/pairs/AGG_V/freeze", "").is_ok_and(|(code, _)| code == 200).then_some(())
    });
    eventually("that is said, too", || (said("journal_recovered") == 1).then_some(()));
}
