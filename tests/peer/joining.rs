//! Joining, and every reason why two nodes are not joined (`B1`, `B2`, `G10`, `A1`).

use crate::{
    common::eventually,
    node::{Node, Wanted, nobody},
};
use failback::{
    control::peer::{JoinError, PeerEvent},
    model::{
        HostPort,
        group::{JoinRefusal, Role},
    },
};
use std::{
    io::{Read, Write},
    net::TcpListener,
};
use tempfile::TempDir;

const A: &str = "127.0.0.1:0";

fn dirs() -> [TempDir; 3] {
    std::array::from_fn(|_| tempfile::tempdir().unwrap())
}

#[track_caller]
fn refused(joined: Result<impl std::fmt::Debug, JoinError>, reason: JoinRefusal, detail: &str) {
    let error = joined.unwrap_err();
    assert_eq!(error.reason, reason, "{error}");
    assert!(error.to_string().contains(detail), "{error}");
}

fn primary(dir: &TempDir) -> Node {
    Node::start(&Wanted::new("P", Role::Primary, A), dir.path())
}

fn backup(dir: &TempDir) -> Node {
    Node::start(&Wanted::new("B", Role::Backup, A), dir.path())
}

/// Input: the intended primary names the backup and the reverse address. Output: each knows the other by its key.
#[test]
fn b1_the_relation_is_established_from_the_intended_primary() {
    let [one, two, _] = dirs();
    let (p, b) = (primary(&one), backup(&two));
    assert_eq!(p.fingerprint(), b.fingerprint());

    assert_eq!(p.join(&b.address, &p.address).unwrap(), b.name);

    let (of_p, of_b) = (p.peers(), b.peers());
    assert_eq!(
        (&of_p[0].node, of_p[0].pin, &of_p[0].address, of_p[0].role),
        (&b.name, b.pin, &b.address, Role::Backup)
    );
    assert_eq!(
        (&of_b[0].node, of_b[0].pin, &of_b[0].address, of_b[0].role),
        (&p.name, p.pin, &p.address, Role::Primary)
    );
    for node in [&p, &b] {
        eventually("it is told", || {
            node.events().iter().any(|event| matches!(event, PeerEvent::Joined { .. })).then_some(())
        });
    }
    assert_eq!(p.join(&b.address, &p.address).unwrap(), b.name, "once more is no mistake");
    assert_eq!((p.peers().len(), b.peers().len()), (1, 1));
}

#[test]
fn b2_another_pairing_key_is_the_reason() {
    let [one, two, _] = dirs();
    let p = primary(&one);
    let b = Node::start(&Wanted { key: "another pairing key", ..Wanted::new("B", Role::Backup, A) }, two.path());
    assert_ne!(p.fingerprint(), b.fingerprint());

    refused(p.join(&b.address, &p.address), JoinRefusal::KeyDiffers, "the pairing keys differ");

    assert!(p.peers().is_empty() && b.peers().is_empty());
    assert_eq!(b.counts().wrong_keys, 1);
}

#[test]
fn g10_another_version_is_the_reason() {
    let [one, two, _] = dirs();
    let p = primary(&one);
    let b = Node::start(&Wanted { version: "1.3.0", ..Wanted::new("B", Role::Backup, A) }, two.path());
    refused(p.join(&b.address, &p.address), JoinRefusal::VersionDiffers, "P runs 1.2.3, B runs 1.3.0");
    assert!(p.peers().is_empty() && b.peers().is_empty());
}

#[test]
fn a1_a_backup_has_no_backups_and_a_primary_is_none() {
    let [one, two, three] = dirs();
    let (p, b) = (primary(&one), backup(&two));
    let q = Node::start(&Wanted::new("Q", Role::Primary, A), three.path());
    refused(b.join(&p.address, &b.address), JoinRefusal::BackupOfABackup, "join from the intended primary");
    refused(q.join(&p.address, &q.address), JoinRefusal::NotABackup, "P is a primary node");
    assert!(p.peers().is_empty() && b.peers().is_empty() && q.peers().is_empty());
}

#[test]
fn b1_an_address_that_is_not_reached_is_the_reason_in_either_direction() {
    let [one, two, three] = dirs();
    let (p, b) = (primary(&one), backup(&two));
    let q = Node::start(&Wanted::new("Q", Role::Backup, A), three.path());
    refused(p.join(&nobody("127.0.0.1"), &p.address), JoinRefusal::AddressNotReached, "connection refused");
    let unknown: HostPort = "no-such-host.invalid:9902".parse().unwrap();
    refused(p.join(&unknown, &p.address), JoinRefusal::AddressNotReached, "can't be resolved");
    let reverse = JoinRefusal::ReverseAddressNotReached;
    refused(p.join(&b.address, &nobody("127.0.0.1")), reverse, "connection refused");
    refused(p.join(&b.address, &q.address), reverse, "another node answers there");
    refused(p.join(&p.address, &p.address), JoinRefusal::Itself, "leads back to this node");
    assert!(p.peers().is_empty() && b.peers().is_empty());
}

#[test]
fn b1_two_nodes_of_one_name_are_not_joined_and_both_are_told() {
    let [one, two, _] = dirs();
    let (p, twin) = (primary(&one), Node::start(&Wanted::new("P", Role::Backup, A), two.path()));
    refused(p.join(&twin.address, &p.address), JoinRefusal::Itself, "both nodes are called P");
    eventually("the one that was asked is told", || {
        twin.events().iter().any(|event| matches!(event, PeerEvent::NameTwice { .. })).then_some(())
    });
    assert_eq!((p.peers().len(), twin.counts().names_twice), (0, 1));
}

#[test]
fn b1_a_port_where_another_protocol_is_spoken_is_called_so() {
    let [one, _, _] = dirs();
    let p = primary(&one);
    for words in ["SSH-2.0-OpenSSH_9.6\r\n", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _question = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(words.as_bytes()).unwrap();
        });
        let told = if words.is_empty() { "it hung up" } else { "is it the port of `peer_listen`?" };
        refused(p.join(&address, &p.address), JoinRefusal::AddressNotReached, told);
        server.join().unwrap();
    }
}

/// A primary node that was reinstalled under its old name has another key: the backup must be told that the old one is gone.
#[test]
fn b1_who_is_paired_already_is_not_paired_with_another_of_that_name() {
    let [one, two, three] = dirs();
    let (p, b) = (primary(&one), backup(&two));
    p.join(&b.address, &p.address).unwrap();
    let impostor = Node::start(&Wanted::new("P", Role::Primary, A), three.path());
    refused(impostor.join(&b.address, &impostor.address), JoinRefusal::AlreadyPaired, "another node by the name P");
    assert_eq!(b.peers()[0].pin, p.pin);
    assert!(impostor.peers().is_empty());
}

#[test]
fn b1_who_is_paired_by_another_key_belongs_to_another_group() {
    let [one, two, three] = dirs();
    let (p, b) = (primary(&one), backup(&two));
    p.join(&b.address, &p.address).unwrap();
    b.stop();
    let rekeyed =
        Node::start(&Wanted { key: "the key of a new group", ..Wanted::new("B", Role::Backup, A) }, two.path());
    let q = Node::start(&Wanted { key: "the key of a new group", ..Wanted::new("Q", Role::Primary, A) }, three.path());
    refused(q.join(&rekeyed.address, &q.address), JoinRefusal::AlreadyPaired, "joined with other nodes by another");
    rekeyed.leave();
    assert_eq!(q.join(&rekeyed.address, &q.address).unwrap(), rekeyed.name);
}

/// `G2`: several primaries, one backup.
#[test]
fn g2_one_backup_is_joined_with_two_primaries() {
    let [one, two, three] = dirs();
    let (p, b) = (primary(&one), backup(&two));
    let q = Node::start(&Wanted::new("Q", Role::Primary, A), three.path());
    p.join(&b.address, &p.address).unwrap();
    q.join(&b.address, &q.address).unwrap();
    assert_eq!(b.peers().iter().map(|peer| peer.node.to_string()).collect::<Vec<_>>(), ["P", "Q"]);
}
