//! `failback events`: a line per event.

use super::{BAD, CARE, DIM, GOOD, PLAIN, styled, wrap::wrap};
use crate::model::{plain::plain, view::EventView};
use anstyle::Style;

/// Columns that time and kind take.
const HEAD: usize = 42;

/// An event, without the end of its line; in a window `width` columns wide it goes on below its first word.
pub(in crate::cli) fn line(event: &EventView, width: Option<usize>) -> String {
    let kind = styled(&format!("{:<14}", plain(&event.kind)), style(&event.kind));
    // The message is a whole sentence: it names the pair, and the epoch where that matters.
    format!("{}  {kind}  {}", styled(&plain(&event.time), DIM), wrap(&plain(&event.message), width, HEAD))
}

fn style(kind: &str) -> Style {
    match kind {
        "failback" => GOOD,
        "failover" | "no_server" => BAD,
        kind if kind.contains("fail") || kind.contains("latch") || kind.contains("gap") => CARE,
        _ => PLAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_goes_on_below_its_beginning() {
        let event = EventView {
            seq: 1,
            time: "2026-03-01T12:00:00.000Z".into(),
            kind: "migration".into(),
            pair: None,
            epoch: None,
            reason: None,
            message: "AGG_V: the migration from AGG_P to AGG_B is done".into(),
        };
        let told = |width| anstream::adapter::strip_str(&line(&event, width)).to_string();
        let head = "2026-03-01T12:00:00.000Z  migration       AGG_V: the migration from AGG_P to";
        assert_eq!(told(None), format!("{head} AGG_B is done"));
        assert_eq!(told(Some(80)), format!("{head}\n{:42}AGG_B is done", ""));
    }
}
