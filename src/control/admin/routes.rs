//! What is served where. The OpenAPI document is made from the same list, so that it can't forget a path.

use super::{
    AdminDeps, Deps, Served, events, group,
    guard::{self, Guard},
    look, order,
    problem::Problem,
};
use axum::{
    Json, Router,
    extract::{Request, State},
    http::header,
    middleware,
    response::Response,
    routing::get,
};
use std::sync::Arc;
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, ResponseBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Everything, behind the guard.
pub(super) fn router(deps: AdminDeps, guard: Guard) -> Router {
    let (router, document) = open_api();
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::map_response(no_caching))
        .layer(middleware::from_fn_with_state((Arc::new(guard), deps.metrics.clone()), guard::admit))
        .with_state(Arc::new(Served::new(deps, document)))
}

/// Only `/metrics`, for whoever asks.
pub(super) fn metrics_only(metrics: crate::observe::metrics::Metrics, workers: crate::model::ports::Workers) -> Router {
    let scrapes = super::scrapes();
    let page = move || {
        let (metrics, workers, scrapes) = (metrics.clone(), workers.clone(), Arc::clone(&scrapes));
        async move { look::page(&metrics, &workers, &scrapes).await }
    };
    Router::new().route("/metrics", get(page)).fallback(no_such_path).method_not_allowed_fallback(no_such_method)
}

async fn no_such_path(request: Request) -> Problem {
    Problem::no_such_path(request.uri().path())
}

async fn no_such_method(request: Request) -> Problem {
    Problem::method(request.method().as_str(), request.uri().path())
}

/// What the API says holds for this moment only.
async fn no_caching(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(header::HeaderValue::from_static("no-store"));
    response
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "node", responses((status = 200, body = Object)))]
async fn document(State(served): Deps) -> Json<OpenApi> {
    Json(served.document.clone())
}

fn open_api() -> (Router<Arc<Served>>, OpenApi) {
    let info = InfoBuilder::new()
        .title("failback")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Pairs, their sides, and orders to them."));
    let (router, mut document) = OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).build())
        .routes(routes!(look::status))
        .routes(routes!(look::pairs))
        .routes(routes!(look::pair))
        .routes(routes!(order::resync))
        .routes(routes!(order::switch))
        .routes(routes!(order::freeze))
        .routes(routes!(order::unfreeze))
        .routes(routes!(order::migration))
        .routes(routes!(look::routes))
        .routes(routes!(look::sessions))
        .routes(routes!(events::events))
        .routes(routes!(group::nodes))
        .routes(routes!(group::backups, group::add_backup))
        .routes(routes!(group::health))
        .routes(routes!(group::takeover))
        .routes(routes!(group::reverse))
        .routes(routes!(group::replace))
        .routes(routes!(group::role))
        .routes(routes!(group::join))
        .routes(routes!(group::leave))
        .routes(routes!(group::resolve))
        .routes(routes!(group::sync))
        .routes(routes!(order::reload))
        .routes(routes!(order::test_alerts))
        .routes(routes!(look::healthz))
        .routes(routes!(look::readyz))
        .routes(routes!(look::metrics))
        .routes(routes!(document))
        .split_for_parts();
    complete(&mut document);
    (router, document)
}

/// What holds for every operation is said once: errors are problems, and a token may be needed.
fn complete(document: &mut OpenApi) {
    use utoipa::{PartialSchema, ToSchema};
    let components = document.components.get_or_insert_default();
    components.schemas.insert(Problem::name().into(), Problem::schema());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.security_schemes.insert("token".into(), RefOr::T(SecurityScheme::Http(bearer)));
    document.security = Some(vec![SecurityRequirement::default(), SecurityRequirement::new("token", [""; 0])]);
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    let problem = ResponseBuilder::new()
        .description("Any error, as RFC 9457 problem JSON.")
        .content("application/problem+json", content)
        .build();
    for item in document.paths.paths.values_mut() {
        let PathItem { get, post, .. } = item;
        for operation in [get, post].into_iter().flatten() {
            operation.responses.responses.insert("default".into(), RefOr::T(problem.clone()));
        }
    }
}
