//! HTTP byte by byte, so that a test can be as wrong as it likes.

use super::common::{SOON, admin::Admin};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// Takes what the server sent apart; `None` if it is no answer.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let code = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| line.split_once(':').map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()));
        Some(Self { code, headers: lines.filter_map(header).collect(), body: body.into() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Must be an RFC 9457 problem with this status code.
    #[track_caller]
    pub(crate) fn problem(&self, code: u16) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], code, "{problem}");
        assert!(problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:failback:problem:")), "{problem}");
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        problem
    }
}

/// The address of a node's API.
pub(crate) fn address(admin: &Admin) -> SocketAddr {
    match admin {
        Admin::Tcp(address) => *address,
        Admin::Unix(path) => panic!("{} is no TCP address", path.display()),
    }
}

/// A request: `line` such as `GET /healthz`, header lines, and a body whose length is said if there is one.
pub(crate) fn send(to: SocketAddr, line: &str, headers: &[&str], body: &str) -> Reply {
    let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:")) {
        request.push_str(&format!("Host: {to}\r\n"));
    }
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str(&format!("\r\n{body}"));
    raw(to, request.as_bytes())
}

/// These bytes, and the answer to them.
#[track_caller]
pub(crate) fn raw(to: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = connect(to);
    stream.write_all(request).expect("the request can be sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    Reply::parse(&text).unwrap_or_else(|| panic!("no answer: {text:?}"))
}

/// A connection whose reads end.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("the API listens");
    stream.set_read_timeout(Some(SOON * 2)).expect("a timeout");
    stream
}
