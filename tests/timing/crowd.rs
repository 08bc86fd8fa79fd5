//! Nine thousand idle sessions: within the descriptors a machine gives, and all of them cut and served again at once.

use crate::{
    alone,
    common::{SOON, client::Client, eventually, proxy::Proxy, server::Server},
};
use failback::model::Side;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;

const CROWD: usize = 9_000;

#[test]
fn nine_thousand_idle_sessions_cost_two_descriptors_each_and_survive_a_failover_of_all() {
    let _machine = alone();
    raise_descriptors();
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let mut proxy = Proxy::start(&primary, &backup, "failback = { stable_for = \"100ms\" }");
    proxy.until_admissible("AGG_B");
    let idle = descriptors(&mut proxy);
    let mut crowd = gather(&proxy, "AGG_P");
    assert_eq!(primary.sessions(), CROWD);
    let per_session = (descriptors(&mut proxy) - idle) as f64 / CROWD as f64;
    assert!(per_session < 2.02, "{per_session} descriptors per idle session");

    primary.kill();
    crowd.iter_mut().for_each(Client::wait_end);
    drop(crowd);
    proxy.settled_on(Side::Backup);
    let mut crowd = gather(&proxy, "AGG_B");
    assert_eq!(backup.sessions(), CROWD);
    assert_eq!(crowd.iter_mut().filter_map(|client| client.ended().then_some(())).count(), 0);

    // And all is given back when they leave.
    drop(crowd);
    eventually("the descriptors are given back", || (descriptors(&mut proxy) <= idle + 20).then_some(()));
}

/// Everybody connects and speaks once, then idles.
fn gather(proxy: &Proxy, server: &str) -> Vec<Client> {
    let mut crowd: Vec<Client> = (0..CROWD).map(|_| proxy.client()).collect();
    for client in &mut crowd {
        client.say("who").expect("connected");
    }
    for client in &mut crowd {
        client.patience(SOON);
        assert_eq!(client.hear().expect("served"), format!("{server}:who"));
    }
    crowd
}

fn descriptors(proxy: &mut Proxy) -> usize {
    fs::read_dir(format!("/proc/{}/fd", proxy.process().id())).expect("the proxy runs").count()
}

/// This process holds both ends of every session: the client's and the server's.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let needed = 2 * CROWD as u64 + 500;
    assert!(limit.maximum.is_none_or(|hard| hard >= needed), "needs {needed} descriptors: ulimit -Hn");
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), ..limit }).expect("up to the hard limit");
}
