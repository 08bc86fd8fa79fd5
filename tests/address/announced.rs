//! What the other hosts on the link believe. Each of these is a complaint of keepalived's users.

use crate::{
    common::{eventually, throughout},
    holder::{Holder, INTERFACE, SHARED, bare},
    lab::Lab,
    probed::mac,
};
use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

/// So that a busy machine does not starve the holder until the address is lost.
const PATIENT: Duration = Duration::from_secs(10);
/// Longer than a burst of announcements, so that what is said afterwards was said because the link came back.
const QUIET: Duration = Duration::from_secs(4);
const WRONG: &str = "02:00:00:00:00:99";

/// acassen/keepalived#20: a cache that nothing refreshes for hours.
#[test]
fn a_stale_cache_is_mended_by_the_announcement_alone() {
    let lab = Lab::build();
    for address in SHARED {
        let lost = Holder::start(&lab, "primary", address, PATIENT);
        talk(&lab, address);
        assert_eq!(believed(&lab, address), mac(&lab, "primary"));
        // Its power fails: it takes no leave.
        lab.run("primary", &format!("ip link set {INTERFACE} down"));
        let _successor = Holder::start(&lab, "backup", address, PATIENT);
        follows(&lab, address, "backup");
        drop(lost);
        lab.run("primary", &format!("ip link set {INTERFACE} up"));
    }
}

/// acassen/keepalived#166, #74, #277: after two had the address for a moment, the one that keeps it never said so again.
#[test]
fn who_keeps_the_address_after_a_conflict_announces_it_again() {
    let lab = Lab::build();
    for address in SHARED {
        let keeps = Holder::start(&lab, "primary", address, PATIENT);
        talk(&lab, address);
        // Its first announcements end, and can't be what mends the cache below.
        let owner = mac(&lab, "primary");
        throughout(QUIET, "it is believed", || believed(&lab, address) == owner);
        let mut lets_go = Holder::start(&lab, "backup", address, PATIENT);
        keeps.says(&format!("conflict with {}", mac(&lab, "backup")));
        lets_go.order("release");
        lets_go.says("released: Ok(())");
        keeps.says("conflict is over");
        follows(&lab, address, "primary");
        assert_eq!(keeps.said().matches("conflict with").count(), 1, "{}", keeps.said());
    }
}

#[test]
fn an_address_is_announced_again_when_ordered_and_when_its_link_comes_back() {
    let lab = Lab::build();
    for address in SHARED {
        let mut holder = Holder::start(&lab, "primary", address, PATIENT);
        talk(&lab, address);
        mislead(&lab, address);
        holder.order("announce");
        follows(&lab, address, "primary");

        // The cable is pulled for a moment: the switch's side of the link goes down.
        lab.cable("primary", INTERFACE, "down");
        mislead(&lab, address);
        throughout(QUIET, "nobody tells the truth", || believed(&lab, address) == WRONG);
        lab.cable("primary", INTERFACE, "up");
        follows(&lab, address, "primary");
    }
}

/// The spare host speaks with whoever has the address, so that it knows his Ethernet address. Nobody listens there.
fn talk(lab: &Lab, address: &str) {
    let ip: IpAddr = bare(address).parse().expect("an address");
    let _refused = lab.on("spare", || TcpStream::connect_timeout(&SocketAddr::new(ip, 9), Duration::from_secs(5)));
}

/// The spare host learns a wrong owner.
fn mislead(lab: &Lab, address: &str) {
    lab.run("spare", &format!("ip neighbour replace {} lladdr {WRONG} dev {INTERFACE} nud stale", bare(address)));
}

/// Who the spare host believes to have the address.
fn believed(lab: &Lab, address: &str) -> String {
    let entry = lab.run("spare", &format!("ip neighbour show {} dev {INTERFACE}", bare(address)));
    let words: Vec<&str> = entry.split_whitespace().collect();
    words.windows(2).find(|pair| pair[0] == "lladdr").map(|pair| pair[1].to_owned()).unwrap_or_default()
}

/// Waits until the spare host, which asks nobody, believes `host`.
#[track_caller]
fn follows(lab: &Lab, address: &str, host: &str) {
    let owner = mac(lab, host);
    eventually(&format!("{address} is believed to be at {host}"), || (believed(lab, address) == owner).then_some(()));
}
