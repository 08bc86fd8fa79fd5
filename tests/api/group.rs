//! The group over the API: of a node alone, and of one whose group's task is the test (it holds the other end of the channel).

use super::{
    node::Node,
    wire::{Reply, send},
};
use failback::{
    config::{AdminConfig, AdminListen},
    control::{
        admin::{AdminDeps, AdminServer, Tokens},
        orders::{GroupOrder, GroupOrders, GroupRequest, OrderError, Orders, Request},
    },
    decide::seat::input::Order,
    model::{
        group::{NodeStateName, Role},
        ports::Workers,
        seat::Suspicion,
        view::{
            OrderAnswer, StatusView,
            group::{GroupView, NodeView},
        },
    },
    observe::{event::EventLog, metrics::Metrics},
};
use std::{net::SocketAddr, sync::Arc, thread};
use tokio::sync::{
    mpsc::{self, Receiver},
    watch,
};

const JSON: &str = "Content-Type: application/json";

#[test]
fn b13_a_node_alone_is_fit_and_refuses_the_groups_orders() {
    let node = Node::start();
    let health = send(node.api(), "GET /api/v1/health", &[], "").json();
    assert_eq!((&health["fit"], &health["node"]), (&true.into(), &"PROXY".into()), "{health}");
    assert!(health["reasons"].as_array().unwrap().is_empty() && health["group"].is_null(), "{health}");
    let plain = send(node.api(), "GET /api/v1/health?plain", &[], "");
    assert_eq!((plain.code, plain.body.as_str()), (200, "ok\n"));
    send(node.api(), "GET /api/v1/health?plain=perhaps", &[], "").problem(400);
    for path in ["/api/v1/nodes", "/api/v1/nodes/PROXY/backups"] {
        assert_eq!(send(node.api(), &format!("GET {path}"), &[], "").json(), serde_json::json!([]), "{path}");
    }
    let unknown = send(node.api(), "GET /api/v1/nodes/OTHER/backups", &[], "").problem(404);
    assert!(unknown["detail"].as_str().unwrap().contains("PROXY"), "{unknown}");
    let refused = send(node.api(), "POST /api/v1/seats/PROXY/takeover", &[], "").problem(409);
    assert_eq!(refused["detail"], "this node is in no group; add [group] to its configuration");
}

/// The API of `B`, whose driver and whose group's task are the test.
struct Api {
    address: SocketAddr,
    orders: Receiver<GroupRequest>,
    view: watch::Sender<Arc<GroupView>>,
    _stop: watch::Sender<bool>,
}

impl Api {
    fn start() -> Self {
        let config = AdminConfig { listen: AdminListen::Tcp("127.0.0.1:0".parse().unwrap()), token_file: None };
        let server = AdminServer::bind(&config, Tokens::default()).unwrap();
        let address = server.address().unwrap();
        let (orders, mut requests) = Orders::inbox(4);
        let (asked, group_orders) = mpsc::channel(4);
        let (view, seen) = watch::channel(Arc::new(group()));
        let (stop, stop_seen) = watch::channel(false);
        let (_ready, ready) = watch::channel(true);
        let deps = AdminDeps {
            orders,
            group: Some(GroupOrders::new(asked, seen)),
            workers: Workers { stats: Arc::new([]), queries: Arc::new([]) },
            events: EventLog::default(),
            metrics: Metrics::default(),
            ready,
            stop: stop_seen,
        };
        thread::spawn(move || {
            while let Some(request) = requests.blocking_recv() {
                let Request::Status(reply) = request else { panic!("another request: {request:?}") };
                let _ = reply.send(Ok(status()));
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        thread::spawn(move || runtime.block_on(server.serve(deps)).unwrap());
        Self { address, orders: group_orders, view, _stop: stop }
    }

    /// Posts `body`; the group's task is asked for `expected`, by loopback, and answers `with`.
    fn order(&mut self, path: &str, body: &str, expected: &GroupOrder, with: Result<&str, OrderError>) -> Reply {
        let (address, line, body) = (self.address, format!("POST /api/v1/{path}"), body.to_owned());
        let waiting = thread::spawn(move || send(address, &line, &[JSON], &body));
        let request = self.orders.blocking_recv().unwrap();
        assert_eq!((&request.order, request.by.as_str()), (expected, "loopback"), "{path}");
        request.reply.send(with.map(|message| OrderAnswer { changed: true, message: message.into() })).unwrap();
        waiting.join().unwrap()
    }

    fn get(&self, path: &str) -> Reply {
        send(self.address, &format!("GET /api/v1/{path}"), &[], "")
    }
}

fn status() -> StatusView {
    StatusView {
        node: "B".into(),
        version: "0".into(),
        uptime_seconds: 0.0,
        config_loaded_at: String::new(),
        warnings: vec![],
        pairs: vec![],
        routes: vec![],
        group: None,
    }
}

fn group() -> GroupView {
    let node = |name: &str, role, state, suspicion: Option<Suspicion>| NodeView {
        node: name.into(),
        this: suspicion.is_none(),
        role,
        state,
        suspicion,
        address: "10.0.0.2:9902".into(),
        shared_addresses: vec![],
        fallback_address: None,
        version: None,
        last_sync: None,
    };
    GroupView {
        key_fingerprint: "ab".into(),
        role: Role::Backup,
        state: NodeStateName::Standby,
        warnings: vec![],
        seats: vec![],
        nodes: vec![
            node("B", Role::Backup, NodeStateName::Standby, None),
            node("P", Role::Primary, NodeStateName::Online, Some(Suspicion::Green)),
        ],
    }
}

#[test]
fn every_order_reaches_the_group_as_it_was_meant() {
    let mut api = Api::start();
    let seat = |order| GroupOrder::Seat(order);
    let join = || GroupOrder::Join { forward: "p:1".parse().unwrap(), reverse: "b:2".parse().unwrap() };
    let cases = [
        ("seats/P/takeover", "", seat(Order::Takeover { seat: "P".into(), force: false })),
        ("seats/P/takeover", r#"{"force":true}"#, seat(Order::Takeover { seat: "P".into(), force: true })),
        ("seats/P/reverse", "", seat(Order::Reverse { seat: "P".into() })),
        ("seats/P/replace", r#"{"with":"B"}"#, seat(Order::Replace { seat: "P".into(), with: "B".into() })),
        (
            "role",
            r#"{"role":"primary","sync_first":true}"#,
            seat(Order::Role { role: Role::Primary, sync_first: true, force: false }),
        ),
        ("group/join", r#"{"forward":"p:1","reverse":"b:2"}"#, join()),
        ("nodes/B/backups", r#"{"address":"p:1","reverse":"b:2"}"#, join()),
        ("group/leave", "", seat(Order::Leave)),
        ("group/resolve", "", seat(Order::Resolve)),
        ("sync", "", GroupOrder::Sync(None)),
        ("sync", r#"{"node":"P"}"#, GroupOrder::Sync(Some("P".into()))),
    ];
    for (path, body, order) in cases {
        let reply = api.order(path, body, &order, Ok("done"));
        assert_eq!((reply.code, &reply.json()["message"]), (200, &"done".into()), "{path}: {reply:?}");
    }
    let unknown = seat(Order::Reverse { seat: "X".into() });
    let words = "there is no seat `X`; the seats are: P";
    let reply = api.order("seats/X/reverse", "", &unknown, Err(OrderError::NotInGroup(words.into())));
    assert_eq!(reply.problem(404)["detail"], words);
}

#[test]
fn an_order_that_makes_no_sense_never_reaches_the_group() {
    let mut api = Api::start();
    for (path, body, code) in [
        ("role", r#"{"role":"king"}"#, 400),
        ("role", "{}", 400),
        ("seats/P/replace", "{}", 400),
        ("group/join", r#"{"forward":"p","reverse":"b:2"}"#, 400),
        ("sync", r#"{"nodes":"P"}"#, 400),
        ("nodes/P/backups", r#"{"address":"p:1","reverse":"b:2"}"#, 409),
        ("nodes/X/backups", r#"{"address":"p:1","reverse":"b:2"}"#, 404),
    ] {
        send(api.address, &format!("POST /api/v1/{path}"), &[JSON], body).problem(code);
    }
    assert!(api.orders.try_recv().is_err());
}

#[test]
fn b13_the_plain_health_of_a_node_in_trouble_is_500_and_says_why() {
    let api = Api::start();
    assert_eq!(api.get("health?plain").code, 200);
    api.view.send_modify(|view| {
        let view = Arc::make_mut(view);
        view.nodes[1].suspicion = Some(Suspicion::Red);
        view.warnings.push("the clock is odd".into());
    });
    let plain = api.get("health?plain");
    assert_eq!((plain.code, plain.body.as_str()), (500, "no other node is heard\nthe clock is odd\n"));
    let health = api.get("health");
    assert_eq!((health.code, &health.json()["fit"]), (200, &false.into()), "{health:?}");
    assert_eq!(health.json()["group"]["role"], "backup");
}

#[test]
fn g11_status_and_nodes_show_the_group() {
    let api = Api::start();
    assert_eq!(api.get("status").json()["group"]["key_fingerprint"], "ab");
    let nodes = api.get("nodes").json();
    assert_eq!((&nodes[0]["node"], &nodes[1]["suspicion"]), (&"B".into(), &"green".into()), "{nodes}");
    let unknown = api.get("nodes/X/backups").problem(404);
    assert!(unknown["detail"].as_str().unwrap().ends_with("the nodes are: B, P"), "{unknown}");
}
