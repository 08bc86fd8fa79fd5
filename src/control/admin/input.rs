//! Reading a request's input: small, in time, JSON only, and strict, so that a misspelt field is an error and not ignored.

use super::problem::Problem;
use crate::{
    control::http::{BodyError, read_body},
    model::{NodeName, PairName},
};
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, header, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::ToSchema;

/// No order is larger; bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// The JSON body of an order. No body at all counts as `{}`, so that a bare `curl -X POST` works (`N10`).
///
/// A `Content-Type` other than JSON is refused even without a body: it is what a web page can send to another site
/// without asking first.
pub(super) struct Order<T>(pub(super) T);

/// The body of an order that takes no arguments.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The pair named in the path.
pub(super) struct Pair(pub(super) PairName);

/// The node or seat named in the path; a seat is called by a node's name.
pub(super) struct Member(pub(super) NodeName);

/// The query string, strictly.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Order<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let json = is_json(request.headers());
        if json == Some(false) {
            return Err(Problem::media_type());
        }
        let bytes = read(request.into_body()).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return parse(b"{}").map(Order);
        }
        if json.is_none() {
            return Err(Problem::media_type());
        }
        parse(&bytes).map(Order)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Pair {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(segment(parts, state, "pair").await?.into()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(segment(parts, state, "node").await?.into()))
    }
}

async fn segment<S: Send + Sync>(parts: &mut Parts, state: &S, field: &str) -> Result<String, Problem> {
    let named = Path::<String>::from_request_parts(parts, state).await;
    named.map(|Path(name)| name).map_err(|error| Problem::bad_request(error.body_text(), Some(field.into())))
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let axum::extract::Query(query) = axum::extract::Query::try_from_uri(&parts.uri)
            .map_err(|error| Problem::bad_request(error.body_text(), None))?;
        Ok(Self(query))
    }
}

async fn read(body: Body) -> Result<bytes::Bytes, Problem> {
    read_body(body, MAX_BODY).await.map_err(|error| match error {
        BodyError::TooLarge(most) => Problem::too_large(most),
        BodyError::Late => Problem::slow_body(),
        BodyError::Broken(_) => Problem::bad_request(error.to_string(), None),
    })
}

/// Is the body said to be JSON? `None`: nothing is said.
fn is_json(headers: &HeaderMap) -> Option<bool> {
    let value = headers.get(header::CONTENT_TYPE)?;
    let kind = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    Some(kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Serde also takes a list for a struct, its items for the fields in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::bad_request("an order is a JSON object, as in {\"to\": \"backup\"}, not a list", None));
    }
    let from = &mut serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut *from).map_err(|error| {
        let field = Some(error.path().to_string()).filter(|path| path != ".");
        let inner = error.inner().to_string();
        let detail = match &field {
            // A field nobody knows is named already.
            Some(field) if !inner.contains(&format!("`{field}`")) => format!("`{field}`: {inner}"),
            _ => inner,
        };
        Problem::bad_request(detail, field)
    })?;
    from.end().map_err(|error| Problem::bad_request(error.to_string(), None))?;
    Ok(value)
}
