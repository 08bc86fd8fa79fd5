//! A client of the admin API: one connection per request, a deadline each, errors in words.

use super::{Usage, sse::Stream};
use crate::model::{plain::plain, view::StatusView};
use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use std::{fmt, io, path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A little longer than the node takes to say itself that it is too slow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(45);
/// Nothing has to be done for a look: a node that takes longer hangs.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// No answer is larger; bytes.
const MAX_ANSWER: usize = 256 << 20;
/// What stays as it is in a path segment or a query value (RFC 3986 §2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One node's API.
#[derive(Debug, Clone)]
pub(super) struct Client {
    place: Place,
    token: Option<HeaderValue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Tcp { authority: String },
    Unix(PathBuf),
}

/// The node could not be reached at all.
#[derive(Debug, thiserror::Error)]
#[error("no failback answers at {place}; is it running? (--admin)")]
pub(super) struct Unreachable {
    place: String,
    source: io::Error,
}

/// The node was told to take up a configuration that is bad.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadConfiguration(String);

/// The parts of problem JSON a person wants to see (RFC 9457), and what kind of problem it is.
#[derive(Debug, Deserialize)]
struct ProblemText {
    #[serde(rename = "type", default)]
    kind: String,
    title: String,
    detail: Option<String>,
}

impl Client {
    /// A client of the node at `admin`, which sends `token`.
    pub(super) fn new(admin: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let token = match token {
            None => None,
            Some(secret) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {secret}"))
                    .map_err(|_| anyhow!("the token holds characters no token can have"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self { place: admin.parse()?, token })
    }

    /// The body of a GET, as it came.
    pub(super) async fn text(&self, path: &str) -> anyhow::Result<String> {
        self.exchange(Method::GET, path, None).await
    }

    /// The decoded body of a GET.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        decode(&self.text(path).await?)
    }

    /// The pair that is meant: the one given, else the only one there is.
    pub(super) async fn pair(&self, given: Option<String>) -> anyhow::Result<String> {
        if let Some(given) = given {
            return Ok(given);
        }
        let status: StatusView = self.get("/api/v1/status").await?;
        match &status.pairs[..] {
            [only] => Ok(only.pair.to_string()),
            [] => bail!("the node has no pair"),
            many => {
                let names: Vec<_> = many.iter().map(|pair| plain(&pair.pair)).collect();
                bail!(Usage(format!("say which pair: {}", names.join(", "))))
            }
        }
    }

    /// The body of the answer to an order.
    pub(super) async fn post(&self, path: &str, order: &serde_json::Value) -> anyhow::Result<String> {
        self.exchange(Method::POST, path, Some(order.to_string())).await
    }

    /// The events as they come, after the one numbered `after`.
    pub(super) async fn events(&self, after: Option<u64>) -> anyhow::Result<Stream> {
        let mut request = self.request(Method::GET, "/api/v1/events", None)?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(after) = after {
            request.headers_mut().insert("last-event-id", after.into());
        }
        let response = self.within(LOOK_TIMEOUT, self.send(request)).await?;
        if response.status().is_success() {
            return Ok(Stream::new(response.into_body()));
        }
        let status = response.status();
        bail!(refusal(status, &self.within(LOOK_TIMEOUT, body(response)).await?))
    }

    async fn exchange(&self, method: Method, path: &str, order: Option<String>) -> anyhow::Result<String> {
        let span = if method == Method::GET { LOOK_TIMEOUT } else { ANSWER_TIMEOUT };
        let request = self.request(method, path, order)?;
        let answered = async {
            let response = self.send(request).await?;
            let status = response.status();
            let text = body(response).await?;
            if status.is_success() { Ok(text) } else { Err(refusal(status, &text)) }
        };
        self.within(span, answered).await
    }

    fn request(&self, method: Method, path: &str, order: Option<String>) -> anyhow::Result<Request<Full<Bytes>>> {
        let host = match &self.place {
            Place::Tcp { authority } => authority,
            Place::Unix(_) => "localhost",
        };
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if order.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        Ok(request.body(Full::from(order.unwrap_or_default()))?)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
        let unreachable = |source| Unreachable { place: self.place.to_string(), source };
        let connected = async {
            let stream: Box<dyn Socket> = match &self.place {
                Place::Tcp { authority } => Box::new(TcpStream::connect(authority.as_str()).await?),
                Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
            };
            io::Result::Ok(stream)
        };
        let stream = match timeout(CONNECT_TIMEOUT, connected).await {
            Ok(stream) => stream.map_err(unreachable)?,
            Err(_late) => return Err(unreachable(io::ErrorKind::TimedOut.into()).into()),
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the response's body, or with the process.
        tokio::spawn(connection);
        sender.send_request(request).await.with_context(|| format!("{} does not speak failback's API", self.place))
    }

    async fn within<T>(&self, span: Duration, answer: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let late = |_| anyhow!("{} did not answer within {} s: does its process hang?", self.place, span.as_secs());
        timeout(span, answer).await.map_err(late)?
    }
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// `text` as one segment of a path, or one value of a query.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

pub(super) fn decode<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    serde_json::from_str(text).context("the answer is not what this version of failback understands")
}

async fn body(response: Response<Incoming>) -> anyhow::Result<String> {
    let collected = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let bytes = collected.map_err(|error| anyhow!("the answer broke off: {error}"))?.to_bytes();
    Ok(String::from_utf8(bytes.into())?)
}

fn refusal(status: StatusCode, text: &str) -> anyhow::Error {
    let Ok(ProblemText { kind, title, detail }) = serde_json::from_str(text) else {
        return anyhow!("the node answered {status}");
    };
    if status == StatusCode::UNAUTHORIZED {
        return anyhow!("{title}: give one of the node's admin.token_file with --token-file FILE or FAILBACK_TOKEN");
    }
    let words = detail.map_or_else(|| title.clone(), |detail| format!("{title}: {detail}"));
    match kind.rsplit(':').next() {
        Some("bad-configuration") => BadConfiguration(words).into(),
        _ => anyhow!(words),
    }
}

impl std::str::FromStr for Place {
    type Err = anyhow::Error;

    fn from_str(admin: &str) -> anyhow::Result<Self> {
        if let Some(path) = admin.strip_prefix("unix:") {
            return Ok(Self::Unix(path.strip_prefix("//").unwrap_or(path).into()));
        }
        let authority = match admin.split_once("://") {
            Some(("http", rest)) => rest.trim_end_matches('/'),
            Some((scheme, _)) => {
                bail!("--admin {admin}: {scheme}:// is not known; write http://HOST:PORT or unix:PATH")
            }
            None => admin,
        };
        if authority.is_empty() || authority.contains(['/', '@', '?', '#']) {
            bail!("--admin {admin}: write http://HOST:PORT or unix:PATH");
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if has_port { "" } else { ":9900" };
        Ok(Self::Tcp { authority: format!("{authority}{port}") })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { authority } => write!(f, "http://{authority}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_found_by_url_address_or_socket() {
        let place = |admin: &str| admin.parse::<Place>().map(|place| place.to_string()).ok();
        assert_eq!(place("http://127.0.0.1:9900/").as_deref(), Some("http://127.0.0.1:9900"));
        assert_eq!(place("proxy-b").as_deref(), Some("http://proxy-b:9900"));
        assert_eq!(place("http://[::1]:1").as_deref(), Some("http://[::1]:1"));
        assert_eq!(place("unix:/run/failback.sock").as_deref(), Some("unix:/run/failback.sock"));
        for bad in ["https://proxy", "http://", "http://a/b", "http://user@a"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("AGG_V"), "AGG_V");
        assert_eq!(segment("a/../b?c"), "a%2F..%2Fb%3Fc");
    }
}
