//! What would fail at a failover, and what soon will, is told before it is needed.

use crate::{
    authority::{Authority, Wish},
    common::{address::own_address, eventually, process::Process},
    hook::{Hook, TOKEN},
    node::{launched, secret},
};
use std::{net::SocketAddr, path::Path};

fn serve(address: SocketAddr, identity: &Path) -> Process {
    let (accept, cert, key) = (address.to_string(), identity.with_extension("pem"), identity.with_extension("key"));
    let argv = [
        "openssl",
        "s_server",
        "-accept",
        &accept,
        "-www",
        "-cert",
        cert.to_str().unwrap(),
        "-key",
        key.to_str().unwrap(),
    ];
    Process::start(&argv, &identity.with_extension("log"))
}

#[test]
fn x6_a_standbys_wrong_name_and_a_certificate_that_ends_soon_are_alerts_now() {
    let (authority, hook) = (Authority::new(), Hook::start());
    let soon = authority.sign("soon", &Wish { dns: &["AGG_V"], days: 10, ..Wish::default() });
    let wrong = authority.server("wrong", &["agg-b.example.net"]);
    let (primary, backup) = (own_address(), own_address());
    let _servers = [serve(primary, &soon), serve(backup, &wrong)];
    let pair = format!(
        "primary = {{ name = \"AGG_P\", address = \"{primary}\" }}\nbackups = [{{ name = \"AGG_B\", address = \"{backup}\" }}]\n\
         tls = {{ ca = {:?} }}\n",
        authority.ca()
    );
    let proxy = launched(&pair, &format!("[alerts]\nwebhooks = [{}]\n", hook.toml(&secret(TOKEN))));
    let told = |kind: &str| eventually(kind, || hook.alerts_of(kind, "raised").first().cloned());
    let unfit = told("standby_unfit");
    assert_eq!(unfit["about"], "AGG_B");
    assert!(unfit["text"].as_str().unwrap().contains("wanted AGG_V; it carries DNS agg-b.example.net"), "{unfit}");
    let ending = told("certificate_expiring");
    assert_eq!(ending["about"], "AGG_V/AGG_P");
    assert!(ending["text"].as_str().unwrap().contains("expires in 9 days"), "{ending}");
    // The limit of `status` and of alerts is one.
    let text = std::fs::read_to_string(proxy.config()).unwrap();
    std::fs::write(proxy.config(), format!("{text}certificate_expires_within = \"5d\"\n")).unwrap();
    proxy.cli_says(&["reload"]);
    eventually("its end is told", || (!hook.alerts_of("certificate_expiring", "ended").is_empty()).then_some(()));
    assert!(hook.alerts_of("standby_unfit", "ended").is_empty());
    assert!(!proxy.cli_says(&["status"]).contains("expires in 9 days"));
}
