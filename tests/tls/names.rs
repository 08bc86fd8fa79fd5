//! The virtual name: whichever of the two servers is reached, its certificate must carry the pair's.

use crate::{
    authority::{Authority, Wish},
    client::Client,
    common::{eventually, proxy::Proxy},
    passing::{begun, ending, pair},
    server::Server,
};
use failback::model::{Side, view::HealthName};
use rcgen::ExtendedKeyUsagePurpose;

/// Clients reach the primary, and after its death the backup.
#[track_caller]
fn fails_over(mut primary: Server, backup: &Server, tls: &str) {
    let proxy = Proxy::with_pair(&pair(&primary, backup, tls));
    proxy.until_health("AGG_P", HealthName::Up);
    proxy.until_admissible("AGG_B");
    assert_eq!(proxy.leads_to(), "AGG_P");
    primary.kill();
    proxy.settled_on(Side::Backup);
    assert_eq!(proxy.leads_to(), "AGG_B");
}

#[test]
fn n8_two_servers_with_one_certificate_of_the_pairs_name() {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V"]);
    fails_over(Server::secure("AGG_P", &identity), &Server::secure("AGG_B", &identity), &begun(&authority, ""));
}

#[test]
fn n8_two_servers_with_certificates_of_their_own_that_share_the_name() {
    let authority = Authority::new();
    let (one, other) = (authority.server("p", &["AGG_P", "AGG_V"]), authority.server("b", &["AGG_B", "agg_v"]));
    fails_over(Server::secure("AGG_P", &one), &Server::secure("AGG_B", &other), &begun(&authority, ""));
}

#[test]
fn n8_two_servers_whose_only_name_is_the_common_name() {
    let authority = Authority::new();
    let legacy = |name| authority.sign(name, &Wish { common_name: "AGG_V", ..Wish::default() });
    let (one, other) = (legacy("p"), legacy("b"));
    let policy = ", common_name = \"if-no-san\"";
    fails_over(Server::secure("AGG_P", &one), &Server::secure("AGG_B", &other), &begun(&authority, policy));

    let (primary, backup) = (Server::secure("AGG_P", &one), Server::secure("AGG_B", &other));
    let proxy = Proxy::with_pair(&pair(&primary, &backup, &begun(&authority, "")));
    let seen = proxy.until_health("AGG_P", HealthName::Down);
    let words = seen.upstreams[0].last_failure.clone().unwrap();
    assert!(words.contains("common_name = \"if-no-san\""), "{words}");
}

#[test]
fn n9_any_of_several_names_will_do() {
    let authority = Authority::new();
    let (one, other) = (authority.server("p", &["AGG_P"]), authority.server("b", &["AGG_B"]));
    let names = ", names = [\"AGG_P\", \"AGG_B\"]";
    fails_over(Server::secure("AGG_P", &one), &Server::secure("AGG_B", &other), &begun(&authority, names));
}

#[test]
fn sni_chooses_among_a_routes_certificates_names_with_underscores_too() {
    let authority = Authority::new();
    let first = authority.server("first", &["first.example.net"]);
    let second = authority.server("second", &["NCOMS_V", "*.second.example.net"]);
    let (primary, backup) = (Server::plain("AGG_P"), Server::plain("AGG_B"));
    let files = |path: &std::path::Path| {
        format!("cert = {:?}, key = {:?}", path.with_extension("pem"), path.with_extension("key"))
    };
    let route = format!("tls = {{ {}, certs = [{{ {} }}] }}\n", files(&first), files(&second));
    let proxy = Proxy::with_route(&pair(&primary, &backup, ""), &route);
    let shown = |name: &str| Client::connect(proxy.route, &authority.ca(), name).map(|client| client.shown());
    assert_eq!(shown("first.example.net").unwrap(), ["first.example.net"]);
    assert_eq!(shown("ncoms_v").unwrap()[0], "NCOMS_V");
    assert_eq!(shown("a.second.example.net").unwrap()[0], "NCOMS_V");
    assert!(shown("elsewhere.example.net").is_err(), "the first one is shown, and does not carry that name");
}

#[test]
fn a_client_must_show_a_certificate_with_a_name_of_the_list() {
    let authority = Authority::new();
    authority.server("v", &["AGG_V"]);
    let client = |name, common_name| {
        authority.sign(name, &Wish { common_name, usage: ExtendedKeyUsagePurpose::ClientAuth, ..Wish::default() })
    };
    let (probe, stranger) = (client("probe", "PROBE"), client("stranger", "STRANGER"));
    let (primary, backup) = (Server::plain("AGG_P"), Server::plain("AGG_B"));
    let route = ending(&authority, "v")
        .replace(" }\n", &format!(", client_ca = {:?}, client_names = [\"PROBE\"] }}\n", authority.ca()));
    let proxy = Proxy::with_route(&pair(&primary, &backup, ""), &route);
    let asked = |client: std::io::Result<Client>| client.and_then(|mut client| client.ask("hello"));
    let ca = authority.ca();
    assert_eq!(asked(Client::showing(proxy.route, &ca, "AGG_V", &probe)).unwrap(), "AGG_P:hello");
    assert!(asked(Client::showing(proxy.route, &ca, "AGG_V", &stranger)).is_err());
    assert!(asked(Client::connect(proxy.route, &ca, "AGG_V")).is_err());
    let failed =
        |reason| proxy.admin.metric("failback_tls_handshake_failures_total", &[("peer", "client"), ("reason", reason)]);
    eventually("both are counted", || (failed("wrong_name") + failed("no_certificate") >= 2.0).then_some(()));
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_the_pairs() {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V"]);
    let own = authority
        .sign("proxy", &Wish { common_name: "PROXY", usage: ExtendedKeyUsagePurpose::ClientAuth, ..Wish::default() });
    let strict = |name| Server::strict(name, &identity, &authority.ca());
    let more = format!(", cert = {:?}, key = {:?}", own.with_extension("pem"), own.with_extension("key"));
    fails_over(strict("AGG_P"), &strict("AGG_B"), &begun(&authority, &more));
}
