//! Every error as RFC 9457 problem JSON.

use crate::{control::orders::OrderError, model::NodeName};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong, for programs (`type`, `status`) and people (`title`, `detail`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Problem")]
pub struct Problem {
    /// A stable URN, `urn:failback:problem:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is, the same words for every occurrence.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What it is this time, and the mend.
    pub detail: String,
    /// The field of the request that is wrong, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:failback:problem:{kind}"),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
        }
    }

    /// 400: the request can't be understood; `field` names what is wrong, if it is one field.
    pub(super) fn bad_request(detail: impl Into<String>, field: Option<String>) -> Self {
        Self { field, ..Self::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", detail) }
    }

    /// 401: a token is needed, or the one given is none of ours. The two are not told apart.
    pub(super) fn unauthorized() -> Self {
        let detail = "send a token of admin.token_file: Authorization: Bearer SECRET";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid token is needed", detail)
    }

    /// 403: the token's scope is not enough.
    pub(super) fn scope(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "scope", "The token may not do this", detail)
    }

    /// 403: the request comes from a web page that is not ours.
    pub(super) fn foreign(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign", "Not from another site", detail)
    }

    /// 404: nothing is served here.
    pub(super) fn no_such_path(path: &str) -> Self {
        let detail = format!("nothing is served at {path}; /api/v1/openapi.json lists what is");
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "No such path", detail)
    }

    /// 404: no route of that name.
    pub(super) fn no_such_route(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-route", "No such route", detail)
    }

    /// 404: no node of that name; `known` are those there are.
    pub(super) fn no_such_node(node: &NodeName, known: &[NodeName]) -> Self {
        let detail = format!(
            "there is no node `{node}`; the nodes are: {}",
            known.iter().map(|name| &**name).collect::<Vec<_>>().join(", ")
        );
        Self::new(StatusCode::NOT_FOUND, "not-in-group", "No such seat or node", detail)
    }

    /// 409: the node protects nobody and nobody protects it.
    pub(super) fn no_group() -> Self {
        let detail = "this node is in no group; add [group] to its configuration";
        Self::new(StatusCode::CONFLICT, "no-group", "In no group", detail)
    }

    /// 409: another node has to be asked.
    pub(super) fn elsewhere(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "elsewhere", "Ask another node", detail)
    }

    /// 405; the router adds `Allow`.
    pub(super) fn method(method: &str, path: &str) -> Self {
        let detail = format!("{path} does not know {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    /// 408: the body did not come in time.
    pub(super) fn slow_body() -> Self {
        let detail = "the body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", "Request timeout", detail)
    }

    /// 413.
    pub(super) fn too_large(limit: usize) -> Self {
        let detail = format!("the body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Body too large", detail)
    }

    /// 415.
    pub(super) fn media_type() -> Self {
        let detail = "send JSON, with Content-Type: application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Unsupported media type", detail)
    }

    /// 503: not now; it may be tried again.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now", detail)
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        let detail = error.to_string();
        match error {
            OrderError::NoSuchPair { .. } => Self::new(StatusCode::NOT_FOUND, "no-such-pair", "No such pair", detail),
            OrderError::NotInGroup(_) => {
                Self::new(StatusCode::NOT_FOUND, "not-in-group", "No such seat or node", detail)
            }
            OrderError::Refused(_) => Self::new(StatusCode::CONFLICT, "refused", "Refused", detail),
            OrderError::BadConfig(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-configuration", "Bad configuration", detail)
            }
            OrderError::Busy | OrderError::Stopping => Self::unavailable(detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                // Connections are what others may be waiting for.
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            // The rest of the body is not read, so the connection can't be used again.
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
