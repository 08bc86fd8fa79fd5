//! Webhooks: one POST of JSON on a connection of its own.

use super::{message::Message, outbox::Failure};
use crate::{
    model::{alert::WebhookSpec, causes::chain},
    net::tls::client_config,
};
use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    body::Bytes,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::{error::Error, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// Posts `message`. Any 2xx says that it was taken; redirects are not followed.
pub(super) async fn send(hook: &WebhookSpec, token: Option<&str>, message: &Message) -> Result<(), Failure> {
    let unusable = |error: &dyn Error| Failure { words: chain(error), refused: true };
    let request = request(hook, token, message).map_err(|error| unusable(&*error))?;
    let broken = |error: &dyn Error| Failure { words: chain(error), refused: false };
    let authority = &hook.url.authority;
    let stream = TcpStream::connect((authority.host.as_str(), authority.port)).await.map_err(|error| broken(&error))?;
    let status = if hook.url.secure {
        let config = client_config(hook.ca.as_deref()).map_err(|error| unusable(&error))?;
        let name = ServerName::try_from(authority.host.clone()).map_err(|error| unusable(&error))?;
        let secure =
            TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| broken(&error))?;
        exchange(secure, request).await
    } else {
        exchange(stream, request).await
    };
    match status.map_err(|error| broken(&error))? {
        status if status.is_success() => Ok(()),
        status => {
            // Those that mean "later" (RFC 9110 §15.5.9, RFC 6585 §4).
            let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
            Err(Failure { words: format!("answered {status}"), refused: !status.is_server_error() && !later })
        }
    }
}

type Sent = Request<Full<Bytes>>;

fn request(hook: &WebhookSpec, token: Option<&str>, message: &Message) -> Result<Sent, Box<dyn Error + Send + Sync>> {
    let mut request = Request::post(&hook.url.path)
        .header(header::HOST, hook.url.authority.to_string())
        .header(header::USER_AGENT, concat!("failback/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, "application/json")
        .header("Idempotency-Key", message.id())
        .header(header::CONNECTION, "close");
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(&Zeroizing::new(format!("Bearer {token}")))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    Ok(request.body(Full::from(message.json()?))?)
}

async fn exchange<S>(stream: S, request: Sent) -> hyper::Result<StatusCode>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = requests.send_request(request);
    tokio::pin!(connection);
    tokio::pin!(answer);
    let mut open = true;
    loop {
        // Driven here rather than by a task, so that a deadline that drops this future closes the connection too.
        tokio::select! {
            answer = &mut answer => return answer.map(|answer| answer.status()),
            ended = &mut connection, if open => { ended?; open = false; }
        }
    }
}
