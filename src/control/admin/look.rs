//! Looking: nothing here changes anything.

use super::{
    Deps, group,
    input::{Asked, Pair},
    problem::Problem,
};
use crate::{
    control::orders::Request,
    model::{
        ports::Workers,
        view::{PairView, RouteView, SessionView, StatusView},
    },
    observe::metrics::{self, Metrics},
};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Sessions shown if nothing is said, and the most that can be asked for: a worker must not be kept busy by curiosity.
const SESSIONS: usize = 1_000;
const MAX_SESSIONS: usize = 50_000;
/// The workers answer between two batches of client bytes.
const WORKERS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a page of metrics may wait for others to be written.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(5);

/// The whole node at a glance.
#[utoipa::path(get, path = "/api/v1/status", tag = "look", responses((status = 200, body = StatusView)))]
pub(super) async fn status(State(served): Deps) -> Result<Json<StatusView>, Problem> {
    Ok(Json(group::status(&served).await?))
}

/// The pairs, by name.
#[utoipa::path(get, path = "/api/v1/pairs", tag = "look", responses((status = 200, body = [PairView])))]
pub(super) async fn pairs(State(served): Deps) -> Result<Json<Vec<PairView>>, Problem> {
    Ok(Json(served.deps.orders.ask(Request::Status).await?.pairs))
}

/// One pair: its side, why, since when, and what blocks its way back.
#[utoipa::path(get, path = "/api/v1/pairs/{pair}", tag = "look",
    params(("pair" = String, Path, description = "The pair's name")), responses((status = 200, body = PairView)))]
pub(super) async fn pair(State(served): Deps, Pair(pair): Pair) -> Result<Json<PairView>, Problem> {
    Ok(Json(served.deps.orders.ask(|reply| Request::Pair(pair, reply)).await?))
}

/// The routes, by name.
#[utoipa::path(get, path = "/api/v1/routes", tag = "look", responses((status = 200, body = [RouteView])))]
pub(super) async fn routes(State(served): Deps) -> Result<Json<Vec<RouteView>>, Problem> {
    Ok(Json(served.deps.orders.ask(Request::Status).await?.routes))
}

/// Which sessions are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only this route's.
    route: Option<String>,
    /// At most this many (1 to 50000; 1000 if not given).
    limit: Option<usize>,
}

/// The sessions, oldest first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "look", params(Which),
    responses((status = 200, body = [SessionView])))]
pub(super) async fn sessions(
    State(served): Deps,
    Asked(which): Asked<Which>,
) -> Result<Json<Vec<SessionView>>, Problem> {
    let limit = which.limit.unwrap_or(SESSIONS);
    if !(1..=MAX_SESSIONS).contains(&limit) {
        let detail = format!("`limit` must be between 1 and {MAX_SESSIONS}");
        return Err(Problem::bad_request(detail, Some("limit".into())));
    }
    let route = which.route.map(Into::into);
    if let Some(route) = &route {
        let known = served.deps.orders.ask(Request::Status).await?.routes;
        if !known.iter().any(|known| known.route == *route) {
            let known: Vec<&str> = known.iter().map(|known| &*known.route).collect();
            let detail = format!("there is no route `{route}`; the routes are: {}", known.join(", "));
            return Err(Problem::no_such_route(detail));
        }
    }
    let asked = async {
        let _one_of_few = served.session_queries.acquire().await;
        served.deps.workers.sessions(route.as_ref(), limit).await
    };
    match tokio::time::timeout(WORKERS_TIMEOUT, asked).await {
        Ok(sessions) => Ok(Json(sessions)),
        Err(_late) => Err(Problem::unavailable("the workers are too busy to list their sessions")),
    }
}

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "node", security(()), responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The routes listen, whatever the upstreams' health.
#[utoipa::path(get, path = "/readyz", tag = "node", security(()), responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn readyz(State(served): Deps) -> Result<&'static str, Problem> {
    if *served.deps.ready.borrow() && !*served.deps.stop.borrow() {
        Ok("ready\n")
    } else {
        Err(Problem::unavailable("the routes do not listen"))
    }
}

/// Everything counted, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "node", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(served): Deps) -> Result<Response, Problem> {
    page(&served.deps.metrics, &served.deps.workers, &served.scrapes).await
}

/// The page of metrics, written on a thread where reading `/proc` disturbs nobody, and few of them at once.
pub(super) async fn page(metrics: &Metrics, workers: &Workers, scrapes: &Arc<Semaphore>) -> Result<Response, Problem> {
    let one_of_few = tokio::time::timeout(SCRAPE_TIMEOUT, Arc::clone(scrapes).acquire_owned()).await;
    let one_of_few = one_of_few.map_err(|_late| Problem::unavailable("too many ask for the metrics; try again"))?;
    let (metrics, workers) = (metrics.clone(), workers.clone());
    let page = tokio::task::spawn_blocking(move || {
        // Kept though the client leaves.
        let _until_written = one_of_few;
        metrics.render(&workers)
    });
    let page = page.await.map_err(|_stopping| Problem::unavailable("the node is stopping"))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response())
}
