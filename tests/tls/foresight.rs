//! What would fail at a failover is seen now (`X6`).

use crate::{
    authority::{Authority, Wish},
    common::{
        address::own_address,
        eventually,
        process::{Process, run},
        proxy::Proxy,
    },
    passing::{begun, pair},
    server::{Server, config},
};
use failback::model::view::HealthName;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::ServerConnection;
use std::{net::TcpListener, path::Path, sync::Arc};

/// What is said of a backup with this certificate while all is well; it is counted for `reason` and its end is known.
#[track_caller]
fn said_of_backup(authority: &Authority, identity: &Path, reason: &str) -> String {
    let good = authority.server("good", &["AGG_V"]);
    let (primary, backup) = (Server::secure("AGG_P", &good), Server::secure("AGG_B", identity));
    let proxy = Proxy::with_pair(&pair(&primary, &backup, &begun(authority, "")));
    proxy.until_health("AGG_P", HealthName::Up);
    let seen = proxy.until_health("AGG_B", HealthName::Down);
    let status = proxy.cli_says(&["status"]);
    assert!(status.contains("nobody could stand in: AGG_B"), "{status}");
    assert_eq!(proxy.leads_to(), "AGG_P");
    let failure = seen.upstreams[1].last_failure.clone().unwrap();
    let why = proxy.cli_says(&["why", "AGG_V"]);
    assert!(why.contains("if AGG_P failed now, nobody could stand in: AGG_B") && why.contains(&failure), "{why}");
    let labels = [("peer", "upstream"), ("reason", reason)];
    assert!(proxy.admin.metric("failback_tls_handshake_failures_total", &labels) > 0.0);
    let page = proxy.admin.get("/metrics").unwrap().1;
    assert!(page.contains("failback_certificate_expiry_timestamp_seconds{name=\"AGG_V/AGG_B\"}"), "{page}");
    failure
}

#[test]
fn x6_a_backup_whose_certificate_would_not_do_is_down_before_it_is_needed() {
    let authority = Authority::new();
    let wish = Wish { dns: &["AGG_V"], ..Wish::default() };
    let wrong = authority.server("wrong", &["agg-b.example.net"]);
    assert!(
        said_of_backup(&authority, &wrong, "wrong_name").contains("wanted AGG_V; it carries DNS agg-b.example.net")
    );
    let old = authority.sign("old", &Wish { days: -1, ..wish });
    assert!(said_of_backup(&authority, &old, "expired").contains("has expired"));
    let client = authority.sign(
        "client",
        &Wish { usage: ExtendedKeyUsagePurpose::ClientAuth, ..Wish { dns: &["AGG_V"], ..Wish::default() } },
    );
    assert!(said_of_backup(&authority, &client, "wrong_usage").contains("not made for this use"));
    let stranger = Authority::called("Stranger");
    let identity = stranger.server("stranger", &["AGG_V"]);
    assert!(said_of_backup(&authority, &identity, "unknown_issuer").contains("its issuer is CN=Stranger"));
}

#[test]
fn x6_when_certificates_expire_is_a_metric_and_soon_is_a_warning() {
    let authority = Authority::new();
    let (good, soon) = (
        authority.server("good", &["AGG_V"]),
        authority.sign("soon", &Wish { dns: &["AGG_V"], days: 10, ..Wish::default() }),
    );
    let (primary, backup) = (Server::secure("AGG_P", &good), Server::secure("AGG_B", &soon));
    let proxy = Proxy::with_pair(&pair(&primary, &backup, &begun(&authority, "")));
    proxy.until_health("AGG_B", HealthName::Up);
    let page = proxy.admin.get("/metrics").unwrap().1;
    assert!(page.contains("failback_certificate_expiry_timestamp_seconds{name=\"AGG_V/AGG_B\"}"), "{page}");
    eventually("the warning is there", || {
        proxy.cli_says(&["status"]).contains("the certificate AGG_V/AGG_B expires in 9 days").then_some(())
    });
    assert!(!proxy.cli_says(&["status"]).contains("AGG_V/AGG_P expires"));
}

/// With TLS 1.3 it says so when our part of the handshake is over already.
#[test]
fn x6_servers_that_want_a_certificate_of_ours_are_down_if_the_pair_has_none() {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V"]);
    let strict = |name| Server::strict(name, &identity, &authority.ca());
    let (primary, backup) = (strict("AGG_P"), strict("AGG_B"));
    let proxy = Proxy::with_pair(&pair(&primary, &backup, &begun(&authority, "")));
    for (at, name) in ["AGG_P", "AGG_B"].into_iter().enumerate() {
        let seen = proxy.until_health(name, HealthName::Down);
        let words = seen.upstreams[at].last_failure.clone().unwrap();
        assert!(words.contains("it wants a certificate of ours: set `cert` and `key`"), "{words}");
    }

    let connects = format!("{}health = {{ check = \"connect\" }}\n", begun(&authority, ""));
    let proxy = Proxy::with_pair(&pair(&primary, &backup, &connects));
    proxy.until_health("AGG_P", HealthName::Up);
    assert!(proxy.client().ask("hello").is_err());
    let labels = [("peer", "upstream"), ("reason", "refused_by_peer")];
    eventually("the session's failure is counted", || {
        (proxy.admin.metric("failback_tls_handshake_failures_total", &labels) == 1.0).then_some(())
    });
}

#[test]
fn a_server_that_neither_speaks_nor_hangs_up_after_its_handshake_passes() {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V"]);
    let mut config = config(&identity, None);
    config.send_tls13_tickets = 0;
    let (address, config) = (own_address(), Arc::new(config));
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let _shaken = connection.complete_io(&mut stream);
            held.push(stream);
        }
    });
    let table = format!("primary = {{ name = \"AGG_P\", address = \"{address}\" }}\n{}", begun(&authority, ""));
    Proxy::with_pair(&table).until_health("AGG_P", HealthName::Up);
}

/// Version 1, and an authority's own: refused with the pin that would make them good.
#[test]
fn a_certificate_that_nobody_can_vouch_for_is_refused_with_its_pin_and_accepted_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, extensions: &[&str]| {
        let path = dir.path().join(name);
        let (key, pem) = (path.with_extension("key"), path.with_extension("pem"));
        let mut words = vec![
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "9",
            "-subj",
            "/CN=AGG_V",
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            pem.to_str().unwrap(),
        ];
        words.extend(extensions);
        run(&words);
        path
    };
    let own = make("own", &["-addext", "basicConstraints=critical,CA:TRUE"]);
    let old = version_one(dir.path());
    for (identity, reason) in [(own, "certificate authority's own"), (old, "version 1")] {
        let (address, spare) = (own_address(), Server::plain("AGG_B"));
        let (accept, ca) = (address.to_string(), identity.with_extension("pem"));
        let (cert, key) = (ca.to_str().unwrap(), identity.with_extension("key"));
        let argv = ["openssl", "s_server", "-accept", &accept, "-www", "-cert", cert, "-key", key.to_str().unwrap()];
        let _server = Process::start(&argv, &dir.path().join("log"));
        let servers =
            format!("primary = {{ name = \"AGG_P\", address = \"{address}\" }}\nbackups = [{}]\n", spare.toml());
        let wanted = format!("tls = {{ ca = {ca:?}, common_name = \"if-no-san\" }}");
        let proxy = Proxy::with_pair(&format!("{servers}{wanted}"));
        let words = eventually("it is refused", || {
            let failure = proxy.pair().upstreams[0].last_failure.clone()?;
            failure.contains("pins = ").then_some(failure)
        });
        assert!(words.contains(reason), "{words}");
        let pin = words.split("pins = [\"").nth(1).unwrap().split('"').next().unwrap();
        let proxy = Proxy::with_pair(&format!("{servers}tls = {{ pins = [\"{pin}\"] }}"));
        proxy.until_health("AGG_P", HealthName::Up);
    }
}

/// `openssl x509 -req` without extensions makes version 1.
fn version_one(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("old");
    let file = |end: &str| path.with_extension(end).to_str().unwrap().to_owned();
    let (key, request, pem) = (file("key"), file("csr"), file("pem"));
    run(&[
        "openssl",
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=AGG_V",
        "-keyout",
        &key,
        "-out",
        &request,
    ]);
    run(&["openssl", "x509", "-req", "-in", &request, "-signkey", &key, "-days", "9", "-out", &pem]);
    path
}
