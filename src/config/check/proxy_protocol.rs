//! `[routes.NAME] proxy_protocol`, and what it means for the checks of the pair behind.

use super::networks;
use crate::config::{
    error::Findings,
    file::{File, ProxyProtocol, Route, SendHeader},
    read::{Field, Found, named},
};
use crate::model::proxy_protocol::{HeaderVersion, ProxyProtocolSpec};
use std::collections::BTreeMap;

pub(super) fn spec(raw: &Field<ProxyProtocol>, findings: &mut Findings) -> ProxyProtocolSpec {
    let absent = ProxyProtocol::default();
    let raw = raw.here().map_or(&absent, |found| &found.value);
    ProxyProtocolSpec { accept_from: networks(&raw.accept_from, findings), send: version(raw.send.or(SendHeader::Off)) }
}

/// What the servers of each pair are sent before anything else. A server reads a header on every connection or on none, so
/// routes that lead to the same ones agree; then the pair's checks can do as they do.
pub(super) fn headers<'a>(file: &'a File, findings: &mut Findings) -> BTreeMap<&'a str, HeaderVersion> {
    let mut first: BTreeMap<&str, (&str, SendHeader)> = BTreeMap::new();
    for (name, route) in named(&file.routes) {
        let (Some(pair), Some(send)) = (route.pair.here(), sent(route)) else { continue };
        let (other, agreed) = *first.entry(&pair.value).or_insert((name, send));
        if agreed != send {
            let place = raw_send(route).map_or(&route.place, |field| field.place_or(&route.place));
            let words = |send| match send {
                SendHeader::Off => "no header",
                SendHeader::Version(HeaderVersion::V1) => "a header of version 1",
                SendHeader::Version(HeaderVersion::V2) => "a header of version 2",
            };
            let reason = format!(
                "the servers of {} would get {} from this route and {} from routes.{other}",
                pair.value,
                words(send),
                words(agreed)
            );
            findings.add(place, reason, "write the same `proxy_protocol.send` for both");
        }
    }
    first.into_iter().filter_map(|(pair, (_, send))| Some((pair, version(send)?))).collect()
}

/// `None`: it is there and can't be read.
fn sent(route: &Found<Route>) -> Option<SendHeader> {
    match (&route.proxy_protocol, raw_send(route)) {
        (Field::Bad, _) | (_, Some(Field::Bad)) => None,
        (_, send) => Some(send.map_or(SendHeader::Off, |send| send.or(SendHeader::Off))),
    }
}

fn raw_send(route: &Found<Route>) -> Option<&Field<SendHeader>> {
    Some(&route.proxy_protocol.here()?.value.send)
}

fn version(send: SendHeader) -> Option<HeaderVersion> {
    match send {
        SendHeader::Off => None,
        SendHeader::Version(version) => Some(version),
    }
}
