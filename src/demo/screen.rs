//! What the operator sees: chapters and sentences, and, on a terminal, one line at the bottom that lives.

use anstyle::{AnsiColor, Style};
use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Headings.
pub(super) const BOLD: Style = Style::new().bold();
/// What is as it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What is broken.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What needs attention.
pub(super) const CAREFUL: Style = AnsiColor::Yellow.on_default().bold();
/// What may be skipped.
pub(super) const DIM: Style = Style::new().dimmed();
/// Columns up to the time at the right of a heading.
const WIDTH: usize = 78;
/// Cells of a progress bar.
const BAR: usize = 30;

/// The terminal, or whatever stands in its place.
#[derive(Debug)]
pub(super) struct Screen {
    live: bool,
    started: Instant,
    below: bool,
}

impl Screen {
    /// Standard output; the live line only if it is a terminal.
    pub(super) fn new() -> Self {
        Self { live: io::stdout().is_terminal(), started: Instant::now(), below: false }
    }

    /// A chapter's heading.
    pub(super) fn chapter(&mut self, number: u32, style: Style, title: &str, detail: &str) {
        let at = format!("{:.1} s", self.started.elapsed().as_secs_f64());
        let room = WIDTH.saturating_sub(title.chars().count() + 14);
        self.line(&"");
        self.line(&format_args!("{style} {number}  {title}{style:#}  {detail:<room$}{DIM}{at:>8}{DIM:#}"));
    }

    /// A sentence within a chapter.
    pub(super) fn say(&mut self, text: impl Display) {
        self.line(&format_args!("    {text}"));
    }

    /// Sentences that may be long, in dimmed lines of their own.
    pub(super) fn aside(&mut self, text: &str) {
        for line in wrap(text, WIDTH - 4) {
            self.say(format_args!("{DIM}{line}{DIM:#}"));
        }
    }

    /// A sentence behind a heading that takes `room` columns, and further lines, if it needs any, below its beginning.
    pub(super) fn hang(&mut self, heading: &str, room: usize, text: &str) {
        for (row, line) in wrap(text, WIDTH.saturating_sub(4 + room)).into_iter().enumerate() {
            match row {
                0 => self.say(format_args!("{heading}{line}")),
                _ => self.say(format_args!("{:room$}{line}", "")),
            }
        }
    }

    /// A line as it is.
    pub(super) fn line(&mut self, text: &dyn Display) {
        self.wipe();
        self.write(format_args!("{text}\n"));
    }

    /// The line at the bottom; nothing without a terminal.
    pub(super) fn status(&mut self, text: &str) {
        if self.live {
            // Without wrapping (DECAWM off), so that a narrow window cuts it off and it can be wiped.
            self.write(format_args!("\r\x1b[2K\x1b[?7l    {text}\x1b[?7h"));
            self.below = true;
        }
    }

    /// Takes the line at the bottom away.
    pub(super) fn wipe(&mut self) {
        if std::mem::take(&mut self.below) {
            self.write(format_args!("\r\x1b[2K"));
        }
    }

    fn write(&self, text: std::fmt::Arguments<'_>) {
        let mut out = anstream::stdout().lock();
        // A terminal that went away is noticed as a signal, or not at all; the story goes on either way.
        let _nobody_looks = out.write_fmt(text).and_then(|()| out.flush());
    }
}

/// Breaks a text between words into lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A progress bar.
pub(super) fn bar(done: u64, total: u64) -> String {
    let total = total.max(1);
    let done = done.min(total);
    let cells = usize::try_from(done.saturating_mul(BAR as u64) / total).unwrap_or(BAR);
    let percent = done.saturating_mul(100) / total;
    format!("{GOOD}{}{GOOD:#}{DIM}{}{DIM:#} {percent:>3} %", "█".repeat(cells), "░".repeat(BAR - cells))
}

/// A number with its thousands set apart.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A short span in the unit it is best read in.
pub(super) fn span(span: Duration) -> String {
    match span.as_millis() {
        0 => format!("{:.1} ms", span.as_secs_f64() * 1e3),
        ms @ 1..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", span.as_secs_f64()),
    }
}

/// "1 session", "2 sessions".
pub(super) fn count(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(span(Duration::from_micros(400)), "0.4 ms");
        assert_eq!(span(Duration::from_micros(41_900)), "41 ms");
        assert_eq!(span(Duration::from_millis(3_140)), "3.1 s");
        assert_eq!(count(1, "session"), "1 session");
        assert_eq!(count(36, "session"), "36 sessions");
    }

    #[test]
    fn long_sentences_are_broken_between_words() {
        assert_eq!(wrap("to be or not to be", 9), ["to be or", "not to be"]);
        assert_eq!(wrap("unbreakable!", 4), ["unbreakable!"]);
    }

    #[test]
    fn a_bar_is_as_long_as_it_says_whatever_it_is_told() {
        for (done, total) in [(0, 0), (0, 10), (5, 10), (10, 10), (11, 10), (u64::MAX, u64::MAX)] {
            let text = anstream::adapter::strip_str(&bar(done, total)).to_string();
            assert_eq!(text.chars().filter(|cell| "█░".contains(*cell)).count(), BAR, "{text}");
        }
        assert!(bar(5, 10).contains(" 50 %"));
    }
}
