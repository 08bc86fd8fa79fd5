//! When the way to the receivers is in trouble: said, tried again, and nothing lost.

use crate::{
    common::{eventually, throughout},
    exim::{Exim, PASSWORD},
    hook::{Hook, TOKEN},
    node::{Node, password, secret},
};
use std::{fs, time::Duration};

#[test]
fn what_was_not_delivered_arrives_once_the_receiver_is_back_even_after_kill_9() {
    let mut hook = Hook::absent();
    let mut node = Node::posting(&hook, "");
    node.fail_over();
    let retried =
        || node.proxy.admin.metric("failback_alerts_total", &[("channel", "webhook1"), ("result", "retried")]);
    eventually("it is tried again", || (retried() >= 2.0).then_some(()));
    assert_eq!(node.proxy.admin.metric("failback_alerts_pending", &[("channel", "webhook1")]), 1.0);
    let warning = eventually("status says it", || {
        node.proxy.admin.status().warnings.into_iter().find(|words| words.contains("alerts are not delivered since"))
    });
    assert!(warning.contains("(1 wait): webhook 1 at") && warning.contains("refused"), "{warning}");
    node.proxy.restart();
    hook.revive();
    eventually("it arrives", || (!hook.alerts().is_empty()).then_some(()));
    throughout(Duration::from_secs(3), "once", || hook.alerts_of("failover", "happened").len() == 1);
    assert_eq!(hook.posts()[0]["lost"], 0);
    eventually("status is quiet again", || {
        node.proxy.admin.status().warnings.iter().all(|words| !words.contains("delivered")).then_some(())
    });
    node.assert_nothing_leaked();
}

#[test]
fn a_receiver_that_fails_is_asked_again_over_tls_and_in_order() {
    let hook = Hook::secure();
    let node = Node::posting(&hook, "");
    hook.answers(503);
    node.fail_over();
    eventually("it refused twice", || (hook.refused() >= 2).then_some(()));
    node.backup.kill();
    eventually("two wait", || (node.proxy.admin.metric("failback_alerts_pending", &[]) == 2.0).then_some(()));
    hook.answers(200);
    eventually("both arrive", || (hook.alerts().len() == 2).then_some(()));
    let kinds: Vec<_> = hook.alerts().iter().map(|alert| alert["kind"].clone()).collect();
    assert_eq!(kinds, ["failover", "no_server"]);
    node.assert_nothing_leaked();
}

#[test]
fn a_wrong_password_is_said_and_the_right_one_taken_without_a_reload() {
    let (exim, file) = (Exim::start(), secret("wrong-c4nary"));
    let node = Node::telling(&exim.toml(&["oncall@example.net"], &file));
    let output = node.proxy.cli(&["alerts", "test"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("e-mail to oncall@example.net") && said.contains("NOT DELIVERED"), "{said}");
    assert!(said.contains("535"), "what the server said: {said}");
    node.fail_over();
    eventually("status says it", || {
        node.proxy.cli_says(&["status"]).contains("alerts are not delivered since").then_some(())
    });
    fs::write(&file, PASSWORD).unwrap();
    eventually("it arrives", || (exim.mails_with("failed over").len() == 1).then_some(()));
    assert!(node.proxy.cli_says(&["alerts", "test"]).contains("delivered: taken"));
    eventually("the test arrives", || (exim.mails_with("Subject: [PROXY] test alert").len() == 1).then_some(()));
    node.assert_nothing_leaked();
}

#[test]
fn a_wrong_recipient_and_a_stranger_keep_nobody_else_waiting() {
    let exim = Exim::start();
    let (mail, hook) = (exim.toml(&["nobody@example.net", "oncall@example.net"], &password()), Hook::secure());
    // The right address, and nobody vouches for who answers there.
    let stranger = format!("{{ url = \"https://{}/c4nary-path\" }}", hook.address);
    let node = Node::telling(&format!("{mail}webhooks = [{stranger}]"));
    node.fail_over();
    eventually("the other gets it", || (!exim.mails_with("Envelope-to: oncall@example.net").is_empty()).then_some(()));
    let said = String::from_utf8(node.proxy.cli(&["alerts", "test"]).stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].contains("nobody@example.net") && lines[0].contains("550"), "{said}");
    assert!(lines[1].contains("oncall@example.net") && lines[1].contains("delivered: taken"), "{said}");
    assert!(lines[2].contains("webhook 1") && lines[2].contains("UnknownIssuer"), "{said}");
    node.assert_nothing_leaked();
}

#[test]
fn without_anybody_to_tell_the_test_says_so() {
    let node = Node::telling("");
    let output = node.proxy.cli(&["alerts", "test"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobody is told of anything"));
    assert!(!node.proxy.dir().join("state/alerts.json").exists(), "nothing to keep");
    let hook = Hook::start();
    let text = fs::read_to_string(node.proxy.config()).unwrap();
    fs::write(node.proxy.config(), format!("{text}\nwebhooks = [{}]\n", hook.toml(&secret(TOKEN)))).unwrap();
    assert!(node.proxy.cli_says(&["reload"]).contains("alerts changed"));
    eventually("now there is", || node.proxy.cli(&["alerts", "test"]).status.success().then_some(()));
    assert_eq!(hook.alerts_of("test", "happened").len(), 1);
}
