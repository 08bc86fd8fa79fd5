//! What the specification gives as examples, what it forbids, and that nothing else happens whatever comes.

use super::*;
use crate::model::proxy_protocol::HeaderVersion;
use HeaderError::*;
use proptest::prelude::*;

const SIGNED: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn between(source: &str, destination: &str) -> Option<Endpoints> {
    Endpoints::new(source.parse().unwrap(), destination.parse().unwrap())
}

fn read(bytes: &[u8]) -> Result<Option<Endpoints>, HeaderError> {
    parse(bytes).map(|header| header.expect("a whole header").endpoints)
}

/// A header of version 2 whose length is that of `block`.
fn binary(command: u8, protocol: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNED, &[command, protocol], &length, block].concat()
}

#[test]
fn a_line_says_who_connects_to_whom() {
    let line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n";
    let endpoints = between("192.168.0.1:56324", "192.168.0.11:443");
    assert_eq!(parse(line), Ok(Some(Header { length: 47, endpoints })));
    let line = b"PROXY TCP6 2001:DB8::1 ::ffff:10.0.0.1 0 65535\r\n";
    assert_eq!(read(line), Ok(between("[2001:db8::1]:0", "[::ffff:10.0.0.1]:65535")));
}

#[test]
fn a_line_about_nobody_leaves_the_connections_own_addresses() {
    for rest in ["", " ", " anything \0 at all", " ffff::1 ffff::2 65535 65535"] {
        let line = format!("PROXY UNKNOWN{rest}\r\nhello");
        assert_eq!(parse(line.as_bytes()), Ok(Some(Header { length: line.len() - 5, endpoints: None })), "{line:?}");
    }
}

#[test]
fn a_line_that_differs_in_one_byte_from_what_is_specified_is_none() {
    let cases = [
        ("GET / HTTP/1.1\r\n", NoHeader),
        ("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", NoHeader),
        ("PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n", NoHeader),
        ("PROXYxTCP4 1.2.3.4 5.6.7.8 1 2\r\n", NoHeader),
        ("PROXY\rTCP4\r1.2.3.4\r5.6.7.8\r1\r2\r\n", NoHeader),
        (" PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", NoHeader),
        ("PROXY \r\n", Protocol),
        ("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Protocol),
        ("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", Protocol),
        ("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", Protocol),
        ("PROXY TCP41.2.3.4 5.6.7.8 1 2\r\n", Protocol),
        ("PROXY UNKNOWNS\r\n", Protocol),
        ("PROXY TCP4\r\n", Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", Addresses),
        ("PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", Addresses),
        ("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", Addresses),
        ("PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n", Addresses),
        ("PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", Addresses),
        ("PROXY TCP4 ::1 ::2 1 2\r\n", Addresses),
        ("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", Addresses),
        ("PROXY TCP6 ::1%eth0 ::2 1 2\r\n", Addresses),
        ("PROXY TCP6 [::1] ::2 1 2\r\n", Addresses),
        ("PROXY TCP6 1::2::3 ::2 1 2\r\n", Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 00 2\r\n", Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n", Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 ٢\r\n", Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", LineEnd),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r ", LineEnd),
        ("PROXY UNKNOWN a\rb\r\n", LineEnd),
        ("PROXY UNKNOWN a\nb\r\n", LineEnd),
    ];
    for (line, error) in cases {
        assert_eq!(parse(line.as_bytes()), Err(error), "{line:?}");
    }
}

#[test]
fn a_line_has_107_bytes_at_most() {
    let line = |padding: usize| format!("PROXY UNKNOWN {}\r\n", "f".repeat(padding)).into_bytes();
    assert_eq!(line(91).len(), 107);
    assert_eq!(read(&line(91)), Ok(None));
    assert_eq!(parse(&line(92)), Err(LineEnd), "its CR is the 107th byte");
    assert_eq!(parse(&line(93)), Err(TooLong));
    assert_eq!(parse(&line(93)[..107]), Err(TooLong), "nothing that could follow would mend it");
    assert_eq!(parse(&line(93)[..106]), Ok(None));
}

#[test]
fn a_binary_header_says_who_connects_to_whom() {
    let mut bytes = binary(0x21, 0x11, &[192, 0, 2, 7, 203, 0, 113, 1, 0xc8, 0x22, 0x10, 0x04]);
    bytes.extend(b"\r\n\r\n\0");
    let endpoints = between("192.0.2.7:51234", "203.0.113.1:4100");
    assert_eq!(parse(&bytes), Ok(Some(Header { length: 28, endpoints })));
    let one: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let block = [&one.octets()[..], &Ipv6Addr::LOCALHOST.octets(), &[0, 1, 0xff, 0xff]].concat();
    assert_eq!(read(&binary(0x21, 0x21, &block)), Ok(between("[2001:db8::1]:1", "[::1]:65535")));
}

/// As HAProxy and the cloud's balancers send it with their health checks, some of them with addresses.
#[test]
fn a_local_header_leaves_the_connections_own_addresses_whatever_is_in_it() {
    for (protocol, block) in [(0x00, &b""[..]), (0x11, &[0; 12]), (0x11, b"short"), (0xff, b"anything, of any length")]
    {
        let bytes = binary(0x20, protocol, block);
        assert_eq!(parse(&bytes), Ok(Some(Header { length: bytes.len(), endpoints: None })));
    }
}

#[test]
fn what_is_not_tcp_over_ip_leaves_the_connections_own_addresses() {
    let unspecified = [(0x00, 0), (0x00, 300), (0x01, 4), (0x10, 12), (0x30, 0)];
    for (protocol, size) in [(0x12, 12), (0x22, 36), (0x31, 216), (0x32, 216)].into_iter().chain(unspecified) {
        assert_eq!(read(&binary(0x21, protocol, &vec![0; size])), Ok(None), "{protocol:#x}");
    }
}

#[test]
fn what_follows_the_addresses_must_be_tlvs() {
    let with = |tlvs: &[u8]| read(&binary(0x21, 0x11, &[&[10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2], tlvs].concat()));
    let endpoints = Ok(between("10.0.0.1:1", "10.0.0.2:2"));
    assert_eq!(with(b"\x04\x00\x00"), endpoints);
    assert_eq!(with(b"\x01\x00\x02h2\xea\x00\x01v"), endpoints);
    for bad in [&b"\x04"[..], b"\x04\x00", b"\x04\x00\x01", b"\x01\x00\x02h2\x04\xff\xff"] {
        assert_eq!(with(bad), Err(Tlvs), "{bad:?}");
    }
}

#[test]
fn a_binary_header_that_breaks_the_specification_is_none() {
    let addresses = [0; 36];
    for command in [0x22, 0x2f, 0x10, 0x11, 0x31, 0x00, 0xff] {
        assert_eq!(parse(&binary(command, 0x11, &addresses[..12])), Err(Command), "{command:#x}");
    }
    for protocol in [0x13, 0x1f, 0x23, 0x33, 0x03, 0x40, 0x41, 0xf1, 0xff] {
        assert_eq!(parse(&binary(0x21, protocol, &addresses)), Err(Protocol), "{protocol:#x}");
    }
    for (protocol, size) in [(0x11, 0), (0x11, 11), (0x12, 11), (0x21, 35), (0x22, 35), (0x31, 36)] {
        assert_eq!(parse(&binary(0x21, protocol, &addresses[..size])), Err(Addresses), "{protocol:#x} of {size}");
    }
    let mut signature = binary(0x21, 0x11, &addresses[..12]);
    signature[11] = b'\r';
    assert_eq!(parse(&signature), Err(NoHeader));
}

#[test]
fn a_header_is_refused_for_its_length_before_it_has_come() {
    let announces = |length: usize| [SIGNED, &[0x20, 0], &u16::try_from(length).unwrap().to_be_bytes()].concat();
    assert_eq!(parse(&announces(LONGEST - 16)), Ok(None));
    assert_eq!(parse(&announces(LONGEST - 15)), Err(TooLong));
    assert_eq!(read(&binary(0x20, 0, &vec![0; LONGEST - 16])), Ok(None));
}

#[test]
fn what_is_written_is_what_the_specification_shows() {
    let of = |version, endpoints| header(version, endpoints, &[]);
    let (v4, v6) = (between("192.168.0.1:56324", "192.168.0.11:443"), between("[::1]:1", "[fe80::2]:2"));
    assert_eq!(of(HeaderVersion::V1, v4), b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
    assert_eq!(of(HeaderVersion::V1, v6), b"PROXY TCP6 ::1 fe80::2 1 2\r\n");
    assert_eq!(of(HeaderVersion::V1, None), b"PROXY UNKNOWN\r\n");
    let block = [192, 168, 0, 1, 192, 168, 0, 11, 0xdc, 0x04, 0x01, 0xbb];
    assert_eq!(of(HeaderVersion::V2, v4), binary(0x21, 0x11, &block));
    assert_eq!(of(HeaderVersion::V2, None), binary(0x20, 0x00, b""));
}

#[test]
fn tlvs_follow_the_addresses_as_long_as_there_is_room() {
    let (version, endpoints) = (HeaderVersion::V2, between("10.0.0.1:1", "10.0.0.2:2"));
    let (alpn, name) = (Tlv { kind: 1, value: b"h2" }, Tlv { kind: 2, value: &[b'x'; 600] });
    let bytes = header(version, endpoints, &[name, alpn]);
    assert_eq!(&bytes[28..], b"\x01\x00\x02h2", "the one that does not fit is left out");
    assert_eq!(read(&bytes), Ok(endpoints));
    let full = Tlv { kind: 4, value: &[0; SEGMENT - 28 - 3] };
    assert_eq!(header(version, endpoints, &[full, alpn]).len(), SEGMENT);
    assert_eq!(header(HeaderVersion::V1, endpoints, &[alpn]), header(HeaderVersion::V1, endpoints, &[]));
}

fn endpoints() -> impl Strategy<Value = Option<Endpoints>> {
    let v4 =
        any::<(SocketAddrV4, SocketAddrV4)>().prop_map(|(source, destination)| Endpoints::V4 { source, destination });
    let v6 = any::<(Ipv6Addr, u16, Ipv6Addr, u16)>().prop_map(|(source, from, destination, to)| {
        let address = |ip, port| SocketAddrV6::new(ip, port, 0, 0);
        Endpoints::V6 { source: address(source, from), destination: address(destination, to) }
    });
    prop_oneof![prop_oneof![v4, v6].prop_map(Some), Just(None)]
}

fn version() -> impl Strategy<Value = HeaderVersion> {
    prop_oneof![Just(HeaderVersion::V1), Just(HeaderVersion::V2)]
}

/// Bytes that get some way into a header before they go wrong.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let flip = |(mut bytes, at, to): (Vec<u8>, prop::sample::Index, u8)| {
        let at = at.index(bytes.len());
        bytes[at] = to;
        bytes
    };
    let flipped = (version(), endpoints()).prop_map(|(version, endpoints)| header(version, endpoints, &[]));
    let start =
        prop::sample::select(vec![&b"PROXY TCP6 "[..], b"PROXY UNKNOWN", SIGNED, b"\r\n\r\n\0\r\nQUIT\n\x21\x11"]);
    let begun = (start, any::<Vec<u8>>()).prop_map(|(start, rest)| [start, &rest].concat());
    prop_oneof![(flipped, any::<prop::sample::Index>(), any::<u8>()).prop_map(flip), begun, any::<Vec<u8>>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_was_written_is_read_again_whatever_follows(
        version in version(), endpoints in endpoints(), follows in any::<Vec<u8>>(),
        tlvs in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..80)), 0..8),
    ) {
        let tlvs: Vec<_> = tlvs.iter().map(|(kind, value)| Tlv { kind: *kind, value }).collect();
        let mut bytes = header(version, endpoints, &tlvs);
        let length = bytes.len();
        prop_assert!(length <= SEGMENT);
        bytes.extend(follows);
        prop_assert_eq!(parse(&bytes), Ok(Some(Header { length, endpoints })));
    }

    #[test]
    fn a_part_of_a_header_is_waited_for_and_never_taken_for_a_whole_one(version in version(), endpoints in endpoints()) {
        let bytes = header(version, endpoints, &[Tlv { kind: 4, value: b"room" }]);
        for end in 0..bytes.len() {
            prop_assert_eq!(parse(&bytes[..end]), Ok(None));
        }
    }

    #[test]
    fn whatever_comes_is_judged_without_falling_over_and_for_good(bytes in nearly()) {
        let all = parse(&bytes);
        for end in 0..bytes.len() {
            match parse(&bytes[..end]) {
                Ok(None) => {}
                // Once it is a header, or none, what follows changes nothing.
                Ok(Some(header)) => prop_assert_eq!(all, Ok(Some(header))),
                Err(_) => prop_assert!(all.is_err()),
            }
        }
        if let Ok(Some(header)) = all {
            prop_assert!((15..=bytes.len().min(LONGEST)).contains(&header.length));
        }
    }
}
