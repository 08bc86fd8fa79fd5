//! `failback alerts test`: one message to every recipient, past what waits, and what each said.

use super::{channel::Channel, message::Message, outbox::Item, post::seconds};
use crate::{
    control::{
        clock::wall_now,
        orders::{OrderError, Reply},
    },
    model::{
        NodeName,
        alert::{Alert, AlertKey, AlertKind, Phase},
        view::{AlertsTestAnswer, ChannelTest},
    },
};
use std::time::Instant;
use tokio::task::JoinSet;

/// Asks all of them at once, answers when the last one has.
pub(super) async fn run(channels: Vec<Channel>, node: NodeName, reply: Reply<AlertsTestAnswer>) {
    if channels.is_empty() {
        let mend = "nobody is told of anything; add `smtp` or `webhooks` to [alerts] and reload";
        let _gone = reply.send(Err(OrderError::Refused(mend.into())));
        return;
    }
    let message = message(&node);
    let mut asked = JoinSet::new();
    for (index, channel) in channels.into_iter().enumerate() {
        let message = message.clone();
        asked.spawn(async move {
            let start = Instant::now();
            let sent = channel.send(&message).await;
            let (delivered, message) = match sent {
                Ok(()) => (true, "taken".into()),
                Err(failure) => (false, failure.words),
            };
            (index, ChannelTest { channel: channel.words(), delivered, message, took: start.elapsed() })
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    let _gone = reply.send(Ok(AlertsTestAnswer { channels: answers.into_iter().map(|(_, answer)| answer).collect() }));
}

fn message(node: &NodeName) -> Message {
    let alert = Alert::new(
        AlertKey::about(AlertKind::Test, Some(node.to_string())),
        wall_now(),
        "test alert".into(),
        format!("Somebody ran `failback alerts test` on {node}. Nothing is wrong."),
        String::new(),
    );
    // No number of the outboxes': it is in none of them.
    let item = Item { id: 0, phase: Phase::Happened, repeats: 0, queued: seconds(), alert };
    Message { node: node.clone(), items: vec![item], lost: 0 }
}
