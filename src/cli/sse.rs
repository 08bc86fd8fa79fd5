//! Reading server-sent events (WHATWG HTML §9.2.6), as far as our own API uses them.

use anyhow::{anyhow, bail};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::timeout;

/// The node says something at least every 15 s; after this it is gone.
const SILENCE: Duration = Duration::from_secs(45);
/// No event is longer; bytes.
const MAX_EVENT: usize = 1 << 20;

/// Events as they come.
pub(super) struct Stream {
    body: Incoming,
    unread: Vec<u8>,
}

impl Stream {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, unread: Vec::new() }
    }

    /// The data of the next event; `None` when the node ends the stream.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(event) = take_event(&mut self.unread) {
                match data(&event) {
                    Some(data) => return Ok(Some(data)),
                    None => continue,
                }
            }
            if self.unread.len() > MAX_EVENT {
                bail!("the node sends events that never end");
            }
            let frame = timeout(SILENCE, self.body.frame()).await;
            match frame.map_err(|_| anyhow!("the node fell silent"))? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(bytes) = frame?.into_data() {
                        self.unread.extend_from_slice(&bytes);
                    }
                }
            }
        }
    }
}

/// Takes everything up to the first empty line.
fn take_event(unread: &mut Vec<u8>) -> Option<String> {
    let end = unread.windows(2).position(|two| two == b"\n\n")?;
    let event = String::from_utf8_lossy(&unread[..end]).into_owned();
    unread.drain(..end + 2);
    Some(event)
}

/// The `data:` lines of an event; `None` for comments.
fn data(event: &str) -> Option<String> {
    let lines: Vec<&str> = event
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| data.strip_prefix(' ').unwrap_or(data))
        .collect();
    if lines.is_empty() { None } else { Some(lines.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_at_empty_lines_and_comments_carry_nothing() {
        let mut unread = b":\n\nid: 7\ndata: {\"a\":\ndata: 1}\n\nid: 8\nda".to_vec();
        let comment = take_event(&mut unread).unwrap();
        assert_eq!(data(&comment), None);
        let event = take_event(&mut unread).unwrap();
        assert_eq!(data(&event).as_deref(), Some("{\"a\":\n1}"));
        assert_eq!(take_event(&mut unread), None);
        assert_eq!(unread, b"id: 8\nda");
    }
}
