//! Witnesses tell a dead peer from a network that is cut.

use crate::{holder::INTERFACE, lab::Lab};
use failback::{
    control::witness::{Testimony, ask},
    model::group::Witness,
};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::time::Duration;

/// Both families, and a port that nobody listens on.
fn witnesses() -> Vec<Witness> {
    vec![
        Witness::Icmp("10.77.0.3".parse().unwrap()),
        Witness::Icmp("fd77::3".parse().unwrap()),
        Witness::Tcp("10.77.0.3:9".parse().unwrap()),
        Witness::Tcp("[fd77::3]:9".parse().unwrap()),
    ]
}

#[test]
fn b10_witnesses_answer_a_node_with_and_without_privilege() {
    let lab = Lab::build();
    lab.run("primary", "sysctl -q -w net.ipv4.ping_group_range=1\t0");
    assert_eq!(testimony(&lab, &witnesses(), CapabilitySet::empty()).silent, [], "by raw sockets");
    lab.run("primary", "sysctl -q -w net.ipv4.ping_group_range=0\t0");
    assert_eq!(testimony(&lab, &witnesses(), CapabilitySet::NET_RAW).silent, [], "by ping sockets");
}

#[test]
fn b10_a_node_that_is_cut_off_hears_no_witness_and_one_is_enough() {
    let lab = Lab::build();
    let mut one = witnesses();
    one.push(Witness::Icmp("10.77.0.99".parse().unwrap()));
    let heard = testimony(&lab, &one, CapabilitySet::empty());
    assert!(heard.is_connected());
    assert_eq!(heard.silent.len(), 1, "{heard:?}");

    lab.cable("primary", INTERFACE, "down");
    let heard = testimony(&lab, &witnesses(), CapabilitySet::empty());
    assert!(!heard.is_connected() && heard.silent.len() == witnesses().len(), "{heard:?}");
}

/// What the witnesses say to the primary's host, by a thread that lacks some capabilities.
fn testimony(lab: &Lab, witnesses: &[Witness], without: CapabilitySet) -> Testimony {
    lab.on("primary", || {
        let mut sets = capabilities(None).expect("ours");
        sets.effective -= without;
        set_capabilities(None, sets).expect("fewer are always granted");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(ask(witnesses, Duration::from_secs(2)))
    })
}
