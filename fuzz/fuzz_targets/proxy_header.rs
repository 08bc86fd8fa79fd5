//! Any bytes as a PROXY protocol header: never a panic, and what is one is no longer than what was given.

#![no_main]

use failback::net::proxy_protocol::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(header)) = parse(bytes) {
        assert!((1..=bytes.len()).contains(&header.length));
    }
});
