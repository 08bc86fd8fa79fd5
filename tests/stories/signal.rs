//! The resync signal: easy to send, harmless to repeat, worth nothing at the wrong time.

use crate::{
    common::{
        address::own_address,
        eventually,
        process::run,
        proxy::{PAIR, Proxy},
        throughout,
    },
    failed_over, servers,
};
use failback::model::{
    Side,
    view::{HealthName, PairStateName},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

#[test]
fn n5_a_signal_that_cannot_be_meant_is_an_idempotent_no_op_with_a_reason() {
    let (primary, backup) = servers();
    let proxy = Proxy::start(&primary, &backup, "failback = { stable_for = \"100ms\" }");
    proxy.until_admissible("AGG_B");
    let mut probe = proxy.client();
    assert_eq!(probe.server(), "AGG_P");

    assert_no_op(&proxy, "{}", "not_failed_over", "primary");
    assert!(!probe.ended(), "nothing is dropped");

    primary.kill();
    proxy.settled_on(Side::Backup);
    let mut probe = proxy.client();
    assert_eq!(probe.server(), "AGG_B");
    assert_no_op(&proxy, "{}", "primary_down", "");

    primary.revive();
    proxy.until_health("AGG_P", HealthName::Up);
    assert_no_op(&proxy, "{\"epoch\": 1}", "wrong_epoch", "2");
    assert_no_op(&proxy, "{\"of\": \"backup\"}", "no_such_side", "backup");
    assert!(!probe.ended(), "nothing is dropped");
    let pair = proxy.pair();
    assert_eq!((pair.active_side, pair.epoch.0), (Side::Backup, 2));
}

#[test]
fn n5_a_signal_repeated_is_as_good_as_one() {
    let (primary, backup) = servers();
    let proxy = failed_over(&primary, &backup, "failback = { stable_for = \"3s\" }");
    for _ in 0..5 {
        let answer = proxy.admin.resync(PAIR, "{}");
        assert!(answer.accepted, "{answer:?}");
    }
    let pair = proxy.settled_on(Side::Primary);
    assert_eq!((pair.epoch.0, proxy.failbacks()), (3, 1.0));
    assert_no_op(&proxy, "{}", "not_failed_over", "");
}

#[test]
fn n10_the_signal_is_one_command() {
    let (primary, backup) = servers();
    let proxy = failed_over(&primary, &backup, "failback = { stable_for = \"100ms\" }");
    proxy.cli_says(&["resync", PAIR]);
    assert_eq!(proxy.settled_on(Side::Primary).epoch.0, 3);
}

#[test]
fn n10_the_signal_is_one_curl_with_the_json_a_product_can_post() {
    let (primary, backup) = servers();
    let proxy = failed_over(&primary, &backup, "failback = { stable_for = \"100ms\" }");
    let url = format!("http://{}/api/v1/pairs/{PAIR}/resync", proxy.admin);
    let post =
        ["curl", "-sS", "--fail-with-body", "-X", "POST", "-H", "Content-Type: application/json", "-d", "{}", &url];
    // As a fire-and-forget caller does that never learns whether it was heard.
    for _ in 0..3 {
        run(&post);
    }
    assert_eq!(proxy.settled_on(Side::Primary).epoch.0, 3);
    run(&post);
    let pair = proxy.pair();
    assert_eq!((pair.state, pair.epoch.0), (PairStateName::OnPrimary, 3));

    let bare = ["curl", "-sS", "--fail-with-body", "-X", "POST", &url];
    run(&bare);
}

/// Sends a signal that must change nothing but the journal and its counter.
#[track_caller]
fn assert_no_op(proxy: &Proxy, body: &str, label: &str, word: &str) {
    let (before, journalled) = (proxy.pair(), proxy.events_of("resync_signal").len());
    let counted = || proxy.admin.metric("failback_resync_signals_total", &[("pair", PAIR), ("result", label)]);
    let count = counted();
    for _ in 0..2 {
        let answer = proxy.admin.resync(PAIR, body);
        assert!(!answer.accepted, "{body}: {answer:?}");
        assert!(answer.reason.contains(word) && answer.reason.len() > 10, "{body}: {answer:?}");
    }
    let after = proxy.pair();
    assert_eq!((after.state, after.epoch, after.since), (before.state, before.epoch, before.since));
    assert_eq!(counted(), count + 2.0, "counted as {label}");
    assert_eq!(proxy.events_of("resync_signal").len(), journalled + 2, "every signal is journalled");
}

#[test]
fn x1_a_polled_source_counts_only_after_it_was_seen_not_done() {
    let (primary, backup) = servers();
    // The gateway's page says "finished" from the start: it means some earlier time.
    let gateway = Gateway::start("resync finished");
    let source = format!("resync_http = {{ url = \"http://{}/state\", expect = \"finished\" }}", gateway.address);
    let more = format!("failback = {{ stable_for = \"100ms\", resync_every = \"100ms\", {source} }}");
    let proxy = failed_over(&primary, &backup, &more);
    gateway.until_asked_again();
    throughout(Duration::from_secs(1), "an old answer is worth nothing", || proxy.pair().active_side == Side::Backup);

    gateway.say("resync at 40 %");
    gateway.until_asked_again();
    assert_eq!(proxy.pair().active_side, Side::Backup);

    gateway.say("resync finished");
    let pair = proxy.settled_on(Side::Primary);
    assert_eq!((pair.epoch.0, proxy.failbacks()), (3, 1.0));
}

/// A web page that says how far the resynchronisation is.
struct Gateway {
    address: SocketAddr,
    page: Arc<Mutex<&'static str>>,
    asked: Arc<AtomicUsize>,
}

impl Gateway {
    fn start(page: &'static str) -> Self {
        let listener = TcpListener::bind(own_address()).expect("an own address");
        let gateway = Self {
            address: listener.local_addr().expect("it is bound"),
            page: Arc::new(Mutex::new(page)),
            asked: Arc::default(),
        };
        let (page, asked) = (Arc::clone(&gateway.page), Arc::clone(&gateway.asked));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let page = *page.lock().expect("nobody panics holding it");
                let length = page.len();
                // Whoever hangs up before the answer asks again.
                let _read = stream.read(&mut [0; 1024]);
                let _gone =
                    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{page}");
                asked.fetch_add(1, Relaxed);
            }
        });
        gateway
    }

    fn say(&self, page: &'static str) {
        *self.page.lock().expect("nobody panics holding it") = page;
    }

    /// Waits until a question that began after this was answered.
    fn until_asked_again(&self) {
        let before = self.asked.load(Relaxed);
        eventually("the source is polled", || (self.asked.load(Relaxed) >= before + 2).then_some(()));
    }
}
