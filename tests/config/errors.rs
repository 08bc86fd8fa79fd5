//! Each mistake and what is said about it, to the letter (`mistakes.txt`); many in one file, all in one go; and no input
//! whatever that makes the program fall over.

use super::loads::PAIR;
use failback::config::{ConfigErrors, load, parse};
use proptest::prelude::*;
use std::path::Path;

/// What is said about `text`, a line each, without the file's name.
fn said(text: &str) -> Vec<String> {
    match parse(text, Path::new("f.toml")) {
        Ok(_) => vec![],
        Err(errors) => errors.to_string().lines().map(|line| line.replacen("f.toml:", "", 1)).collect(),
    }
}

#[test]
fn every_mistake_is_told_with_its_place_reason_and_mend() {
    let key_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&key_file, "a secret of the tests' own").unwrap();
    let golden = include_str!("mistakes.txt").replace("PAIRING_KEY", key_file.path().to_str().unwrap());
    let (_, golden) = golden.split_once("== in a pair").unwrap();
    let (in_a_pair, whole_files) = golden.split_once("== a whole file").unwrap();
    let mut tried = 0;
    for (before, section) in [(PAIR, in_a_pair), ("", whole_files)] {
        for block in section.split("\n\n").skip(1).filter(|block| !block.trim().is_empty()) {
            let (told, toml): (Vec<&str>, Vec<&str>) = block.trim().lines().partition(|line| line.starts_with("! "));
            let expected: Vec<_> = told.iter().map(|line| &line[2..]).collect();
            assert_eq!(said(&format!("{before}{}\n", toml.join("\n"))), expected, "\n{block}");
            assert!(!expected.is_empty(), "nothing is wrong with\n{block}");
            tried += 1;
        }
    }
    assert!(tried > 90, "only {tried} mistakes were tried");
}

#[test]
fn all_mistakes_of_a_file_are_told_in_one_go_and_in_its_order() {
    let text = r#"
[node]
wrokers = 2
busy_poll = "1h"

[pairs.AGG_V]
primary = { name = "AGG_P", address = "agg-p" }
backups = [{ name = "AGG_B", address = "agg-b:4100" }, { name = "AGG_B", adress = "c:1" }]
health = { interval = 1, fall = 0, check = "conect" }
failback = { when = "poll", resync_http = { url = "https://gw/" } }

[routes.probes]
listen = ["0.0.0.0:4100", "127.0.0.1:4100"]
pair = "AGG_W"
tsl = {}
"#;
    let keys: Vec<_> = said(text).iter().map(|line| line.split(": ").nth(1).unwrap().to_owned()).collect();
    let expected = [
        "node.wrokers",
        "node.busy_poll",
        "pairs.AGG_V.primary.address",
        "pairs.AGG_V.backups[1]",
        "pairs.AGG_V.backups[1].name",
        "pairs.AGG_V.backups[1].adress",
        "pairs.AGG_V.health.interval",
        "pairs.AGG_V.health.fall",
        "pairs.AGG_V.health.check",
        "pairs.AGG_V.failback.resync_http",
        "pairs.AGG_V.failback.resync_http.url",
        "routes.probes.listen[1]",
        "routes.probes.pair",
        "routes.probes.tsl",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn n6_a_check_that_outlasts_its_interval_is_refused_in_poll_mode_only() {
    let health = "health = { interval = \"1s\", timeout = \"2s\" }\n";
    assert_eq!(said(&format!("{PAIR}{health}")), Vec::<String>::new(), "checks may overlap");
    let polled = said(&format!("{PAIR}{health}failback = {{ when = \"poll\" }}\n"));
    assert_eq!(polled.len(), 1);
    assert!(polled[0].contains("timeout (2s) is not less than interval (1s)"), "{polled:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let error = load(&missing).unwrap_err();
    assert!(matches!(error, ConfigErrors::Unreadable { .. }));
    let expected = format!("{}: cannot be read: No such file or directory (os error 2)", missing.display());
    assert_eq!(error.to_string(), expected);
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert!(load(&binary).unwrap_err().to_string().ends_with("stream did not contain valid UTF-8"));
    assert!(load(Path::new("/dev/zero")).unwrap_err().to_string().ends_with("it is larger than 4 MiB"));
}

const PIECES: &[&str] = &[
    "[pairs.A]\n",
    "[pairs.A.health]\n",
    "[routes.r]\n",
    "[node]\n",
    "[admin]\n",
    "[metrics]\n",
    "primary = {",
    "backups = [{",
    "name = \"n\", address = \"a:1\"",
    "listen = ",
    "interval = ",
    "check = ",
    "exempt = ",
    "resync_http = ",
    "token_file = ",
    "pair = \"A\"",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "\n",
    "\"",
    "'''",
    "\"\"\"",
    "\\",
    "\\x",
    ".",
    "#",
    "\r",
    "\0",
    "ü = ",
    "\"1s\"",
    "\"0.0.0.0:1\"",
    "\"[::]:0\"",
    "\"99999999999999999999d\"",
    "-1",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "1e400",
    "true",
    "1979-05-27",
];

/// Known pieces, so that random files reach deep, and anything else.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![6 => prop::sample::select(PIECES).prop_map(String::from), 1 => ".{0,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn no_input_makes_it_fall_over(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        if let Err(errors) = parse(&text, Path::new("f.toml")) {
            let lines = text.matches('\n').count() + 1;
            prop_assert!(!errors.findings().is_empty());
            prop_assert!(errors.findings().iter().all(|finding| (1..=lines).contains(&finding.line) && finding.column > 0));
        }
    }
}

/// Wherever it stands, quoted or not.
#[test]
fn a_key_that_is_written_out_is_never_shown() {
    let pem = "-----BEGIN PRIVATE KEY-----\nCANARY/canary+CANARY\n-----END PRIVATE KEY-----\n";
    let quoted = format!("\"\"\"{pem}\"\"\"");
    let table = |key: &str, value: &str| {
        format!("{PAIR}[routes.probes]\nlisten = \"0.0.0.0:4100\"\npair = \"AGG_V\"\ntls = {{ {key} = {value} }}\n")
    };
    let texts = [
        table("cert = \"c.pem\", key", &quoted),
        table("key = \"c.key\", cert", &quoted),
        table("client_ca", &quoted),
        table("client_names", &format!("[{quoted}]")),
        table("key", pem),
        format!("{PAIR}tls = {{ ca = {quoted} }}\n"),
        format!("{PAIR}tls = {{ pins = [{quoted}] }}\n"),
        format!("{PAIR}[admin]\ntoken_file = {quoted}\n"),
        format!("{PAIR}[admin]\nlisten = {quoted}\n"),
        format!("{PAIR}[node]\nstate_dir = {quoted}\n"),
    ];
    for text in texts {
        let said = said(&text).join("\n");
        assert!(!said.is_empty() && !said.to_uppercase().contains("CANARY"), "{said}\nof\n{text}");
    }
}

#[test]
fn more_backups_than_a_record_can_name_are_refused() {
    let server = |n: usize| format!("{{ name = \"S{n}\", address = \"10.0.1.{n}:1\" }}");
    let with = |count: usize| {
        let backups: Vec<_> = (1..=count).map(server).collect();
        said(&format!(
            "[pairs.V]\nprimary = {}\nbackups = [{}]\n[routes.r]\nlisten = \"127.0.0.1:4100\"\npair = \"V\"\n",
            server(0),
            backups.join(", ")
        ))
    };
    assert_eq!(with(16), [""; 0]);
    assert_eq!(with(17), ["3:11: pairs.V.backups: the pair has 17 backups; keep at most 16"]);
}

#[test]
fn a_number_beyond_all_bounds_is_not_told_to_be_no_number() {
    let told = said(&format!(
        "{PAIR}[routes.x]\nlisten = \"127.0.0.1:4101\"\npair = \"AGG_V\"\nmax_sessions = 99999999999999999999999\n"
    ));
    assert!(
        told.iter().any(|line| line.contains("max_sessions: it is out of all bounds; write a whole number")),
        "{told:?}"
    );
}
