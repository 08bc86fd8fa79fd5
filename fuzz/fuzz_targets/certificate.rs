//! Any bytes as a certificate: read, asked for a name, and never a panic. What is read is safe to print.

#![no_main]

use failback::{
    model::{plain::is_unsafe, tls::CommonName},
    net::tls::{Certificate, accept},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    let Ok(read) = Certificate::read(der) else { return };
    assert!(!read.subject.contains(is_unsafe) && !read.issuer.contains(is_unsafe));
    assert!(!read.names.to_string().contains(is_unsafe));
    let wanted = ["AGG_V", "agg.example.net", "10.0.0.1"].map(String::from);
    let _judged = accept(&read.names, &wanted, CommonName::IfNoSan);
});
