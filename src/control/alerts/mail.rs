//! E-mail, by SMTP with TLS and a login.

use super::{bounded::Bounded, message::Message, outbox::Failure};
use crate::{
    model::{
        alert::{SmtpSpec, SmtpTls},
        causes::chain,
        file,
    },
    net::{
        dial::{FirstWord, dial},
        tls::client_config,
    },
};
use lettre::{
    address::Envelope,
    message::{
        Mailbox, MessageBuilder,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        self,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters},
        extension::ClientId,
    },
};
use rustls::pki_types::ServerName;
use std::{error::Error, sync::Arc, time::Duration};
use tokio::{net::lookup_host, time::timeout};
use tokio_rustls::TlsConnector;

/// For the connection alone; the whole conversation has a deadline of its own.
const DIAL: Duration = Duration::from_secs(15);
/// How long a server that has the mail is listened to.
const GOODBYE: Duration = Duration::from_secs(1);
/// More than this is no file of certificates.
const MOST_BYTES: u64 = 4 << 20;

/// Hands `message` for `to` to the mail server.
pub(super) async fn send(smtp: &SmtpSpec, to: &str, password: Option<&str>, message: &Message) -> Result<(), Failure> {
    let (envelope, mail) = compose(smtp, to, message)?;
    let mut server = greeted(smtp).await?;
    if let (Some(login), Some(password)) = (&smtp.login, password) {
        let login = Credentials::new(login.user.clone(), password.to_owned());
        server.auth(DEFAULT_MECHANISMS, &login).await.map_err(|error| said(&error))?;
    }
    server.send(&envelope, &mail).await.map_err(|error| said(&error))?;
    // It has it: what becomes of the goodbye is no reason to send it again.
    let _no_matter = timeout(GOODBYE, server.abort()).await;
    Ok(())
}

/// A conversation with the mail server, secured as wanted.
async fn greeted(smtp: &SmtpSpec) -> Result<AsyncSmtpConnection, Failure> {
    let unusable = |error: &dyn Error| Failure { words: chain(error), refused: true };
    let broken = |error: &dyn Error| Failure { words: chain(error), refused: false };
    let host = smtp.server.host.as_str();
    let addresses = lookup_host((host, smtp.server.port)).await.map_err(|error| broken(&error))?;
    let addresses: Vec<_> = addresses.collect();
    let stream = dial(&addresses, DIAL, FirstWord::Unknown).await.map_err(|error| broken(&error))?;
    let peer = stream.peer_addr().map_err(|error| broken(&error))?;
    let stream: Box<dyn AsyncTokioStream> = match smtp.tls {
        SmtpTls::Implicit => {
            let config = client_config(smtp.ca.as_deref()).map_err(|error| unusable(&error))?;
            let name = ServerName::try_from(host.to_owned()).map_err(|error| unusable(&error))?;
            let secure = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
            Box::new(Bounded::new(secure.map_err(|error| broken(&error))?, peer))
        }
        SmtpTls::StartTls | SmtpTls::None => Box::new(Bounded::new(stream, peer)),
    };
    let hello = hello();
    let mut server = AsyncSmtpConnection::connect_with_transport(stream, &hello).await.map_err(|error| said(&error))?;
    if smtp.tls == SmtpTls::StartTls {
        server.starttls(starttls(smtp)?, &hello).await.map_err(|error| said(&error))?;
    }
    Ok(server)
}

fn said(error: &smtp::Error) -> Failure {
    Failure { words: chain(error), refused: error.is_permanent() }
}

fn starttls(smtp: &SmtpSpec) -> Result<TlsParameters, Failure> {
    let mut parameters = TlsParameters::builder(smtp.server.host.clone());
    if let Some(ca) = &smtp.ca {
        let failed = |words: String| Failure { words: format!("{}: {words}", ca.display()), refused: true };
        let pem = file::read(ca, MOST_BYTES).map_err(|error| failed(error.to_string()))?;
        let roots = Certificate::from_pem(&pem).map_err(|error| failed(chain(&error)))?;
        parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(roots);
    }
    parameters.build().map_err(|error| Failure { words: chain(&error), refused: true })
}

/// All recipients are named in the mail, one is on its envelope.
fn compose(smtp: &SmtpSpec, to: &str, message: &Message) -> Result<(Envelope, Vec<u8>), Failure> {
    let failed = |error: &dyn Error| Failure { words: chain(error), refused: true };
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
