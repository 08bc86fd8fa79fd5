//! E-mail, by SMTP with TLS and a login.

use super::{message::Message, outbox::Failure};
use crate::model::{
    alert::{SmtpSpec, SmtpTls},
    causes::chain,
    file,
};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    address::Envelope,
    message::{
        Mailbox, MessageBuilder,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
        extension::ClientId,
    },
};
use std::time::Duration;

/// For each step of the conversation; the whole of it has a deadline of its own.
const STEP: Duration = Duration::from_secs(15);
/// More than this is no file of certificates.
const MOST_BYTES: u64 = 4 << 20;

/// Hands `message` for `to` to the mail server.
pub(super) async fn send(smtp: &SmtpSpec, to: &str, password: Option<&str>, message: &Message) -> Result<(), Failure> {
    let (envelope, mail) = compose(smtp, to, message)?;
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.server.host.clone())
        .port(smtp.server.port)
        .hello_name(hello())
        .tls(tls(smtp)?)
        .timeout(Some(STEP));
    if let (Some(login), Some(password)) = (&smtp.login, password) {
        transport = transport.credentials(Credentials::new(login.user.clone(), password.to_owned()));
    }
    let sent = transport.build().send_raw(&envelope, &mail).await;
    sent.map(drop).map_err(|error| Failure { words: chain(&error), refused: error.is_permanent() })
}

fn tls(smtp: &SmtpSpec) -> Result<Tls, Failure> {
    if smtp.tls == SmtpTls::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(smtp.server.host.clone());
    if let Some(ca) = &smtp.ca {
        let failed = |words: String| Failure { words: format!("{}: {words}", ca.display()), refused: true };
        let pem = file::read(ca, MOST_BYTES).map_err(|error| failed(error.to_string()))?;
        let roots = Certificate::from_pem(&pem).map_err(|error| failed(chain(&error)))?;
        parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(roots);
    }
    let parameters = parameters.build().map_err(|error| Failure { words: chain(&error), refused: true })?;
    Ok(if smtp.tls == SmtpTls::Implicit { Tls::Wrapper(parameters) } else { Tls::Required(parameters) })
}

/// All recipients are named in the mail, one is on its envelope.
fn compose(smtp: &SmtpSpec, to: &str, message: &Message) -> Result<(Envelope, Vec<u8>), Failure> {
    let failed = |error: &dyn std::error::Error| Failure { words: chain(error), refused: true };
    let from: Mailbox = smtp.from.parse().map_err(|error| failed(&error))?;
    let recipient: Mailbox = to.parse().map_err(|error| failed(&error))?;
    let mut builder = MessageBuilder::new()
        .from(from.clone())
        .subject(message.subject())
        .date_now()
        .message_id(Some(format!("<{}@{}>", message.id(), from.email.domain())))
        .header(ContentType::TEXT_PLAIN)
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into()));
    for other in &smtp.to {
        builder = builder.to(other.parse().map_err(|error| failed(&error))?);
    }
    let mail = builder.body(message.text()).map_err(|error| failed(&error))?;
    let envelope = Envelope::new(Some(from.email), vec![recipient.email]).map_err(|error| failed(&error))?;
    Ok((envelope, mail.formatted()))
}

/// What we call ourselves: the host's name where a mail server may like it (RFC 5321 §4.1.2), else an address.
fn hello() -> ClientId {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    if fits && !name.is_empty() { ClientId::Domain(name.into_owned()) } else { ClientId::default() }
}
