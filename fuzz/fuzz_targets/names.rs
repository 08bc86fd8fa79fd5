//! Any names against any name: the first byte says how the others are offered, a newline ends one, and the last is wanted.

#![no_main]

use failback::{
    model::tls::CommonName,
    net::tls::{Offered, Rule, accept},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Some(how) = input.bytes().next().filter(u8::is_ascii) else { return };
    let mut names: Vec<String> = input[1..].split('\n').map(Into::into).collect();
    let Some(wanted) = names.pop() else { return };
    let offered = Offered {
        dns: if how & 1 != 0 { names.clone() } else { vec![] },
        ips: names.iter().filter_map(|name| name.parse().ok()).collect(),
        common: if how & 2 != 0 { names.iter().map(|name| vec![name.clone()]).collect() } else { vec![] },
    };
    let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    match accept(&offered, std::slice::from_ref(&wanted), CommonName::IfNoSan) {
        Some(Rule::DnsName(name)) => {
            let (found, wanted) = (plain(&name), plain(&wanted));
            assert!(found.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
            assert_eq!(found.split('.').count(), wanted.split('.').count(), "{found} for {wanted}");
            let rest = |name: &str| name.split_once('.').map(|(_, rest)| rest.to_owned());
            assert!(found == wanted || found.starts_with("*.") && rest(&found) == rest(&wanted), "{found} for {wanted}");
        }
        Some(Rule::CommonName(name)) => {
            assert!(offered.dns.is_empty() && plain(&name) == plain(&wanted), "{name} for {wanted}");
        }
        Some(Rule::IpAddress(address)) => assert_eq!(wanted.trim_end_matches('.').parse(), Ok(address)),
        None => {}
    }
});
