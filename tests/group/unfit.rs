//! A backup node that could not serve when it is needed says so before, on both nodes; and so does a node that hears another by
//! one of their two paths only.

use crate::{
    common::{eventually, throughout, within},
    lab::Lab,
    node::{Node, Wishes},
    rig::{BEACONS, LINK, NETWORK, Rig},
};
use std::{fs, path::Path, time::Duration};

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

/// The files were there when the seat was copied.
#[test]
fn b13_a_backup_whose_certificates_are_gone_is_unfit_before_and_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = (folder.path().join("r.pem"), folder.path().join("r.key"));
    certificate(&cert, &key);
    let more = format!(
        "[routes.secure]\nlisten = [\"10.77.0.10:4443\"]\npair = \"AGG_V\"\ntls = {{ cert = {cert:?}, key = {key:?} }}\n"
    );
    let mut rig = Rig::joined_with(&Wishes { more, ..Wishes::default() }, &Wishes::default());
    fit(&rig.b);
    let aside = folder.path().join("aside");
    fs::rename(&key, &aside).expect("a file can be renamed");
    let gone = key.display().to_string();
    says(&rig.b, &["B could not take over seat A", &gone]);
    restart_b_with(&mut rig, |text| text);
    says(&rig.b, &["B could not take over seat A", "what was copied can't be run here", &gone]);
    assert_eq!(rig.b.told_of("seats_refused"), 1, "it is tried again and again, and told once");
    fs::rename(&aside, &key).expect("a file can be renamed");
    fit(&rig.b);
}

fn certificate(cert: &Path, key: &Path) {
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
