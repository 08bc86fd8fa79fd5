//! Beacons: heartbeats as signed datagrams to all nodes on the shared address's network, beside the peer link and
//! independent of it. They leave by that interface, are never routed, and are counted when they are not believed.

pub mod frame;

use super::{COMPLAIN_EVERY, shared::Shared};
use crate::model::group::{HeartbeatPath, InterfaceAddress};
use frame::{FrameError, MOST_FRAME};
use rustix::{io::Errno, net::netdevice::name_to_index};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

/// Administratively scoped (RFC 2365 §6.1).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 99);
/// Link-local and transient (RFC 4291 §2.7).
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0xfa11, 0x0bac);
/// Where beacons are sent to and heard, UDP.
pub const PORT: u16 = 9903;
/// Until an interface that is not there is looked for again.
const RETRY: Duration = Duration::from_millis(500);

/// Sends and hears beacons on the network of `on`, whatever happens to the interface, until it is dropped.
pub(super) async fn run(shared: Arc<Shared>, on: InterfaceAddress) {
    let mut said: Option<Instant> = None;
    loop {
        let error = match Post::open(&on) {
            Ok(post) => exchange(&shared, &post, &on).await,
            Err(error) => error,
        };
        if said.is_none_or(|said| said.elapsed() >= COMPLAIN_EVERY) {
            said = Some(Instant::now());
            tracing::warn!(interface = %on.interface, %error, "no beacons on this interface; trying again");
        }
        sleep(RETRY).await;
    }
}

/// A socket in the group.
struct Post {
    socket: UdpSocket,
    group: SocketAddr,
    index: u32,
}

impl Post {
    fn open(on: &InterfaceAddress) -> io::Result<Self> {
        let domain = if on.address.addr().is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        let index = name_to_index(&socket, &on.interface)?;
        // Several nodes of one host hear them all.
        socket.set_reuse_address(true)?;
        socket.bind_device(Some(on.interface.as_bytes()))?;
        let group = match on.address.addr() {
            IpAddr::V4(_) => {
                socket.set_multicast_all_v4(false)?;
                socket.set_multicast_ttl_v4(1)?;
                socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
                SocketAddr::from((GROUP_V4, PORT))
            }
            IpAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_multicast_all_v6(false)?;
                socket.set_multicast_hops_v6(1)?;
                socket.set_multicast_if_v6(index)?;
                socket.join_multicast_v6(&GROUP_V6, index)?;
                SocketAddr::V6(SocketAddrV6::new(GROUP_V6, PORT, 0, index))
            }
        };
        // Bound to the group itself, what is sent to a host's own address is not even received.
        socket.bind(&group.into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, group, index })
    }

    /// Has the name come to mean another interface, or none?
    fn is_gone(&self, on: &InterfaceAddress) -> Option<io::Error> {
        match name_to_index(&self.socket, &on.interface) {
            Ok(index) if index == self.index => None,
            Ok(_) => Some(io::Error::other("the interface was made anew")),
            Err(error) => Some(error.into()),
        }
    }
}

/// Until the interface is gone.
async fn exchange(shared: &Shared, post: &Post, on: &InterfaceAddress) -> io::Error {
    let mut tick = interval(shared.heartbeat);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = shared.said.subscribe();
    // One more than a beacon can have, so that a longer datagram is noticed.
    let mut buffer = [0; MOST_FRAME + 1];
    loop {
        tokio::select! {
            received = post.socket.recv_from(&mut buffer) => match received {
                Ok((length, from)) => hear(shared, buffer.get(..length).unwrap_or_default(), from.ip()),
                Err(error) => return error,
            },
            _ = tick.tick() => {
                if let Some(error) = post.is_gone(on) {
                    return error;
                }
                send(shared, post).await;
            }
            changed = said.changed() => match changed {
                Ok(()) => send(shared, post).await,
                Err(_ended) => return Errno::CANCELED.into(),
            },
        }
    }
}

/// A beacon that can't be sent (no link, a packet filter) is counted, and no reason to hear none.
async fn send(shared: &Shared, post: &Post) {
    if shared.store.all().is_empty() {
        return;
    }
    let frame = frame::seal(&shared.next_heartbeat(), shared.key.for_beacons());
    if post.socket.send_to(&frame, post.group).await.is_err() {
        shared.counts.update(|counts| counts.beacons_unsent += 1);
    }
}

fn hear(shared: &Shared, frame: &[u8], from: IpAddr) {
    let heartbeat = match frame::open(frame, shared.key.for_beacons()) {
        Ok(heartbeat) => heartbeat,
        Err(FrameError::Forged) => return shared.counts.update(|counts| counts.beacons_forged += 1),
        Err(FrameError::Malformed) => return shared.counts.update(|counts| counts.beacons_malformed += 1),
    };
    if heartbeat.node == shared.node {
        // The kernel lets us hear ourselves, for the sake of others on this host.
        if shared.is_twins(&heartbeat) {
            shared.hear_twin(from);
        }
        return;
    }
    match shared.store.by_name(&heartbeat.node) {
        Some(peer) => shared.hear(&peer, heartbeat, HeartbeatPath::Beacon),
        None => {
            shared.counts.update(|counts| counts.beacons_of_strangers += 1);
            shared.overhear(heartbeat);
        }
    }
}
