//! The Prometheus text format, version 0.0.4, written straight into one string.
//!
//! `prometheus-client` writes OpenMetrics only: there `failback_sessions` and `failback_sessions_total` are one family
//! declared twice, and `HELP` and `TYPE` of counters lack `_total`; `promtool check metrics` refuses both.

use crate::model::durations::{BOUNDS_MICROS, DurationsSnapshot};
use std::fmt::{Display, Write};

/// One label: name and value.
pub(super) type Label<'a> = (&'a str, &'a str);

/// What a family's samples mean.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page of metrics being written. Writing into a `String` never fails, so no result is handed on.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    /// Begins a family; the samples that follow are its own.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A family of a single sample without labels.
    pub(super) fn single(&mut self, kind: Kind, name: &'static str, help: &str, value: impl Display) {
        self.family(kind, name, help);
        self.sample(&[], value);
    }

    /// One sample of the family begun last.
    pub(super) fn sample(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.line("", labels, value);
    }

    /// One histogram of the family begun last, in seconds.
    pub(super) fn histogram(&mut self, labels: &[Label<'_>], seen: &DurationsSnapshot) {
        let mut cumulated = 0;
        for (index, count) in seen.buckets.iter().enumerate() {
            cumulated += count;
            let bound =
                BOUNDS_MICROS.get(index).map_or_else(|| "+Inf".to_owned(), |micros| seconds(*micros).to_string());
            let with_bound: Vec<Label<'_>> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.line("_bucket", &with_bound, cumulated);
        }
        self.line("_sum", labels, seconds(seen.sum_micros));
        self.line("_count", labels, cumulated);
    }

    /// The finished page.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, suffix: &str, labels: &[Label<'_>], value: impl Display) {
        self.text.push_str(self.family);
        self.text.push_str(suffix);
        for (index, (name, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{name}=\"", if index == 0 { '{' } else { ',' });
            escape(&mut self.text, value);
            self.text.push('"');
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

/// Microseconds as seconds; exact up to 285 years.
#[expect(clippy::cast_precision_loss, reason = "a sum of durations is no more exact than its clock")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn escape(to: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => to.push_str("\\\\"),
            '"' => to.push_str("\\\""),
            '\n' => to.push_str("\\n"),
            c => to.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::durations::Durations;
    use std::time::Duration;

    #[test]
    fn a_label_value_cannot_break_out_of_its_quotes() {
        let mut page = Page::default();
        page.family(Kind::Gauge, "x", "A test.");
        page.sample(&[("pair", "a\"} 1\n\\b")], 2);
        assert_eq!(page.finish(), "# HELP x A test.\n# TYPE x gauge\nx{pair=\"a\\\"} 1\\n\\\\b\"} 2\n");
    }

    #[test]
    fn buckets_are_cumulative_and_end_in_infinity() {
        let taken = Durations::default();
        taken.record(Duration::from_millis(1));
        taken.record(Duration::from_secs(60));
        let mut page = Page::default();
        page.family(Kind::Histogram, "x_seconds", "A test.");
        page.histogram(&[("pair", "P")], &taken.snapshot());
        let text = page.finish();
        for line in [
            "x_seconds_bucket{pair=\"P\",le=\"0.0005\"} 0",
            "x_seconds_bucket{pair=\"P\",le=\"0.001\"} 1",
            "x_seconds_bucket{pair=\"P\",le=\"10\"} 1",
            "x_seconds_bucket{pair=\"P\",le=\"+Inf\"} 2",
            "x_seconds_sum{pair=\"P\"} 60.001",
            "x_seconds_count{pair=\"P\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
