//! Commands that ask a real node.

use super::common::{
    SOON,
    address::own_address,
    eventually,
    process::{Process, command},
    proxy::{PAIR, Proxy},
    server::Server,
};
use failback::model::{Side, view::StatusView};
use std::{fs, process::Output};

fn node() -> (Proxy, Server, Server) {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, "failback = { stable_for = \"100ms\" }");
    (proxy, primary, backup)
}

fn url(proxy: &Proxy) -> String {
    format!("http://{}", proxy.admin)
}

/// Exit code, what it said, what it complained.
fn ran(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn x5_a_failover_and_its_blockers_in_words() {
    let (proxy, primary, _backup) = node();
    let why = proxy.cli_says(&["why", PAIR]);
    assert!(why.starts_with("AGG_V is on its primary, AGG_P (epoch 1)."), "{why}");
    proxy.until("the backup is ready", |pair| pair.upstreams.iter().all(|upstream| upstream.admissible));
    primary.kill();
    proxy.settled_on(Side::Backup);
    let why = proxy.cli_says(&["why", PAIR]);
    assert!(why.starts_with("AGG_V is on a backup, AGG_B (epoch 2)."), "{why}");
    for words in [
        "the upstream refused its checks",
        "What keeps it from its primary:",
        "resync",
        "AGG_P (primary) has been down",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    let status = proxy.cli_says(&["status"]);
    assert!(status.contains("on_backup") && status.contains("AGG_B") && status.contains("! AGG_V: "), "{status}");
    assert!(!status.contains('\u{1b}'), "colours are for terminals: {status:?}");
    let view: StatusView = serde_json::from_str(&proxy.cli_says(&["status", "--json"])).unwrap();
    assert_eq!(view.pairs[0].epoch.0, 2);
    let events = proxy.cli_says(&["events"]);
    assert!(events.lines().any(|line| line.contains("failover") && line.contains("AGG_B")), "{events}");
}

#[test]
fn n10_a_signal_that_changes_nothing_exits_with_0_and_says_why() {
    let (proxy, _primary, _backup) = node();
    for _again in 0..2 {
        let said = proxy.cli_says(&["resync", PAIR]);
        assert!(said.starts_with("nothing changed: "), "{said}");
    }
    let answer: serde_json::Value =
        serde_json::from_str(&proxy.cli_says(&["resync", PAIR, "--epoch", "9", "--json"])).unwrap();
    assert_eq!(answer["accepted"], false, "{answer}");
    let (code, _, complaint) = ran(&proxy.cli(&["resync", "NOBODY"]));
    assert_eq!(code, Some(1));
    assert!(complaint.starts_with("failback: No such pair: ") && complaint.contains("AGG_V"), "{complaint}");
}

#[test]
fn orders_are_given_and_what_they_did_is_said() {
    let (proxy, _primary, _backup) = node();
    proxy.cli_says(&["freeze", PAIR]);
    assert!(proxy.pair().frozen);
    assert!(proxy.cli_says(&["freeze", PAIR]).starts_with("nothing changed: "));
    proxy.cli_says(&["unfreeze", PAIR]);
    proxy.cli_says(&["switch", PAIR, "--to", "backup", "--now", "--force"]);
    assert!(proxy.settled_on(Side::Backup).pinned);
    let (code, _, complaint) = ran(&proxy.cli(&["switch", PAIR, "--to", "primary"]));
    assert_eq!(code, Some(1), "to the primary without a signal only by force: {complaint}");
    assert!(complaint.starts_with("failback: Refused: "), "{complaint}");
    proxy.cli_says(&["switch", PAIR, "--to", "primary", "--force", "--json"]);
    proxy.settled_on(Side::Primary);
    proxy.cli_says(&["switch", PAIR, "--auto"]);
    assert!(!proxy.pair().pinned);
    let (code, _, complaint) = ran(&proxy.cli(&["migration", PAIR, "pause"]));
    assert_eq!(code, Some(1), "there is none: {complaint}");
    assert_eq!(proxy.cli_says(&["reload"]), "reloaded; nothing has changed\n");
    fs::write(proxy.config(), "[pairs").unwrap();
    let (code, _, complaint) = ran(&proxy.cli(&["reload"]));
    assert_eq!(code, Some(78));
    assert!(
        complaint.starts_with("failback: Bad configuration: ") && complaint.contains("failback.toml:1:"),
        "{complaint}"
    );
    assert_eq!(proxy.leads_to(), "AGG_P", "a bad file changes nothing");
}

#[test]
fn the_only_pair_need_not_be_named_and_of_several_one_must_be() {
    let (proxy, primary, backup) = node();
    assert!(proxy.cli_says(&["why"]).starts_with("AGG_V is on its primary"));
    proxy.cli_says(&["freeze"]);
    assert!(proxy.pair().frozen);
    proxy.cli_says(&["unfreeze"]);
    proxy.cli_says(&["switch", "--to", "primary"]);
    assert!(proxy.cli_says(&["resync"]).starts_with("nothing changed: "));
    let (code, _, complaint) = ran(&proxy.cli(&["migration", "pause"]));
    assert_eq!((code, complaint.contains("no migration")), (Some(1), true), "{complaint}");

    let mut config = fs::read_to_string(proxy.config()).unwrap();
    config.push_str(&format!(
        "\n[pairs.AGG_W]\nprimary = {}\nbackups = [{}]\n[routes.others]\nlisten = \"{}\"\npair = \"AGG_W\"\n",
        primary.toml(),
        backup.toml(),
        own_address()
    ));
    fs::write(proxy.config(), config).unwrap();
    proxy.cli_says(&["reload"]);
    let (code, _, complaint) = ran(&proxy.cli(&["why"]));
    assert_eq!((code, complaint.as_str()), (Some(2), "failback: say which pair: AGG_V, AGG_W\n"));
}

#[test]
fn who_names_a_server_where_a_side_is_wanted_hears_its_side() {
    let (proxy, _primary, _backup) = node();
    for (word, mend) in [("AGG_P", "--to primary"), ("AGG_B", "--to backup"), ("AGG_X", "primary or backup")] {
        let (code, _, complaint) = ran(&proxy.cli(&["switch", PAIR, "--to", word]));
        assert_eq!((code, complaint.contains(mend)), (Some(2), true), "{complaint}");
    }
}

#[test]
fn sessions_and_rates_are_shown() {
    let (proxy, _primary, _backup) = node();
    let mut client = proxy.client();
    assert_eq!(client.server(), "AGG_P");
    let sessions = proxy.cli_says(&["sessions", "--route", "probes", "-n", "5"]);
    assert!(sessions.starts_with("ID ") && sessions.contains("AGG_P"), "{sessions}");
    let (code, _, complaint) = ran(&proxy.cli(&["sessions", "--route", "nowhere"]));
    assert_eq!((code, complaint.contains("probes")), (Some(1), true), "{complaint}");
    let top = proxy.cli_says(&["top", "-n", "2", "-d", "0.1"]);
    assert_eq!(top.matches("REFUSED/S").count(), 2, "{top}");
}

#[test]
fn a_token_comes_from_a_file_or_the_environment() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::prepared(&format!("primary = {}\nbackups = [{}]", primary.toml(), backup.toml()));
    let config = fs::read_to_string(proxy.config()).unwrap();
    fs::write(proxy.config(), config.replace("[admin]\n", "[admin]\ntoken_file = \"admin.token\"\n")).unwrap();
    let (tokens, alone) = (proxy.dir().join("admin.token"), proxy.dir().join("secret"));
    fs::write(&tokens, "mon:read:r3ad\nops:operate:0perate\n").unwrap();
    fs::write(&alone, "r3ad\n").unwrap();
    proxy.launch();

    let (code, _, complaint) = ran(&proxy.cli(&["status"]));
    assert_eq!((code, complaint.contains("A valid token is needed")), (Some(1), true), "{complaint}");
    assert!(complaint.contains("--token-file") && complaint.contains("FAILBACK_TOKEN"), "{complaint}");
    assert!(proxy.cli_says(&["status", "--token-file", alone.to_str().unwrap()]).contains(PAIR));
    let (code, _, complaint) = ran(&proxy.cli(&["freeze", PAIR, "--token-file", alone.to_str().unwrap()]));
    assert_eq!((code, complaint.contains("The token may not do this")), (Some(1), true), "{complaint}");
    proxy.cli_says(&["freeze", PAIR, "--token-file", tokens.to_str().unwrap()]);
    let program = [env!("CARGO_BIN_EXE_failback")];
    let by_environment = command(&program)
        .args(["unfreeze", PAIR])
        .env("FAILBACK_ADMIN", url(&proxy))
        .env("FAILBACK_TOKEN", "0perate")
        .output()
        .unwrap();
    assert_eq!(ran(&by_environment).0, Some(0));
}

#[test]
fn following_events_goes_on_after_the_node_was_killed() {
    let (mut proxy, _primary, _backup) = node();
    let log = proxy.dir().join("follow.log");
    let argv = [env!("CARGO_BIN_EXE_failback"), "events", "-f", "--json", "--admin", &url(&proxy)];
    let follower = Process::start(&argv, &log);
    let seen = |count: usize| {
        eventually("the follower has seen it", || {
            let lines: Vec<serde_json::Value> =
                follower.printed().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            (lines.len() >= count).then_some(lines)
        })
    };
    seen(1);
    proxy.restart();
    proxy.cli_says(&["freeze", PAIR]);
    let newest = proxy.events().last().unwrap().seq;
    let start = std::time::Instant::now();
    let numbers: Vec<u64> = loop {
        let numbers: Vec<u64> = seen(1).iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        if numbers.last() >= Some(&newest) {
            break numbers;
        }
        assert!(start.elapsed() < SOON, "{numbers:?} up to {newest}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "none lost, none twice: {numbers:?}");
}

#[test]
fn the_log_can_be_json() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::prepared(&format!("primary = {}\nbackups = [{}]", primary.toml(), backup.toml()));
    let log = proxy.dir().join("json.log");
    let config = proxy.config();
    let argv = [env!("CARGO_BIN_EXE_failback"), "run", "--log-format", "json", "-c", config.to_str().unwrap()];
    let process = Process::start(&argv, &log);
    let line = eventually("a line", || process.printed().lines().next().map(str::to_owned));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(line["level"].is_string() && line["message"].is_string() && line["timestamp"].is_string(), "{line}");
}
