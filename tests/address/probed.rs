//! Does somebody have it already?

use crate::{
    holder::{Holder, INTERFACE, SHARED, shared},
    lab::Lab,
};
use failback::control::address::probe::{Ownership, ownership};
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(500);

#[test]
fn an_address_somebody_has_is_seen_before_it_is_taken() {
    let lab = Lab::build();
    for address in SHARED {
        assert_eq!(asked(&lab, "backup", address), Ownership::Free);
        let holder = Holder::start(&lab, "primary", address, Duration::from_secs(3));
        let owner = mac(&lab, "primary");
        assert!(matches!(asked(&lab, "backup", address), Ownership::Owned(mac) if mac.to_string() == owner));
        assert_eq!(asked(&lab, "primary", address), Ownership::Free, "what is our own does not count");
        drop(holder);
    }
}

#[test]
fn who_cannot_ask_cannot_tell() {
    let lab = Lab::build();
    lab.run("backup", &format!("ip link set {INTERFACE} down"));
    for address in SHARED {
        assert_eq!(asked(&lab, "backup", address), Ownership::CannotTell(format!("the link {INTERFACE} is down")));
    }
}

fn asked(lab: &Lab, host: &str, address: &str) -> Ownership {
    lab.on(host, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(ownership(&shared(address), WAIT))
    })
}

/// The Ethernet address of a host.
pub(crate) fn mac(lab: &Lab, host: &str) -> String {
    lab.run(host, &format!("cat /sys/class/net/{INTERFACE}/address")).trim().to_owned()
}
