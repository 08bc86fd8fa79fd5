//! `failback certs make`: what is there is kept or refused, and nothing is written by halves.

use super::common::process::command;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn make(dir: &Path, words: &[&str]) -> Output {
    command(&[env!("CARGO_BIN_EXE_failback"), "certs", "make"]).args(words).current_dir(dir).output().unwrap()
}

#[track_caller]
fn made(dir: &Path, words: &[&str]) -> String {
    let output = make(dir, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn refused(dir: &Path, words: &[&str]) -> String {
    let output = make(dir, words);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The names of all files below `dir`.
fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path.display().to_string()] })
        .collect();
    names.sort();
    names
}

#[test]
fn each_server_of_a_pair_gets_one_and_they_share_authority_and_client() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), &["AGG_P", "--common-name-only"]);
    let client = fs::read(dir.path().join("certs/client.pem")).unwrap();
    let said = made(dir.path(), &["AGG_B", "--common-name-only"]);
    assert!(said.contains("certs/client.pem is there already, and is kept"), "{said}");
    assert_eq!(fs::read(dir.path().join("certs/client.pem")).unwrap(), client);
    for server in ["AGG_P", "AGG_B"] {
        let verify = ["verify", "-CAfile", "certs/ca.pem", &format!("certs/{server}.pem")];
        let verified = Command::new("openssl").args(verify).current_dir(dir.path()).output().unwrap();
        assert!(verified.status.success(), "{server}: {}", String::from_utf8_lossy(&verified.stderr));
    }
}

#[test]
fn what_cannot_be_made_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    for words in [
        &[""][..],
        &[" "],
        &["../esc"],
        &[".."],
        &["a\nb"],
        &["ca"],
        &["AGG_V", "--client", "ca"],
        &["AGG_V", "--client", "AGG_V"],
        &["AGG_V", "--client", "x/y"],
        &["AGG_V", "--name", "agg\u{e4}"],
    ] {
        refused(dir.path(), words);
        assert_eq!(files(dir.path()), Vec::<String>::new(), "{words:?}");
    }
    made(dir.path(), &["AGG_V"]);
    let before = files(dir.path());
    let complaint = refused(dir.path(), &["AGG_V", "--client", "other"]);
    assert!(complaint.contains("certs/AGG_V.pem is there already") && complaint.contains("certs/AGG_V.key"));
    assert_eq!(files(dir.path()), before);
}

#[test]
fn an_authority_that_is_not_whole_signs_nothing() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    made(dir.path(), &["AGG_V"]);
    made(other.path(), &["AGG_V"]);
    let key = dir.path().join("certs/ca.key");
    fs::remove_file(&key).unwrap();
    let before = files(dir.path());
    let complaint = refused(dir.path(), &["OTHER"]);
    assert!(complaint.contains("certs/ca.pem is there, certs/ca.key is not"), "{complaint}");
    assert_eq!(files(dir.path()), before);

    fs::copy(other.path().join("certs/ca.key"), &key).unwrap();
    let before = files(dir.path());
    let complaint = refused(dir.path(), &["OTHER"]);
    assert!(complaint.contains("certs/ca.key does not fit certs/ca.pem"), "{complaint}");
    assert_eq!(files(dir.path()), before);

    fs::remove_file(dir.path().join("certs/ca.pem")).unwrap();
    let complaint = refused(dir.path(), &["OTHER"]);
    assert!(complaint.contains("certs/ca.key is there, certs/ca.pem is not"), "{complaint}");
}
