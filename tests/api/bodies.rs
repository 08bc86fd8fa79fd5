//! Bodies that are wrong, too large, or never end.

use super::{
    node::Node,
    wire::{Reply, connect, send},
};
use std::io::{Read, Write};

const JSON: &str = "Content-Type: application/json";
const SWITCH: &str = "POST /api/v1/pairs/AGG_V/switch";

#[test]
fn what_is_wrong_with_a_body_is_said_with_the_field() {
    let node = Node::start();
    let post = |line: &str, body: &str| send(node.api(), line, &[JSON], body);
    let resync = "POST /api/v1/pairs/AGG_V/resync";
    for (line, body, field, word) in [
        (resync, "{\"epch\":1}", Some("epch"), "epch"),
        (resync, "{\"epoch\":\"one\"}", Some("epoch"), "expected"),
        (resync, "{\"epoch\":-1}", Some("epoch"), "-1"),
        (resync, "{\"of\":\"middle\"}", Some("of"), "middle"),
        (resync, "{\"epoch\":1", None, "EOF"),
        (resync, "{} {}", None, "trailing"),
        (resync, "[]", None, "list"),
        (SWITCH, " [\"backup\"]", None, "list"),
        (resync, "{\"epoch\":1,\"epoch\":2}", None, "duplicate"),
        (SWITCH, "", Some("to"), "to"),
        (SWITCH, "{\"to\":\"backup\",\"auto\":true}", Some("auto"), "exclude"),
        (SWITCH, "{\"auto\":true,\"now\":true}", Some("now"), "now"),
        (SWITCH, "{\"auto\":true,\"force\":true}", Some("force"), "force"),
        ("POST /api/v1/pairs/AGG_V/freeze", "{\"for\":\"1h\"}", Some("for"), "for"),
        ("POST /api/v1/pairs/AGG_V/migration", "{}", None, "action"),
        ("POST /api/v1/pairs/AGG_V/migration", "{\"action\":\"stop\"}", Some("action"), "stop"),
        ("POST /api/v1/reload", "{\"force\":1}", Some("force"), "boolean"),
    ] {
        let problem = post(line, body).problem(400);
        assert!(problem["detail"].as_str().unwrap().contains(word), "{line} {body}: {problem}");
        if let Some(field) = field {
            assert_eq!(problem["field"], field, "{line} {body}: {problem}");
            let named = problem["detail"].as_str().unwrap().matches(&format!("`{field}`")).count();
            assert!(named == 1 || !body.contains(field), "{line} {body}: {problem}");
        }
    }
    for query in ["limit=0", "limit=x", "limt=1", "limit=999999", "limit=1&limit=2"] {
        let problem = send(node.api(), &format!("GET /api/v1/sessions?{query}"), &[], "").problem(400);
        assert!(problem["detail"].as_str().unwrap().contains("lim"), "{query}: {problem}");
    }
    send(node.api(), "GET /api/v1/sessions?route=nowhere", &[], "").problem(404);
    send(node.api(), "GET /api/v1/events?since=x", &[], "").problem(400);
    assert_eq!(node.proxy.pair().epoch.0, 1);
}

#[test]
fn n10_a_bare_post_is_a_signal_and_so_is_an_empty_object() {
    let node = Node::start();
    for (headers, body) in [(&[][..], ""), (&["Content-Length: 0"], ""), (&[JSON], "{}"), (&[JSON], " \n")] {
        let reply = send(node.api(), "POST /api/v1/pairs/AGG_V/resync", headers, body);
        assert_eq!(reply.code, 200, "{reply:?}");
        assert_eq!(reply.json()["accepted"], false, "nothing failed over");
        assert!(reply.json()["reason"].is_string());
    }
    let kinds = ["application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"];
    for kind in kinds {
        let kind = format!("Content-Type: {kind}");
        assert_eq!(send(node.api(), "POST /api/v1/pairs/AGG_V/resync", &[&kind], "{\"epoch\":1}").code, 200);
    }
}

#[test]
fn a_body_too_large_is_refused_before_it_is_read() {
    let node = Node::start();
    let said = send(node.api(), SWITCH, &[JSON, "Content-Length: 1073741824"], "");
    said.problem(413);
    let exact = format!("{{\"to\":\"backup\"{}}}", " ".repeat(64 * 1024 - 15));
    assert_eq!(exact.len(), 64 * 1024);
    assert_eq!(send(node.api(), SWITCH, &[JSON], &exact).code, 200);
    send(node.api(), SWITCH, &[JSON], &format!("{exact} ")).problem(413);
}

#[test]
fn a_gibibyte_in_chunks_is_cut_off_and_costs_no_memory() {
    let mut node = Node::start();
    let mut stream = connect(node.api());
    let head = format!("{SWITCH} HTTP/1.1\r\nHost: {}\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n", node.api());
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let sent = (0..0x4000).take_while(|_| stream.write_all(chunk.as_bytes()).is_ok()).count();
    assert!(sent < 0x1000, "the node took {sent} chunks of 64 KiB");
    // The answer may be lost in the reset that ends so rude a client; the node must go on as if nothing had been.
    let mut text = String::new();
    if stream.read_to_string(&mut text).is_ok() && !text.is_empty() {
        Reply::parse(&text).expect("an answer").problem(413);
    }
    let resident = resident_bytes(node.proxy.process().id());
    assert!(resident < 256 << 20, "{resident} bytes resident");
    assert_eq!(node.proxy.pair().epoch.0, 1);
}

fn resident_bytes(process: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn a_body_that_never_comes_ends_in_a_timeout() {
    let node = Node::start();
    let mut stream = connect(node.api());
    let head = format!("{SWITCH} HTTP/1.1\r\nHost: {}\r\n{JSON}\r\nContent-Length: 100\r\n\r\n{{", node.api());
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let reply = Reply::parse(&text).expect("an answer");
    reply.problem(408);
    assert_eq!(reply.header("connection"), Some("close"));
}
