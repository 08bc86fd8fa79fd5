//! What other nodes ask about seats: below `/peer/v1`, of nodes that are joined only.

use super::{Copy, NotApplied, Update};
use crate::{
    control::{http::read_body, peer::Caller},
    decide::seat::effect::Message,
    model::{Epoch, NodeName, PairName, view::group::SyncView},
};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};

/// Of records; the peer link has a bound of its own.
const MOST_RECORDS: usize = 8 << 20;
/// Of everything else, which is a few names and words.
const MOST_WORDS: usize = 64 * 1024;

/// One question of another node.
#[derive(Debug)]
pub enum Asked {
    /// A seat's copy; nothing if a third node holds it.
    Copy {
        /// Which.
        seat: NodeName,
        /// Who pulls.
        by: NodeName,
        /// The copy.
        reply: oneshot::Sender<Option<Copy>>,
    },
    /// Records to be taken.
    Records {
        /// What.
        update: Update,
        /// From whom.
        from: NodeName,
        /// Was it taken? In words, where the disk said no.
        reply: oneshot::Sender<Result<(), Declined>>,
    },
    /// What became of a copy that was pulled from here.
    Pulled {
        /// By whom.
        by: NodeName,
        /// What became of it.
        verdict: Verdict,
    },
    /// What the asker knows of a seat, and gives up for what it pulled from here: the epochs of its pairs.
    GivenUp {
        /// What.
        given_up: GivenUp,
        /// By whom.
        by: NodeName,
    },
    /// There is something to pull.
    Changed {
        /// Of which seat.
        seat: NodeName,
        /// From whom.
        from: NodeName,
    },
    /// A message about a seat.
    Told {
        /// From whom.
        from: NodeName,
        /// What.
        message: Message,
    },
    /// What is this node's own and worth showing on others.
    About {
        /// That.
        reply: oneshot::Sender<About>,
    },
}

/// Why records were not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Declined {
    /// They don't follow on what is there.
    NotApplied(NotApplied),
    /// They could not be stored; in words.
    NotStored(String),
}

/// What became of a copy at the node that pulled it. Only what was taken protects the seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Of which seat.
    pub seat: NodeName,
    /// Which copy ([`Copy::order`]).
    pub order: (Epoch, u64),
    /// Why it was not taken, in words.
    pub refused: Option<String>,
}

/// Epochs of pairs that a node acted under, or knew, and that are given up for a copy of their seat: no number may mean two things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenUp {
    /// The seat.
    pub seat: NodeName,
    /// The pairs and their epochs.
    pub epochs: BTreeMap<PairName, Epoch>,
}

/// What a node says of itself to those it is joined with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The program's version.
    pub version: String,
    /// `group.fallback_address`.
    pub fallback_address: Option<String>,
    /// The shared addresses it serves on.
    pub shared_addresses: Vec<String>,
    /// Its last pull.
    pub last_sync: Option<SyncView>,
    /// Why it could not take over the seats it stands by for, a line each.
    #[serde(default)]
    pub unfit: Vec<String>,
}

/// Says that a seat changed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changed {
    pub(super) seat: NodeName,
}

type Inbox = mpsc::Sender<Asked>;

/// What is mounted on the peer link; the questions go to `asked`.
pub fn router(asked: Inbox) -> Router {
    Router::new()
        .route("/seats/{seat}", get(copy))
        .route("/records", post(records))
        .route("/pulled", post(pulled))
        .route("/given-up", post(given_up))
        .route("/changed", post(changed))
        .route("/tell", post(told))
        .route("/about", get(about))
        .with_state(asked)
}

async fn copy(
    State(asked): State<Inbox>,
    Extension(Caller { node }): Extension<Caller>,
    Path(seat): Path<String>,
) -> Response {
    let (reply, answer) = oneshot::channel();
    let question = Asked::Copy { seat: seat.as_str().into(), by: node, reply };
    match put(&asked, question, answer).await {
        Ok(Some(copy)) => Json(copy).into_response(),
        Ok(None) => {
            let why =
                "another node holds that seat, or nothing was ever copied of it (`failback status` there says which)";
            (StatusCode::NOT_FOUND, why).into_response()
        }
        Err(busy) => busy,
    }
}

async fn records(State(asked): State<Inbox>, Extension(Caller { node }): Extension<Caller>, body: Body) -> Response {
    let update = match parsed(body, MOST_RECORDS).await {
        Ok(update) => update,
        Err(refused) => return refused,
    };
    let (reply, answer) = oneshot::channel();
    match put(&asked, Asked::Records { update, from: node, reply }, answer).await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(declined)) => (StatusCode::CONFLICT, Json(declined)).into_response(),
        Err(busy) => busy,
    }
}

async fn pulled(State(asked): State<Inbox>, Extension(Caller { node }): Extension<Caller>, body: Body) -> Response {
    match parsed(body, MOST_WORDS).await {
        Ok(verdict) => accepted(&asked, Asked::Pulled { by: node, verdict }),
        Err(refused) => refused,
    }
}

async fn given_up(State(asked): State<Inbox>, Extension(Caller { node }): Extension<Caller>, body: Body) -> Response {
    match parsed(body, MOST_RECORDS).await {
        Ok(given_up) => accepted(&asked, Asked::GivenUp { given_up, by: node }),
        Err(refused) => refused,
    }
}

async fn changed(State(asked): State<Inbox>, Extension(Caller { node }): Extension<Caller>, body: Body) -> Response {
    match parsed(body, MOST_WORDS).await {
        Ok(Changed { seat }) => accepted(&asked, Asked::Changed { seat, from: node }),
        Err(refused) => refused,
    }
}

async fn told(State(asked): State<Inbox>, Extension(Caller { node }): Extension<Caller>, body: Body) -> Response {
    match parsed(body, MOST_WORDS).await {
        Ok(message) => accepted(&asked, Asked::Told { from: node, message }),
        Err(refused) => refused,
    }
}

async fn about(State(asked): State<Inbox>) -> Response {
    let (reply, answer) = oneshot::channel();
    match put(&asked, Asked::About { reply }, answer).await {
        Ok(about) => Json(about).into_response(),
        Err(busy) => busy,
    }
}

async fn parsed<T: DeserializeOwned>(body: Body, most: usize) -> Result<T, Response> {
    let bytes = read_body(body, most).await.map_err(|_| StatusCode::BAD_REQUEST.into_response())?;
    serde_json::from_slice(&bytes).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()).into_response())
}

fn accepted(asked: &Inbox, question: Asked) -> Response {
    match asked.try_send(question) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(_) => busy(),
    }
}

async fn put<T>(asked: &Inbox, question: Asked, answer: oneshot::Receiver<T>) -> Result<T, Response> {
    asked.try_send(question).map_err(|_| busy())?;
    answer.await.map_err(|_| busy())
}

fn busy() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the node is too busy, or stops").into_response()
}
