//! `failback events`: a line per event.

use super::{BAD, CARE, DIM, GOOD, PLAIN, styled};
use crate::model::{plain::plain, view::EventView};
use anstyle::Style;

/// One line, without its end.
pub(in crate::cli) fn line(event: &EventView) -> String {
    let pair = match (&event.pair, event.epoch) {
        (Some(pair), Some(epoch)) => format!("{}@{epoch}  ", plain(pair)),
        (Some(pair), None) => format!("{}  ", plain(pair)),
        (None, _) => String::new(),
    };
    let time = styled(&plain(&event.time), DIM);
    format!("{time}  {}  {pair}{}", styled(&plain(&event.kind), style(&event.kind)), plain(&event.message))
}

fn style(kind: &str) -> Style {
    match kind {
        "failback" => GOOD,
        "failover" | "no_server" => BAD,
        kind if kind.contains("fail") || kind.contains("latch") || kind.contains("gap") => CARE,
        _ => PLAIN,
    }
}
