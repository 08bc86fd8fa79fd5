//! What the demo asks the proxy's API.

use super::{error::DemoError, http, stage::PAIR};
use crate::model::view::PairView;
use hyper::{Method, StatusCode};
use std::{io, net::SocketAddr};

/// `GET /readyz`: do the routes listen?
pub(super) async fn is_ready(admin: SocketAddr) -> bool {
    let answer = http::request(Method::GET, &admin.to_string(), "/readyz", None, "").await;
    answer.is_ok_and(|(status, _)| status == StatusCode::OK)
}

/// `GET /api/v1/pairs/AGG_V`.
///
/// # Errors
/// The API can't be reached, or answers something else.
pub(super) async fn pair(admin: SocketAddr) -> Result<PairView, DemoError> {
    let path = format!("/api/v1/pairs/{PAIR}");
    let unreachable = |error: io::Error| DemoError::Io("the proxy's API".into(), error);
    let (status, body) = http::request(Method::GET, &admin.to_string(), &path, None, "").await.map_err(unreachable)?;
    if status != StatusCode::OK {
        return Err(DemoError::Api(format!("{status}: {}", String::from_utf8_lossy(&body))));
    }
    serde_json::from_slice(&body).map_err(|error| DemoError::Api(error.to_string()))
}
