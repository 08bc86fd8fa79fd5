//! What a backup node does not do, and what it says of itself.

use crate::{
    common::{client::Client, eventually, proxy::PAIR, throughout},
    rig::{NETWORK, Rig, SHARED, answer, route},
};
use std::time::Duration;

#[test]
fn b6_on_a_backup_what_only_the_holder_changes_is_refused_with_the_node_to_ask() {
    let rig = Rig::joined();
    for words in
        [&["switch", PAIR, "--to", "backup"][..], &["freeze", PAIR], &["migration", PAIR, "pause"], &["resync", PAIR]]
    {
        let said = rig.b.refuses(words);
        assert!(said.contains("node A") || said.contains("at A") || said.contains("A holds"), "{words:?}: {said}");
    }
    assert_eq!(rig.serves().as_deref(), Some("AGG_P"));
    rig.a.order(&["freeze", PAIR]);
}

/// Also when the address is on its host and the packets reach it: a mistake, or somebody who wants to know.
#[test]
fn b11_a_backup_accepts_nobody_before_it_holds_the_seat_even_if_traffic_reaches_it() {
    let mut rig = Rig::joined_by_hand();
    let asked = rig.primary.asked() + rig.backup.asked();
    let nobody = |rig: &Rig, host: &str| {
        assert_eq!(rig.lab.on(host, answer), None, "a client on {host} was served");
    };
    rig.kill_a();
    // The guard takes the address from the dead; then it is put on the backup's host by hand.
    eventually("the dead has no address", || (!rig.a.has_address(&rig.lab)).then_some(()));
    rig.lab.run("b", &format!("ip addr add {SHARED}/24 dev {NETWORK}"));
    throughout(Duration::from_secs(3), "nobody is served", || {
        nobody(&rig, "b");
        nobody(&rig, "client");
        true
    });
    let own = format!("10.77.0.22:{}", route().port()).parse().expect("an address");
    let there = rig.lab.on("client", || Client::connect_within(Duration::from_millis(500), own).is_ok());
    assert!(!there, "it listens on its own address");
    assert_eq!(rig.primary.asked() + rig.backup.asked(), asked, "no byte reached a server");
}

#[test]
fn b13_the_health_call_says_who_is_fit_and_in_plain_for_monitors() {
    let mut rig = Rig::joined_by_hand();
    for node in [&rig.a, &rig.b] {
        let plain = eventually("it is fit", || {
            node.proxy.admin.get("/api/v1/health?plain").ok().filter(|(code, _)| *code == 200)
        });
        assert_eq!(plain.1, "ok\n");
    }
    rig.kill_a();
    let (_, reasons) = eventually("the backup is alone", || {
        rig.b.proxy.admin.get("/api/v1/health?plain").ok().filter(|(code, _)| *code == 500)
    });
    assert!(reasons.contains("no other node is heard"), "{reasons}");
}
