//! What the commands print: views in, text out, with colours that the output stream strips where nobody sees them.

pub(super) mod events;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod golden_group;
mod group;
pub(super) mod sessions;
pub(super) mod status;
pub(super) mod table;
pub(super) mod top;
pub(super) mod why;
pub(super) mod words;
mod wrap;

use anstyle::{AnsiColor, Style};

pub(super) const PLAIN: Style = Style::new();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const CARE: Style = AnsiColor::Yellow.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

/// `text` in `style`.
pub(super) fn styled(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}
