//! Who has an address on this link: the frames that ask (RFC 5227 §2.1.1 and RFC 4862 §5.4.2), tell (RFC 5227 §3 and RFC 4861
//! §7.2.6), and claim.

use etherparse::{
    ArpEthIpv4Packet, ArpOperation, Icmpv6Type, LinkSlice, NetSlice, PacketBuilder, SlicedPacket, TransportSlice,
    icmpv6::{Icmpv6PayloadSlice, NdpOptionSlice, NeighborAdvertisementHeader},
};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

const BROADCAST: [u8; 6] = [0xff; 6];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// RFC 4861 §7.1: proves that the packet comes from this link.
const HOP_LIMIT: u8 = 255;
/// The option of RFC 4861 §4.6.1 that tells the target's Ethernet address, in units of 8 octets.
const TARGET_LINK_LAYER_ADDRESS: [u8; 2] = [2, 1];

/// The frames that tell everybody on the link that `mac` has `address`. For IPv4 both a request and a reply, since there are
/// hosts and switches that learn from one of them only.
#[must_use]
pub fn announcements(address: IpAddr, mac: Mac) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(v4) => {
            let frame = |operation, target| arp(operation, mac, v4, target, v4);
            vec![frame(ArpOperation::REQUEST, [0; 6]), frame(ArpOperation::REPLY, BROADCAST)]
        }
        IpAddr::V6(v6) => {
            let header = NeighborAdvertisementHeader { router: false, solicited: false, r#override: true };
            let body = [&v6.octets()[..], &TARGET_LINK_LAYER_ADDRESS, &mac.0].concat();
            vec![icmpv6(mac, v6, ALL_NODES, Icmpv6Type::NeighborAdvertisement(header), &body)]
        }
    }
}

/// The frame that asks who has `address`, from one who does not have it (yet).
#[must_use]
pub fn question(address: IpAddr, mac: Mac) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => arp(ArpOperation::REQUEST, mac, Ipv4Addr::UNSPECIFIED, [0; 6], v4),
        IpAddr::V6(v6) => {
            let [.., a, b, c] = v6.octets();
            let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
            icmpv6(mac, Ipv6Addr::UNSPECIFIED, group, Icmpv6Type::NeighborSolicitation, &v6.octets())
        }
    }
}

/// Who says in `frame` that `address` is his.
#[must_use]
pub fn claim(frame: &[u8], address: IpAddr) -> Option<Mac> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    match (address, packet.net?) {
        (IpAddr::V4(v4), NetSlice::Arp(arp)) => {
            let arp = arp.to_packet().try_eth_ipv4().ok()?;
            (arp.sender_ipv4_addr() == v4).then_some(Mac(arp.sender_mac))
        }
        (IpAddr::V6(v6), NetSlice::Ipv6(ip)) => {
            let Some(LinkSlice::Ethernet2(ethernet)) = packet.link else { return None };
            let Some(TransportSlice::Icmpv6(icmp)) = packet.transport else { return None };
            let (from, to) = (ip.header().source(), ip.header().destination());
            if ip.header().hop_limit() != HOP_LIMIT || !icmp.is_checksum_valid(from, to) {
                return None;
            }
            match icmp.payload_slice().ok()? {
                Icmpv6PayloadSlice::NeighborAdvertisement(told) if told.target_address() == v6 => {
                    let mac = told.options_iterator().find_map(|option| match option {
                        Ok(NdpOptionSlice::TargetLinkLayerAddress(option)) => {
                            option.link_layer_address().try_into().ok()
                        }
                        _ => None,
                    });
                    Some(Mac(mac.unwrap_or_else(|| ethernet.source())))
                }
                Icmpv6PayloadSlice::NeighborSolicitation(_) if from == v6.octets() => Some(Mac(ethernet.source())),
                _ => None,
            }
        }
        _ => None,
    }
}

fn arp(operation: ArpOperation, mac: Mac, from: Ipv4Addr, target_mac: [u8; 6], target: Ipv4Addr) -> Vec<u8> {
    let packet = ArpEthIpv4Packet {
        operation,
        sender_mac: mac.0,
        sender_ipv4: from.octets(),
        target_mac,
        target_ipv4: target.octets(),
    };
    let step = PacketBuilder::ethernet2(mac.0, BROADCAST).arp(packet.into());
    let mut frame = Vec::with_capacity(step.size());
    written(step.write(&mut frame), frame)
}

fn icmpv6(mac: Mac, from: Ipv6Addr, group: Ipv6Addr, kind: Icmpv6Type, body: &[u8]) -> Vec<u8> {
    // RFC 2464 §7: a group's Ethernet address ends like the group.
    let [.., a, b, c, d] = group.octets();
    let step = PacketBuilder::ethernet2(mac.0, [0x33, 0x33, a, b, c, d])
        .ipv6(from.octets(), group.octets(), HOP_LIMIT)
        .icmpv6(kind);
    let mut frame = Vec::with_capacity(step.size(body.len()));
    written(step.write(&mut frame, body), frame)
}

/// Writing to a vector fails for too long a payload only, and ours has a fixed length.
fn written<E>(result: Result<(), E>, frame: Vec<u8>) -> Vec<u8> {
    result.map(|()| frame).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn an_announcement_is_a_claim_and_a_question_is_none() {
        for address in ["10.0.0.10", "fd00::10"] {
            let address: IpAddr = address.parse().unwrap();
            let other: IpAddr = if address.is_ipv4() { "10.0.0.11" } else { "fd00::11" }.parse().unwrap();
            let frames = announcements(address, OURS);
            assert_eq!(frames.len(), if address.is_ipv4() { 2 } else { 1 });
            for frame in frames {
                assert_eq!(claim(&frame, address), Some(OURS));
                assert_eq!(claim(&frame, other), None);
            }
            assert_eq!(claim(&question(address, OURS), address), None);
        }
    }

    #[test]
    fn a_frame_cut_short_or_from_another_link_claims_nothing() {
        for address in ["10.0.0.10", "fd00::10"] {
            let address: IpAddr = address.parse().unwrap();
            let frame = announcements(address, OURS).remove(0);
            for length in 0..frame.len() {
                assert_eq!(claim(&frame[..length], address), None, "{length} octets");
            }
        }
        let v6: IpAddr = "fd00::10".parse().unwrap();
        let mut routed = announcements(v6, OURS).remove(0);
        routed[14 + 7] = 254;
        assert_eq!(claim(&routed, v6), None);
    }

    #[test]
    fn frames_are_what_other_hosts_expect() {
        let told = announcements("10.0.0.10".parse().unwrap(), OURS);
        let expected =
            "ffffffffffff 020000000001 0806 0001 0800 06 04 0002 020000000001 0a00000a ffffffffffff 0a00000a";
        assert_eq!(hex(&told[1]), expected.replace(' ', ""));
        let asked = question("fd00::12:3456".parse().unwrap(), OURS);
        assert!(hex(&asked).starts_with("3333ff123456020000000001"), "{}", hex(&asked));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
