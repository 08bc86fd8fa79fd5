//! A new configuration in a running node: by difference, or not at all.

use crate::common::{client::Client, eventually, proxy::Proxy, server::Server};
use failback::model::{Side, view::HealthName};
use std::fs;

/// A backup is admitted without the five seconds of the default.
const PROMPT: &str = "failback = { stable_for = \"300ms\" }";

fn pair(primary: &Server, backup: &Server, more: &str) -> String {
    format!("primary = {}\nbackups = [{}]\n{more}\n", primary.toml(), backup.toml())
}

/// `POST reload`: status code and body.
fn reload(proxy: &Proxy) -> (u16, String) {
    proxy.admin.post("/api/v1/reload", "{}").expect("an answer")
}

#[test]
fn what_did_not_change_keeps_its_sessions_and_its_state() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, PROMPT);
    proxy.until_health("AGG_B", HealthName::Up);
    primary.kill();
    let before = proxy.settled_on(Side::Backup);
    let mut probe = proxy.client();
    assert_eq!(probe.server(), "AGG_B");

    proxy.configure(&pair(&primary, &backup, &format!("{PROMPT}\nhold = {{ time = \"3s\", max = 7 }}")));
    let text = fs::read_to_string(proxy.config()).expect("its configuration");
    let extra = Server::start("EXTRA");
    let port = crate::common::address::own_address();
    let more = format!(
        "max_sessions = 5\n\n[pairs.MORE]\nprimary = {}\n\n[routes.more]\nlisten = [\"{port}\"]\npair = \"MORE\"\n",
        extra.toml()
    );
    fs::write(proxy.config(), text + &more).expect("its configuration");
    let (code, answer) = reload(&proxy);

    assert_eq!(code, 200, "{answer}");
    for change in [
        "pair `AGG_V`: hold changed",
        "route `probes`: max_sessions changed",
        "pair `MORE` added",
        "route `more` added",
    ] {
        assert!(answer.contains(change), "{change} in {answer}");
    }
    assert_eq!(probe.server(), "AGG_B", "the session lives on");
    let after = proxy.pair();
    assert_eq!((after.epoch, after.active_side), (before.epoch, Side::Backup));
    eventually("the new route serves", || {
        (Client::try_connect(port).ok()?.ask("who").ok()? == "EXTRA:who").then_some(())
    });
    assert_eq!(
        proxy.admin.status().routes.iter().find(|route| &*route.route == "probes").map(|its| its.max_sessions),
        Some(5)
    );
    // The limit holds for those who come from now on.
    let mut crowd: Vec<Client> = (0..4).map(|_| proxy.client()).collect();
    assert!(crowd.iter_mut().all(|client| client.server() == "AGG_B"));
    eventually("one more is refused", || Client::try_connect(proxy.route).and_then(|mut one| one.ask("who")).err());
    assert_eq!(probe.server(), "AGG_B");
}

#[test]
fn a_route_that_is_removed_closes_its_door_and_no_other() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, "");
    let text = fs::read_to_string(proxy.config()).expect("its configuration");
    let port = crate::common::address::own_address();
    let more = format!("\n[routes.more]\nlisten = [\"{port}\"]\npair = \"AGG_V\"\n");
    fs::write(proxy.config(), format!("{text}{more}")).expect("its configuration");
    assert_eq!(reload(&proxy).0, 200);
    let mut by_more = Client::connect(port);
    let mut by_probes = proxy.client();
    assert_eq!([by_more.server(), by_probes.server()], ["AGG_P", "AGG_P"]);

    fs::write(proxy.config(), text).expect("its configuration");
    proxy.process().signal("HUP");

    by_more.wait_end();
    eventually("nobody listens there", || Client::try_connect(port).err());
    assert_eq!(by_probes.server(), "AGG_P");
}

#[test]
fn what_can_not_be_applied_changes_nothing() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, "");
    let mut probe = proxy.client();
    assert_eq!(probe.server(), "AGG_P");
    let good = fs::read_to_string(proxy.config()).expect("its configuration");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("an address");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("its address");
    let others = [
        (good.replace("[node]", "[node]\nworkers = 7"), "node.workers can't be changed by a reload; restart"),
        (good.replace("/state\"", "/elsewhere\""), "node.state_dir can't be changed"),
        (good.replace("[routes.probes]", "[routes.probes]\nlisten_on = 3"), "listen_on"),
        (good.replace("pair = \"AGG_V\"", "pair = \"AGG_X\""), "AGG_X"),
        (format!("{good}\n[routes.more]\nlisten = [\"{}\"]\npair = \"AGG_V\"\n", taken.1), "in use"),
        (String::new(), "pairs"),
    ];
    for (text, expected) in others {
        fs::write(proxy.config(), text).expect("its configuration");
        let (code, answer) = reload(&proxy);
        assert!((400..500).contains(&code), "{code} {answer}");
        assert!(answer.contains(expected), "{expected} in {answer}");
        assert_eq!(probe.server(), "AGG_P");
        assert_eq!(proxy.leads_to(), "AGG_P");
    }
    fs::write(proxy.config(), good).expect("its configuration");
    let (code, answer) = reload(&proxy);
    assert_eq!((code, answer.contains("[]")), (200, true), "{answer}");
}

#[test]
fn servers_that_swap_their_addresses_need_force() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, "");
    proxy.until_health("AGG_B", HealthName::Up);
    let swapped = format!(
        "primary = {{ name = \"AGG_P\", address = \"{}\" }}\nbackups = [{{ name = \"AGG_B\", address = \"{}\" }}]\n",
        backup.address(),
        primary.address()
    );
    proxy.configure(&swapped);
    let (code, answer) = reload(&proxy);
    assert!((400..500).contains(&code), "{code} {answer}");
    assert!(answer.contains("AGG_B's now") && answer.contains("--force"), "{answer}");
    assert_eq!(proxy.leads_to(), "AGG_P");

    let (code, answer) = proxy.admin.post("/api/v1/reload", r#"{"force":true}"#).expect("an answer");

    assert_eq!(code, 200, "{answer}");
    eventually("clients go to the address now called AGG_P", || proxy.reaches("AGG_B").then_some(()));
}

#[test]
fn a_pair_that_was_removed_and_came_back_still_has_one_side_at_a_time() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, PROMPT);
    proxy.until_health("AGG_B", HealthName::Up);
    primary.kill();
    proxy.settled_on(Side::Backup);
    let whole = fs::read_to_string(proxy.config()).expect("its configuration");
    let (rest, _) = whole.split_once("[pairs.").expect("pairs come last but for the routes");
    let other = Server::start("OTHER");
    fs::write(proxy.config(), format!("{rest}[pairs.OTHER]\nprimary = {}\n", other.toml())).expect("it is written");
    let (code, answer) = reload(&proxy);
    assert!(code == 200 && answer.contains("removed"), "{code} {answer}");
    fs::write(proxy.config(), whole).expect("it is written");
    assert_eq!(reload(&proxy).0, 200);
    proxy.settled_on(Side::Backup);
    let mut old = proxy.client();
    assert_eq!(old.server(), "AGG_B");

    primary.revive();
    proxy.until_health("AGG_P", HealthName::Up);
    assert!(proxy.admin.resync("AGG_V", "{}").accepted);
    eventually("the primary serves", || proxy.reaches("AGG_P").then_some(()));

    assert!(old.ended(), "it is on the backup while the primary serves");
}

#[test]
fn a_server_that_changes_its_side_is_up_all_along() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, PROMPT);
    proxy.until_health("AGG_B", HealthName::Up);
    proxy.until_health("AGG_P", HealthName::Up);

    proxy.configure(&pair(&backup, &primary, PROMPT));
    assert_eq!(reload(&proxy).0, 200);

    proxy.until_health("AGG_B", HealthName::Up);
    for upstream in ["AGG_P", "AGG_B"] {
        let up = proxy.admin.metric("failback_upstream_up", &[("pair", "AGG_V"), ("upstream", upstream)]);
        assert_eq!(up, 1.0, "{upstream}");
    }
}

#[test]
fn a_pipe_in_the_files_place_is_refused_at_once() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, PROMPT);
    let good = fs::read_to_string(proxy.config()).expect("its configuration");
    fs::remove_file(proxy.config()).expect("its configuration");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, proxy.config(), rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    let (code, answer) = reload(&proxy);
    assert!((400..500).contains(&code) && answer.contains("a pipe or a device, not a file"), "{code} {answer}");

    fs::remove_file(proxy.config()).expect("the pipe");
    fs::write(proxy.config(), good).expect("its configuration");
    assert_eq!(reload(&proxy).0, 200);
}

#[test]
fn a_pair_that_is_renamed_away_from_its_primary_needs_force() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, PROMPT);
    let rename = |from: &str, to: &str| {
        let text = fs::read_to_string(proxy.config()).expect("its configuration");
        fs::write(proxy.config(), text.replace(from, to)).expect("its configuration");
        reload(&proxy)
    };
    let (code, answer) = rename("AGG_V", "AGG_U");
    assert_eq!(code, 200, "on its primary it begins where it was: {answer}");
    rename("AGG_U", "AGG_V");
    proxy.until_admissible("AGG_B");
    primary.kill();
    proxy.settled_on(Side::Backup);
    primary.revive();
    proxy.until_health("AGG_P", HealthName::Up);

    let (code, answer) = rename("AGG_V", "AGG_W");

    assert_eq!(code, 409, "{answer}");
    assert!(
        answer.contains("servers of `AGG_V`, whose clients are on AGG_B") && answer.contains("--force"),
        "{answer}"
    );
    assert_eq!(proxy.leads_to(), "AGG_B");

    // The same in two steps: the pair is gone before the other one comes.
    let spare = Server::start("SPARE");
    let whole = fs::read_to_string(proxy.config()).expect("its configuration");
    let other = |text: &str| text.replace("AGG_W", "OTHER").replace(&primary.toml(), &spare.toml());
    let others = other(&whole).replace(&format!("backups = [{}]", backup.toml()), "");
    fs::write(proxy.config(), others).expect("its configuration");
    assert_eq!(reload(&proxy).0, 200);
    fs::write(proxy.config(), &whole).expect("its configuration");
    let (code, answer) = reload(&proxy);
    assert_eq!((code, answer.contains("servers of `AGG_V`")), (409, true), "{answer}");

    let (code, answer) = proxy.admin.post("/api/v1/reload", r#"{"force":true}"#).expect("an answer");
    assert_eq!(code, 200, "{answer}");
    eventually("as the operator wanted", || proxy.reaches("AGG_P").then_some(()));
}
