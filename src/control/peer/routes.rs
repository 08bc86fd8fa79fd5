//! What a node is asked by others: `/peer/v1/…`. A stranger may say hello and ask to be joined, nothing else.

use super::{
    Caller, PeerEvent,
    beacon::frame::is_name,
    bucket::Bucket,
    channel::Binding,
    join::{self, Refused},
    shared::Shared,
};
use crate::{
    control::http::{BodyError, read_body},
    model::{
        NodeName,
        group::{Claim, Heartbeat, HeartbeatPath, MOST_SEATS, Role},
    },
};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body_util::Limited;
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// A heartbeat, or a question to be joined.
const MOST_SMALL_BODY: usize = 16 * 1024;
/// Whatever else is mounted: a configuration has 4 MiB at most.
const MOST_BODY: usize = 8 << 20;
/// No answer takes longer.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// Whose connection a request came by.
#[derive(Debug, Clone)]
pub(super) struct Connected {
    pub(super) binding: Binding,
    pub(super) from: IpAddr,
    pub(super) bucket: Arc<Bucket>,
}

/// What a node says of itself to one it is joined with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) node: NodeName,
    pub(super) version: String,
    pub(super) role: Role,
    pub(super) boot: u64,
}

/// `mounted` is served below `/peer/v1`, to nodes that are joined.
pub(super) fn router(shared: &Arc<Shared>, mounted: Router) -> Router {
    let for_peers = Router::new()
        .route("/peer/v1/heartbeat", post(heartbeat))
        .route("/peer/v1/leave", post(leave))
        .with_state(Arc::clone(shared))
        .nest("/peer/v1", mounted)
        .layer(from_fn_with_state(Arc::clone(shared), only_peers));
    Router::new()
        .route("/peer/v1/hello", get(hello))
        .route("/peer/v1/join", post(join))
        .with_state(Arc::clone(shared))
        .merge(for_peers)
        .layer(from_fn(within_bounds))
}

/// So many requests, so long each, and bodies no longer than needed.
async fn within_bounds(Extension(connected): Extension<Connected>, request: Request, next: Next) -> Response {
    if !connected.bucket.take(Instant::now()) {
        return closing(StatusCode::TOO_MANY_REQUESTS);
    }
    let request = request.map(|body| Body::new(Limited::new(body, MOST_BODY)));
    timeout(REQUEST_LIMIT, next.run(request)).await.unwrap_or_else(|_late| closing(StatusCode::SERVICE_UNAVAILABLE))
}

/// Asked anew for each request, so that a node that has left has left.
async fn only_peers(
    State(shared): State<Arc<Shared>>,
    Extension(connected): Extension<Connected>,
    mut request: Request,
    next: Next,
) -> Response {
    match shared.store.by_pin(connected.binding.client) {
        Some(peer) => {
            request.extensions_mut().insert(Caller { node: peer.node });
            next.run(request).await
        }
        None => closing(StatusCode::FORBIDDEN),
    }
}

fn closing(status: StatusCode) -> Response {
    (status, [(header::CONNECTION, HeaderValue::from_static("close"))]).into_response()
}

async fn small(body: Body) -> Result<bytes::Bytes, Response> {
    read_body(body, MOST_SMALL_BODY).await.map_err(|error| {
        closing(match error {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Late => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken(_) => StatusCode::BAD_REQUEST,
        })
    })
}

/// A stranger learns that somebody is there, no more.
async fn hello(State(shared): State<Arc<Shared>>, Extension(connected): Extension<Connected>) -> Response {
    if shared.store.by_pin(connected.binding.client).is_none() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let role = shared.said.borrow().role;
    let hello = Hello { node: shared.node.clone(), version: shared.version.clone(), role, boot: shared.boot };
    Json(hello).into_response()
}

async fn join(State(shared): State<Arc<Shared>>, Extension(connected): Extension<Connected>, body: Body) -> Response {
    let body = match small(body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let Ok(ask) = serde_json::from_slice(&body) else { return closing(StatusCode::BAD_REQUEST) };
    match join::admit(&shared, &connected, ask).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => {
            let refused = Refused { reason: error.reason, detail: error.detail };
            (StatusCode::CONFLICT, Json(refused)).into_response()
        }
    }
}

async fn heartbeat(State(shared): State<Arc<Shared>>, Extension(caller): Extension<Caller>, body: Body) -> Response {
    let body = match small(body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let heartbeat: Option<Heartbeat> = serde_json::from_slice(&body).ok();
    // A node speaks for itself only.
    let heartbeat = heartbeat.filter(|said| said.node == caller.node && said.claims.len() <= MOST_SEATS);
    let named = |claim: &Claim| is_name(&claim.seat) && claim.home.as_ref().is_none_or(|home| is_name(home));
    let heartbeat = heartbeat.filter(|said| said.claims.iter().all(named));
    let (Some(heartbeat), Some(peer)) = (heartbeat, shared.store.by_name(&caller.node)) else {
        return closing(StatusCode::BAD_REQUEST);
    };
    let (boot, role) = (heartbeat.boot, heartbeat.role);
    shared.hear(&peer, heartbeat, HeartbeatPath::Link);
    if (boot, role) != (peer.boot, peer.role) {
        shared.note_run(&peer, boot, role).await;
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn leave(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(connected): Extension<Connected>,
) -> Response {
    let pin = connected.binding.client;
    if let Err(error) = shared.store.retain(|peer| peer.pin != pin).await {
        tracing::error!(node = %caller.node, %error, "a node that leaves can't be forgotten");
        return closing(StatusCode::INTERNAL_SERVER_ERROR);
    }
    shared.forget(&caller.node, Some(pin));
    shared.tell(PeerEvent::Left { node: caller.node }).await;
    StatusCode::NO_CONTENT.into_response()
}
