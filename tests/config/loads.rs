//! What is right loads, and means what the documentation says.

use failback::{
    config::{AdminListen, Config, load, parse},
    model::{
        PairName,
        alert::{AlertsSpec, SmtpTls},
        group::{Role, SyncSpec, TakeoverSpec},
        proxy_protocol::{HeaderVersion, ProxyProtocolSpec},
        spec::{Check, FailbackWhen, Migrate, Overlap, SignalSource},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) const MINIMAL: &str = "[pairs.AGG_V]\nprimary = { name = \"AGG_P\", address = \"agg-p:4100\" }\n";
pub(crate) const PAIR: &str = "[pairs.AGG_V]\nprimary = { name = \"AGG_P\", address = \"agg-p:4100\" }\n\
    backups = [{ name = \"AGG_B\", address = \"agg-b:4100\" }]\n";

#[track_caller]
fn good(text: &str) -> Config {
    parse(text, Path::new("/etc/failback/failback.toml")).unwrap_or_else(|errors| panic!("{errors}\n\n{text}"))
}

#[test]
fn the_example_names_every_key_with_its_default() {
    let example = load(&root().join("examples/failback.toml")).unwrap();
    let mut brief = good(&format!("{PAIR}[routes.probes]\nlisten = \"0.0.0.0:4100\"\npair = \"AGG_V\"\n"));
    let pair = brief.pairs.get_mut("AGG_V").unwrap();
    pair.primary.as_mut().unwrap().address = "agg-p.example.net:4100".parse().unwrap();
    pair.backups[0].address = "agg-b.example.net:4100".parse().unwrap();
    (brief.source, brief.node.name) = (example.source.clone(), "PROXY_P".into());
    brief.node.state_dir = "/var/lib/failback".into();
    assert_eq!(example, brief);
    let text = fs::read_to_string(root().join("examples/failback.toml")).unwrap();
    for key in super::schema::every_key() {
        assert!(text.contains(&key), "examples/failback.toml does not show `{key}`");
    }
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

#[test]
fn paths_start_at_the_files_folder() {
    let config = good(&format!("{MINIMAL}[node]\nstate_dir = \"state\"\n[admin]\nlisten = \"unix:run/admin.sock\"\n"));
    assert_eq!(config.node.state_dir, Path::new("/etc/failback/state"));
    assert_eq!(config.admin.listen, AdminListen::Unix("/etc/failback/run/admin.sock".into()));
    let absolute = good(&format!("{MINIMAL}[node]\nstate_dir = \"/srv/state\"\n"));
    assert_eq!(absolute.node.state_dir, Path::new("/srv/state"));
}

#[test]
fn what_is_not_said_has_a_sensible_value() {
    let config = good(MINIMAL);
    assert!(config.node.workers >= 1, "0 is one per core");
    assert!(!config.node.name.is_empty(), "the host's name");
    assert!(config.node.state_dir.is_absolute() && config.node.state_dir.ends_with("failback"));
    assert_eq!(config.admin.listen, AdminListen::Tcp("127.0.0.1:9900".parse().unwrap()));
    assert!(config.metrics.is_none() && config.routes.is_empty());
}

#[test]
fn n1_a_pair_of_one_server_holds_nobody_unless_told_to() {
    let hold = |text: &str| good(text).pairs["AGG_V"].hold.time;
    assert_eq!(hold(MINIMAL), Duration::ZERO);
    assert_eq!(hold(PAIR), Duration::from_secs(10));
    assert_eq!(hold(&format!("{MINIMAL}hold = {{ time = \"3s\" }}\n")), Duration::from_secs(3));
    let proxy_b = "[pairs.AGG_V]\nbackups = [{ name = \"B\", address = \"b:1\" }]\nelsewhere = { name = \"P\", address = \"p:1\" }\n";
    assert_eq!(hold(proxy_b), Duration::ZERO, "`elsewhere` is no server of this proxy");
}

#[test]
fn n11_a_pair_may_have_its_primary_elsewhere() {
    let config = good(
        "[pairs.AGG_V]\nbackups = [{ name = \"AGG_B\", address = \"agg-b:4100\" }]\n\
         elsewhere = { name = \"AGG_P\", address = \"agg-p:4100\" }\n",
    );
    let pair = &config.pairs["AGG_V"];
    assert!(pair.primary.is_none());
    assert_eq!(pair.checked().map(|upstream| &*upstream.name).collect::<Vec<_>>(), ["AGG_B", "AGG_P"]);
}

#[test]
fn an_answer_to_expect_makes_a_check_of_it() {
    let check = |health: &str| good(&format!("{PAIR}health = {{ {health} }}\n")).pairs["AGG_V"].health.check.clone();
    let redis = Check::SendExpect { send: (*b"PING\r\n").into(), expect: (*b"+PONG").into(), header: None };
    assert_eq!(check(r#"send = "PING\r\n", expect = "+PONG""#), redis);
    assert_eq!(check(r#"check = "expect", send = "PING\r\n", expect = "+PONG""#), redis);
    let smtp = Check::SendExpect { send: [].into(), expect: (*b"220 ").into(), header: None };
    assert_eq!(check(r#"expect = "220 ""#), smtp, "the server speaks first");
    let binary = Check::SendExpect { send: [0x12, 0x01, 0xff].into(), expect: [0x04].into(), header: None };
    assert_eq!(check("send = [0x12, 1, 255], expect = [4]"), binary);
}

#[test]
fn n6_the_way_back_can_be_polled_or_left_to_an_operator() {
    let failback = |keys: &str| good(&format!("{PAIR}failback = {{ {keys} }}\n")).pairs["AGG_V"].failback.clone();
    assert_eq!(failback("").when, FailbackWhen::Resync, "fail-closed by default");
    assert_eq!(failback("when = \"poll\"").when, FailbackWhen::Poll);
    assert_eq!(failback("when = \"manual\"").when, FailbackWhen::Manual);
}

#[test]
fn draining_implies_overlap() {
    let failback = |keys: &str| good(&format!("{PAIR}failback = {{ {keys} }}\n")).pairs["AGG_V"].failback.clone();
    let drain = failback("migrate = \"drain\"");
    assert_eq!(drain.overlap, Overlap::Allow);
    assert_eq!(drain.migrate, Migrate::Drain { deadline: Duration::from_secs(300) });
    assert_eq!(failback("").overlap, Overlap::None);
}

#[test]
fn n4_clients_on_the_exemption_list_are_addresses_and_networks() {
    let config = good(&format!("{PAIR}failback = {{ exempt = [\"10.0.0.5\", \"10.1.0.0/16\", \"fd00::/8\"] }}\n"));
    let exempt: Vec<String> = config.pairs["AGG_V"].failback.exempt.iter().map(ToString::to_string).collect();
    assert_eq!(exempt, ["10.0.0.5/32", "10.1.0.0/16", "fd00::/8"]);
}

#[test]
fn n10_the_proxy_can_ask_for_the_signal_itself() {
    let source = |keys: &str| good(&format!("{PAIR}failback = {{ {keys} }}\n")).pairs["AGG_V"].failback.source.clone();
    let http = source(r#"resync_http = { url = "http://gw:8080/state?of=P", expect = "done" }, resync_every = "5s""#);
    let expected = SignalSource::Http {
        authority: "gw:8080".parse().unwrap(),
        path: "/state?of=P".into(),
        expect: "done".into(),
        every: Duration::from_secs(5),
    };
    assert_eq!(http, Some(expected));
    let command = source(r#"resync_command = ["/bin/ask", "AGG_P"], resync_timeout = "3s""#);
    let expected = SignalSource::Command {
        argv: ["/bin/ask".to_owned(), "AGG_P".to_owned()].into(),
        every: Duration::from_secs(2),
        timeout: Duration::from_secs(3),
    };
    assert_eq!(command, Some(expected));
}

#[test]
fn n7_alerts_have_sensible_limits_and_mail_is_sent_by_tls() {
    assert_eq!(good(PAIR).alerts, AlertsSpec::default());
    let smtp = |keys: &str| {
        let text = format!("{PAIR}[alerts.smtp]\nfrom = \"a@b.c\"\nto = [\"On call <d@e.f>\"]\n{keys}\n");
        good(&text).alerts.smtp.unwrap()
    };
    assert_eq!(smtp("host = \"mail:587\"").tls, SmtpTls::StartTls);
    assert_eq!(smtp("host = \"mail:465\"").tls, SmtpTls::Implicit);
    assert_eq!(smtp("host = \"mail:25\"\ntls = \"none\"").tls, SmtpTls::None);
    let config = good(&format!(
        "{PAIR}[alerts]\nsignal_overdue_after = \"5m\"\nwebhooks = [{{ url = \"https://hooks.example.net/x?y\" }}]\n"
    ));
    assert_eq!(config.alerts.signal_overdue_after, Duration::from_secs(300));
    let url = &config.alerts.webhooks[0].url;
    assert_eq!((url.secure, url.authority.to_string(), &*url.path), (true, "hooks.example.net:443".into(), "/x?y"));
}

#[test]
fn checks_that_ask_begin_as_sessions_do_and_checks_that_only_connect_do_not() {
    let check = |health: &str, send: &str| {
        let route = format!(
            "[routes.probes]\nlisten = \"0.0.0.0:4100\"\npair = \"AGG_V\"\nproxy_protocol = {{ send = \"{send}\" }}\n"
        );
        good(&format!("{PAIR}{health}\n{route}")).pairs["AGG_V"].health.check.clone()
    };
    let asks = |header| Check::SendExpect { send: [].into(), expect: (*b"220 ").into(), header };
    let health = "health = { expect = \"220 \" }";
    assert_eq!(check(health, "off"), asks(None));
    assert_eq!(check(health, "v1"), asks(Some(HeaderVersion::V1)));
    assert_eq!(check(health, "v2"), asks(Some(HeaderVersion::V2)));
    assert_eq!(check("", "v2"), Check::Connect);
}

#[test]
fn a_route_believes_the_headers_of_addresses_and_networks() {
    let route = "[routes.probes]\nlisten = \"0.0.0.0:4100\"\npair = \"AGG_V\"\n";
    let accept = "proxy_protocol = { accept_from = [\"10.0.0.5\", \"fd00::/8\"] }\n";
    let spec = good(&format!("{PAIR}{route}{accept}")).routes["probes"].proxy_protocol.clone();
    let nets: Vec<String> = spec.accept_from.iter().map(ToString::to_string).collect();
    assert_eq!((nets, spec.send), (vec!["10.0.0.5/32".to_owned(), "fd00::/8".into()], None));
    assert_eq!(good(&format!("{PAIR}{route}")).routes["probes"].proxy_protocol, ProxyProtocolSpec::default());
}

#[test]
fn names_of_the_field_and_odd_ones_work() {
    for name in ["AGG_V", "NCOMS", "agg-v1", "\"agg.v\"", "\"two words\"", "\"Überwachung\""] {
        let config = good(&MINIMAL.replace("AGG_V", name));
        assert!(config.pairs.contains_key(&PairName::from(name.trim_matches('"'))));
    }
}

/// A pairing key that nobody else may read.
fn write_key(file: &Path, key: &str) {
    fs::write(file, key).unwrap();
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// A file with a group, and `more` of its keys, beside a pairing key that is `key`.
fn group(key: &str, more: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pairing.key");
    write_key(&key_file, key);
    let needed = "role = \"backup\"\npeer_listen = \"10.0.0.3:9902\"\npairing_key_file = \"pairing.key\"";
    let text = format!("{PAIR}[group]\n{needed}\n{more}\n");
    parse(&text, &folder.path().join("f.toml")).map_err(|errors| errors.to_string())
}

const KEY: &str = "a secret of the tests' own";
const SHARED: &str = "shared_address = { address = \"10.0.0.10/24\", interface = \"eth0\" }\n";
const WITNESS: &str = "witnesses = [\"icmp:10.0.0.1\"]\n";

#[test]
fn a_group_has_sensible_values_and_a_node_alone_has_none() {
    assert_eq!(good(MINIMAL).group, None);
    let config = group(KEY, &format!("{SHARED}{WITNESS}")).unwrap();
    assert_eq!(config.warnings, vec![]);
    let group = config.group.unwrap();
    assert_eq!((group.role, group.heartbeat), (Role::Backup, Duration::from_millis(200)));
    assert_eq!(group.peer_listen, "10.0.0.3:9902".parse().unwrap());
    assert_eq!((group.witnesses.len(), group.fallback_address, group.site), (1, None, None));
    let shared = group.shared_address.unwrap();
    assert_eq!((shared.address.to_string(), &*shared.interface), ("10.0.0.10/24".into(), "eth0"));
    assert_eq!(group.sync, SyncSpec { interval: Duration::from_secs(60), alert_after: Duration::from_secs(900) });
    let takeover = TakeoverSpec { auto: true, primary_timeout: Duration::from_secs(3), command: vec![] };
    assert_eq!(group.takeover, takeover);
}

#[test]
fn a_node_that_could_do_nothing_on_this_host_is_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("f.toml"), folder.path().join("pairing.key"));
    write_key(&key, KEY);
    let needed = "role = \"primary\"\npeer_listen = \"10.0.0.3:9902\"\npairing_key_file = \"pairing.key\"";
    let shared = SHARED.replace("eth0", "absent0");
    let route = |listen: &str| format!("[routes.probes]\nlisten = {listen:?}\npair = \"AGG_V\"\n");
    let warned = |listen: &str| {
        fs::write(&file, format!("{PAIR}{}[group]\n{needed}\n{shared}{WITNESS}", route(listen))).unwrap();
        load(&file).unwrap().warnings.into_iter().map(|it| it.key).filter(|key| key.starts_with("routes")).count()
    };
    assert_eq!(warned("10.0.0.3:4100"), 1, "an address that the other node does not have");
    assert_eq!((warned("10.0.0.10:4100"), warned("0.0.0.0:4100"), warned("[::]:4100")), (0, 0, 1));
    fs::write(&file, format!("[group]\n{needed}\n{shared}{WITNESS}")).unwrap();
    let said: Vec<String> =
        load(&file).unwrap().warnings.iter().map(|it| format!("{}: {}", it.key, it.reason)).collect();
    let expected = [
        "group.role: a primary node without pairs has nothing to serve, and nothing for a backup node to copy",
        "group.shared_address.interface: this host has no interface `absent0` now",
    ];
    assert_eq!(said, expected);
}

#[test]
fn b2_a_pairing_key_that_could_be_guessed_is_refused() {
    for (key, reason) in
        [(" \n", "pairing.key is empty"), ("sixteen-is-least", ""), ("fifteen-is-none", "holds 15 bytes")]
    {
        let said = group(key, SHARED).err().unwrap_or_default();
        assert_eq!(said.is_empty(), reason.is_empty(), "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(key.trim().is_empty() || !said.contains(key), "the key is shown: {said}");
    }
}

#[test]
fn b2_a_pairing_key_that_others_may_read_is_refused_with_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("pairing.key");
    let text = format!(
        "{PAIR}[group]\nrole = \"backup\"\npeer_listen = \"10.0.0.3:9902\"\npairing_key_file = \"pairing.key\"\n"
    );
    let said = |mode| {
        fs::write(&key, KEY).unwrap();
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        parse(&text, &folder.path().join("f.toml")).map_or_else(|errors| errors.to_string(), |_| String::new())
    };
    assert_eq!(said(0o600), "");
    for mode in [0o644, 0o640] {
        let said = said(mode);
        let mend = format!(
            "has mode {mode:04o}: others on this machine may read it, and be a node of the group; `chmod 600 {}`",
            key.display()
        );
        assert!(said.ends_with(&mend), "{said}");
    }
}

#[test]
fn g6_what_may_not_be_meant_is_a_warning() {
    let warned = |more: &str| {
        let warnings = group(KEY, &format!("{WITNESS}{more}")).unwrap().warnings;
        warnings.iter().map(|warning| format!("{}: {}", warning.key, warning.reason)).collect::<Vec<_>>().join("\n")
    };
    let other_network = "fallback_address = { address = \"10.0.1.11/24\", interface = \"eth0\" }";
    let said = warned(&format!("{SHARED}{other_network}"));
    assert!(said.starts_with("group.fallback_address: 10.0.1.11/24 is in another network"), "{said}");
    let said = warned(&format!("{SHARED}takeover = {{ primary_timeout = \"1s\" }}"));
    assert!(said.starts_with("group.takeover.primary_timeout: the kernel takes the shared address"), "{said}");
    assert!(warned("").starts_with("group: nothing leads clients"), "{}", warned(""));
}

#[test]
fn b10_a_witness_that_is_this_host_or_none_at_all_is_a_warning() {
    let warned = |more: &str| {
        let warnings = group(KEY, &format!("{SHARED}{more}")).unwrap().warnings;
        warnings.iter().map(|warning| format!("{}: {}", warning.key, warning.reason)).collect::<Vec<_>>().join("\n")
    };
    let host = rustix::system::uname().nodename().to_string_lossy().to_ascii_uppercase();
    for here in
        ["icmp:127.0.0.1", "tcp:127.1.2.3:22", "icmp:::1", "tcp:[::1]:22", "tcp:localhost:22", "tcp:db.LocalHost.:1"]
    {
        let said = warned(&format!("witnesses = [\"{here}\"]"));
        assert_eq!(said, format!("group.witnesses[0]: {here} is this host, which answers also when it is cut off"));
    }
    assert!(warned(&format!("witnesses = [\"tcp:{host}:22\"]")).contains("is this host"), "{host}");
    assert_eq!(warned(WITNESS), "");
    assert!(warned("").starts_with("group: only the pairs' servers are left to tell"), "{}", warned(""));
    let empty = warned("witnesses = []");
    assert!(empty.starts_with("group.witnesses: only the pairs' servers"), "{empty}");
    assert_eq!(warned("takeover = { auto = false }"), "", "an operator decides");
}

#[test]
fn pairs_and_routes_of_a_backup_nodes_own_are_doubted_in_its_file_and_not_in_what_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let (key, file) = (folder.path().join("pairing.key"), folder.path().join("f.toml"));
    write_key(&key, KEY);
    let warned = |role: &str, seat: &str| {
        let group = format!("role = \"{role}\"\npeer_listen = \"10.0.0.3:9902\"\npairing_key_file = \"pairing.key\"");
        let text = format!("{seat}[group]\n{group}\n{SHARED}{WITNESS}");
        fs::write(&file, &text).unwrap();
        assert_eq!(parse(&text, &file).unwrap().warnings, vec![], "it may be what was copied");
        // Not every machine has the interface.
        let keys = load(&file).unwrap().warnings.into_iter().map(|warning| warning.key);
        keys.filter(|key| !key.contains("interface")).collect::<Vec<_>>()
    };
    let route = "[routes.probes]\nlisten = \"10.0.0.10:4100\"\npair = \"AGG_V\"\n";
    assert_eq!(warned("backup", &format!("{PAIR}{route}")), ["pairs", "routes"]);
    assert_eq!(warned("backup", ""), [""; 0]);
    assert_eq!(warned("primary", &format!("{PAIR}{route}")), [""; 0]);
}
