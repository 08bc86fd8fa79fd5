//! A message: the alerts that one recipient gets at once, as a mail for people and as JSON for programs.

use super::outbox::Item;
use crate::model::{
    NodeName,
    alert::{Alert, Phase},
    plain::plain,
};
use serde::Serialize;

/// Characters of a subject at most: what a telephone shows of it.
const SUBJECT: usize = 78;

/// What one recipient gets at once; never empty.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) node: NodeName,
    pub(super) items: Vec<Item>,
    /// So many alerts before these were dropped.
    pub(super) lost: u64,
}

/// The body of a webhook's POST.
#[derive(Serialize)]
struct Body<'a> {
    version: u32,
    node: &'a NodeName,
    lost: u64,
    alerts: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    id: u64,
    phase: Phase,
    repeats: u32,
    #[serde(flatten)]
    alert: &'a Alert,
}

impl Message {
    /// The same words whenever the same message is sent, so that a receiver knows it again, and no other node's.
    pub(super) fn id(&self) -> String {
        let node: String = self.node.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let (queued, id) = self.items.first().map_or((0, 0), |item| (item.queued, item.id));
        format!("failback.{node}.{queued}.{id}")
    }

    pub(super) fn json(&self) -> serde_json::Result<Vec<u8>> {
        let alerts = self.items.iter().map(|Item { id, phase, repeats, alert, .. }| Line {
            id: *id,
            phase: *phase,
            repeats: *repeats,
            alert,
        });
        serde_json::to_vec(&Body { version: 1, node: &self.node, lost: self.lost, alerts: alerts.collect() })
    }

    /// `[PROXY_P] AGG_V failed over to AGG_B, and 2 more`.
    pub(super) fn subject(&self) -> String {
        let first = self.items.first().map(headline).unwrap_or_default();
        let more = match self.items.len() {
            0 | 1 => String::new(),
            count => format!(", and {} more", count - 1),
        };
        let room = SUBJECT.saturating_sub(self.node.chars().count() + more.chars().count() + 3);
        let short = match first.chars().count() {
            length if length <= room => first,
            _ => first.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
        };
        plain(&format!("[{}] {short}{more}", self.node)).into_owned()
    }

    /// What, where, since when, why, what to do: a few plain lines an alert.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            let Item { alert, phase, repeats, .. } = item;
            let mut line = |words: &str| text.extend([&plain(words), "\n"]);
            line(&headline(item));
            line(&format!("  {}", alert.text));
            let epoch = alert.epoch.map(|epoch| format!(", epoch {epoch}")).unwrap_or_default();
            line(&format!("  since {}{epoch}", alert.since));
            if *repeats > 0 {
                line(&format!("  it came and went {repeats} times more within the last hour"));
            }
            if *phase != Phase::Ended && !alert.advice.is_empty() {
                line(&format!("  do: {}", alert.advice));
            }
            text.push('\n');
        }
        if self.lost > 0 {
            text.push_str(&format!("{} alerts before these were lost: too many, or too old.\n\n", self.lost));
        }
        text.extend([&*plain(&format!("failback on {}; ask it: failback status", self.node)), "\n"]);
        text
    }
}

fn headline(item: &Item) -> String {
    match item.phase {
        Phase::Ended => format!("over: {}", item.alert.title),
        Phase::Happened | Phase::Raised => item.alert.title.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::alerts::tests::alert;

    fn message(phases: &[Phase]) -> Message {
        let item = |(index, phase): (usize, &Phase)| Item {
            id: index as u64 + 5,
            phase: *phase,
            repeats: 0,
            queued: 1_000,
            alert: alert("AGG_V"),
        };
        Message { node: "PROXY_P".into(), items: phases.iter().enumerate().map(item).collect(), lost: 0 }
    }

    #[test]
    fn a_mail_is_readable_on_a_telephone() {
        let one = message(&[Phase::Raised]);
        assert_eq!(one.subject(), "[PROXY_P] AGG_V: nobody is served");
        let expected = "AGG_V: nobody is served\n  AGG_P is down and AGG_B is stale.\n  since 2026-01-01T00:00:00Z, epoch 4\n  \
                        do: bring AGG_P back\n\nfailback on PROXY_P; ask it: failback status\n";
        assert_eq!(one.text(), expected);
        let more = message(&[Phase::Ended, Phase::Raised, Phase::Raised]);
        assert_eq!(more.subject(), "[PROXY_P] over: AGG_V: nobody is served, and 2 more");
        assert_eq!(more.text().matches("do: ").count(), 2, "what is over needs no doing");
        let long = Message { node: "N".repeat(64).as_str().into(), ..message(&[Phase::Raised]) };
        assert_eq!(long.subject().chars().count(), SUBJECT);
    }

    #[test]
    fn a_name_begins_no_header_and_no_line() {
        let mut evil = message(&[Phase::Raised]);
        evil.items[0].alert.title = "x\r\nBcc: all@example.net".into();
        assert!(!evil.subject().contains(['\r', '\n']));
        assert!(evil.text().lines().all(|line| !line.starts_with("Bcc")));
    }

    #[test]
    fn json_says_all_of_it() {
        let body: serde_json::Value = serde_json::from_slice(&message(&[Phase::Raised]).json().unwrap()).unwrap();
        let expected = serde_json::json!({
            "version": 1, "node": "PROXY_P", "lost": 0,
            "alerts": [{
                "id": 5, "phase": "raised", "repeats": 0, "kind": "no_server", "pair": "AGG_V", "about": null, "epoch": 4,
                "reason": null, "since": "2026-01-01T00:00:00Z", "title": "AGG_V: nobody is served",
                "text": "AGG_P is down and AGG_B is stale.", "advice": "bring AGG_P back",
            }],
        });
        assert_eq!(body, expected);
        assert_eq!(message(&[Phase::Raised]).id(), "failback.PROXY-P.1000.5");
    }
}
