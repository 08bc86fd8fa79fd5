//! A node that holds its seat and may not serve it says what keeps it from it, once, and where operators look.

use crate::{
    common::{eventually, proxy::PAIR},
    hook::{Hook, TOKEN},
    node::{Node, Wishes},
    rig::{NETWORK, Rig, SHARED, hosts, seat},
    unfit::says,
};
use failback::model::{TransitionReason, group::NodeStateName};
use std::{fs, time::Duration};

/// The only node, on host `a`, prepared and not started; nobody is joined with it.
fn alone(lab: &crate::lab::Lab, wishes: &Wishes) -> Node {
    Node::prepare(lab, "A", "10.77.0.21", "primary", &seat(), wishes)
}

/// Waits until no line says it any more.
#[track_caller]
fn no_longer_says(node: &Node, words: &str) {
    node.until(&format!("no line says: {words}"), |group| group.warnings.iter().all(|line| !line.contains(words)));
}

/// The host that has the address is named, until it gives it up.
#[test]
fn g11_a_node_whose_address_another_host_has_says_which_and_serves_once_it_is_gone() {
    let lab = hosts();
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    fs::write(&token, format!("{TOKEN}\n")).expect("the token can be written");
    let mut hook = Hook::absent();
    hook.address = "10.77.0.9:8080".parse().expect("an address");
    let wishes = Wishes { more: format!("[alerts]\nwebhooks = [{}]\n", hook.toml(&token)), ..Wishes::default() };
    let mac = lab.run("c", &format!("cat /sys/class/net/{NETWORK}/address")).trim().to_owned();
    let mut node = alone(&lab, &wishes);
    node.launch();
    lab.on("client", || hook.revive());
    node.until_serves(&node);
    let written = node.proxy.dir().join("state/seats/A.toml");
    eventually("what it serves is written down", || written.exists().then_some(()));
    node.proxy.kill();
    eventually("the dead has no address", || (!node.has_address(&lab)).then_some(()));
    lab.run("c", &format!("ip addr add {SHARED}/24 dev {NETWORK}"));
    node.launch();

    let line = says(&node, &["can't serve seat A"]);
    assert!(line.contains(&mac) && line.contains(SHARED), "{line}");
    eventually("it is an alert", || (!hook.alerts_of("not_served", "raised").is_empty()).then_some(()));
    assert_eq!(node.group().state, NodeStateName::Offline);
    let why = node.proxy.cli_says(&["why", PAIR]);
    assert!(why.contains(&format!("As far as is known here nobody is served: {line}.")), "{why}");
    assert_eq!(node.told_of("seat_held_back"), 1, "it is told once, however often the address is asked for");
    lab.run("c", &format!("ip addr del {SHARED}/24 dev {NETWORK}"));
    node.until_serves(&node);
    no_longer_says(&node, "can't serve seat A");
    crate::common::within(Duration::from_secs(20), "the alert is over", || {
        (!hook.alerts_of("not_served", "ended").is_empty()).then_some(())
    });
}

#[test]
fn g11_a_node_whose_interface_does_not_exist_says_so() {
    let lab = hosts();
    let mut node = alone(&lab, &Wishes::default());
    let text = fs::read_to_string(node.proxy.config()).expect("a file");
    fs::write(node.proxy.config(), text.replace("interface = \"lan\"", "interface = \"lan9\"")).expect("a file");
    node.launch();
    let line = says(&node, &["there is no interface `lan9`"]);
    assert!(line.starts_with("A can't serve seat A"), "{line}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(node.told_of("seat_held_back"), 1);
}

/// It can't even ask for the address.
#[test]
fn g11_a_node_without_the_capabilities_says_which_it_needs() {
    let lab = hosts();
    let wrapper = ["setpriv", "--bounding-set", "-net_raw,-net_admin"].map(String::from).to_vec();
    let mut node = alone(&lab, &Wishes { wrapper, ..Wishes::default() });
    node.launch();
    says(&node, &["CAP_NET_RAW"]);
}

/// It can ask, and not take: each try fails alike, and one is told.
#[test]
fn g11_a_seat_that_can_not_be_brought_up_is_one_event_and_stands_until_it_is_served() {
    let lab = hosts();
    let wrapper = ["setpriv", "--bounding-set", "-net_admin"].map(String::from).to_vec();
    let mut node = alone(&lab, &Wishes { wrapper, ..Wishes::default() });
    node.launch();
    says(&node, &["can't serve seat A", "CAP_NET_ADMIN"]);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!([node.told_of("serve_failed"), node.told_of("seat_taken")], [1, 1]);
}

#[test]
fn x4_a_node_with_a_damaged_record_says_so_until_an_operator_says_who_serves() {
    let mut rig = Rig::strangers_by_hand();
    rig.a.until_serves(&rig.a);
    rig.kill_a();
    let record = rig.a.proxy.dir().join("state/node.json");
    fs::write(&record, "{").expect("the record can be written");
    rig.a.launch();
    let line = says(&rig.a, &["was damaged"]);
    assert!(line.contains("node.json"), "{line}");
    assert_eq!(fs::read_to_string(record.with_extension("damaged")).expect("it is kept"), "{");
    rig.a.order(&["group", "resolve"]);
    rig.a.until_serves(&rig.a);
    no_longer_says(&rig.a, "was damaged");
}

/// A backup node whose disk takes nothing more: a folder stands where its record is to be written.
#[test]
fn x4_a_node_that_can_not_store_its_record_says_so_until_it_can() {
    let rig = Rig::strangers_by_hand();
    rig.b.until_state(NodeStateName::Standby);
    let state = rig.b.proxy.dir().join("state");
    let record = state.join("node.json");
    eventually("it was stored", || record.exists().then_some(()));
    fs::remove_file(&record).expect("the record can be removed");
    fs::create_dir_all(record.join("in the way")).expect("a folder");
    rig.join();
    let line = says(&rig.b, &["can't be stored"]);
    assert_eq!(rig.b.told_of("node_not_stored"), 1, "{line}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(rig.b.told_of("node_not_stored"), 1, "it is told once, however often it is tried");
    fs::remove_dir_all(&record).expect("the folder can be removed");
    no_longer_says(&rig.b, "can't be stored");
    assert_eq!(rig.b.told_of("node_stored"), 1);
}

/// Not of a restart: nobody restarted the program that serves now.
#[test]
fn x5_after_a_takeover_and_a_reverse_the_pair_says_that_it_came_from_another_node() {
    let mut rig = Rig::joined();
    let says = |node: &Node| {
        let why = node.proxy.cli_says(&["why", PAIR]);
        assert!(why.contains("its seat was another node's, which left it so"), "{}: {why}", node.name);
        assert_eq!(node.proxy.pair().reason, TransitionReason::Inherited);
        let event = node.proxy.events_of("transition").pop().expect("an event");
        assert!(event.message.contains("its seat was another node's"), "{}", event.message);
    };
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    says(&rig.b);
    rig.a_returns();
    rig.synced_from_b(&rig.a);
    rig.a.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    says(&rig.a);
}
