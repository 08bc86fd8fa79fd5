//! What happens is told once, in order, in few messages.

use crate::{
    common::{eventually, proxy::PAIR, throughout},
    exim::Exim,
    hook::{Hook, TOKEN},
    node::{Node, password, secret},
};
use failback::model::{Side, view::HealthName};
use std::time::Duration;

#[test]
fn failover_and_failback_are_told_once_each_by_mail_and_by_webhook() {
    let (exim, hook) = (Exim::start(), Hook::start());
    let mail = exim.toml(&["On call <oncall@example.net>", "boss@example.net"], &password());
    let node = Node::telling(&format!("{mail}webhooks = [{}]", hook.toml(&secret(TOKEN))));
    node.fail_over();
    let mails = eventually("the failover is told to both", || {
        Some(exim.mails_with("Subject: [PROXY] AGG_V failed over to AGG_B")).filter(|mails| mails.len() == 2)
    });
    for (words, whose) in [
        ("Envelope-to: oncall@example.net", "the envelope"),
        ("From: failback <failback@example.net>", "the sender"),
        ("the upstream refused its checks", "why"),
        ("epoch 2", "since when"),
        ("do: repair AGG_P", "what to do"),
        ("Auto-Submitted: auto-generated", "no holiday answers"),
    ] {
        assert!(mails.iter().any(|mail| mail.contains(words)), "{whose}: {mails:?}");
    }
    node.primary.revive();
    node.proxy.until_health("AGG_P", HealthName::Up);
    assert!(node.proxy.admin.resync(PAIR, "{}").accepted);
    node.proxy.settled_on(Side::Primary);
    eventually("the failback is told to both", || {
        (exim.mails_with("Subject: [PROXY] AGG_V returns to AGG_P").len() == 2).then_some(())
    });
    eventually("the webhook has both", || (hook.alerts().len() >= 2).then_some(()));
    throughout(Duration::from_secs(3), "each is told once", || exim.mails().len() == 4 && hook.alerts().len() == 2);
    let alerts = hook.alerts();
    let told = |index: usize, key: &str| alerts[index][key].to_string();
    assert_eq!((told(0, "kind"), told(1, "kind")), ("\"failover\"".into(), "\"failback\"".into()));
    assert_eq!((told(0, "epoch"), told(1, "epoch")), ("2".into(), "3".into()));
    assert_eq!((told(0, "pair"), told(0, "about")), ("\"AGG_V\"".into(), "\"AGG_B\"".into()));
    assert_eq!(told(0, "reason"), "\"upstream_refused\"");
    assert!(alerts[0]["id"].as_u64() < alerts[1]["id"].as_u64(), "{alerts:?}");
    assert_eq!(node.proxy.admin.metric("failback_alerts_total", &[("channel", "smtp"), ("result", "delivered")]), 4.0);
    assert_eq!(node.proxy.admin.metric("failback_alerts_pending", &[]), 0.0);
    node.assert_nothing_leaked();
}

#[test]
fn n7_an_overdue_signal_is_told_once_and_its_end_too_even_over_a_restart() {
    let hook = Hook::start();
    let mut node = Node::posting(&hook, "signal_overdue_after = \"1s\"");
    node.fail_over();
    node.primary.revive();
    eventually("it is told", || (!hook.alerts_of("signal_overdue", "raised").is_empty()).then_some(()));
    let alert = &hook.alerts_of("signal_overdue", "raised")[0];
    let text = alert["text"].as_str().unwrap();
    assert!(text.contains("Failed over to AGG_B, primary AGG_P healthy since 20"), "{text}");
    assert!(alert["advice"].as_str().unwrap().contains("failback resync AGG_V"), "{alert}");
    let stands = || {
        let told = |phase| hook.alerts_of("signal_overdue", phase).len();
        (told("raised"), told("ended"))
    };
    // Until then a restart would send it again, with the same id.
    let waiting = || node.proxy.admin.metric("failback_alerts_pending", &[]);
    eventually("that it was taken is kept", || (waiting() == 0.0).then_some(()));
    node.proxy.restart();
    node.proxy.until_health("AGG_P", HealthName::Up);
    throughout(Duration::from_secs(12), "it stands, and that was told", || stands() == (1, 0));
    assert!(node.proxy.admin.resync(PAIR, "{}").accepted);
    eventually("its end is told", || (stands() == (1, 1)).then_some(()));
}

#[test]
fn a_storm_is_one_message() {
    let hook = Hook::start();
    let alerts = format!("webhooks = [{}]", hook.toml(&secret(TOKEN)));
    let node = Node::start(&alerts, |primary, backup| {
        let pair = |number| format!("[pairs.P{number}]\nprimary = {}\nbackups = [{}]\n", primary.toml(), backup.toml());
        (0..30).map(pair).collect()
    });
    eventually("every backup is ready", || {
        let pairs = node.proxy.admin.status().pairs;
        let ready = pairs.iter().flat_map(|pair| &pair.upstreams).all(|its| its.health == HealthName::Up);
        (pairs.len() == 31 && ready).then_some(())
    });
    node.fail_over();
    eventually("all failovers are told", || (hook.alerts_of("failover", "happened").len() >= 31).then_some(()));
    assert_eq!(hook.alerts_of("failover", "happened").len(), 31);
    assert!(hook.posts().len() <= 3, "{} messages", hook.posts().len());
}

#[test]
fn a_latched_pair_is_told_until_it_is_released() {
    let (hook, exim) = (Hook::start(), Exim::implicit());
    let mail = exim.toml(&["oncall@example.net"], &password());
    let node = Node::telling(&format!("{mail}webhooks = [{}]", hook.toml(&secret(TOKEN))));
    for epoch in [2, 4, 6, 8] {
        node.fail_over();
        assert_eq!(node.proxy.pair().epoch.0, epoch);
        node.primary.revive();
        node.proxy.until_health("AGG_P", HealthName::Up);
        if epoch < 8 {
            assert!(node.proxy.admin.resync(PAIR, "{}").accepted);
            node.proxy.settled_on(Side::Primary);
        }
    }
    eventually("it is told", || (!hook.alerts_of("latched", "raised").is_empty()).then_some(()));
    eventually("by mail, too", || (!exim.mails_with("AGG_V is latched on AGG_B").is_empty()).then_some(()));
    node.proxy.cli_says(&["switch", PAIR, "--auto"]);
    eventually("its end is told", || (!hook.alerts_of("latched", "ended").is_empty()).then_some(()));
    assert_eq!(hook.alerts_of("failover", "happened").len(), 4);
}

#[test]
fn a_pair_without_a_server_is_told_and_so_is_its_end() {
    let hook = Hook::start();
    let node = Node::posting(&hook, "");
    node.fail_over();
    node.backup.kill();
    eventually("it is told", || (!hook.alerts_of("no_server", "raised").is_empty()).then_some(()));
    node.backup.revive();
    eventually("its end is told", || (!hook.alerts_of("no_server", "ended").is_empty()).then_some(()));
    assert_eq!(hook.alerts_of("no_server", "raised").len(), 1);
}
