//! A backup node that could not serve when it is needed says so before, on both nodes; and so does a node that hears another by
//! one of their two paths only.

use crate::{
    common::{eventually, throughout, within},
    lab::Lab,
    node::{Node, Wishes},
    rig::{BEACONS, LINK, NETWORK, Rig},
};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

/// It takes some seconds until it is said.
const SAID_WITHIN: Duration = Duration::from_secs(20);

/// Waits until a line of `status`, and of the health call, says all of this.
#[track_caller]
pub(crate) fn says(node: &Node, words: &[&str]) -> String {
    let line = within(SAID_WITHIN, &format!("{} says: {words:?}", node.name), || {
        let mut warnings = node.group().warnings.into_iter();
        warnings.find(|warning| words.iter().all(|words| warning.contains(words)))
    });
    let (code, health) = node.proxy.admin.get("/api/v1/health?plain").expect("an answer");
    assert!(code == 500 && health.contains(&line), "{code} {health}");
    let status = node.proxy.cli_says(&["status"]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(status.contains(&format!("! {line}")), "{status}");
    line
}

/// Waits until nothing stands against it.
#[track_caller]
pub(crate) fn fit(node: &Node) {
    within(SAID_WITHIN, &format!("{} is fit", node.name), || {
        node.proxy.admin.get("/api/v1/health?plain").ok().filter(|(code, _)| *code == 200)
    });
}

/// Changes `B`'s file and starts it anew.
#[track_caller]
fn restart_b_with(rig: &mut Rig, change: impl FnOnce(String) -> String) {
    rig.b.proxy.kill();
    let text = fs::read_to_string(rig.b.proxy.config()).expect("a file");
    fs::write(rig.b.proxy.config(), change(text)).expect("a file");
    rig.b.launch();
}

fn down(lab: &Lab, state: &str) {
    lab.run("b", &format!("ip link set spare0 {state}"));
}

#[test]
fn b13_a_backup_whose_interface_is_down_or_does_not_exist_is_unfit_on_both_nodes() {
    let mut rig = Rig::joined();
    // Its shared address would be on another interface than the one it hears by.
    rig.lab.run("b", "ip link add spare0 type veth peer name spare1");
    rig.lab.run("b", "ip link set spare1 up");
    down(&rig.lab, "up");
    restart_b_with(&mut rig, |text| {
        text.replace("/24\", interface = \"lan\" }\nfallback", "/24\", interface = \"spare0\" }\nfallback")
    });
    eventually("B stands by", || (rig.b.told_of("standby_unfit") == 0 && rig.b.seat(&rig.a).is_some()).then_some(()));
    down(&rig.lab, "down");
    for node in [&rig.b, &rig.a] {
        says(node, &["B could not take over seat A", "the link spare0 is down"]);
    }
    assert_eq!(rig.b.told_of("standby_unfit"), 1);
    rig.lab.run("b", "ip link del spare0");
    says(&rig.b, &["B could not take over seat A", "there is no interface `spare0`"]);
    restart_b_with(&mut rig, |text| text.replace("spare0", NETWORK));
    fit(&rig.b);
    fit(&rig.a);
}

/// Input: a backup that could not serve is the only one left, tries, and can't; then the seat's own node is back. Output: that one serves again, and
/// nobody has to order it.
#[test]
fn b8_a_seat_that_the_backup_took_and_could_not_serve_is_its_own_nodes_again_once_that_is_back() {
    let mut rig = Rig::joined();
    let taken = rig.lab.on("b", || TcpListener::bind("0.0.0.0:4100").expect("a free port"));
    says(&rig.b, &["B could not take over seat A", "4100 is in use"]);
    rig.kill_a();
    says(&rig.b, &["B can't serve seat A", "4100"]);
    rig.a_returns();
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    drop(taken);
    fit(&rig.b);
    fit(&rig.a);
    rig.synced(&rig.b);
    rig.a.until("nothing is to be ordered", |group| !group.warnings.iter().any(|line| line.contains("reverse")));
}

#[test]
fn b13_a_backup_that_is_not_heard_is_told_on_the_holder() {
    let mut rig = Rig::joined();
    rig.b.proxy.kill();
    says(&rig.a, &["B, a backup node, is not heard", "could take over (A)"]);
    assert_eq!(rig.a.told_of("standby_silent"), 1);
    let refused = rig.a.refuses(&["sync"]);
    assert!(refused.contains("no node that copies it is reached"), "{refused}");
    rig.b.launch();
    fit(&rig.a);
}

#[test]
fn b13_a_backup_without_an_interface_for_the_seats_address_is_unfit() {
    let mut rig = Rig::joined();
    restart_b_with(&mut rig, |text| {
        text.lines().filter(|line| !line.contains("_address =")).collect::<Vec<_>>().join("\n")
    });
    for node in [&rig.b, &rig.a] {
        says(node, &["B could not take over seat A", "10.77.0.10", "no group.shared_address"]);
    }
}

/// A rig with a route that ends TLS, whose certificate and key are where both nodes look for them.
fn with_tls(folder: &Path) -> (Rig, PathBuf) {
    let (cert, key) = (folder.join("r.pem"), folder.join("r.key"));
    certificate(&cert, &key);
    let more = format!(
        "[routes.secure]\nlisten = [\"10.77.0.10:4443\"]\npair = \"AGG_V\"\ntls = {{ cert = {cert:?}, key = {key:?} }}\n"
    );
    (Rig::joined_with(&Wishes { more, ..Wishes::default() }, &Wishes::default()), key)
}

#[test]
fn b13_a_backup_that_was_started_without_its_certificates_is_unfit() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut rig, key) = with_tls(folder.path());
    fit(&rig.b);
    let aside = folder.path().join("aside");
    fs::rename(&key, &aside).expect("a file can be renamed");
    let gone = key.display().to_string();
    restart_b_with(&mut rig, |text| text);
    says(&rig.b, &["B could not take over seat A", "what was copied can't be run here", &gone]);
    assert_eq!(rig.b.told_of("seats_refused"), 1, "it is tried again and again, and told once");
    fs::rename(&aside, &key).expect("a file can be renamed");
    fit(&rig.b);
}

/// A node alone goes on with what it has loaded, and so does one that takes over: certificates, its own file, its pairing key.
#[test]
fn b8_what_became_of_a_backups_files_since_it_was_started_keeps_it_from_no_takeover() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut rig, key) = with_tls(folder.path());
    let file = rig.b.proxy.config();
    let text = fs::read_to_string(&file).expect("a file");
    fs::remove_file(&key).expect("a file");
    let (pairing, kept) = (rig.b.proxy.dir().join("pairing.key"), folder.path().join("pairing.key"));
    fs::rename(&pairing, &kept).expect("a file can be renamed");
    fs::write(&file, "[node\nname = ").expect("a file");
    eventually("it says that it can't read the key", || {
        let warnings = rig.b.proxy.admin.status().warnings;
        warnings.iter().any(|words| words.contains("what was loaded before is used")).then_some(())
    });
    fit(&rig.b);
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    // It ends with 1 if the handshake fails.
    rig.lab.run("client", "openssl s_client -brief -connect 10.77.0.10:4443");
    // Whoever asks for it is told.
    let refused = rig.b.proxy.cli(&["reload"]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("mend the TOML"), "{refused:?}");
    fs::rename(&kept, &pairing).expect("a file can be renamed");
    certificate(&key.with_extension("pem"), &key);
    fs::write(&file, text.replace("[node]\n", "[node]\nworkers = 7\n")).expect("a file");
    assert!(rig.b.refuses(&["reload"]).contains("node.workers can't be changed by a reload"));
    rig.a_returns();
    rig.synced_from_b(&rig.a);
    rig.a.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_P");
}

pub(crate) fn certificate(cert: &Path, key: &Path) {
    let made = rcgen::generate_simple_self_signed(["AGG_V".to_owned()]).expect("a certificate can be made");
    fs::write(cert, made.cert.pem()).expect("a file");
    fs::write(key, made.signing_key.serialize_pem()).expect("a file");
}

#[test]
fn g8_beacons_that_are_blocked_are_said_where_they_are_missed() {
    let rig = Rig::joined();
    fit(&rig.b);
    rig.deafen(&rig.b, "a", BEACONS);
    says(&rig.b, &["beacons of A are not heard", "9903"]);
    assert_eq!(rig.b.told_of("path_lost"), 1);
    fit(&rig.a);
    rig.heal(&rig.b);
    fit(&rig.b);
    assert_eq!(rig.b.told_of("path_back"), 1);
}

#[test]
fn g8_a_peer_link_that_is_blocked_is_said_on_both_nodes() {
    let rig = Rig::joined();
    rig.deafen(&rig.b, "a", LINK);
    says(&rig.a, &["the peer link to B", "is down"]);
    says(&rig.b, &["the peer link to A", "is down"]);
    rig.heal(&rig.b);
    fit(&rig.a);
    fit(&rig.b);
}

/// A holder that dies is no lost path; and a join is none either.
#[test]
fn g8_no_path_is_called_lost_while_nodes_join_and_when_one_dies() {
    let mut rig = Rig::joined();
    let log = rig.b.proxy.process().printed();
    assert!(!log.contains("not joined") && !log.contains("link is lost"), "{log}");
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    throughout(Duration::from_secs(7), "no path is called lost", || {
        rig.b.told_of("path_lost") == 0 && rig.b.group().warnings.iter().all(|line| !line.contains("peer link"))
    });
}
