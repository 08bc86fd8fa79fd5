//! `busy_poll` costs a core while there is work, and nothing while there is none.

use crate::{
    common::{proxy::Proxy, server::Server},
    usage::processor_time,
};
use std::{fs, thread, time::Duration};

#[test]
fn a_polling_worker_sleeps_again_when_there_is_nothing_to_do() {
    let server = Server::start("AGG_P");
    let mut proxy = Proxy::prepared(&format!("primary = {}", server.toml()));
    let config = proxy.config();
    let text = fs::read_to_string(&config).unwrap().replace("[node]", "[node]\nbusy_poll = \"200us\"");
    fs::write(&config, text).unwrap();
    proxy.launch();
    let pid = proxy.process().id();
    let mut client = proxy.client();
    for _ in 0..100 {
        client.ask("who").unwrap();
    }
    let before = processor_time(pid);
    thread::sleep(Duration::from_secs(2));
    let used = processor_time(pid) - before;
    assert!(used < Duration::from_millis(600), "{used:?} of 2 s");
}
