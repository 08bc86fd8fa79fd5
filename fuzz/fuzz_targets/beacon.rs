//! Any bytes as the signed part of a beacon: never a panic, and what is read is written as the same bytes.

#![no_main]

use failback::control::peer::beacon::frame::{MOST_FRAME, decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(heartbeat) = decode(bytes) {
        assert!(bytes.len() < MOST_FRAME);
        assert_eq!(encode(&heartbeat), bytes);
    }
});
