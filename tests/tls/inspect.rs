//! `failback certs`.

use crate::{
    authority::{Authority, Wish},
    common::process::{command, run},
    passing::pair,
    server::Server,
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

fn certs(dir: &Path, words: &[&str]) -> Output {
    command(&[env!("CARGO_BIN_EXE_failback")]).arg("certs").args(words).current_dir(dir).output().unwrap()
}

#[test]
fn what_is_made_is_good_for_a_pair_and_keys_are_nobody_elses_business() {
    let dir = tempfile::tempdir().unwrap();
    let made = certs(dir.path(), &["make", "AGG_V", "--name", "127.0.0.1"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for key in ["ca.key", "AGG_V.key", "client.key"] {
        let mode = fs::metadata(dir.path().join("certs").join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let server = Server::secure("AGG_P", &dir.path().join("certs/AGG_V"));
    let backup = Server::secure("AGG_B", &dir.path().join("certs/AGG_V"));
    let table = pair(&server, &backup, "tls = { ca = \"certs/ca.pem\" }");
    fs::write(dir.path().join("failback.toml"), format!("[pairs.AGG_V]\n{table}")).unwrap();
    let address = server.address.to_string();
    for what in ["certs/AGG_V.pem", &address] {
        let seen = certs(dir.path(), &["inspect", what, "--pair", "AGG_V"]);
        let text = String::from_utf8_lossy(&seen.stdout);
        assert!(seen.status.success() && text.contains("AGG_V accepts it: the DNS name AGG_V"), "{text}");
    }
    let again = certs(dir.path(), &["make", "AGG_V"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
}

#[test]
fn n8_inspect_says_which_rule_decides() {
    let dir = tempfile::tempdir().unwrap();
    assert!(certs(dir.path(), &["make", "AGG_V", "--common-name-only"]).status.success());
    let table = |policy: &str| {
        format!(
            "[pairs.AGG_V]\nprimary = {{ name = \"P\", address = \"p:1\" }}\ntls = {{ ca = \"certs/ca.pem\"{policy} }}\n"
        )
    };
    let inspect = || certs(dir.path(), &["inspect", "certs/AGG_V.pem", "--pair", "AGG_V", "--json"]);
    fs::write(dir.path().join("failback.toml"), table(", common_name = \"if-no-san\"")).unwrap();
    let seen: serde_json::Value = serde_json::from_slice(&inspect().stdout).unwrap();
    assert_eq!(seen["verdict"]["rule"], "the Common Name AGG_V, since it has no DNS name");
    fs::write(dir.path().join("failback.toml"), table("")).unwrap();
    let refused = inspect();
    assert_eq!(refused.status.code(), Some(1));
    let seen: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(seen["verdict"]["reason"], "wrong_name");
}

#[test]
fn files_that_do_not_fit_are_told_by_check_and_keep_a_node_from_starting() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    authority.server("v", &["AGG_V"]);
    authority.server("other", &["AGG_V"]);
    let text = format!(
        "[node]\nstate_dir = \"state\"\n[pairs.AGG_V]\nprimary = {{ name = \"P\", address = \"127.0.0.1:9\" }}\n[routes.r]\nlisten = \"127.0.0.1:0\"\npair = \"AGG_V\"\ntls = {{ cert = {:?}, key = {:?} }}\n",
        authority.path("v.pem"),
        authority.path("other.key")
    );
    fs::write(dir.path().join("failback.toml"), text).unwrap();
    for words in [["check"], ["run"]] {
        let output = command(&[env!("CARGO_BIN_EXE_failback")]).args(words).current_dir(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{words:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let begins = told.starts_with("failback.toml:8:") && told.contains(": routes.r.tls.key: the key in ");
        assert!(begins && told.contains("is not that of the certificate"), "{words:?}: {told}");
    }
}

/// They may be renewed any moment, so they are no mistake of the configuration's.
#[test]
fn check_warns_of_certificates_whose_time_is_over_or_has_not_come() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    authority.sign("old", &Wish { days: -1, ..Wish::default() });
    authority.sign("young", &Wish { since: 1, ..Wish::default() });
    let path = |name: &str| authority.path(name);
    let text = format!(
        "[node]\nstate_dir = \"state\"\n[pairs.AGG_V]\nprimary = {{ name = \"P\", address = \"127.0.0.1:9\" }}\n[pairs.AGG_V.tls]\n\
         ca = {:?}\ncert = {:?}\nkey = {:?}\n[routes.r]\nlisten = \"127.0.0.1:0\"\npair = \"AGG_V\"\n[routes.r.tls]\ncert = {:?}\nkey = {:?}\n",
        path("ca.pem"),
        path("old.pem"),
        path("old.key"),
        path("young.pem"),
        path("young.key"),
    );
    fs::write(dir.path().join("failback.toml"), text).unwrap();
    let check = |words: &[&str]| {
        let mut check = command(&[env!("CARGO_BIN_EXE_failback")]);
        check.arg("check").args(words).current_dir(dir.path()).output().unwrap()
    };
    let output = check(&[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("failback.toml:7:8: warning: pairs.AGG_V.tls.cert: ") && told.contains("has expired on"),
        "{told}"
    );
    assert!(
        told.contains("failback.toml:13:8: warning: routes.r.tls.cert: ") && told.contains("is not valid before"),
        "{told}"
    );
    let json: serde_json::Value = serde_json::from_slice(&check(&["--json"]).stdout).unwrap();
    assert_eq!((&json["good"], &json["warnings"][0]["line"]), (&true.into(), &7.into()));
}

/// Its signatures can't be checked, so every handshake with it would fail.
#[test]
fn a_key_that_is_too_weak_is_refused_even_if_it_is_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (key, pem) = (path("weak.key"), path("weak.pem"));
    run(&[
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-days",
        "9",
        "-subj",
        "/CN=AGG_V",
        "-keyout",
        &key,
        "-out",
        &pem,
    ]);
    let seen: serde_json::Value =
        serde_json::from_slice(&certs(dir.path(), &["inspect", &pem, "--json"]).stdout).unwrap();
    let pin = seen["certificates"][0]["pin"].as_str().unwrap();
    let text =
        format!("[pairs.AGG_V]\nprimary = {{ name = \"P\", address = \"p:1\" }}\ntls = {{ pins = [\"{pin}\"] }}\n");
    fs::write(dir.path().join("failback.toml"), text).unwrap();
    let refused = certs(dir.path(), &["inspect", &pem, "--pair", "AGG_V"]);
    let text = String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && text.contains("RSA of 1024 bits"), "{text}");
}
