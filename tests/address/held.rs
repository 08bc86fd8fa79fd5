//! Taken, kept, given up; and what is not ours.

use crate::{
    common::{eventually, throughout},
    holder::{Holder, INTERFACE, SHARED, seen},
    lab::Lab,
};
use std::time::Duration;

const FIVE_SECONDS: Duration = Duration::from_secs(5);
const THREE_SECONDS: Duration = Duration::from_secs(3);
/// So that a busy machine does not starve the holder until the address is lost.
const PATIENT: Duration = Duration::from_secs(10);

#[test]
fn an_address_is_there_while_it_is_held_and_gone_when_it_is_released() {
    let lab = Lab::build();
    for address in SHARED {
        let mut holder = Holder::start(&lab, "primary", address, FIVE_SECONDS);
        assert!(
            seen(&lab, "primary", address).contains("dynamic"),
            "it has no end: {}",
            seen(&lab, "primary", address)
        );
        // Longer than the kernel would let it live by itself.
        throughout(FIVE_SECONDS, "it is there", || !seen(&lab, "primary", address).is_empty());
        holder.order("release");
        holder.says("released: Ok(())");
        assert_eq!(seen(&lab, "primary", address), "");
        assert!(holder.children().is_empty(), "neither a guard nor a zombie is left");
        assert!(!holder.said().contains("restored"), "{}", holder.said());
    }
}

#[test]
fn a_holder_nobody_vouches_for_loses_the_address_and_says_so() {
    let lab = Lab::build();
    for address in SHARED {
        let mut holder = Holder::start(&lab, "primary", address, THREE_SECONDS);
        holder.order("quiet");
        holder.says("lost: it was not renewed");
        assert_eq!(seen(&lab, "primary", address), "");
        throughout(Duration::from_secs(1), "it stays lost", || seen(&lab, "primary", address).is_empty());
    }
}

#[test]
fn what_an_operator_configured_is_neither_taken_nor_removed() {
    let lab = Lab::build();
    for address in SHARED {
        lab.run("primary", &format!("ip address add {address} dev {INTERFACE}"));
        let holder = attempt(&lab, &[], &format!("{address} {INTERFACE}"));
        let said = holder.says("refused: ");
        assert!(said.contains("failback did not put it there") && said.contains("ip address del"), "{said}");
        drop(holder);
        assert!(!seen(&lab, "primary", address).contains("dynamic"));
        assert!(!seen(&lab, "primary", address).is_empty());
    }
}

#[test]
fn an_operator_who_makes_it_permanent_has_made_it_his_own() {
    let lab = Lab::build();
    for address in SHARED {
        let holder = Holder::start(&lab, "primary", address, PATIENT);
        lab.run(
            "primary",
            &format!("ip address change {address} dev {INTERFACE} valid_lft forever preferred_lft forever"),
        );
        holder.says("lost: it could not be renewed");
        eventually("the guard went", || holder.children().is_empty().then_some(()));
        drop(holder);
        assert!(!seen(&lab, "primary", address).is_empty());
    }
}

#[test]
fn an_address_that_was_flushed_is_there_again() {
    let lab = Lab::build();
    for address in SHARED {
        let holder = Holder::start(&lab, "primary", address, PATIENT);
        lab.run("primary", &format!("ip address del {address} dev {INTERFACE}"));
        holder.says("restored");
        assert!(!seen(&lab, "primary", address).is_empty());
    }
}

#[test]
fn each_refusal_says_how_to_mend_it() {
    let lab = Lab::build();
    let [address, _] = SHARED;
    let nowhere = attempt(&lab, &[], &format!("{address} eth9")).says("refused: ");
    assert!(nowhere.contains("there is no interface `eth9`; name one that `ip link` shows"), "{nowhere}");

    let unable = ["setpriv", "--bounding-set", "-net_admin", "--"];
    let denied = attempt(&lab, &unable, &format!("{address} {INTERFACE}")).says("refused: ");
    assert!(denied.contains("not permitted; give failback CAP_NET_ADMIN"), "{denied}");
}

fn attempt(lab: &Lab, before: &[&str], what: &str) -> Holder {
    Holder::attempt(lab, "primary", before, what, THREE_SECONDS)
}
