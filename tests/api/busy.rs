//! A driver that can't answer. The peer here is the driver's end of the inbox, held by the test.

use super::wire::send;
use failback::{
    config::{AdminConfig, AdminListen},
    control::{
        admin::{AdminDeps, AdminServer, Tokens},
        orders::{Orders, Request},
    },
    model::{
        ports::Workers,
        view::{PairView, StatusView},
    },
    observe::{event::EventLog, metrics::Metrics},
};
use std::{net::SocketAddr, sync::Arc, thread::JoinHandle};
use tokio::sync::{mpsc::Receiver, watch};

/// The API with room for one waiting request, and no driver.
struct Api {
    address: SocketAddr,
    requests: Option<Receiver<Request>>,
    ready: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

fn api() -> Api {
    let config = AdminConfig { listen: AdminListen::Tcp("127.0.0.1:0".parse().unwrap()), token_file: None };
    let server = AdminServer::bind(&config, Tokens::default()).unwrap();
    let address = server.address().unwrap();
    let (orders, requests) = Orders::inbox(1);
    let (ready, ready_seen) = watch::channel(false);
    let (stop, stop_seen) = watch::channel(false);
    let workers = Workers { stats: Arc::new([]), queries: Arc::new([]) };
    let (events, metrics) = (EventLog::default(), Metrics::default());
    let deps = AdminDeps { orders, group: None, workers, events, metrics, ready: ready_seen, stop: stop_seen };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let thread = std::thread::spawn(move || runtime.block_on(server.serve(deps)).unwrap());
    Api { address, requests: Some(requests), ready, stop, thread }
}

#[test]
fn a_full_inbox_means_try_again() {
    let mut api = api();
    let address = api.address;
    let waiting = std::thread::spawn(move || send(address, "GET /api/v1/status", &[], ""));
    let mut requests = api.requests.take().unwrap();
    super::common::eventually("a request waits", || (requests.len() == 1).then_some(()));
    let refused = send(address, "GET /api/v1/pairs/AGG_V", &[], "");
    refused.problem(503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(send(address, "GET /metrics", &[], "").code, 200, "what needs no driver goes on");

    let Some(Request::Status(reply)) = requests.blocking_recv() else { panic!("another request") };
    let view = StatusView {
        node: "N".into(),
        version: "0".into(),
        uptime_seconds: 0.0,
        config_loaded_at: String::new(),
        warnings: vec![],
        pairs: Vec::<PairView>::new(),
        routes: vec![],
        group: None,
    };
    reply.send(Ok(view)).unwrap();
    assert_eq!(waiting.join().unwrap().code, 200);
}

#[test]
fn a_node_is_ready_between_start_and_stop() {
    let mut api = api();
    send(api.address, "GET /readyz", &[], "").problem(503);
    assert_eq!(send(api.address, "GET /healthz", &[], "").code, 200);
    api.ready.send_replace(true);
    assert_eq!(send(api.address, "GET /readyz", &[], "").code, 200);
    drop(api.requests.take());
    send(api.address, "GET /api/v1/status", &[], "").problem(503);
    api.stop.send_replace(true);
    api.thread.join().unwrap();
    assert!(std::net::TcpStream::connect(api.address).is_err());
}
