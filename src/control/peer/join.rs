//! Joining (`B1`, `B2`, `G10`): the intended primary asks a backup node; each proves the pairing key over the very channel
//! they speak on, and only then they remember each other's keys.
//!
//! ```text
//!   primary                                             backup
//!      │── TLS, both show a key ─────────────────────────▶│
//!      │── join: version, name, role, reverse, proof ────▶│ key? version? roles? paired already?
//!      │◀───────────────── TLS to the reverse address ────│ the same key there?
//!      │                                                  │ remembers the primary
//!      │◀─ its name, version, proof; or why not ──────────│
//!      │ the same proof, for its side: remembers the backup
//! ```

use super::{
    JoinError, PeerEvent,
    client::{AskError, Client, request},
    key::Prover,
    routes::Connected,
    shared::Shared,
    store::Peer,
};
use crate::model::{
    HostPort, NodeName,
    causes::chain,
    group::{JoinRefusal, NodeStateName, Role},
};
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// For dialling the other node and shaking hands with it.
const REACH: Duration = Duration::from_secs(5);
/// For its answer, in which it dials back.
const ANSWER: Duration = Duration::from_secs(15);
const MOST_ANSWER: usize = 16 * 1024;
/// Whoever guesses keys waits so long for each, and so do the few connections he may have.
const WRONG_KEY_DELAY: Duration = Duration::from_secs(1);

/// Unknown fields are let pass, so that a node of another version learns that it is one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    version: String,
    node: NodeName,
    role: Role,
    /// It serves a seat: a backup node that does may be backed up, for whoever is to replace the one that died (`G7`).
    serves: bool,
    boot: u64,
    reverse: HostPort,
    proof: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    version: String,
    node: NodeName,
    role: Role,
    boot: u64,
    proof: Vec<u8>,
}

/// What is told to the node that asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) reason: JoinRefusal,
    pub(super) detail: String,
}

fn refused<T>(reason: JoinRefusal, detail: impl Into<String>) -> Result<T, JoinError> {
    Err(JoinError { reason, detail: detail.into() })
}

/// Asks the node at `forward` to back this one up; it is to reach this one at `reverse`.
pub(super) async fn ask(shared: &Shared, forward: HostPort, reverse: HostPort) -> Result<NodeName, JoinError> {
    let (role, serves) = {
        let said = shared.said.borrow();
        (said.role, said.state == NodeStateName::Online)
    };
    if role == Role::Backup && !serves {
        return refused(JoinRefusal::BackupOfABackup, "this node is a backup node; join from the intended primary");
    }
    let trouble = |error: String| JoinError { reason: JoinRefusal::Trouble, detail: error };
    let _one_at_a_time = shared.joining.acquire().await.map_err(|_| trouble("the node stops".into()))?;
    shared
        .store
        .fits(None)
        .await
        .map_err(|unfit| JoinError { reason: JoinRefusal::AlreadyPaired, detail: format!("this node: {unfit}") })?;
    let tls = shared.identity.client(None).map_err(|error| trouble(chain(&error)))?;
    let connecting = Client::connect(&forward, tls, shared.identity.pin, REACH).await;
    let not_reached = |error: &AskError| format!("{forward}: {}", chain(error));
    let mut client = connecting
        .map_err(|error| JoinError { reason: JoinRefusal::AddressNotReached, detail: not_reached(&error) })?;
    if client.binding.server == shared.identity.pin {
        return refused(JoinRefusal::Itself, format!("{forward} leads back to this node"));
    }
    let ask = Ask {
        version: shared.version.clone(),
        node: shared.node.clone(),
        role,
        serves,
        boot: shared.boot,
        reverse,
        proof: shared.key.prove(Prover::Asking, &client.binding),
    };
    let body = serde_json::to_vec(&ask).map_err(|error| trouble(error.to_string()))?;
    let question = request(Method::POST, "/peer/v1/join", Some(&body.into()));
    let answer = client.ask(question, MOST_ANSWER, ANSWER).await.map_err(|error| trouble(not_reached(&error)))?;
    match answer.status() {
        StatusCode::OK => {
            let answer = serde_json::from_slice(answer.body()).map_err(|error| trouble(error.to_string()))?;
            joined(shared, &mut client, forward, answer).await
        }
        StatusCode::CONFLICT => {
            let Refused { reason, detail } =
                serde_json::from_slice(answer.body()).map_err(|error| trouble(error.to_string()))?;
            // Another machine's words: no line of ours is to be forged with them.
            refused(reason, crate::model::plain::plain(&detail))
        }
        other => {
            refused(JoinRefusal::Trouble, format!("{forward} answers {other}; is it a failback node's peer_listen?"))
        }
    }
}

/// The other node agrees. Does it hold the key itself?
async fn joined(
    shared: &Shared,
    client: &mut Client,
    forward: HostPort,
    answer: Answer,
) -> Result<NodeName, JoinError> {
    let pin = client.binding.server;
    if !shared.key.is_proven(Prover::Asked, &client.binding, &answer.proof) {
        return refused(
            JoinRefusal::KeyDiffers,
            format!("{forward} did not prove that it holds this node's pairing key"),
        );
    }
    if !super::beacon::frame::is_name(&answer.node) {
        return refused(JoinRefusal::Trouble, format!("{forward} gives itself a name that no node can have"));
    }
    let remembered = remember(shared, answer.node.clone(), pin, forward, answer.role, answer.boot).await;
    if remembered.is_err() {
        // Else it would go on believing that it is joined.
        let leaving = client.ask(request(Method::POST, "/peer/v1/leave", None), MOST_ANSWER, REACH);
        let _it_will_be_told_again_by_leave = leaving.await;
    }
    remembered.map(|()| answer.node)
}

async fn remember(
    shared: &Shared,
    node: NodeName,
    pin: crate::model::tls::Pin,
    address: HostPort,
    role: Role,
    boot: u64,
) -> Result<(), JoinError> {
    let fits = shared.store.fits(Some((&node, pin))).await;
    fits.map_err(|unfit| JoinError {
        reason: JoinRefusal::AlreadyPaired,
        detail: format!("{}: {unfit}", shared.node),
    })?;
    let peer = Peer { node: node.clone(), pin, address, role, boot };
    shared.store.put(peer.clone()).await.map_err(|error| JoinError {
        reason: JoinRefusal::Trouble,
        detail: format!("{}: it can't be stored: {error}", shared.node),
    })?;
    shared.forget(&node, None);
    shared.tell(PeerEvent::Joined { peer }).await;
    Ok(())
}

/// Another node asks this one to back it up.
pub(super) async fn admit(shared: &Arc<Shared>, connected: &Connected, ask: Ask) -> Result<Answer, JoinError> {
    let binding = &connected.binding;
    if !shared.key.is_proven(Prover::Asking, binding, &ask.proof) {
        shared.counts.update(|counts| counts.wrong_keys += 1);
        tracing::warn!(from = %connected.from, "a node without our pairing key wants to be joined");
        sleep(WRONG_KEY_DELAY).await;
        let mend = "compare the fingerprints that `failback status` shows on both";
        return refused(JoinRefusal::KeyDiffers, mend);
    }
    if ask.version != shared.version {
        let versions = format!("{} runs {}, {} runs {}", ask.node, ask.version, shared.node, shared.version);
        return refused(JoinRefusal::VersionDiffers, versions);
    }
    if binding.client == shared.identity.pin || ask.node == shared.node {
        shared.hear_twin(connected.from);
        return refused(JoinRefusal::Itself, format!("both nodes are called {}", shared.node));
    }
    if !super::beacon::frame::is_name(&ask.node) {
        return refused(JoinRefusal::Trouble, "its name is no name");
    }
    if ask.role == Role::Backup && !ask.serves {
        return refused(JoinRefusal::BackupOfABackup, format!("{} is a backup node itself", ask.node));
    }
    if shared.said.borrow().role == Role::Primary {
        return refused(JoinRefusal::NotABackup, format!("{} is a primary node", shared.node));
    }
    let _one_at_a_time = shared.joining.acquire().await;
    shared.store.fits(Some((&ask.node, binding.client))).await.map_err(|unfit| JoinError {
        reason: JoinRefusal::AlreadyPaired,
        detail: format!("{}: {unfit}", shared.node),
    })?;
    reach_back(shared, connected, &ask.reverse).await?;
    remember(shared, ask.node, binding.client, ask.reverse, ask.role, ask.boot).await?;
    Ok(Answer {
        version: shared.version.clone(),
        node: shared.node.clone(),
        role: shared.said.borrow().role,
        boot: shared.boot,
        proof: shared.key.prove(Prover::Asked, binding),
    })
}

/// The same node must answer at the reverse address.
async fn reach_back(shared: &Shared, connected: &Connected, reverse: &HostPort) -> Result<(), JoinError> {
    let reached = async {
        let tls = shared.identity.client(Some(connected.binding.client)).map_err(|error| chain(&error))?;
        let client = Client::connect(reverse, tls, shared.identity.pin, REACH).await;
        let mut client = client.map_err(|error| chain(&error))?;
        let hello = client.ask(request(Method::GET, "/peer/v1/hello", None), MOST_ANSWER, REACH).await;
        match hello.map_err(|error| chain(&error))?.status() {
            status if status.is_success() => Ok(()),
            other => Err(format!("it answers {other}")),
        }
    };
    reached.await.map_err(|why: String| JoinError {
        reason: JoinRefusal::ReverseAddressNotReached,
        detail: format!("{} can't reach {reverse}: {why}", shared.node),
    })
}
