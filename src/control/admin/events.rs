//! `GET /api/v1/events`: the events kept, as a list, or followed as server-sent events.

use super::{Deps, Served, input::Asked, problem::Problem};
use crate::{model::view::EventView, observe::event::EventLog};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use serde::Deserialize;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::error::RecvError,
    mpsc::{self, Sender},
    watch,
};
use tokio_stream::wrappers::ReceiverStream;

/// A comment is sent after so long without an event, so that both ends notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Which events are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only events after the one with this number.
    since: Option<u64>,
    /// At most this many: the first ones after `since`, or the newest ones if `since` is not given.
    limit: Option<usize>,
}

/// What happened, oldest first. With `Accept: text/event-stream` it goes on with what happens; `Last-Event-ID` resumes.
#[utoipa::path(get, path = "/api/v1/events", tag = "look",
    params(Which, ("Last-Event-ID" = Option<u64>, Header, description = "Resumes a stream after this event")),
    responses((status = 200, content(([EventView] = "application/json"), (String = "text/event-stream")))))]
pub(super) async fn events(
    State(served): Deps,
    Asked(which): Asked<Which>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    if accept.to_ascii_lowercase().contains("text/event-stream") {
        return follow(&served, resume_after(&headers)?.or(which.since));
    }
    let log = &served.deps.events;
    let mut events = log.since(known(log, which.since));
    if let Some(limit) = which.limit.filter(|limit| *limit < events.len()) {
        if which.since.is_some() { events.truncate(limit) } else { drop(events.drain(..events.len() - limit)) }
    }
    Ok(Json(events).into_response())
}

fn resume_after(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    let id = id.to_str().ok().and_then(|id| id.parse().ok());
    id.map(Some).ok_or_else(|| Problem::bad_request("Last-Event-ID is no event's number", Some("Last-Event-ID".into())))
}

/// A number that lies ahead of all events is from another life of this node: everything is news then.
fn known(log: &EventLog, since: Option<u64>) -> u64 {
    since.filter(|since| *since <= log.newest()).unwrap_or(0)
}

fn follow(served: &Served, since: Option<u64>) -> Result<Response, Problem> {
    let deps = &served.deps;
    let permit = Arc::clone(&served.followers)
        .try_acquire_owned()
        .map_err(|_all_taken| Problem::unavailable("too many follow the events already"))?;
    let (sender, receiver) = mpsc::channel(16);
    let after = known(&deps.events, since);
    tokio::spawn(feed(deps.events.clone(), after, sender, deps.stop.clone(), permit));
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

type Item = Result<Event, Infallible>;

/// Sends events until the follower is gone or the node stops. A follower that falls behind is served from the ring; what
/// the ring has forgotten shows as a gap in the numbers.
async fn feed(
    log: EventLog,
    mut after: u64,
    to: Sender<Item>,
    mut stop: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    let relay = async {
        loop {
            let (missed, mut news) = log.follow(after);
            for event in missed {
                send(&to, event, &mut after).await?;
            }
            loop {
                match news.recv().await {
                    Ok(event) if event.seq <= after => {}
                    Ok(event) => send(&to, event, &mut after).await?,
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return Some(()),
                }
            }
        }
    };
    tokio::select! {
        _ = relay => {}
        () = to.closed() => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// `None`: the follower is gone.
async fn send(to: &Sender<Item>, event: EventView, after: &mut u64) -> Option<()> {
    *after = event.seq;
    let item = Event::default().id(event.seq.to_string()).json_data(&event).ok()?;
    to.send(Ok(item)).await.ok()
}
