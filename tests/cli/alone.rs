//! Commands without a node.

use super::common::address::own_address;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// Runs the program with nothing in its environment that could help it.
fn failback(words: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_failback"));
    for variable in ["FAILBACK_ADMIN", "FAILBACK_TOKEN", "FAILBACK_CONFIG", "FAILBACK_LOG", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.args(words).current_dir(dir).output().expect("the program runs")
}

fn here(words: &[&str]) -> Output {
    failback(words, Path::new("."))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn complained(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn usage_errors_exit_with_2() {
    for words in [
        &[][..],
        &["frobnicate"],
        &["switch", "AGG_V"],
        &["switch", "AGG_V", "--to", "backup", "--auto"],
        &["switch", "AGG_V", "--auto", "--now"],
        &["switch", "AGG_V", "--to", "middle"],
        &["migration", "AGG_V", "stop"],
        &["resync", "AGG_V", "--epoch", "x"],
        &["status", "--watch", "--json"],
        &["top", "-d", "0"],
    ] {
        let output = here(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", complained(&output));
    }
}

#[test]
fn every_promised_command_is_there() {
    let help = said(&here(&["--help"]));
    for command in [
        "run",
        "check",
        "demo",
        "status",
        "top",
        "why",
        "events",
        "sessions",
        "resync",
        "switch",
        "migration",
        "freeze",
        "unfreeze",
        "reload",
        "completions",
        "man",
    ] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{command}:\n{help}");
        let output = here(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{command}");
    }
}

#[test]
fn a_node_that_is_not_there_is_said_so_and_exits_with_1() {
    let nobody = format!("http://{}", own_address());
    for admin in [nobody.as_str(), "unix:/nonexistent/failback.sock"] {
        for words in [
            &["status"][..],
            &["status", "--json"],
            &["why", "AGG_V"],
            &["resync", "AGG_V"],
            &["events", "-f"],
            &["top", "-n", "1"],
        ] {
            let output = here(&[words, &["--admin", admin]].concat());
            assert_eq!(output.status.code(), Some(1), "{words:?}");
            let complaint = complained(&output);
            let expected = format!("failback: no failback answers at {admin}; is it running? (--admin)");
            assert!(complaint.starts_with(&expected), "{words:?}: {complaint}");
            assert_eq!(complaint.lines().count(), 1, "{complaint}");
        }
    }
    let output = here(&["status", "--admin", "https://127.0.0.1"]);
    assert_eq!((output.status.code(), complained(&output).contains("http://HOST:PORT")), (Some(1), true));
}

#[test]
fn a_bad_configuration_exits_with_78_and_names_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.toml");
    fs::write(&file, "[pairs.AGG_V]\nprimry = 1\n").unwrap();
    for words in [["check", "-c", "bad.toml"], ["run", "-c", "bad.toml"], ["check", "-c", "missing.toml"]] {
        let output = failback(&words, dir.path());
        assert_eq!(output.status.code(), Some(78), "{words:?}: {}", complained(&output));
        assert!(complained(&output).starts_with(words[2]), "{words:?}: {}", complained(&output));
    }
    let output = failback(&["check", "-c", "bad.toml", "--json"], dir.path());
    let answer: serde_json::Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!(
        (output.status.code(), &answer["good"], &answer["findings"][1]["line"]),
        (Some(78), &false.into(), &2.into()),
        "{answer}"
    );
}

/// What is wrong in a file is told where the configuration names it, all of it in one go.
#[test]
fn files_of_alerts_that_nothing_can_be_sent_with_are_told_with_their_places() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[pairs.AGG_V]\nprimary = { name = \"AGG_P\", address = \"p:1\" }\n\
                [alerts]\nwebhooks = [{ url = \"https://h/\", token_file = \"token\", ca = \"ca.pem\" }]\n\
                [alerts.smtp]\nhost = \"m:25\"\nfrom = \"a@b.c\"\nto = [\"d@b.c\", \"e@b.c\"]\nuser = \"u\"\n\
                password_file = \"password\"\n[admin]\ntoken_file = \"tokens\"\n";
    let tokens = "# who\nmon:raed:abc\n";
    for (name, content) in
        [("failback.toml", text), ("tokens", tokens), ("token", "a\nb\n"), ("ca.pem", "none"), ("password", "\n")]
    {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let output = failback(&["check"], dir.path());
    assert_eq!(output.status.code(), Some(78));
    let told = complained(&output);
    let lines: Vec<_> = told.lines().collect();
    for (line, begin, rest) in [
        (lines[0], "tokens:2:1: admin.token_file: ", "none of read, resync:PAIR, operate; a token a line"),
        (lines[1], "failback.toml:4:48: alerts.webhooks[0].token_file: ", "more than one line; write it as one line"),
        (
            lines[2],
            "failback.toml:4:62: alerts.webhooks[0].ca: ",
            "there is no certificate in ca.pem; name the PEM file",
        ),
        (lines[3], "failback.toml:10:17: alerts.smtp.password_file: ", "it is empty; write it as one line"),
    ] {
        assert!(line.starts_with(begin) && line.contains(rest), "{told}");
    }
    assert_eq!(lines.len(), 4, "{told}");
}

#[test]
fn a_configuration_that_is_nowhere_is_told_with_all_places_that_were_tried() {
    // Where a machine has a failback of its own, there is one.
    if Path::new("/etc/failback/failback.toml").exists() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.pem"), "").unwrap();
    for words in [&["run"][..], &["check"], &["check", "--json"], &["certs", "inspect", "a.pem", "--pair", "AGG_V"]] {
        let output = failback(words, dir.path());
        assert_eq!(output.status.code(), Some(78), "{words:?}");
        let expected = "there is no configuration file: neither failback.toml nor /etc/failback/failback.toml; \
            name one with -c FILE or FAILBACK_CONFIG";
        assert!(complained(&output).contains(expected), "{words:?}: {}", complained(&output));
    }
    let answer: serde_json::Value = serde_json::from_str(&said(&failback(&["check", "--json"], dir.path()))).unwrap();
    assert_eq!((&answer["good"], &answer["file"]), (&false.into(), &serde_json::Value::Null));
}

#[test]
fn a_good_configuration_is_praised_wherever_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[pairs.AGG_V]\nprimary = { name = \"A\", address = \"127.0.0.1:1\" }\n\
        backups = [{ name = \"B\", address = \"127.0.0.1:2\" }]\n[routes.r]\nlisten = [\"127.0.0.1:3\"]\npair = \"AGG_V\"\n";
    fs::write(dir.path().join("failback.toml"), text).unwrap();
    let output = failback(&["check"], dir.path());
    assert_eq!(
        (output.status.code(), said(&output).as_str()),
        (Some(0), "failback.toml is good: 1 pair, 1 route\n"),
        "{}",
        complained(&output)
    );
    let schema = here(&["check", "--schema"]);
    let schema: serde_json::Value = serde_json::from_str(&said(&schema)).unwrap();
    assert!(schema["properties"]["pairs"].is_object(), "{schema}");
}

#[test]
fn completions_and_the_manual_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        let output = here(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(said(&output).contains("resync"), "{shell}");
    }
    let manual = said(&here(&["man"]));
    assert!(manual.contains(".TH failback 1") && manual.contains("RESYNC"), "{manual}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    use std::process::Stdio;
    let mut child = Command::new(env!("CARGO_BIN_EXE_failback"))
        .args(["check", "--schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), complained(&output).as_str()), (Some(0), ""));
}
