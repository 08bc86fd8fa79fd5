//! Who gets in: every order there is, tried by everybody who may not give it.

use super::{
    node::{Node, TOKENS, good_body},
    wire::{Reply, send},
};
use std::fs;

const JSON: &str = "Content-Type: application/json";

/// Nothing any of the refused requests asked for has happened.
#[track_caller]
fn nothing_happened(node: &Node, token: &[&str]) {
    let pair = send(node.api(), "GET /api/v1/pairs/AGG_V", token, "").json();
    assert_eq!((&pair["epoch"], &pair["frozen"], &pair["pinned"]), (&1.into(), &false.into(), &false.into()), "{pair}");
    let events = send(node.api(), "GET /api/v1/events", token, "").json();
    let orders = |kind: &str| events.as_array().unwrap().iter().filter(|event| event["kind"] == kind).count();
    assert_eq!((orders("order"), orders("resync_signal"), orders("reload")), (0, 0, 0), "{events}");
}

#[test]
fn with_a_tokens_file_every_order_needs_a_token_that_may_give_it() {
    let node = Node::with_tokens();
    for path in node.orders() {
        let post = |headers: &[&str]| send(node.api(), &format!("POST {path}"), headers, good_body(&path));
        assert_eq!(post(&[JSON]).problem(401)["type"], "urn:failback:problem:unauthorized", "{path}");
        assert_eq!(post(&[JSON]).header("www-authenticate"), Some("Bearer"));
        for wrong in
            ["Bearer wrong", "Bearer ", "Bearer", "Basic 0perate", "0perate", "Bearer 0perate2", "Bearer 0perat"]
        {
            post(&[JSON, &format!("Authorization: {wrong}")]).problem(401);
        }
        for scope in ["r3ad", "0ther"] {
            post(&[JSON, &format!("Authorization: Bearer {scope}")]).problem(403);
        }
        if !path.ends_with("/resync") {
            post(&[JSON, "Authorization: Bearer s1gnal"]).problem(403);
        }
    }
    nothing_happened(&node, &["Authorization: Bearer r3ad"]);
}

#[test]
fn everything_but_health_needs_a_token_to_be_read() {
    let node = Node::with_tokens();
    for (method, path) in node.operations() {
        let get = |headers: &[&str]| send(node.api(), &format!("GET {path}"), headers, "");
        if method == "get" && !matches!(path.as_str(), "/healthz" | "/readyz") {
            get(&[]).problem(401);
            get(&["Authorization: Bearer s1gnal"]).problem(403);
            for reader in ["Authorization: Bearer r3ad", "authorization: bearer 0perate"] {
                assert_eq!(get(&[reader]).code, 200, "{path}");
            }
        }
    }
    for free in ["/healthz", "/readyz"] {
        assert_eq!(send(node.api(), &format!("GET {free}"), &[], "").code, 200);
    }
    // What is not there is not told to strangers either.
    send(node.api(), "GET /api/v1/secret", &[], "").problem(401);
    send(node.api(), "DELETE /api/v1/status", &[], "").problem(401);
}

#[test]
fn n10_a_token_for_one_pairs_signals_is_enough_to_send_them_and_good_for_nothing_else() {
    let node = Node::with_tokens();
    let signal = |token: &str, path: &str| {
        send(node.api(), &format!("POST {path}"), &[&format!("Authorization: Bearer {token}")], "")
    };
    let answer = signal("s1gnal", "/api/v1/pairs/AGG_V/resync");
    assert_eq!((answer.code, &answer.json()["accepted"]), (200, &false.into()), "{answer:?}");
    assert_eq!(signal("s1gnal", "/api/v1/pairs/AGG%5FV/resync").code, 200, "an encoded name is the same name");
    signal("s1gnal", "/api/v1/pairs/OTHER/resync").problem(403);
    signal("s1gnal", "/api/v1/pairs/AGG_V/freeze").problem(403);
    signal("0ther", "/api/v1/pairs/OTHER/resync").problem(404);
    for sneaky in ["AGG_V%2F..%2FOTHER/resync", "AGG_V/freeze/resync", "AGG_V/resync/", "AGG_V/resync%2F"] {
        let reply = signal("s1gnal", &format!("/api/v1/pairs/{sneaky}"));
        assert!(matches!(reply.code, 403 | 404), "{sneaky}: {reply:?}");
    }
    assert_eq!(node.proxy.dir().join("admin.token").metadata().unwrap().len(), TOKENS.len() as u64);
}

#[test]
fn a_web_page_cannot_give_orders_to_a_node_on_loopback() {
    let node = Node::start();
    let (api, port) = (node.api(), node.api().port());
    for path in node.orders() {
        let post = |headers: &[&str]| send(api, &format!("POST {path}"), headers, good_body(&path));
        for host in
            ["evil.example", &format!("evil.example:{port}"), "localhost.evil.example", "10.0.0.1", "", "[::2]:80"]
        {
            post(&[JSON, &format!("Host: {host}")]).problem(403);
        }
        let same_but = format!("Origin: http://localhost:{port}");
        let not_web = format!("Origin: file://{api}");
        let site = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"];
        let origins =
            ["Origin: http://evil.example", "Origin: null", "Origin: ", "Origin: file://", &same_but, &not_web];
        for origin in origins.into_iter().chain(site) {
            post(&[JSON, origin]).problem(403);
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", ""] {
            post(&[&format!("Content-Type: {kind}")]).problem(415);
        }
        // A body of no said kind is what a page can send as a Blob.
        post(&[]).problem_if_sent(&path);
    }
    let absolute =
        format!("GET http://evil.example/api/v1/status HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n\r\n");
    super::wire::raw(api, absolute.as_bytes()).problem(403);
    nothing_happened(&node, &[]);
}

#[test]
fn loopback_names_and_the_own_origin_are_good() {
    let node = Node::start();
    let port = node.api().port();
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", "node.localhost"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let reply = send(node.api(), "GET /api/v1/status", &[&format!("Host: {host}")], "");
            assert_eq!(reply.code, 200, "{host}: {reply:?}");
        }
    }
    let own = format!("Origin: http://{}", node.api());
    let headers = [own.as_str(), "Sec-Fetch-Site: same-origin"];
    assert_eq!(send(node.api(), "POST /api/v1/pairs/AGG_V/freeze", &headers, "").code, 200);
}

#[test]
fn beyond_loopback_the_token_counts_and_not_the_name() {
    let open = |config: String| {
        let listen = config.lines().find(|line| line.starts_with("listen = \"")).unwrap().to_owned();
        let port = listen.trim_end_matches('"').rsplit(':').next().unwrap().to_owned();
        config.replacen(&listen, &format!("listen = \"0.0.0.0:{port}\"\ntoken_file = \"admin.token\""), 1)
    };
    let node = Node::with(open);
    let host = "Host: proxy-a.example.net:9900";
    send(node.api(), "GET /api/v1/status", &[host], "").problem(401);
    assert_eq!(send(node.api(), "GET /api/v1/status", &[host, "Authorization: Bearer r3ad"], "").code, 200);
    let foreign = [host, "Authorization: Bearer 0perate", "Origin: http://evil.example"];
    send(node.api(), "POST /api/v1/pairs/AGG_V/freeze", &foreign, "").problem(403);
}

#[test]
fn tokens_are_read_again_at_a_reload_and_a_bad_file_changes_nothing() {
    let node = Node::with_tokens();
    let file = node.proxy.dir().join("admin.token");
    let reload =
        |token: &str| send(node.api(), "POST /api/v1/reload", &[&format!("Authorization: Bearer {token}")], "");
    fs::write(&file, "ops:operate:new-secret\nbroken line\n").unwrap();
    let refused = reload("0perate");
    let problem = refused.problem(422);
    assert!(problem["detail"].as_str().unwrap().contains(":2:"), "{problem}");
    assert!(!refused.body.contains("new-secret"), "{problem}");
    assert_eq!(reload("new-secret").code, 401);

    fs::write(&file, "ops:operate:new-secret\n").unwrap();
    assert_eq!(reload("0perate").code, 200);
    assert_eq!(reload("0perate").code, 401);
    assert_eq!(reload("new-secret").code, 200);
}

impl Reply {
    /// With a body that says nothing of its kind: refused as such.
    #[track_caller]
    fn problem_if_sent(&self, path: &str) {
        assert_eq!(self.problem(415)["type"], "urn:failback:problem:media-type", "{path}");
    }
}

#[test]
fn two_host_headers_are_refused_though_the_first_is_good() {
    let node = Node::start();
    let reply = send(node.api(), "POST /api/v1/pairs/AGG_V/freeze", &["Host: 127.0.0.1", "Host: evil.example"], "");
    assert_eq!(reply.problem(400)["field"], "Host");
    nothing_happened(&node, &[]);
}
