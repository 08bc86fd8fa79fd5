//! Listeners that wait for their address.

use crate::{
    common::eventually,
    holder::{Holder, SHARED, bare},
    lab::Lab,
};
use failback::net::listen::{Presence, bind_set_to};
use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

#[test]
fn b11_a_listener_waits_for_its_address_and_no_client_reaches_it_before() {
    let lab = Lab::build();
    for address in SHARED {
        let ip: IpAddr = bare(address).parse().unwrap();
        let at = SocketAddr::new(ip, 4100);
        let _listens = lab.on("backup", || bind_set_to(at, 2, Presence::Later)).unwrap();
        let connect = || lab.on("spare", || TcpStream::connect_timeout(&at, Duration::from_secs(1)));
        assert!(connect().is_err(), "nobody has the address");
        let _holder = Holder::start(&lab, "backup", address, Duration::from_secs(3));
        eventually("a client reaches it", || connect().ok());
    }
}
