//! Who gets in. Every request passes here first, known path or not, and everything not allowed is refused.
//!
//! 1. **Host**: without tokens, whoever reaches the listener may give orders, so a web page must not reach it under a name
//!    of its own (DNS rebinding). On a loopback listener the Host must be a loopback name or address. On others tokens
//!    are needed, which no foreign page has, and the names operators gave the node are not ours to know: any Host is good.
//! 2. **Origin**: a browser sends it with everything a page may do to another site; only our own origin is good.
//! 3. **Token**: if there is a tokens file, everywhere but for `/healthz` and `/readyz`. Reads need any `read` or
//!    `operate` token, a resync signal also does with `resync:PAIR`, all other orders need `operate`.

use super::{
    listen::Peer,
    problem::Problem,
    token::{Scope, Tokens},
};
use crate::{model::PairName, observe::metrics::Metrics};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Longer than any resync signal takes to be validated with sane settings, and any seat to be handed over (30 s).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);

/// What the guard needs to know of its listener.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) tokens: Tokens,
    /// The listener is reachable from this machine only.
    pub(super) local: bool,
    /// Its address; `None` for a unix socket.
    pub(super) listen: Option<IpAddr>,
}

/// Who asks, and what they may; an extension of every request that got in.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// For the audit trail.
    pub(super) by: String,
    /// `None`: no token is needed.
    scope: Option<Scope>,
}

/// Lets a request in, or answers it with the problem; bounds the time it may take.
pub(super) async fn admit(
    State((guard, metrics)): State<(Arc<Guard>, Metrics)>,
    axum::Extension(peer): axum::Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    match guard.check(peer, request.method(), request.uri(), request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
        }
        Err(problem) => {
            metrics.request_refused(problem.kind.rsplit(':').next().unwrap_or_default());
            let path = request.uri().path();
            tracing::debug!(status = problem.status, ?peer, method = %request.method(), path, "refused");
            return problem.into_response();
        }
    }
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_late) => {
            Problem::unavailable("the node did not answer in time; what was ordered may still happen").into_response()
        }
    }
}

impl Guard {
    fn check(&self, peer: Peer, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Caller, Problem> {
        // RFC 9112 §3.2.2: the authority of an absolute request target replaces Host.
        let host = match uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => headers.get(header::HOST).map(|host| host.to_str().unwrap_or("")),
        };
        // RFC 9112 §3.2: whichever we looked at, somebody in between may have looked at the other.
        if headers.get_all(header::HOST).iter().nth(1).is_some() {
            return Err(Problem::bad_request("there is more than one Host header", Some("Host".into())));
        }
        self.check_host(peer, host)?;
        check_origin(headers, host)?;
        self.check_token(peer, method, uri.path(), headers)
    }

    fn check_host(&self, peer: Peer, host: Option<&str>) -> Result<(), Problem> {
        if peer == Peer::Unix || !self.local {
            return Ok(());
        }
        let host = host.ok_or_else(|| Problem::bad_request("the Host header is missing", Some("Host".into())))?;
        let name = without_port(host);
        let good = match name.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback() || Some(address) == self.listen,
            Err(_) => name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost"),
        };
        if good {
            return Ok(());
        }
        Err(Problem::foreign("the Host header names neither this listener nor localhost"))
    }

    fn check_token(&self, peer: Peer, method: &Method, path: &str, headers: &HeaderMap) -> Result<Caller, Problem> {
        if matches!(path, "/healthz" | "/readyz") {
            return Ok(Caller { by: "anybody".into(), scope: Some(Scope::Read) });
        }
        if !self.tokens.needed() {
            let by = match peer {
                Peer::Unix => "unix socket",
                Peer::Loopback => "loopback",
                // The configuration forbids it; should a reload have taken the tokens away, nobody gets in.
                Peer::Remote => return Err(Problem::unauthorized()),
            };
            return Ok(Caller { by: by.into(), scope: None });
        }
        let (name, scope) = bearer(headers).and_then(|it| self.tokens.find(it)).ok_or_else(Problem::unauthorized)?;
        let caller = Caller { by: format!("token {name}"), scope: Some(scope) };
        if *method == Method::GET || *method == Method::HEAD { caller.may_read() } else { caller.may_order(path) }?;
        Ok(caller)
    }
}

impl Caller {
    fn may_read(&self) -> Result<(), Problem> {
        match &self.scope {
            Some(Scope::Resync(pair)) => Err(Problem::scope(format!("it is for resync signals of {pair} only"))),
            None | Some(Scope::Read | Scope::Operate) => Ok(()),
        }
    }

    fn may_order(&self, path: &str) -> Result<(), Problem> {
        match &self.scope {
            None | Some(Scope::Operate) => Ok(()),
            // Which pair it is, only the router knows; the handler asks `may_resync`.
            Some(Scope::Resync(_)) if is_resync(path) => Ok(()),
            Some(Scope::Resync(pair)) => Err(Problem::scope(format!("it is for resync signals of {pair} only"))),
            Some(Scope::Read) => Err(Problem::scope("it is for reading only; orders need scope operate")),
        }
    }

    /// May they send a resync signal of this pair?
    pub(super) fn may_resync(&self, pair: &PairName) -> Result<(), Problem> {
        match &self.scope {
            None | Some(Scope::Operate) => Ok(()),
            Some(Scope::Resync(own)) if own == pair => Ok(()),
            Some(Scope::Resync(own)) => Err(Problem::scope(format!("it is for resync signals of {own} only"))),
            Some(Scope::Read) => Err(Problem::scope("it is for reading only; resync signals need scope resync:PAIR")),
        }
    }
}

/// `/api/v1/pairs/{pair}/resync`; an encoded slash in the pair's name stays within its segment.
fn is_resync(path: &str) -> bool {
    path.strip_prefix("/api/v1/pairs/").and_then(|rest| rest.split_once('/')).is_some_and(|(_, verb)| verb == "resync")
}

fn check_origin(headers: &HeaderMap, host: Option<&str>) -> Result<(), Problem> {
    for origin in headers.get_all(header::ORIGIN) {
        let parts = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let web = parts.filter(|(scheme, _)| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)));
        let authority = web.map(|(_, rest)| rest);
        let same = authority.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host));
        if !same {
            return Err(Problem::foreign("the Origin header names another site"));
        }
    }
    // Browsers say so even where they send no Origin.
    let foreign = |site: &HeaderValue| site == "cross-site" || site == "same-site";
    if headers.get_all("sec-fetch-site").iter().any(foreign) {
        return Err(Problem::foreign("the Sec-Fetch-Site header says that another site asks"));
    }
    Ok(())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // Within brackets a colon parts no port.
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

/// The secret of `Authorization: Bearer SECRET` (RFC 6750 §2.1); the scheme's case does not matter.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, secret) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| secret.trim_ascii())
}
