//! Any bytes as a certificate: read, asked for a name, and never a panic. What is read is safe to print, and alternative names
//! that can't be read whole never leave the Common Name to decide.

#![no_main]

use failback::{
    model::{plain::is_unsafe, tls::CommonName},
    net::tls::{Certificate, Rule, accept},
};
use libfuzzer_sys::fuzz_target;
use x509_parser::{
    certificate::X509Certificate, extensions::SubjectAlternativeName, oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME,
    prelude::FromDer,
};

fuzz_target!(|der: &[u8]| {
    let Ok(read) = Certificate::read(der) else { return };
    assert!(!read.subject.contains(is_unsafe) && !read.issuer.contains(is_unsafe));
    assert!(!read.names.to_string().contains(is_unsafe));
    let wanted = ["AGG_V", "agg.example.net", "10.0.0.1"].map(String::from);
    let judged = accept(&read.names, &wanted, CommonName::IfNoSan);
    let (_, parsed) = X509Certificate::from_der(der).expect("it was read");
    let mut alternative = parsed.extensions().iter().filter(|found| found.oid == OID_X509_EXT_SUBJECT_ALT_NAME);
    if alternative.any(|found| !matches!(SubjectAlternativeName::from_der(found.value), Ok(([], _)))) {
        assert!(!matches!(judged, Some(Rule::CommonName(_))));
    }
});
