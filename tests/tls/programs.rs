//! Programs that others wrote, as clients and as servers.

use crate::{
    authority::Authority,
    common::{
        address::own_address,
        process::{Process, command},
        proxy::Proxy,
    },
    passing::{begun, ending, pair},
    server::Server,
};
use failback::model::{Side, view::HealthName};
use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::Stdio,
};

/// What comes back to `openssl s_client` for a line; empty if nothing does.
fn s_client(to: SocketAddr, ca: &Path, more: &[&str], words: &str) -> String {
    let to = to.to_string();
    let ca = ca.to_str().unwrap();
    let argv = ["openssl", "s_client", "-connect", &to, "-CAfile", ca, "-verify_return_error", "-quiet"];
    let mut child = command(&[&argv[..], more].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(words.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    line
}

#[test]
fn openssl_as_client_with_either_version_and_through_a_failover() {
    let authority = Authority::new();
    let identity = authority.server("v", &["AGG_V"]);
    let (mut primary, backup) = (Server::secure("AGG_P", &identity), Server::secure("AGG_B", &identity));
    let proxy = Proxy::with_route(&pair(&primary, &backup, &begun(&authority, "")), &ending(&authority, "v"));
    proxy.until_admissible("AGG_B");
    let ask = |version| {
        let more = [version, "-servername", "AGG_V", "-verify_hostname", "AGG_V"];
        s_client(proxy.route, &authority.ca(), &more, "hello\n")
    };
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(ask(version).contains("AGG_P:hello"), "{version}");
    }
    primary.kill();
    proxy.settled_on(Side::Backup);
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(ask(version).contains("AGG_B:hello"), "{version}");
    }
}

/// `openssl s_server -www` answers HTTP over TLS; `curl` comes in plain, and by TLS.
#[test]
fn curl_as_client_and_openssl_as_server() {
    let authority = Authority::new();
    let identity = authority.server("v", &["agg-v.example.net", "AGG_V"]);
    let address = own_address();
    let (cert, key) = (identity.with_extension("pem"), identity.with_extension("key"));
    let accept = address.to_string();
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
    let _server = Process::start(&argv, &authority.path("s_server.log"));
    let backup = Server::secure("AGG_B", &identity);
    let table = format!(
        "primary = {{ name = \"AGG_P\", address = \"{address}\" }}\nbackups = [{}]\n{}",
        backup.toml(),
        begun(&authority, "")
    );
    let plain = Proxy::with_pair(&table);
    let ends = Proxy::with_route(&table, &ending(&authority, "v"));
    for proxy in [&plain, &ends] {
        proxy.until_health("AGG_P", HealthName::Up);
    }
    let curl = |words: &[&str]| {
        let output = command(&[&["curl", "-sS", "--max-time", "20"][..], words].concat()).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let said = curl(&[&format!("http://{}/", plain.route)]);
    assert!(said.contains("Ciphers supported"), "{said}");
    let url = format!("https://agg-v.example.net:{}/", ends.route.port());
    let to = format!("agg-v.example.net:{}:{}", ends.route.port(), ends.route.ip());
    let said = curl(&["--cacert", authority.ca().to_str().unwrap(), "--resolve", &to, &url]);
    assert!(said.contains("Ciphers supported"), "{said}");
}
