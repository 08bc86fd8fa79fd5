//! The API on a unix socket.

use super::common::{
    address::{free_port, own_ip},
    admin::Admin,
    eventually,
    proxy::Proxy,
    server::Server,
};
use std::{os::unix::fs::PermissionsExt, path::Path, process::Output};

fn on_socket(path: &Path) -> (Proxy, Server, Server) {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let pair = format!("primary = {}\nbackups = [{}]\n", primary.toml(), backup.toml());
    (Proxy::at(free_port(own_ip()), Admin::Unix(path.into()), Vec::new(), &pair), primary, backup)
}

#[test]
fn the_socket_is_for_its_group_survives_a_kill_and_is_gone_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("failback.sock");
    let (mut proxy, _primary, _backup) = on_socket(&path);
    proxy.launch();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    assert!(proxy.cli_says(&["status"]).contains("AGG_V"));
    assert!(proxy.cli_says(&["freeze", "AGG_V"]).contains("unfreeze"));
    let who = proxy.events().into_iter().find(|event| event.kind == "order").expect("an order");
    assert!(who.message.contains("unix socket"), "{who:?}");

    proxy.restart();
    assert!(proxy.pair().frozen, "the stale socket was replaced, the state taken up");

    proxy.process().signal("TERM");
    eventually("the node ends", || proxy.process().ended());
    assert!(!path.exists());
}

#[test]
fn a_second_node_does_not_take_a_socket_that_answers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("failback.sock");
    let (mut first, _primary, _backup) = on_socket(&path);
    first.launch();
    let (second, _primary, _backup) = on_socket(&path);
    let config = second.config();
    let Output { status, stderr, .. } = second.cli(&["run", "-c", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("another process answers"), "{said}");
    assert!(first.cli_says(&["status"]).contains("AGG_V"));
}

#[test]
fn a_socket_that_was_removed_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("failback.sock");
    let (mut proxy, _primary, _backup) = on_socket(&path);
    proxy.launch();
    std::fs::remove_file(&path).unwrap();
    eventually("it is there again", || proxy.cli(&["status"]).status.success().then_some(()));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);

    proxy.process().signal("TERM");
    eventually("the node ends", || proxy.process().ended());
    assert!(!path.exists());
}
