//! More clients than there is room for.

use super::{
    common::{SOON, admin::Admin, eventually, proxy::Proxy, server::Server, within},
    node::Node,
    wire::{address, connect},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
};

#[test]
fn clients_that_say_nothing_do_not_keep_others_out_for_good() {
    let node = Node::start();
    let silent: Vec<TcpStream> = (0..300).map(|_| connect(node.api())).collect();
    let mut late = connect(node.api());
    late.write_all(format!("GET /healthz HTTP/1.0\r\nHost: {}\r\n\r\n", node.api()).as_bytes()).unwrap();
    let mut text = String::new();
    late.read_to_string(&mut text).unwrap();
    assert!(text.contains("200 OK"), "{text}");
    drop(silent);
}

#[test]
fn a_client_that_takes_nothing_of_its_answers_is_dropped() {
    let node = Node::start();
    let mut greedy = connect(node.api());
    let request = format!("GET /api/v1/openapi.json HTTP/1.1\r\nHost: {}\r\n\r\n", node.api());
    // Pipelined until neither side's buffers take any more; then the node waits for us, and not for ever.
    greedy.set_write_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    while greedy.write_all(request.as_bytes()).is_ok() {}
    within(SOON * 3, "the node gives up", || {
        greedy.write(b"x").err().filter(|error| error.kind() != std::io::ErrorKind::WouldBlock)
    });
    assert_eq!(node.proxy.pair().epoch.0, 1);
}

#[test]
fn clients_of_the_api_leave_descriptors_to_the_others() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let template = Proxy::prepared("");
    let pair = format!("primary = {}\nbackups = [{}]\n", primary.toml(), backup.toml());
    let wrapper = ["prlimit", "--nofile=72:72"].map(Into::into).to_vec();
    let mut proxy = Proxy::at(template.route, Admin::Tcp(address(&template.admin)), wrapper, &pair);
    proxy.launch();
    let api = address(&proxy.admin);
    let crowd: Vec<TcpStream> = (0..100).map(|_| connect(api)).collect();
    assert_eq!(proxy.leads_to(), "AGG_P");
    drop(crowd);
    eventually("it answers again", || proxy.admin.get("/healthz").is_ok_and(|(code, _)| code == 200).then_some(()));
    let printed = proxy.process().printed();
    assert!(!printed.contains("can't accept"), "{printed}");
}
