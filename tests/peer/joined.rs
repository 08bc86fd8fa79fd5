//! What nodes that are joined tell and ask each other.

use crate::{
    common::eventually,
    node::{Node, Wanted},
};
use failback::{
    control::peer::{CallError, PeerEvent},
    model::group::{HeartbeatPath::Link, NodeStateName, Role},
};
use std::path::Path;

fn pair(one: &Path, two: &Path) -> (Node, Node) {
    let p = Node::start(&Wanted::new("P", Role::Primary, "127.0.0.1:0"), one);
    let b = Node::start(&Wanted::new("B", Role::Backup, "127.0.0.1:0"), two);
    p.join(&b.address, &p.address).unwrap();
    (p, b)
}

fn again(node: &Node, role: Role) -> (String, Role, String) {
    (node.name.to_string(), role, node.address.to_string())
}

#[track_caller]
fn sees(node: &Node, wanted: &str, is_it: impl Fn(&PeerEvent) -> bool) {
    eventually(&format!("{} sees {wanted}", node.name), || node.events().iter().any(&is_it).then_some(()));
}

#[test]
fn heartbeats_go_both_ways_and_news_are_told_at_once() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());
    let first = b.hears(&p, Link, |_| true);
    p.hears(&b, Link, |said| said.role == Role::Backup);
    sees(&b, "the link up", |event| matches!(event, PeerEvent::LinkUp { version, .. } if version == "1.2.3"));

    p.say(Role::Primary, NodeStateName::Online, 7);

    let news = b.hears(&p, Link, |said| said.state == NodeStateName::Online);
    assert_eq!((news.boot, news.claims[0].epoch.0, news.claims[0].holds), (first.boot, 7, true));
    let numbers: Vec<u64> = b
        .events()
        .iter()
        .filter_map(|event| match event {
            PeerEvent::Heard { heartbeat, .. } => Some(heartbeat.sequence),
            _ => None,
        })
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn a_restart_keeps_the_pins_and_counts_as_a_new_run() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());
    let before = b.hears(&p, Link, |_| true).boot;
    let ((name, role, listen), pin) = (again(&p, Role::Primary), p.pin);
    p.stop();
    sees(&b, "the link lost", |event| matches!(event, PeerEvent::LinkLost { .. }));
    b.forget_events();

    let p = Node::start(&Wanted::new(&name, role, &listen), one.path());

    assert_eq!((p.pin, p.peers()[0].pin), (pin, b.pin), "nobody had to join again");
    b.hears(&p, Link, |said| said.boot == before + 1);
    sees(&b, "the link up again", |event| matches!(event, PeerEvent::LinkUp { .. }));
    eventually("the later run is remembered", || (b.peers()[0].boot == before + 1).then_some(()));
}

#[test]
fn b5_who_leaves_is_forgotten_on_both_sides_and_has_no_say_any_more() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());
    p.hears(&b, Link, |_| true);

    let parted = b.leave();

    assert_eq!(parted.iter().map(|parting| (&*parting.node, parting.told)).collect::<Vec<_>>(), [("P", true)]);
    sees(&p, "that it left", |event| matches!(event, PeerEvent::Left { node } if **node == *"B"));
    assert!(p.peers().is_empty() && b.peers().is_empty());
    assert_eq!(b.echo(&p.name, "x", 100), Err(CallError::NotJoined("P".into())));
    let listen = b.address.to_string();
    b.stop();
    let b = Node::start(&Wanted::new("B", Role::Backup, &listen), two.path());
    assert!(b.peers().is_empty(), "nor after a restart");
    assert_eq!(p.join(&b.address, &p.address).unwrap(), b.name, "and it may come back");
}

#[test]
fn who_could_not_be_told_of_the_leaving_is_named() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());
    b.stop();
    let parted = p.leave();
    assert_eq!(parted.iter().map(|parting| (&*parting.node, parting.told)).collect::<Vec<_>>(), [("B", false)]);
    assert!(p.peers().is_empty());
}

#[test]
fn a_joined_node_is_asked_what_is_mounted_and_knows_who_asks() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (p, b) = pair(one.path(), two.path());
    for words in ["one", "two", "three"] {
        assert_eq!(b.echo(&p.name, words, 100), Ok((200, format!("B says {words}"))));
    }
    let long = "x".repeat(1 << 20);
    assert_eq!(p.echo(&b.name, &long, 2 << 20).unwrap().1.len(), long.len() + "P says ".len());
    assert!(matches!(p.echo(&b.name, &long, 1000), Err(CallError::Failed { .. })), "an answer that is too long");
    let too_long = "x".repeat(9 << 20);
    assert_ne!(p.echo(&b.name, &too_long, 1000).map(|(status, _)| status), Ok(200));
    assert_eq!(p.echo(&b.name, "still there", 100).unwrap().0, 200);
    assert!(matches!(p.echo(&"C".into(), "x", 100), Err(CallError::NotJoined(_))));
}
