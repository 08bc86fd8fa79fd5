//! Beacons on a real network: what is heard while the peer link is cut, what is not believed, and an interface that goes.

use crate::{
    common::eventually,
    lab::Lab,
    node::{Node, Wanted},
};
use failback::{
    control::peer::{PairingKey, PeerEvent, beacon::frame},
    model::group::{Heartbeat, HeartbeatPath::Beacon, NodeStateName, Role},
};
use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

const GROUP: ([u8; 4], u16) = ([239, 255, 77, 99], 9903);

/// Two joined nodes on the hosts `primary` and `backup`, which exchange beacons in the family of `address`.
fn nodes(lab: &Lab, state: &tempfile::TempDir, address: &'static str) -> (Node, Node) {
    let start = |name: &'static str, role, host: &str, listen: &'static str| {
        let dir = state.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let wanted = Wanted { beacons: Some((address, "back")), ..Wanted::new(name, role, listen) };
        lab.on(host, || Node::start(&wanted, &dir))
    };
    let p = start("P", Role::Primary, "primary", "10.77.0.2:9902");
    let b = start("B", Role::Backup, "backup", "10.77.0.3:9902");
    p.join(&b.address, &p.address).unwrap();
    (p, b)
}

const V4: &str = "10.77.0.10/24";
const V6: &str = "fd77::10/64";

#[test]
fn beacons_are_heard_in_both_families_and_also_while_the_link_is_cut() {
    for address in [V4, V6] {
        let (lab, state) = (Lab::build(), tempfile::tempdir().unwrap());
        let (p, b) = nodes(&lab, &state, address);
        b.hears(&p, Beacon, |_| true);
        p.hears(&b, Beacon, |said| said.role == Role::Backup);

        lab.filter("backup", "chain in { type filter hook input priority 0; meta l4proto tcp drop; }");
        eventually("the link is given up", || {
            b.events().iter().any(|event| matches!(event, PeerEvent::LinkLost { .. })).then_some(())
        });
        p.say(Role::Primary, NodeStateName::Online, 5);

        let news = b.hears(&p, Beacon, |said| said.state == NodeStateName::Online);
        assert_eq!(news.claims[0].epoch.0, 5);
    }
}

/// Waits until no beacon came for some heartbeats: what was under way has arrived.
fn falls_silent(node: &Node) {
    let beacons = || {
        let is_beacon = |event: &&PeerEvent| matches!(event, PeerEvent::Heard { path: Beacon, .. });
        (node.counts().stale, node.events().iter().filter(is_beacon).count())
    };
    let (mut before, mut since) = (beacons(), Instant::now());
    eventually("no beacons", || {
        let now = beacons();
        if now != before {
            (before, since) = (now, Instant::now());
        }
        (since.elapsed() > Duration::from_millis(300)).then_some(())
    });
}

/// Says `frame` to the group from a host.
fn shout(lab: &Lab, host: &str, frame: &[u8]) {
    lab.on(host, || {
        let own: SocketAddr = "10.77.0.4:0".parse().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        socket.set_multicast_if_v4(&Ipv4Addr::new(10, 77, 0, 4)).unwrap();
        socket.bind(&own.into()).unwrap();
        UdpSocket::from(socket).send_to(frame, SocketAddr::from(GROUP)).unwrap();
    });
}

/// What one beacon of `node` looks like on the wire.
fn overheard(lab: &Lab, node: &str) -> Vec<u8> {
    let key = PairingKey::from_secret(crate::node::KEY.as_bytes());
    lab.on("spare", || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        socket.bind(&SocketAddr::from(GROUP).into()).unwrap();
        socket.join_multicast_v4(&GROUP.0.into(), &Ipv4Addr::new(10, 77, 0, 4)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let socket = UdpSocket::from(socket);
        let mut buffer = [0; 2048];
        loop {
            let (length, _) = socket.recv_from(&mut buffer).expect("a beacon");
            let read = frame::open(&buffer[..length], key.for_beacons()).expect("it is the group's");
            if *read.node == *node {
                return buffer[..length].to_vec();
            }
        }
    })
}

#[test]
fn forged_replayed_and_senseless_beacons_are_counted_and_not_believed() {
    let (lab, state) = (Lab::build(), tempfile::tempdir().unwrap());
    let (p, b) = nodes(&lab, &state, V4);
    b.hears(&p, Beacon, |_| true);
    let recorded = overheard(&lab, "P");
    p.stop();
    falls_silent(&b);
    let (counts, events) = (b.counts(), b.events().len());
    let ours = PairingKey::from_secret(crate::node::KEY.as_bytes());
    let theirs = PairingKey::from_secret(b"the key of somebody else");
    let said = frame::open(&recorded, ours.for_beacons()).unwrap();
    let later = Heartbeat { boot: said.boot + 1, ..said };

    shout(&lab, "spare", &recorded);
    eventually("a replay is counted", || (b.counts().stale == counts.stale + 1).then_some(()));
    shout(&lab, "spare", &frame::seal(&later, theirs.for_beacons()));
    eventually("a forgery is counted", || (b.counts().beacons_forged == 1).then_some(()));
    for length in [0, 5, 40, 1500] {
        shout(&lab, "spare", &vec![b'x'; length]);
    }
    eventually("nonsense is counted", || (b.counts().beacons_malformed == 4).then_some(()));
    let stranger = Heartbeat { node: "Q".into(), ..later };
    shout(&lab, "spare", &frame::seal(&stranger, ours.for_beacons()));
    eventually("a stranger is counted", || (b.counts().beacons_of_strangers == 1).then_some(()));
    let news = b.events().split_off(events);
    assert!(!news.iter().any(|event| matches!(event, PeerEvent::Heard { .. })), "{news:?}");
}

/// Whoever counts lower hears of it: what is lower than his own may be a recording.
#[test]
fn a_node_hears_that_another_has_its_name_and_takes_no_recording_for_one() {
    let (lab, state) = (Lab::build(), tempfile::tempdir().unwrap());
    let (p, b) = nodes(&lab, &state, V4);
    b.hears(&p, Beacon, |_| true);
    let recorded = overheard(&lab, "P");
    let ours = PairingKey::from_secret(crate::node::KEY.as_bytes());
    let said = frame::open(&recorded, ours.for_beacons()).unwrap();

    shout(&lab, "spare", &recorded);
    eventually("B has heard it too", || (b.counts().stale >= 1).then_some(()));
    assert_eq!(p.counts().names_twice, 0);

    for (boot, sequence) in [(said.boot, said.sequence + 1_000_000), (said.boot + 1, 1)] {
        let twins = Heartbeat { boot, sequence, ..said.clone() };
        shout(&lab, "spare", &frame::seal(&twins, ours.for_beacons()));
    }
    eventually("both are counted", || (p.counts().names_twice == 2).then_some(()));
    let told = p.events().into_iter().filter(|event| matches!(event, PeerEvent::NameTwice { .. })).collect::<Vec<_>>();
    assert_eq!(told, [PeerEvent::NameTwice { from: Ipv4Addr::new(10, 77, 0, 4).into() }], "once");
}

#[test]
fn beacons_go_on_when_the_interface_was_away() {
    let (lab, state) = (Lab::build(), tempfile::tempdir().unwrap());
    let (p, b) = nodes(&lab, &state, V4);
    b.hears(&p, Beacon, |_| true);

    lab.run("backup", "ip link set back down");
    falls_silent(&b);
    b.forget_events();
    lab.run("backup", "ip link set back up");
    b.hears(&p, Beacon, |_| true);

    lab.run("backup", "ip link set back down");
    lab.run("backup", "ip link set back name away");
    lab.run("backup", "ip link set away up");
    falls_silent(&b);
    lab.run("backup", "ip link set away down");
    lab.run("backup", "ip link set away name back");
    lab.run("backup", "ip link set back up");
    b.forget_events();
    b.hears(&p, Beacon, |_| true);
}
