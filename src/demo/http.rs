//! The few HTTP requests the demo makes: to the proxy's admin API.

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use std::{io, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// For one whole request.
const DEADLINE: Duration = Duration::from_secs(10);
/// Of an answer's body.
const LONGEST: usize = 1 << 20;

/// Makes one request on a connection of its own; `body` is JSON.
///
/// # Errors
/// Whatever kept an answer from coming, `TimedOut` included.
pub(super) async fn request(
    method: Method,
    authority: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> io::Result<(StatusCode, Bytes)> {
    let exchange = async {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(HOST, authority);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).map_err(io::Error::other)?;
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(io::Error::other)?;
        Ok((status, body.to_bytes()))
    };
    timeout(DEADLINE, exchange).await?
}
