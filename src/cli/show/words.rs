//! Spans, sizes and rates as a person says them.

use std::time::{Duration, SystemTime};

/// `8s`, `3m`, `2h 5m`, `4d 1h`: the two largest units from minutes on.
pub(in crate::cli) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit} {small}{small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// How long ago an RFC 3339 time was; the text itself if it is none, `now` if it lies ahead (clocks differ).
pub(in crate::cli) fn ago(time: &str, now: SystemTime) -> String {
    match humantime::parse_rfc3339(time) {
        Err(_) => time.into(),
        Ok(then) => match now.duration_since(then) {
            Ok(since) if since.as_secs() > 0 => format!("{} ago", span(since)),
            _ => "just now".into(),
        },
    }
}

/// Since when something lasts that began at an RFC 3339 time: `for 3m`; as [`ago`] where that can't be told.
pub(in crate::cli) fn lasting(time: &str, now: SystemTime) -> String {
    let ago = ago(time, now);
    ago.strip_suffix(" ago").map_or_else(|| format!("since {ago}"), |span| format!("for {span}"))
}

/// Seconds as a short time: `0.4ms`, `12ms`, `1.3s`.
pub(in crate::cli) fn took(seconds: f64) -> String {
    match seconds * 1e3 {
        millis if millis < 10.0 => format!("{millis:.1}ms"),
        millis if millis < 1e3 => format!("{millis:.0}ms"),
        millis => format!("{:.1}s", millis / 1e3),
    }
}

/// Bytes with a binary prefix.
pub(in crate::cli) fn bytes(count: f64) -> String {
    let mut value = count;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// `1 session`, `2 sessions`.
pub(in crate::cli) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_at_most_two_units() {
        let of = |seconds| span(Duration::from_secs(seconds));
        assert_eq!([of(0), of(59), of(60), of(185)], ["0s", "59s", "1m", "3m 5s"]);
        assert_eq!([of(7_500), of(86_400), of(349_200)], ["2h 5m", "1d", "4d 1h"]);
    }

    #[test]
    fn a_time_ahead_of_ours_is_now_and_nonsense_is_shown_as_it_is() {
        let now = humantime::parse_rfc3339("2026-01-02T00:00:00Z").unwrap();
        assert_eq!(ago("2026-01-01T23:57:00.5Z", now), "2m 59s ago");
        assert_eq!(ago("2026-01-02T00:00:09Z", now), "just now");
        assert_eq!(ago("yesterday", now), "yesterday");
        let since = ["2026-01-01T23:57:00.5Z", "2026-01-02T00:00:09Z", "yesterday"].map(|time| lasting(time, now));
        assert_eq!(since, ["for 2m 59s", "since just now", "since yesterday"]);
    }

    #[test]
    fn sizes_and_times_keep_three_figures_or_so() {
        assert_eq!([bytes(0.0), bytes(1023.0), bytes(1536.0)], ["0 B", "1023 B", "1.5 KiB"]);
        assert_eq!([took(0.000_41), took(0.012), took(1.25)], ["0.4ms", "12ms", "1.2s"]);
    }
}
