//! The kinds of values a key can have: each knows how it is written, what is wrong with a bad one, and its JSON Schema.

use super::{
    error::{Findings, Place},
    read::{Found, Given, Read},
};
use crate::model::{HostPort, LONGEST_NAME, is_short_enough};
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

macro_rules! schema {
    ($type:ty, $name:expr, $schema:expr) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

pub(super) use schema;

impl Read for String {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        if given.text().is_none() {
            given.wrong_type("a string", "put it in quotes", findings);
        }
        given.text().map(Into::into)
    }
}

impl Read for bool {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        if given.truth().is_none() {
            given.wrong_type("true or false", "write it without quotes", findings);
        }
        given.truth()
    }
}

/// A name: of a node, pair, route or server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(pub(super) String);

impl Name {
    /// Is `text` a name? Adds the finding if not.
    pub(super) fn check(text: &str, place: &Place, findings: &mut Findings) -> bool {
        let reason = if text.is_empty() {
            "the name is empty"
        } else if text.chars().count() > LONGEST_NAME {
            "the name is longer than 64 characters"
        } else if !is_short_enough(text) {
            "the name is too long for a file's name, where all but letters and digits of ASCII take three bytes or more"
        } else if text.trim() != text {
            "the name begins or ends with a space"
        } else if matches!(text, "." | "..") {
            // It is a part of the API's paths, which every HTTP client shortens.
            "the name means a folder in a path"
        } else if text.chars().any(|c| c == '/' || c.is_control()) {
            "the name has a `/` or a control character in it"
        } else {
            return true;
        };
        findings.add(place, reason, "use up to 64 letters, digits and `_ - .`, as in `AGG_V`");
        false
    }
}

impl Read for Name {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let text = String::read(given, findings)?;
        Self::check(&text, &given.place, findings).then_some(Self(text))
    }
}

schema!(
    Name,
    "Name",
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[^/\s\x00-\x1f\x7f-\x9f]([^/\x00-\x1f\x7f-\x9f]*[^/\s\x00-\x1f\x7f-\x9f])?$" })
);

/// A duration that may be zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span(pub(super) Duration);

/// A duration of a millisecond at least: what must pass for something to happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait(pub(super) Duration);

const UNITS: &[(&str, u64)] =
    &[("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000), ("d", 86_400_000_000)];
const LONGEST: Duration = Duration::from_secs(365 * 86_400);
const SPAN_PATTERN: &str = "^([0-9]+(us|ms|s|m|h|d) ?)*[0-9]+(us|ms|s|m|h|d)$";

impl Read for Span {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let Some(text) = given.text() else {
            let mend = given.whole().map_or("write \"5s\"".into(), |n| with_unit(&n.unsigned_abs().to_string()));
            given.wrong_type("a string with a unit", &mend, findings);
            return None;
        };
        match parse_span(text) {
            Ok(span) => Some(Self(span)),
            Err((reason, mend)) => {
                findings.add(&given.place, reason, mend);
                None
            }
        }
    }
}

/// What a bare number may mean.
fn with_unit(number: &str) -> String {
    format!("write \"{number}ms\" or \"{number}s\", whichever is meant")
}

fn parse_span(text: &str) -> Result<Duration, (String, String)> {
    let units = "a number and a unit (us, ms, s, m, h, d), as in \"800ms\", \"2s\" or \"1h 30m\"";
    let bad = || (format!("\"{text}\" is no duration"), format!("write {units}"));
    if text.parse::<u64>().is_ok() {
        return Err((format!("\"{text}\" has no unit"), with_unit(text)));
    }
    let mut micros: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let end = rest[digits..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |at| at + digits);
        let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == &rest[digits..end]).ok_or_else(bad)?;
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        micros = micros.saturating_add(number.saturating_mul(*unit));
        rest = rest[end..].strip_prefix(' ').filter(|more| !more.is_empty()).unwrap_or(&rest[end..]);
    }
    match Duration::from_micros(micros) {
        _ if text.is_empty() => Err(bad()),
        span if span > LONGEST => Err((format!("\"{text}\" is too long"), "write at most \"365d\"".into())),
        span => Ok(span),
    }
}

impl Read for Wait {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let Span(span) = Span::read(given, findings)?;
        if span < Duration::from_millis(1) {
            let reason = format!("\"{}\" is too short", given.text().unwrap_or_default());
            findings.add(&given.place, reason, "write \"1ms\" or more");
            return None;
        }
        Some(Self(span))
    }
}

schema!(Span, "Duration", json_schema!({ "type": "string", "pattern": SPAN_PATTERN }));
schema!(
    Wait,
    "PositiveDuration",
    json_schema!({ "type": "string", "pattern": SPAN_PATTERN, "description": "At least 1ms." })
);

impl Read for HostPort {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let text = String::read(given, findings)?;
        let address: Self = match text.parse() {
            Ok(address) => address,
            Err(error) => {
                findings.add(&given.place, address_reason(&error), address_mend(&text));
                return None;
            }
        };
        if let Some(ip) = address.ip()
            && ip.to_canonical() != ip
        {
            let mend = format!("write \"{}:{}\"", ip.to_canonical(), address.port);
            findings.add(&given.place, format!("`{text}` is an IPv4 address in IPv6 clothes"), mend);
            return None;
        }
        if let Some(ip) = address.ip().filter(|ip| is_nobodys(*ip)) {
            findings.add(&given.place, format!("{ip} is no single server's address"), "write the server's own");
            return None;
        }
        // A dot at the end makes a name a whole one, which no search list is tried with.
        let last = address.host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        if address.ip().is_none() && last.bytes().all(|b| b.is_ascii_digit()) {
            let reason = format!("`{}` is no IPv4 address", address.host);
            findings.add(&given.place, reason, "write four numbers between 0 and 255, or a host name");
            return None;
        }
        Some(address)
    }
}

/// Dialled, these lead to this host itself, to many, or nowhere.
pub(super) fn is_nobodys(ip: IpAddr) -> bool {
    ip.is_unspecified() || is_many(ip)
}

/// No single host has it.
fn is_many(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

/// The error without the mend it carries itself: a finding has a mend of its own.
fn address_reason(error: &crate::model::address::AddressError) -> String {
    let text = error.to_string();
    text.split("; ").next().unwrap_or(&text).to_owned()
}

/// An IPv6 address only lacks its brackets: that mend can be copied.
fn address_mend(text: &str) -> String {
    let v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    match text.rsplit_once(':') {
        Some((ip, port)) if v6(ip) && port.parse::<u16>().is_ok_and(|port| port != 0) => {
            format!("write \"[{ip}]:{port}\"")
        }
        _ if v6(text) => format!("write \"[{text}]:PORT\""),
        _ => "write host:port, as in \"agg-p.example.net:4100\"".into(),
    }
}

schema!(
    HostPort,
    "HostPort",
    json_schema!({ "type": "string", "pattern": r"^(\[[0-9A-Fa-f:.%]+\]|[^:\[\]\s]+):[0-9]{1,5}$" })
);

/// An address of this host to listen on: an IP and a port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local(pub(super) SocketAddr);

impl Read for Local {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let text = String::read(given, findings)?;
        if let Ok(address) = text.parse::<SocketAddr>() {
            let plain = address.ip().to_canonical();
            if plain != address.ip() {
                let mend = format!("write \"{}\"", SocketAddr::new(plain, address.port()));
                findings.add(&given.place, format!("`{text}` is an IPv4 address in IPv6 clothes"), mend);
                return None;
            }
            if is_many(plain) {
                let mend = "write an IP address of this host and a port, as in \"0.0.0.0:4100\"";
                findings.add(&given.place, format!("{plain} is no single host's address"), mend);
                return None;
            }
            return Some(Self(address));
        }
        let mend = match text.rsplit_once(':').unwrap_or(("", &text)) {
            ("" | "*", port) if port.parse::<u16>().is_ok() => {
                format!(
                    "write \"0.0.0.0:{port}\" for every IPv4 address of this host, \"[::]:{port}\" for every IPv6 address"
                )
            }
            ("localhost", port) => format!("write \"127.0.0.1:{port}\""),
            _ if text.parse::<IpAddr>().is_ok() => "add the port, as in \"127.0.0.1:4100\" or \"[::1]:4100\"".into(),
            _ => "write an IP address of this host and a port, as in \"0.0.0.0:4100\"".into(),
        };
        findings.add(&given.place, format!("`{text}` is no address to listen on"), mend);
        None
    }
}

schema!(
    Local,
    "ListenAddress",
    json_schema!({ "type": "string", "pattern": r"^([0-9.]+|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}$" })
);

/// One address or a list of them.
#[derive(Debug)]
pub(super) struct Listen(pub(super) Vec<Found<Local>>);

impl Read for Listen {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        if given.items().is_none() {
            return Some(Self(vec![Found::read(given, findings)?]));
        }
        let list = Vec::<Found<Local>>::read(given, findings)?;
        if list.is_empty() {
            findings.add(&given.place, "the list is empty", "name at least one address, as in \"0.0.0.0:4100\"");
            return None;
        }
        Some(Self(list))
    }
}

impl JsonSchema for Listen {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Listen".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = Local::json_schema(generator);
        json_schema!({ "oneOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// Networks of clients: a CIDR, or one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clients(pub(super) IpNet);

impl Read for Clients {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let text = String::read(given, findings)?;
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let Some(net) = net else {
            let mend = "write an address or a network, as in \"10.0.0.5\" or \"10.0.0.0/24\"";
            findings.add(&given.place, format!("`{text}` is neither an IP address nor a network"), mend);
            return None;
        };
        if net.trunc() != net {
            let mend = format!("write \"{}\" for the network or \"{}\" for the one address", net.trunc(), net.addr());
            findings.add(&given.place, format!("`{text}` is an address inside a network"), mend);
            return None;
        }
        Some(Self(net))
    }
}

schema!(Clients, "Clients", json_schema!({ "type": "string", "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$" }));

/// Bytes, as a string (its UTF-8) or as a list of numbers between 0 and 255.
#[derive(Debug, Clone, Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    const MOST: usize = 4096;
}

impl Read for Bytes {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let byte = |item: &Given<'_>| item.whole().and_then(|number| u8::try_from(number).ok());
        let bytes = match (given.text(), given.items()) {
            (Some(text), _) => Some(text.as_bytes().to_vec()),
            (None, Some(items)) => items.iter().map(byte).collect(),
            (None, None) => None,
        };
        match bytes {
            Some(bytes) if bytes.len() <= Self::MOST => return Some(Self(bytes)),
            Some(_) => findings.add(&given.place, "it is longer than 4096 bytes", "a shorter part of it will do"),
            None => {
                let mend = "write text such as \"PING\\r\\n\" or bytes such as [0x12, 0x01]";
                findings.add(&given.place, "it is neither a string nor a list of bytes", mend);
            }
        }
        None
    }
}

schema!(
    Bytes,
    "Bytes",
    json_schema!({ "oneOf": [
        { "type": "string", "maxLength": 4096 },
        { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 }, "maxItems": 4096 },
    ] })
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let span = |text: &str| parse_span(text).map_err(|(reason, _)| reason);
        assert_eq!(span("800ms"), Ok(Duration::from_millis(800)));
        assert_eq!(span("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(span("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("0us"), Ok(Duration::ZERO));
        assert_eq!(span("365d"), Ok(LONGEST));
        assert_eq!(span("5"), Err("\"5\" has no unit".into()));
        assert_eq!(span("366d"), Err("\"366d\" is too long".into()));
        for text in ["", " ", "s", "5 s", "1.5s", "-1s", "5sec", "5s ", "1s  1s", "99999999999999999999s", "5µs"] {
            assert_eq!(span(text), Err(format!("\"{text}\" is no duration")), "{text:?}");
        }
    }
}
