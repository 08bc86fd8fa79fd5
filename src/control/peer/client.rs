//! Asking another node: HTTP/1.1 over a channel, one question at a time.

use super::channel::{self, Binding, ChannelError};
use crate::model::{HostPort, tls::Pin};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{task::AbortHandle, time::timeout};

/// Of an answer's header.
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 32;

/// A connection that can be asked.
#[derive(Debug)]
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
    connection: AbortHandle,
    pub(super) binding: Binding,
    /// Where the other end is.
    pub(super) address: Option<IpAddr>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("no answer in time")]
    TimedOut,
    #[error("the connection ended")]
    Ended(#[source] hyper::Error),
    #[error("the answer is too long, or broken off")]
    Body,
}

impl Client {
    /// Connects within `limit`.
    pub(super) async fn connect(
        address: &HostPort,
        tls: Arc<ClientConfig>,
        own: Pin,
        limit: Duration,
    ) -> Result<Self, AskError> {
        let (stream, binding) = channel::connect(address, tls, own, limit).await?;
        let address = stream.get_ref().0.peer_addr().ok().map(|address| address.ip());
        let builder = http1::Builder::new().max_buf_size(MAX_HEADER_BYTES).max_headers(MAX_HEADERS).to_owned();
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(AskError::Ended)?;
        let connection = tokio::spawn(async {
            // Whoever waits for an answer is told how it ended.
            let _ended = connection.await;
        });
        Ok(Self { sender, connection: connection.abort_handle(), binding, address })
    }

    /// Puts one question; an answer of at most `most` bytes, complete within `limit`.
    pub(super) async fn ask(
        &mut self,
        mut request: Request<Full<Bytes>>,
        most: usize,
        limit: Duration,
    ) -> Result<Response<Bytes>, AskError> {
        request.headers_mut().entry(header::HOST).or_insert(header::HeaderValue::from_static("peer"));
        let asking = async {
            self.sender.ready().await.map_err(AskError::Ended)?;
            let (head, body) = self.sender.send_request(request).await.map_err(AskError::Ended)?.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|_| AskError::Body)?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(limit, asking).await.unwrap_or(Err(AskError::TimedOut))
    }

    /// Can it be asked once more?
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A question without a body, or with one in JSON.
pub(super) fn request(method: hyper::Method, path: &str, body: Option<&Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.cloned().unwrap_or_default()));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    if body.is_some() {
        let json = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    request
}
