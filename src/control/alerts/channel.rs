//! One recipient, and how a message gets there.

use super::{mail, message::Message, outbox::Failure, webhook};
use crate::{
    model::{
        alert::{AlertsSpec, SmtpSpec, WebhookSpec},
        causes::chain,
        file,
    },
    net::tls::client_config,
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How long one message may take; shorter than a request to the API, which waits for a test.
const DEADLINE: Duration = Duration::from_secs(20);
/// More is no password and no token.
const MOST_SECRET: u64 = 4_096;
/// What a stranger's answer may add to our words.
const MOST_WORDS: usize = 200;

/// One recipient. Each mail address is one of its own, so that a wrong one keeps no other waiting.
#[derive(Debug, Clone)]
pub(super) enum Channel {
    Mail { smtp: Arc<SmtpSpec>, to: String },
    Web { hook: Arc<WebhookSpec>, number: usize },
}

/// Everybody who is told.
pub(super) fn channels(spec: &AlertsSpec) -> Vec<Channel> {
    let mails = spec.smtp.iter().flat_map(|smtp| {
        let shared = Arc::new(smtp.clone());
        smtp.to.iter().map(move |to| Channel::Mail { smtp: Arc::clone(&shared), to: to.clone() })
    });
    let hooks = spec.webhooks.iter().enumerate();
    mails.chain(hooks.map(|(index, hook)| Channel::Web { hook: Arc::new(hook.clone()), number: index + 1 })).collect()
}

impl Channel {
    /// Its name in the file that outlives the process.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Mail { to, .. } => format!("smtp {to}"),
            Self::Web { number, .. } => format!("webhook{number}"),
        }
    }

    /// Its label in metrics.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Mail { .. } => "smtp".into(),
            Self::Web { number, .. } => format!("webhook{number}"),
        }
    }

    /// Who is told and how, for people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Mail { smtp, to } => format!("e-mail to {to} by {}", smtp.server),
            Self::Web { hook, number } => format!("webhook {number} at {}", hook.url.authority),
        }
    }

    /// Sends it.
    pub(super) async fn send(&self, message: &Message) -> Result<(), Failure> {
        let secret = match self.secret_file() {
            Some(path) => Some(secret(path)?),
            None => None,
        };
        let sending = async {
            match self {
                Self::Mail { smtp, to } => mail::send(smtp, to, secret.as_deref().map(|s| s.as_str()), message).await,
                Self::Web { hook, .. } => webhook::send(hook, secret.as_deref().map(|s| s.as_str()), message).await,
            }
        };
        let sent = timeout(DEADLINE, sending).await;
        let failure = match sent {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => failure,
            Err(_late) => Failure { words: format!("no answer within {} s", DEADLINE.as_secs()), refused: false },
        };
        Err(Failure { words: safe(&failure.words, secret.as_deref().map(|s| s.as_str())), ..failure })
    }

    /// What is wrong with its files: which one, why nothing can be sent with it, and the mend.
    pub(super) fn unusable_files(&self) -> impl Iterator<Item = (&Path, String, &'static str)> {
        let ca = match self {
            Self::Mail { smtp, .. } => smtp.ca.as_deref(),
            Self::Web { hook, .. } => hook.ca.as_deref(),
        };
        let ca = ca.and_then(|ca| client_config(Some(ca)).err().map(|error| (ca, chain(&error), error.mend())));
        let secret =
            self.secret_file().and_then(|path| Some((path, secret(path).err()?.words, "write it as one line")));
        ca.into_iter().chain(secret)
    }

    fn secret_file(&self) -> Option<&Path> {
        match self {
            Self::Mail { smtp, .. } => smtp.login.as_ref().map(|login| &*login.password_file),
            Self::Web { hook, .. } => hook.token_file.as_deref(),
        }
    }
}

/// The file's one line.
fn secret(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |words: String| Failure { words: format!("{}: {words}", path.display()), refused: true };
    let bytes = file::read(path, MOST_SECRET).map(Zeroizing::new).map_err(|error| failed(error.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| failed("it is no text".into()))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(failed("it is empty".into())),
        line if line.contains(char::is_control) => Err(failed("it has more than one line".into())),
        line => Ok(Zeroizing::new(line.to_owned())),
    }
}

/// A server may quote what it was sent.
fn safe(words: &str, secret: Option<&str>) -> String {
    let words = match secret {
        Some(secret) => words.replace(secret, "…"),
        None => words.to_owned(),
    };
    crate::model::plain::plain(&words.chars().take(MOST_WORDS).collect::<String>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_and_never_part_of_a_complaint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        for (content, good) in
            [("hunter2\n", true), ("hunter2", true), ("", false), ("\n", false), ("hunter2\nx\n", false)]
        {
            std::fs::write(&path, content).unwrap();
            match secret(&path) {
                Ok(secret) => assert!(good && *secret == "hunter2"),
                Err(failure) => assert!(!good && failure.refused && !failure.words.contains("hunter2"), "{failure:?}"),
            }
        }
        assert_eq!(safe("535 hunter2\r\nis wrong", Some("hunter2")), "535 …\\u{d}\\u{a}is wrong");
    }
}
