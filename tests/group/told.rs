//! Who is told what, by a real webhook.

use crate::{
    common::eventually,
    exim::{Exim, PASSWORD},
    hook::{Hook, TOKEN},
    node::{PRIMARY_TIMEOUT, Wishes},
    rig::{Rig, by_hand, hosts},
};
use serde_json::Value;
use std::{fs, time::Duration};
use tempfile::TempDir;

/// Where the receiver is: on the client's host.
const RECEIVER: &str = "10.77.0.9:8080";
const MAILER: &str = "10.77.0.9:2525";

/// A rig whose `A` has `[alerts]`; `B` has none of its own.
pub(crate) fn telling(of_a: Wishes, of_b: &Wishes) -> (Rig, Hook, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    fs::write(&token, format!("{TOKEN}\n")).expect("the token can be written");
    let mut hook = Hook::absent();
    hook.address = RECEIVER.parse().expect("an address");
    let of_a = Wishes { more: format!("[alerts]\nwebhooks = [{}]\n", hook.toml(&token)), ..of_a };
    let rig = Rig::joined_with(&of_a, of_b);
    rig.lab.on("client", || hook.revive());
    (rig, hook, folder)
}

/// Slow enough for a series to be told apart.
fn slow() -> Wishes {
    Wishes { takeover: "auto = true, primary_timeout = \"4s\"".into(), ..Wishes::default() }
}

fn titles(alerts: &[Value]) -> Vec<String> {
    alerts.iter().map(|alert| alert["title"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Also `B7`: where to send them came with the sync.
#[test]
fn b8_a_series_counts_down_and_then_the_takeover_is_told() {
    let (rig, hook, _folder) = telling(slow(), &slow());
    // A process that was killed is missed sooner: its kernel ends its connections.
    rig.cable(&rig.a, "down");
    rig.b.until_serves(&rig.a);
    let taken =
        eventually("the takeover is told", || Some(hook.alerts_of("takeover", "happened")).filter(|t| !t.is_empty()));
    assert!(titles(&taken)[0].contains("took over"), "{taken:?}");
    let series: Vec<Value> = hook.alerts().into_iter().filter(|alert| alert["kind"] == "countdown").collect();
    assert!(series.len() > 1, "a series: {series:?}");
    assert!(titles(&series).iter().any(|title| title.contains("silent")), "{series:?}");
}

fn of_the_seat(hook: &Hook) -> Vec<String> {
    let about = |alert: &Value| alert["kind"] == "countdown" || alert["kind"] == "takeover";
    titles(&hook.alerts().into_iter().filter(about).collect::<Vec<_>>())
}

#[test]
fn b8_the_takeover_from_a_killed_process_is_one_alert_and_its_end_another() {
    let (mut rig, hook, _folder) = telling(Wishes::default(), &Wishes::default());
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.a_returns();
    rig.synced_from_b(&rig.a);
    eventually("the takeover is told", || (!of_the_seat(&hook).is_empty()).then_some(()));
    assert_eq!(of_the_seat(&hook), ["B took over seat A"]);
    rig.a.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    eventually("its end is told", || (of_the_seat(&hook).len() > 1).then_some(()));
    assert_eq!(of_the_seat(&hook), ["B took over seat A", "seat A is whole again: A serves it"]);
}

#[test]
fn b8_a_holder_that_is_heard_again_in_time_ends_the_countdown() {
    let (rig, hook, _folder) = telling(slow(), &slow());
    rig.cable(&rig.a, "down");
    eventually("a step is counted", || (rig.b.told_of("countdown") > 0).then_some(()));
    rig.cable(&rig.a, "up");
    eventually("the end is told", || {
        let end = "A is heard: the countdown for seat A is over";
        of_the_seat(&hook).last().filter(|title| *title == end).map(drop)
    });
    assert!(hook.alerts_of("takeover", "happened").is_empty());
}

/// A rig whose `A` mails, over SMTP with TLS and a login, as operators have it; the password is a file that both nodes have.
fn mailing(of_a: Wishes, of_b: &Wishes) -> (Rig, Exim, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    fs::write(&password, format!("{PASSWORD}\n")).expect("the password can be written");
    let lab = hosts();
    let client = lab.namespace("client");
    let exim = Exim::at(MAILER.parse().expect("an address"), &["ip", "netns", "exec", &client], "");
    let of_a = Wishes { more: format!("[alerts]\n{}", exim.toml(&["oncall@example.net"], &password)), ..of_a };
    let rig = Rig::in_lab(lab, &of_a, of_b);
    rig.join();
    rig.settled();
    (rig, exim, folder)
}

/// Waits for a mail about this.
fn mailed(exim: &Exim, words: &str) {
    let mails = eventually(&format!("it is mailed: {words}"), || {
        Some(exim.mails_with(words)).filter(|mails| !mails.is_empty())
    });
    assert!(mails[0].contains("oncall@example.net"), "{mails:?}");
}

#[test]
fn b7_b8_the_countdown_and_the_takeover_are_mailed_by_the_backup_with_the_primarys_settings() {
    let (rig, exim, _folder) = mailing(slow(), &slow());
    rig.cable(&rig.a, "down");
    rig.b.until_serves(&rig.a);
    mailed(&exim, "B took over seat A");
    // A mail may tell of several steps.
    let steps: usize = exim.mails().iter().map(|mail| mail.matches("which holds seat A, is silent").count()).sum();
    assert!(steps > 1, "a series: {:?}", exim.mails());
}

#[test]
fn b7_a_primary_mails_that_nobody_pulls_from_it() {
    let of_a = Wishes { sync: "interval = \"1s\", alert_after = \"4s\"", ..Wishes::default() };
    let (rig, exim, _folder) = mailing(of_a, &Wishes::default());
    rig.cable(&rig.b, "down");
    mailed(&exim, "no backup node has copied seat A");
}

#[test]
fn b8_where_an_operator_decides_the_countdown_says_so_and_nobody_takes_over() {
    let (mut rig, hook, _folder) = telling(by_hand(), &by_hand());
    rig.kill_a();
    rig.b.never_serves(&rig.a, 3 * PRIMARY_TIMEOUT);
    eventually("it is told", || {
        let told = hook.alerts().into_iter().filter(|alert| alert["kind"] == "countdown");
        let text = |alert: &Value| alert["text"].as_str().unwrap_or_default().to_owned();
        let said = |text: String| text.contains("does not take over") && text.contains("takeover.auto is off");
        told.into_iter().any(|alert| said(text(&alert))).then_some(())
    });
    assert!(hook.alerts_of("takeover", "happened").is_empty());
}

#[test]
fn b7_a_primary_that_nobody_pulls_from_says_so() {
    let of_a = Wishes { sync: "interval = \"1s\", alert_after = \"4s\"", ..Wishes::default() };
    let of_b = Wishes { sync: "interval = \"1s\"", ..Wishes::default() };
    let (rig, hook, _folder) = telling(of_a, &of_b);
    let about_sync = |hook: &Hook| hook.alerts().into_iter().filter(|alert| alert["kind"] == "not_pulled").count();
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(about_sync(&hook), 0, "it is pulled from");
    rig.cable(&rig.b, "down");
    eventually("nobody pulls", || (about_sync(&hook) > 0).then_some(()));
    assert_eq!(rig.serves().as_deref(), Some("AGG_P"));
}

#[test]
fn b14_two_holders_after_a_cut_are_an_alert() {
    let (rig, hook, _folder) = telling(Wishes::default(), &Wishes::default());
    rig.cable(&rig.a, "down");
    rig.b.until_serves(&rig.a);
    std::thread::sleep(PRIMARY_TIMEOUT);
    rig.cable(&rig.a, "up");
    eventually("the conflict is told", || hook.alerts().iter().any(|alert| alert["kind"] == "conflict").then_some(()));
    eventually("one of them let go", || (!rig.a.has_address(&rig.lab)).then_some(()));
}
