//! What is served, what is not, and that the OpenAPI document tells the truth about it.

use super::{
    node::{Node, good_body},
    wire::{raw, send},
};

/// Paths that scripts rely on.
const PROMISED: [(&str, &str); 29] = [
    ("get", "/api/v1/status"),
    ("get", "/api/v1/pairs"),
    ("get", "/api/v1/pairs/{pair}"),
    ("post", "/api/v1/pairs/{pair}/resync"),
    ("post", "/api/v1/pairs/{pair}/switch"),
    ("post", "/api/v1/pairs/{pair}/freeze"),
    ("post", "/api/v1/pairs/{pair}/unfreeze"),
    ("post", "/api/v1/pairs/{pair}/migration"),
    ("get", "/api/v1/routes"),
    ("get", "/api/v1/sessions"),
    ("get", "/api/v1/events"),
    ("post", "/api/v1/reload"),
    ("post", "/api/v1/alerts/test"),
    ("get", "/api/v1/nodes"),
    ("get", "/api/v1/nodes/{node}/backups"),
    ("post", "/api/v1/nodes/{node}/backups"),
    ("get", "/api/v1/health"),
    ("post", "/api/v1/seats/{seat}/takeover"),
    ("post", "/api/v1/seats/{seat}/reverse"),
    ("post", "/api/v1/seats/{seat}/replace"),
    ("post", "/api/v1/role"),
    ("post", "/api/v1/group/join"),
    ("post", "/api/v1/group/leave"),
    ("post", "/api/v1/group/resolve"),
    ("post", "/api/v1/sync"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("get", "/api/v1/openapi.json"),
];

#[test]
fn the_document_lists_what_is_promised_and_all_it_lists_is_served() {
    let node = Node::start();
    let document = node.document();
    assert_eq!(document["openapi"].as_str().map(|version| &version[..2]), Some("3."));
    for (method, path) in PROMISED {
        let operation = &document["paths"][path][method];
        assert!(operation.is_object(), "{method} {path} is missing");
        assert!(operation["responses"]["default"]["content"]["application/problem+json"].is_object(), "{operation}");
    }
    for (method, path) in node.operations() {
        let (line, body) = match method.as_str() {
            "get" => (format!("GET {path}"), ""),
            other => (format!("{} {path}", other.to_uppercase()), good_body(&path)),
        };
        let reply = send(node.api(), &line, &["Content-Type: application/json"], body);
        // An order may be refused (there is no migration to force); it is never unknown.
        assert!(matches!(reply.code, 200 | 409), "{line}: {reply:?}");
    }
}

#[test]
fn every_schema_the_document_refers_to_is_in_it() {
    let document = Node::start().document();
    let text = document.to_string();
    let mut seen = 0;
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is missing");
        seen += 1;
    }
    assert!(seen > 20, "{text}");
}

#[test]
fn what_is_not_there_and_what_is_not_done_are_problems_too() {
    let node = Node::start();
    for path in
        ["/", "/api", "/api/v1", "/api/v2/status", "/api/v1/status/", "/api/v1/nodes/", "/api/v1/pairs/", "/metrics/x"]
    {
        send(node.api(), &format!("GET {path}"), &[], "").problem(404);
    }
    let no_pair = send(node.api(), "GET /api/v1/pairs/NOBODY", &[], "").problem(404);
    assert!(no_pair["detail"].as_str().unwrap().contains("AGG_V"), "{no_pair}");
    for (line, allow) in [
        ("DELETE /api/v1/status", "GET,HEAD"),
        ("PUT /api/v1/pairs/AGG_V/resync", "POST"),
        ("GET /api/v1/reload", "POST"),
        ("POST /healthz", "GET,HEAD"),
        ("OPTIONS /api/v1/reload", "POST"),
    ] {
        let reply = send(node.api(), line, &[], "");
        reply.problem(405);
        assert_eq!(reply.header("allow"), Some(allow), "{line}");
    }
    let head = send(node.api(), "HEAD /api/v1/status", &[], "");
    assert_eq!((head.code, head.body.as_str()), (200, ""));
}

#[test]
fn a_path_that_climbs_leads_nowhere() {
    let node = Node::start();
    for path in [
        "/../../etc/passwd",
        "/api/v1/../../../etc/passwd",
        "/api/v1/pairs/../status",
        "/api/v1/pairs/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/pairs/%2e%2e",
        "/api/v1/pairs/AGG_V%00",
        "//api/v1/status",
    ] {
        let reply = send(node.api(), &format!("GET {path}"), &[], "");
        reply.problem(404);
        assert!(!reply.body.contains("root:"), "{reply:?}");
    }
    send(node.api(), "GET /api/v1/pairs/%ff%fe", &[], "").problem(400);
}

#[test]
fn requests_that_are_no_http_are_refused_and_the_node_goes_on() {
    let node = Node::start();
    let many = "X-Header: y\r\n".repeat(200);
    let long = "y".repeat(64 * 1024);
    for (request, codes) in [
        (format!("GET /healthz HTTP/1.1\r\n{many}\r\n"), &[431, 400][..]),
        (format!("GET /healthz HTTP/1.1\r\nX: {long}\r\n\r\n"), &[431, 400]),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), &[414, 431, 400]),
        ("\x16\x03\x01\x02\x00\x01\r\n\r\n".to_owned(), &[400]),
        ("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), &[400]),
    ] {
        let reply = raw(node.api(), request.as_bytes());
        assert!(codes.contains(&reply.code), "{:?}: {reply:?}", &request[..20]);
    }
    assert_eq!(send(node.api(), "GET /healthz", &[], "").code, 200);
}
