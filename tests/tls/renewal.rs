//! Certificates that change on disk.

use crate::{
    authority::{Authority, Wish},
    client::Client,
    common::{eventually, proxy::Proxy},
    passing::{ending, pair},
    server::Server,
};
use std::fs;

#[test]
fn a_renewed_certificate_is_shown_to_newcomers_and_sessions_live_on() {
    let authority = Authority::new();
    authority.server("v", &["AGG_V", "old"]);
    let (primary, backup) = (Server::plain("AGG_P"), Server::plain("AGG_B"));
    let proxy = Proxy::with_route(&pair(&primary, &backup, ""), &ending(&authority, "v"));
    let mut old = Client::connect(proxy.route, &authority.ca(), "AGG_V").unwrap();
    assert_eq!(old.shown(), ["AGG_V", "old"]);

    authority.server("v", &["AGG_V", "new"]);
    eventually("the new one is shown", || {
        let client = Client::connect(proxy.route, &authority.ca(), "AGG_V").unwrap();
        (client.shown() == ["AGG_V", "new"]).then_some(())
    });
    assert_eq!(old.ask("still here?").unwrap(), "AGG_P:still here?");
    assert!(!proxy.events_of("certificates").is_empty());
}

/// As Kubernetes changes secrets: a folder behind a symbolic link is swapped.
#[test]
fn a_swapped_link_is_noticed() {
    let (one, other) = (Authority::new(), Authority::new());
    one.server("v", &["AGG_V"]);
    other.server("v", &["AGG_V"]);
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("data");
    std::os::unix::fs::symlink(one.path(""), &link).unwrap();
    let (primary, backup) = (Server::plain("AGG_P"), Server::plain("AGG_B"));
    let route = format!("tls = {{ cert = {:?}, key = {:?} }}\n", link.join("v.pem"), link.join("v.key"));
    let proxy = Proxy::with_route(&pair(&primary, &backup, ""), &route);
    Client::connect(proxy.route, &one.ca(), "AGG_V").unwrap();
    let fresh = links.path().join("fresh");
    std::os::unix::fs::symlink(other.path(""), &fresh).unwrap();
    fs::rename(&fresh, &link).unwrap();
    eventually("the other authority's is shown", || Client::connect(proxy.route, &other.ca(), "AGG_V").ok());
}

#[test]
fn a_key_that_does_not_fit_or_a_half_written_file_leaves_the_old_ones_and_is_said() {
    let authority = Authority::new();
    authority.server("v", &["AGG_V"]);
    authority.server("other", &["AGG_V"]);
    let (primary, backup) = (Server::plain("AGG_P"), Server::plain("AGG_B"));
    let proxy = Proxy::with_route(&pair(&primary, &backup, ""), &ending(&authority, "v"));
    let good = fs::read(authority.path("v.pem")).unwrap();
    let wrongs = [
        (fs::read(authority.path("other.pem")).unwrap(), "is not that of the certificate"),
        (good[..good.len() / 2].to_vec(), "not whole"),
    ];
    for (wrong, words) in wrongs {
        fs::write(authority.path("v.pem"), wrong).unwrap();
        eventually("it is said", || proxy.cli_says(&["status"]).contains(words).then_some(()));
        let mut client = Client::connect(proxy.route, &authority.ca(), "AGG_V").unwrap();
        assert_eq!(client.ask("hello").unwrap(), "AGG_P:hello");
        let refused = proxy.cli(&["reload"]);
        assert!(!refused.status.success());
        assert!(String::from_utf8_lossy(&refused.stderr).contains(words));
    }
    fs::write(authority.path("v.pem"), good).unwrap();
    eventually("all is well again", || {
        let status = proxy.cli_says(&["status"]);
        (!status.contains("not whole")).then_some(())
    });
}

/// Not what lies on the disk: a renewal that does not fit is shown to nobody. As Kubernetes has them, files of one name lie in
/// folders of their own.
#[test]
fn x6_the_metric_says_when_what_is_shown_expires() {
    let authority = Authority::new();
    let wish = |days| Wish { dns: &["AGG_V"], days, ..Wish::default() };
    for (folder, days) in [("x", 50), ("y", 70)] {
        fs::create_dir(authority.path(folder)).unwrap();
        authority.sign(&format!("{folder}/tls"), &wish(days));
    }
    let file = |name: &str| authority.path(name);
    let identity = |of: &str| {
        let path = file(of).join("tls");
        format!("cert = {:?}, key = {:?}", path.with_extension("pem"), path.with_extension("key"))
    };
    let route = format!("tls = {{ {}, certs = [{{ {} }}] }}\n", identity("x"), identity("y"));
    let (primary, backup) = (Server::plain("AGG_P"), Server::plain("AGG_B"));
    let proxy = Proxy::with_route(&pair(&primary, &backup, ""), &route);
    let end = |name: &str| proxy.admin.metric("failback_certificate_expiry_timestamp_seconds", &[("name", name)]);
    let (x, y) = (end("probes/x/tls.pem"), end("probes/y/tls.pem"));
    assert!(x > 0.0 && (y - x - 20.0 * 86_400.0).abs() < 3600.0, "{x} {y}");

    authority.sign("other", &wish(1));
    fs::copy(file("other.pem"), file("x/tls.pem")).unwrap();
    eventually("it is said", || proxy.cli_says(&["status"]).contains("is not that of the certificate").then_some(()));
    assert_eq!((end("probes/x/tls.pem"), end("probes/y/tls.pem")), (x, y));
}

#[test]
fn no_output_ever_shows_a_key() {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V"]);
    let (primary, backup) = (Server::secure("AGG_P", &identity), Server::secure("AGG_B", &identity));
    let more = crate::passing::begun(&authority, "");
    let mut proxy = Proxy::with_route(&pair(&primary, &backup, &more), &ending(&authority, "v"));
    let mut client = Client::connect(proxy.route, &authority.ca(), "AGG_V").unwrap();
    client.ask("hello").unwrap();
    fs::write(authority.path("v.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    eventually("it is said", || proxy.cli_says(&["status"]).contains("v.pem").then_some(()));
    let _refused = proxy.cli(&["reload"]);

    let key = fs::read_to_string(authority.path("v.key")).unwrap();
    let canary = key.lines().nth(1).unwrap();
    let mut all = proxy.process().printed().into_bytes();
    for path in ["/api/v1/status", "/api/v1/events", "/api/v1/sessions", "/api/v1/pairs", "/api/v1/routes", "/metrics"]
    {
        all.extend(proxy.admin.get(path).unwrap().1.into_bytes());
    }
    for file in fs::read_dir(proxy.dir().join("state")).unwrap() {
        all.extend(fs::read(file.unwrap().path()).unwrap());
    }
    assert!(all.len() > 1000 && canary.len() > 40);
    let found = all.windows(canary.len()).any(|window| window == canary.as_bytes());
    assert!(!found, "a part of the key was shown");
}
