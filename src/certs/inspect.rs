//! What a certificate carries, and which rule decides whether a pair accepts it: the same judgement that sessions and checks
//! are under.

use super::InspectArgs;
use crate::{
    cli::write,
    config,
    model::{HostPort, PairName, spec::PairSpec, tls::UpstreamTlsSpec},
    net::tls::{Certificate, Connector, certificates, shown_by},
};
use anyhow::{Context, bail};
use rustls::pki_types::{CertificateDer, UnixTime};
use serde_json::{Value, json};
use std::{
    fmt::Write,
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// How long a server may take to show its certificate.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn inspect(args: &InspectArgs) -> anyhow::Result<()> {
    let pair = args.pair.as_deref().map(|name| pair(args, name)).transpose()?;
    let chain = chain(&args.what, pair.as_ref())?;
    let seen = chain.iter().map(|der| Certificate::read(der)).collect::<Result<Vec<_>, _>>();
    let seen = seen.with_context(|| args.what.clone())?;
    let verdict = pair.as_ref().map(|pair| judged(pair, &chain)).transpose()?;
    if args.json {
        write(&format!("{:#}\n", as_json(&seen, verdict.as_ref())))?;
    } else {
        write(&as_text(&seen, args.pair.as_deref(), verdict.as_ref()))?;
    }
    match (verdict, &args.pair) {
        (Some(Err(_)), Some(pair)) => bail!("{pair} would not accept it"),
        _ => Ok(()),
    }
}

/// Accepted by this rule, or refused for this reason.
type Verdict = Result<String, (String, String)>;

fn pair(args: &InspectArgs, name: &str) -> anyhow::Result<PairSpec> {
    let path = args.config.path()?;
    let config = config::load(&path)?;
    let found = config.pairs.get(&PairName::from(name)).cloned();
    found.with_context(|| {
        let known = config.pairs.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
        format!("there is no pair `{name}` in {}; there are: {known}", path.display())
    })
}

fn tls_of(pair: &PairSpec) -> anyhow::Result<&Arc<UpstreamTlsSpec>> {
    pair.tls.as_ref().with_context(|| format!("pair `{}` has no `tls`: it speaks to its servers in plain", pair.name))
}

/// From a file if there is one of that name, else from a server.
fn chain(what: &str, pair: Option<&PairSpec>) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let path = Path::new(what);
    if path.exists() || what.parse::<HostPort>().is_err() {
        return Ok(certificates(path)?);
    }
    let ask_for = match pair {
        Some(pair) => Some(Connector::load(tls_of(pair)?)?.ask_for()),
        None => None,
    };
    Ok(shown_by(what, ask_for, PATIENCE)?)
}

fn judged(pair: &PairSpec, chain: &[CertificateDer<'_>]) -> anyhow::Result<Verdict> {
    let connector = Connector::load(tls_of(pair)?)?;
    let Some((leaf, others)) = chain.split_first() else { bail!("there is no certificate") };
    let judged = connector.judge(leaf, others, UnixTime::now());
    Ok(judged.map(|accepted| accepted.to_string()).map_err(|error| (error.reason.as_str().into(), error.words)))
}

fn as_text(seen: &[Certificate], pair: Option<&str>, verdict: Option<&Verdict>) -> String {
    let mut text = String::new();
    for (at, one) in seen.iter().enumerate() {
        let title = if at == 0 { "certificate" } else { "sent with it" };
        let kind = match (one.is_ca, one.is_self_issued()) {
            (true, true) => "an authority's own, self-signed",
            (true, false) => "an authority's own",
            (false, true) => "self-signed",
            (false, false) => "a server's or client's",
        };
        // Writing to a String can't fail.
        let _ = write!(
            text,
            "{title}  {}\n  signed by  {}\n  carries    {}\n  valid      {} to {}\n  key        {}\n  kind       X.509 version {}, {kind}\n",
            one.subject,
            one.issuer,
            one.names,
            day(one.not_before),
            day(one.not_after),
            one.pin,
            one.version,
        );
    }
    let pair = pair.unwrap_or_default();
    match verdict {
        Some(Ok(rule)) => text.push_str(&format!("\n{pair} accepts it: {rule}\n")),
        Some(Err((reason, words))) => text.push_str(&format!("\n{pair} refuses it ({reason}): {words}\n")),
        None => {}
    }
    text
}

fn as_json(seen: &[Certificate], verdict: Option<&Verdict>) -> Value {
    let one = |one: &Certificate| {
        json!({
            "subject": one.subject,
            "issuer": one.issuer,
            "dns_names": one.names.dns,
            "ip_addresses": one.names.ips,
            "common_names": one.names.common.concat(),
            "not_before": day(one.not_before),
            "not_after": day(one.not_after),
            "pin": one.pin.to_string(),
            "version": one.version,
            "is_ca": one.is_ca,
        })
    };
    let verdict = verdict.map(|verdict| match verdict {
        Ok(rule) => json!({ "accepted": true, "rule": rule }),
        Err((reason, words)) => json!({ "accepted": false, "reason": reason, "words": words }),
    });
    json!({ "certificates": seen.iter().map(one).collect::<Vec<_>>(), "verdict": verdict })
}

fn day(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}
