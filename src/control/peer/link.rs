//! The links this node keeps up: to each node it is joined with a connection that carries heartbeats and nothing else, so that
//! no long answer is ever taken for a silence. Calls have connections of their own.

use super::{
    Answer, Call, CallError, PeerEvent,
    addresses::Way,
    client::{AskError, Client, request},
    routes::Hello,
    shared::{Shared, lock},
    store::Peer,
};
use crate::model::{NodeName, causes::chain};
use hyper::{Method, StatusCode};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout_at},
};

/// For dialling, with the handshake.
const REACH: Duration = Duration::from_secs(3);
const MOST_ANSWER: usize = 16 * 1024;
/// The other end closes a connection after ten seconds without a question.
const IDLE_FOR: Duration = Duration::from_secs(5);

const NOT_JOINED: &str = "it is not joined with this node";
/// The other end of a join knows of it so much later.
const JOINS_WITHIN: Duration = Duration::from_secs(3);

/// Keeps a link to everybody this node is joined with, until it is dropped.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut follow = shared.store.follow();
    let mut links: BTreeMap<NodeName, (Peer, Stopped)> = BTreeMap::new();
    loop {
        let peers = Arc::clone(&follow.borrow_and_update());
        // A later run of its process is no other node.
        let same = |a: &Peer, b: &Peer| (&a.node, a.pin, &a.address) == (&b.node, b.pin, &b.address);
        links.retain(|_, (linked, _)| peers.iter().any(|peer| same(peer, linked)));
        for peer in peers.iter().filter(|peer| !links.contains_key(&peer.node)).cloned().collect::<Vec<_>>() {
            let task = tokio::spawn(keep(Arc::clone(&shared), peer.clone()));
            links.insert(peer.node.clone(), (peer, Stopped(task.abort_handle())));
        }
        if follow.changed().await.is_err() {
            return;
        }
    }
}

/// A task that ends when this is dropped.
struct Stopped(AbortHandle);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tries again and again. What is told is every change from up to lost and back, the first failure, and one that is another than the last.
async fn keep(shared: Arc<Shared>, peer: Peer) {
    let pause = shared.heartbeat.clamp(Duration::from_millis(100), Duration::from_secs(1));
    let (began, mut told) = (Instant::now(), None);
    loop {
        let mut was_up = false;
        let why = beat(&shared, &peer, &mut was_up).await;
        if was_up || is_news(&why, told.as_deref(), began.elapsed()) {
            told = Some(why.clone());
            shared.tell(PeerEvent::LinkLost { node: peer.node.clone(), was_up, why }).await;
        }
        sleep(pause).await;
    }
}

/// Shall it be told why there is no link, so long after this node was joined? Of two nodes the one that was asked to join is done first.
fn is_news(why: &str, told: Option<&str>, age: Duration) -> bool {
    let joins = why == NOT_JOINED && age < JOINS_WITHIN;
    !joins && told != Some(why)
}

/// One connection's life; why it ended.
async fn beat(shared: &Shared, peer: &Peer, is_up: &mut bool) -> String {
    let tls = match shared.identity.client(Some(peer.pin)) {
        Ok(tls) => tls,
        Err(error) => return chain(&error),
    };
    // Silence is judged elsewhere, by what is heard; this is only when a connection is given up.
    let patience = (shared.heartbeat * 5).max(Duration::from_secs(1));
    let mut client = match Client::connect(&peer.address, tls, shared.identity.pin, REACH).await {
        Ok(client) => client,
        Err(error) => return chain(&error),
    };
    let hello = match client.ask(request(Method::GET, "/peer/v1/hello", None), MOST_ANSWER, patience).await {
        Ok(answer) if answer.status() == StatusCode::NO_CONTENT => return NOT_JOINED.into(),
        Ok(answer) => answer,
        Err(error) => return chain(&error),
    };
    let Some(hello) = serde_json::from_slice::<Hello>(hello.body()).ok().filter(|hello| hello.node == peer.node) else {
        return "it does not say who it is".into();
    };
    *is_up = true;
    if let Some(address) = client.address {
        shared.addresses.note(peer.pin, Way::To, address);
    }
    let Hello { node, version, role, .. } = hello;
    shared.tell(PeerEvent::LinkUp { node, version, role }).await;
    let mut tick = interval(shared.heartbeat);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = shared.said.subscribe();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            changed = said.changed() => if changed.is_err() { return "this node stops".into() },
        }
        let Ok(body) = serde_json::to_vec(&shared.next_heartbeat()) else {
            return "no heartbeat can be written".into();
        };
        let question = request(Method::POST, "/peer/v1/heartbeat", Some(&body.into()));
        match client.ask(question, MOST_ANSWER, patience).await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) if answer.status() == StatusCode::FORBIDDEN => return NOT_JOINED.into(),
            Ok(answer) => return format!("it answers {}", answer.status()),
            Err(error) => return chain(&error),
        }
    }
}

/// Puts a question to a node, all of it within `call.limit`.
pub(super) async fn call(shared: &Shared, node: &NodeName, call: Call) -> Result<Answer, CallError> {
    let peer = shared.store.by_name(node).ok_or_else(|| CallError::NotJoined(node.clone()))?;
    let end = Instant::now() + call.limit;
    let failed = |error: AskError| CallError::Failed { node: node.clone(), why: chain(&error) };
    let asking = async {
        let Ok(_room) = shared.calls.room.acquire().await else { return Err(AskError::TimedOut) };
        let path = format!("/peer/v1{}", call.path);
        let idle = lock(&shared.calls.idle).remove(&peer.pin);
        let idle = idle.filter(|(client, since)| client.is_open() && since.elapsed() < IDLE_FOR);
        let mut client = match idle {
            Some((client, _)) => client,
            None => {
                let tls = shared.identity.client(Some(peer.pin)).map_err(|_| AskError::TimedOut)?;
                Client::connect(&peer.address, tls, shared.identity.pin, REACH.min(call.limit)).await?
            }
        };
        let answer = client.ask(request(call.method, &path, call.body.as_ref()), call.most, call.limit).await?;
        // Whoever was not answered as wished may be hung up on, and that is seen too late.
        if answer.status().is_success() {
            lock(&shared.calls.idle).insert(peer.pin, (client, Instant::now()));
        }
        Ok(answer)
    };
    let answer = timeout_at(end, asking).await.unwrap_or(Err(AskError::TimedOut)).map_err(failed)?;
    let (head, body) = answer.into_parts();
    Ok(Answer { status: head.status.as_u16(), body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_join_looks_like_from_the_other_end_is_no_lost_link() {
        let (early, late) = (Duration::from_millis(50), Duration::from_secs(4));
        assert!(!is_news(NOT_JOINED, None, early));
        assert!(is_news(NOT_JOINED, None, late), "it has left, or forgot");
        assert!(is_news("refused", None, early));
        assert!(!is_news("refused", Some("refused"), late), "once");
        assert!(is_news("refused", Some("timed out"), late));
    }
}
