//! The events: listed, followed, taken up again.

use super::{
    common::eventually,
    node::Node,
    wire::{connect, send},
};
use failback::model::view::EventView;
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
};

/// A stream of server-sent events.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(api: SocketAddr, more: &str) -> Self {
        let mut stream = connect(api);
        let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {api}\r\nAccept: text/event-stream\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200") && head.to_lowercase().contains("text/event-stream"), "{head}");
        Self(stream)
    }

    /// The next event; its `id` must be its number.
    fn next(&mut self) -> EventView {
        let mut id = None;
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(number) = line.strip_prefix("id:") {
                id = Some(number.trim().parse::<u64>().unwrap());
            }
            if let Some(data) = line.strip_prefix("data:") {
                let event: EventView = serde_json::from_str(data).unwrap();
                assert_eq!(id, Some(event.seq));
                return event;
            }
        }
    }
}

fn freeze(node: &Node, verb: &str) {
    assert_eq!(send(node.api(), &format!("POST /api/v1/pairs/AGG_V/{verb}"), &[], "").code, 200);
}

#[test]
fn a_list_is_cut_where_asked() {
    let node = Node::start();
    for verb in ["freeze", "unfreeze", "freeze"] {
        freeze(&node, verb);
    }
    let list = |query: &str| -> Vec<u64> {
        let reply = send(node.api(), &format!("GET /api/v1/events{query}"), &[], "");
        reply.json().as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
    };
    let all = list("");
    assert!(all.len() >= 4 && all.windows(2).all(|two| two[1] == two[0] + 1), "{all:?}");
    assert_eq!(list("?limit=2"), all[all.len() - 2..], "the newest");
    assert_eq!(list(&format!("?since={}&limit=1", all[0])), all[1..2], "the first after it");
    assert_eq!(list(&format!("?since={}", all[all.len() - 1])), [] as [u64; 0]);
    assert_eq!(list("?since=999999"), all, "a number from another life of the node");
    assert_eq!(list("?limit=0"), [] as [u64; 0]);
}

#[test]
fn a_follower_that_was_cut_off_misses_nothing_and_sees_nothing_twice() {
    let node = Node::start();
    let newest = || node.proxy.events().last().map_or(0, |event| event.seq);
    let mut stream = Stream::open(node.api(), "");
    let mut seen = Vec::new();
    for round in 0..3 {
        freeze(&node, if round % 2 == 0 { "freeze" } else { "unfreeze" });
        let wanted = newest();
        while seen.last() != Some(&wanted) {
            seen.push(stream.next().seq);
        }
        // Cut off; things happen meanwhile.
        drop(stream);
        freeze(&node, if round % 2 == 0 { "unfreeze" } else { "freeze" });
        stream = Stream::open(node.api(), &format!("Last-Event-ID: {wanted}\r\n"));
    }
    let wanted = newest();
    while seen.last() != Some(&wanted) {
        seen.push(stream.next().seq);
    }
    let first = seen[0];
    let expected: Vec<u64> = (first..).take(seen.len()).collect();
    assert_eq!(seen, expected);
    assert!(seen.len() >= 6, "{seen:?}");
}

#[test]
fn a_stream_is_taken_up_again_after_the_node_was_killed() {
    let mut node = Node::start();
    freeze(&node, "freeze");
    let known = node.proxy.events().last().unwrap().seq;
    node.proxy.restart();
    let mut stream = Stream::open(node.api(), &format!("Last-Event-ID: {known}\r\n"));
    let next = stream.next();
    assert_eq!(next.seq, known + 1, "{next:?}");
}

#[test]
fn a_failover_is_news_at_once_and_the_stream_ends_with_the_node() {
    let mut node = Node::start();
    let mut stream = Stream::open(node.api(), "");
    node.until_backup_is_ready();
    node.primary.kill();
    let failover = loop {
        let event = stream.next();
        if event.kind == "failover" {
            break event;
        }
    };
    assert_eq!(failover.epoch.map(|epoch| epoch.0), Some(2), "{failover:?}");
    assert_eq!(failover.reason.as_deref(), Some("upstream_refused"), "{failover:?}");
    node.proxy.process().signal("TERM");
    let ended = eventually("the node ends though somebody follows", || node.proxy.process().ended());
    assert!(ended.success(), "{ended:?}");
}

#[test]
fn a_wrong_last_event_id_is_a_problem() {
    let node = Node::start();
    send(node.api(), "GET /api/v1/events", &["Accept: text/event-stream", "Last-Event-ID: abc"], "").problem(400);
}
