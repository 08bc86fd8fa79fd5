//! URLs: of `failback.resync_http`, `http://host[:port]/path?query` and nothing else, and of webhooks, `https` too.

use super::{
    error::Findings,
    read::{Given, Read},
};
use crate::model::{HostPort, alert::WebUrl};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpUrl {
    /// Host and port; 80 if the URL names none.
    pub(super) authority: HostPort,
    /// Path and query; `/` if the URL has none.
    pub(super) path: String,
}

impl Read for HttpUrl {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let text = String::read(given, findings)?;
        match parse(&text) {
            Ok(url) => Some(url),
            Err((reason, mend)) => {
                findings.add(&given.place, reason, mend);
                None
            }
        }
    }
}

fn parse(text: &str) -> Result<HttpUrl, (String, &'static str)> {
    const EXAMPLE: &str = "write it as in \"http://gateway.example.net:8080/status\"";
    if text.starts_with("https:") {
        let mend = "poll over http on a trusted network, or use resync_command with a client that speaks TLS";
        return Err(("this version of failback does not support https here".into(), mend));
    }
    let rest = text.strip_prefix("http://").ok_or_else(|| (format!("`{text}` is no http URL"), EXAMPLE))?;
    let (authority, path) = parts(rest, 80, EXAMPLE)?;
    Ok(HttpUrl { authority, path })
}

/// Host and port, path and query of what comes after `://`.
fn parts(rest: &str, port: u16, example: &'static str) -> Result<(HostPort, String), (String, &'static str)> {
    let split = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    if authority.contains('@') {
        return Err(("a user or password in the URL is not supported".into(), "remove it"));
    }
    if path.contains('#') || !path.chars().all(|c| c.is_ascii_graphic()) {
        let mend = "write everything after the host in ASCII, with %20 for a space and no `#`";
        return Err((format!("`{path}` can't be asked for"), mend));
    }
    let port_given = authority.rsplit(']').next().is_some_and(|after| after.contains(':'));
    let with_port = if port_given { authority.into() } else { format!("{authority}:{port}") };
    let authority =
        with_port.parse().map_err(|_| (format!("`{authority}` is no host with an optional port"), example))?;
    let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
    Ok((authority, path))
}

/// A webhook's.
impl Read for WebUrl {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let text = String::read(given, findings)?;
        match parse_web(&text) {
            Ok(url) => Some(url),
            Err((reason, mend)) => {
                findings.add(&given.place, reason, mend);
                None
            }
        }
    }
}

fn parse_web(text: &str) -> Result<WebUrl, (String, &'static str)> {
    const EXAMPLE: &str = "write it as in \"https://hooks.example.net/failback\"";
    let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(("it is neither an https nor an http URL".into(), EXAMPLE)),
    };
    let (authority, path) = parts(rest, if secure { 443 } else { 80 }, EXAMPLE)?;
    Ok(WebUrl { secure, authority, path })
}

impl JsonSchema for WebUrl {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "WebUrl".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^https?://[^/?#@]+([/?][!-\"$-~]*)?$" })
    }
}

impl JsonSchema for HttpUrl {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "HttpUrl".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^http://[^/?#@]+([/?][!-\"$-~]*)?$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_path_are_told_apart() {
        let told = |text| parse(text).map(|url| (url.authority.to_string(), url.path)).map_err(|(reason, _)| reason);
        let good = |authority: &str, path: &str| Ok((authority.into(), path.into()));
        assert_eq!(told("http://gw"), good("gw:80", "/"));
        assert_eq!(told("http://gw:8080/a/b?c=d"), good("gw:8080", "/a/b?c=d"));
        assert_eq!(told("http://gw?c"), good("gw:80", "/?c"));
        assert_eq!(told("http://[::1]/x"), good("[::1]:80", "/x"));
        assert_eq!(told("http://[::1]:81"), good("[::1]:81", "/"));
        assert_eq!(told("ftp://gw"), Err("`ftp://gw` is no http URL".into()));
        assert_eq!(told("http://:80/"), Err("`:80` is no host with an optional port".into()));
        assert_eq!(told("http://gw/a b"), Err("`/a b` can't be asked for".into()));
        assert_eq!(told("http://u:p@gw/"), Err("a user or password in the URL is not supported".into()));
        assert_eq!(told("https://gw/"), Err("this version of failback does not support https here".into()));
    }

    #[test]
    fn a_webhooks_url_may_be_secure_and_its_path_is_not_shown() {
        let url = |text| parse_web(text).map(|url| (url.secure, url.authority.to_string(), url.path));
        assert_eq!(url("https://hooks/a?b"), Ok((true, "hooks:443".into(), "/a?b".into())));
        assert_eq!(url("http://[::1]:8080"), Ok((false, "[::1]:8080".into(), "/".into())));
        assert!(url("hooks").is_err() && url("https://u:p@hooks/").is_err());
        let shown = format!("{:?}", parse_web("https://hooks/services/s3cret").unwrap());
        assert_eq!(shown, "https://hooks:443/…");
    }
}
