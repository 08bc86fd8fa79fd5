//! Asking other nodes about seats, over the peer link.

use super::{About, Copy, Declined, GivenUp, Update, Verdict, serve::Changed};
use crate::{
    control::peer::{Answer, Call, CallError, PeerLinks},
    decide::seat::effect::Message,
    model::{NodeName, group::MOST_SEATS, plain::plain, view::group::SyncView},
};
use bytes::Bytes;
use hyper::Method;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// A whole copy may be some megabytes over a slow line.
const PULL_LIMIT: Duration = Duration::from_secs(10);
/// Characters of what another machine says that are shown.
const LONGEST_WORDS: usize = 400;
/// Of an answer that is a copy of a seat.
const MOST_OF_A_COPY: usize = 16 << 20;
/// Anything small.
const LIMIT: Duration = Duration::from_secs(2);
const MOST: usize = 64 * 1024;

/// Why another node could not be asked, or gave no good answer.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// It gave none.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It said no.
    #[error("{node} answers {status}: {words}")]
    Said {
        /// Who.
        node: NodeName,
        /// The HTTP status.
        status: u16,
        /// What it said.
        words: String,
    },
    /// It is another seat's copy.
    #[error("{node} answers with another seat's copy than {seat}'s, which it was asked for")]
    OtherSeat {
        /// Who.
        node: NodeName,
        /// What was asked for.
        seat: NodeName,
    },
    /// It is not understood; do both run the same version?
    #[error("what {node} answers is not understood (do both run the same version?)")]
    NotUnderstood {
        /// Who.
        node: NodeName,
        /// Why.
        source: serde_json::Error,
    },
}

/// What became of records that were pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// They are on the other's disk.
    Taken,
    /// They are not, and why.
    Declined(Declined),
}

/// The seat's copy, from the node that holds it, or has what its holder lost.
///
/// # Errors
/// [`SyncError`].
pub async fn pull(links: &PeerLinks, from: &NodeName, seat: &NodeName) -> Result<Copy, SyncError> {
    let name = percent_encoding::utf8_percent_encode(seat, percent_encoding::NON_ALPHANUMERIC);
    let call = Call {
        method: Method::GET,
        path: format!("/seats/{name}"),
        body: None,
        limit: PULL_LIMIT,
        most: MOST_OF_A_COPY,
    };
    let copy: Copy = understood(from, &good(from, links.call(from, call).await?)?)?;
    if copy.seat == *seat { Ok(copy) } else { Err(SyncError::OtherSeat { node: from.clone(), seat: seat.clone() }) }
}

/// Tells the node from which a copy was pulled what became of it.
///
/// # Errors
/// [`SyncError`].
pub async fn pulled(links: &PeerLinks, from: &NodeName, verdict: &Verdict) -> Result<(), SyncError> {
    good(from, links.call(from, post("/pulled", verdict)).await?).map(drop)
}

/// Tells the node from which a copy was pulled what is given up for it.
///
/// # Errors
/// [`SyncError`]; then the copy must not be taken yet.
pub async fn give_up(links: &PeerLinks, from: &NodeName, given_up: &GivenUp) -> Result<(), SyncError> {
    good(from, links.call(from, post("/given-up", given_up)).await?).map(drop)
}

/// Gives records to another node, which has `limit` to store them.
///
/// # Errors
/// [`SyncError`].
pub async fn push(links: &PeerLinks, to: &NodeName, update: &Update, limit: Duration) -> Result<Pushed, SyncError> {
    let answer = links.call(to, Call { limit, ..post("/records", update) }).await?;
    match answer.status {
        409 => Ok(Pushed::Declined(understood(to, &answer)?)),
        _ => good(to, answer).map(|_| Pushed::Taken),
    }
}

/// Tells a node that there is something to pull.
///
/// # Errors
/// [`SyncError`].
pub async fn poke(links: &PeerLinks, to: &NodeName, seat: &NodeName) -> Result<(), SyncError> {
    good(to, links.call(to, post("/changed", &Changed { seat: seat.clone() })).await?).map(drop)
}

/// Says something about a seat.
///
/// # Errors
/// [`SyncError`].
pub async fn tell(links: &PeerLinks, to: &NodeName, message: &Message) -> Result<(), SyncError> {
    good(to, links.call(to, post("/tell", message)).await?).map(drop)
}

/// What a node says of itself.
///
/// # Errors
/// [`SyncError`].
pub async fn about(links: &PeerLinks, of: &NodeName) -> Result<About, SyncError> {
    let call = Call { method: Method::GET, path: "/about".into(), body: None, limit: LIMIT, most: MOST };
    let about: About = understood(of, &good(of, links.call(of, call).await?)?)?;
    Ok(About {
        version: others_words(&about.version),
        fallback_address: about.fallback_address.as_deref().map(others_words),
        shared_addresses: about.shared_addresses.iter().map(|address| others_words(address)).collect(),
        last_sync: about.last_sync.map(|sync| SyncView { error: sync.error.as_deref().map(others_words), ..sync }),
        unfit: about.unfit.iter().take(MOST_SEATS).map(|line| others_words(line)).collect(),
    })
}

fn post(path: &str, body: &impl Serialize) -> Call {
    // Types of our own, whose keys are strings: they can be written.
    let body = serde_json::to_vec(body).map(Bytes::from).ok();
    Call { method: Method::POST, path: path.into(), body, limit: LIMIT, most: MOST }
}

fn good(node: &NodeName, answer: Answer) -> Result<Answer, SyncError> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    let mut words = others_words(&String::from_utf8_lossy(&answer.body));
    if answer.status == 403 && words.is_empty() {
        words = "it is not joined with this node".into();
    }
    Err(SyncError::Said { node: node.clone(), status: answer.status, words })
}

fn understood<T: DeserializeOwned>(node: &NodeName, answer: &Answer) -> Result<T, SyncError> {
    serde_json::from_slice(&answer.body).map_err(|source| SyncError::NotUnderstood { node: node.clone(), source })
}

/// Another machine's words, for a page, a log and a mail: one line.
pub fn others_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    plain(&lines.join(" ").chars().take(LONGEST_WORDS).collect::<String>()).into_owned()
}
