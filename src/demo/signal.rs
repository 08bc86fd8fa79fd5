//! The resync signal, as an aggregation server sends it: one POST, repeated until it was heard (`N10`; repeating it is
//! harmless, `N5`).

use super::http;
use crate::model::view::ResyncAnswer;
use hyper::{Method, StatusCode};
use std::{path::PathBuf, time::Duration};

/// So often it is sent at most.
const ATTEMPTS: u32 = 30;
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Where the signal goes.
#[derive(Debug, Clone)]
pub(super) struct Signal {
    /// `http://host:port/api/v1/pairs/PAIR/resync`.
    pub(super) url: String,
    /// A file whose first line is the token, alone or as `name:scope:secret`, if the API wants one.
    pub(super) token_file: Option<PathBuf>,
}

impl Signal {
    /// Sends it until an answer comes, and prints what became of it.
    pub(super) async fn send(self) {
        let Some((authority, path)) = self.url.strip_prefix("http://").and_then(|rest| rest.split_once('/')) else {
            anstream::eprintln!("`{}` is no http:// URL; no signal is sent", self.url);
            return;
        };
        let path = format!("/{path}");
        for _ in 0..ATTEMPTS {
            match http::request(Method::POST, authority, &path, self.token().as_deref(), "{}").await {
                Ok((StatusCode::OK, body)) => {
                    let answer = serde_json::from_slice::<ResyncAnswer>(&body);
                    let words =
                        answer.map_or_else(|error| format!("the answer makes no sense: {error}"), |it| it.reason);
                    anstream::println!("resync signal: {words}");
                    return;
                }
                Ok((status, _)) => anstream::println!("resync signal answered with {status}; sending it again"),
                Err(error) => anstream::println!("resync signal not delivered ({error}); sending it again"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn token(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.token_file.as_ref()?).ok()?;
        // The scope may have a colon of its own (`resync:AGG_V`), the secret has none here.
        text.lines().next()?.trim().rsplit(':').next().map(str::to_owned)
    }
}
