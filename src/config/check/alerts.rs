//! `[alerts]`.

use super::tls::file;
use crate::config::{
    error::Findings,
    file::{Alerts, Smtp, Webhook},
    read::{Field, Found},
    values::Wait,
};
use crate::model::{
    HostPort,
    alert::{AlertsSpec, SmtpLogin, SmtpSpec, SmtpTls, WebhookSpec},
};
use lettre::message::Mailbox;
use std::path::Path;

/// The port of SMTP that begins with TLS (RFC 8314).
const SUBMISSIONS: u16 = 465;

/// `folder` is the configuration file's.
pub(super) fn check(raw: Option<&Found<Alerts>>, folder: &Path, findings: &mut Findings) -> AlertsSpec {
    let default = AlertsSpec::default();
    let Some(raw) = raw else { return default };
    AlertsSpec {
        smtp: raw.smtp.here().and_then(|smtp| self::smtp(smtp, folder, findings)),
        webhooks: webhooks(&raw.webhooks, folder, findings),
        signal_overdue_after: raw.signal_overdue_after.or(Wait(default.signal_overdue_after)).0,
        certificate_expires_within: raw.certificate_expires_within.or(Wait(default.certificate_expires_within)).0,
    }
}

fn smtp(raw: &Found<Smtp>, folder: &Path, findings: &mut Findings) -> Option<SmtpSpec> {
    let server = raw.host.here();
    let port = server.map(|server| server.port);
    let usual = if port == Some(SUBMISSIONS) { SmtpTls::Implicit } else { SmtpTls::StartTls };
    let tls = raw.tls.or(usual);
    if let Some(ca) = raw.ca.here().filter(|_| tls == SmtpTls::None) {
        findings.add(&ca.place, "without TLS nobody vouches for the mail server", "remove it, or remove `tls`");
    }
    let login = login(raw, folder, findings);
    if let (Some(server), Some(user), SmtpTls::None) = (server, raw.user.here(), tls)
        && !is_here(server)
    {
        let reason = "without TLS the password could be read on its way";
        findings.add(&user.place, reason, "remove `tls`, or `user` and `password_file`");
    }
    let from = raw.from.here().and_then(|from| mailbox(from, findings));
    let to = recipients(&raw.to, findings);
    let ca = file(&raw.ca, folder, findings);
    Some(SmtpSpec { server: server?.value.clone(), tls, ca, from: from?, to, login })
}

/// What is sent there leaves this machine for nobody to see.
fn is_here(server: &HostPort) -> bool {
    server.ip().is_some_and(|ip| ip.is_loopback()) || server.host.eq_ignore_ascii_case("localhost")
}

/// Both, or neither.
fn login(raw: &Smtp, folder: &Path, findings: &mut Findings) -> Option<SmtpLogin> {
    match (&raw.user, &raw.password_file) {
        (Field::Here(user), Field::Absent) => {
            findings.add(&user.place, "an account without its password", "add `password_file = \"FILE\"`");
        }
        (Field::Absent, Field::Here(password)) => {
            findings.add(&password.place, "a password without its account", "add `user = \"NAME\"`");
        }
        _ => {}
    }
    let password_file = file(&raw.password_file, folder, findings);
    Some(SmtpLogin { user: raw.user.here()?.value.clone(), password_file: password_file? })
}

fn recipients(raw: &Field<Vec<Found<String>>>, findings: &mut Findings) -> Vec<String> {
    if let Some(none) = raw.here().filter(|list| list.is_empty()) {
        findings.add(&none.place, "there is nobody to write to", "name at least one address");
    }
    let mut known: Vec<Mailbox> = Vec::new();
    let mut all = Vec::new();
    for one in raw.here().into_iter().flat_map(|list| list.iter()) {
        let Some(text) = mailbox(one, findings) else { continue };
        let Ok(parsed) = text.parse::<Mailbox>() else { continue };
        if known.iter().any(|other| other.email == parsed.email) {
            findings.add(&one.place, format!("{} is there twice", parsed.email), "remove one");
        }
        known.push(parsed);
        all.push(text);
    }
    all
}

fn mailbox(raw: &Found<String>, findings: &mut Findings) -> Option<String> {
    if raw.parse::<Mailbox>().is_err() {
        let mend = "write it as in \"oncall@example.net\" or \"failback <failback@example.net>\"";
        findings.add(&raw.place, format!("`{}` is no mail address", raw.value), mend);
        return None;
    }
    Some(raw.value.clone())
}

fn webhooks(raw: &Field<Vec<Found<Webhook>>>, folder: &Path, findings: &mut Findings) -> Vec<WebhookSpec> {
    let mut all: Vec<WebhookSpec> = Vec::new();
    for one in raw.here().into_iter().flat_map(|list| list.iter()) {
        let (token_file, ca) = (file(&one.token_file, folder, findings), file(&one.ca, folder, findings));
        let Some(url) = one.url.here() else { continue };
        if all.iter().any(|other| other.url == url.value) {
            findings.add(&url.place, "the URL is there twice", "remove one");
        }
        if let Some(ca) = one.ca.here().filter(|_| !url.secure) {
            findings.add(&ca.place, "without TLS nobody vouches for the server", "remove it, or write an https URL");
        }
        all.push(WebhookSpec { url: url.value.clone(), token_file, ca });
    }
    all
}
