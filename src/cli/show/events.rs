//! `failback events`: a line per event.

use super::{BAD, CARE, DIM, GOOD, PLAIN, styled};
use crate::model::{plain::plain, view::EventView};
use anstyle::Style;

/// One line, without its end.
pub(in crate::cli) fn line(event: &EventView) -> String {
    let kind = styled(&format!("{:<14}", plain(&event.kind)), style(&event.kind));
    // The message is a whole sentence: it names the pair, and the epoch where that matters.
    format!("{}  {kind}  {}", styled(&plain(&event.time), DIM), plain(&event.message))
}

fn style(kind: &str) -> Style {
    match kind {
        "failback" => GOOD,
        "failover" | "no_server" => BAD,
        kind if kind.contains("fail") || kind.contains("latch") || kind.contains("gap") => CARE,
        _ => PLAIN,
    }
}
