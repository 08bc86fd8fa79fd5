//! Medians and how far the rounds lie apart.

use std::time::Duration;

/// Median and quartiles of some figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of `values`, of which there must be one at least.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted = values.into_iter().filter(|value| value.is_finite()).collect::<Vec<_>>();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |share: f64| {
            let place = share * last as f64;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Self { low: at(0.25), median: at(0.5), high: at(0.75) })
    }

    /// Of the ratios of two rows, round by round, where both rounds were measured: what disturbs a round disturbs both.
    pub(crate) fn of_ratios(of: &[Option<f64>], to: &[Option<f64>]) -> Option<Self> {
        Self::of(of.iter().zip(to).filter_map(|(of, to)| Some((*of)? / (*to)?)))
    }
}

/// Median and range of what happened, or that it did not while it was watched for up to `limit`.
pub(crate) fn range(durations: impl Iterator<Item = Option<Duration>>, limit: Duration) -> String {
    let all = durations.collect::<Vec<_>>();
    let mut happened = all.iter().flatten().map(Duration::as_secs_f64).collect::<Vec<_>>();
    happened.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (happened.first(), happened.last()) else {
        return format!("never (watched {} s)", limit.as_secs());
    };
    let median = seconds(happened[happened.len() / 2]);
    let missing = all.len() - happened.len();
    let rest = if missing > 0 { format!(", {missing} never") } else { String::new() };
    format!("{median} ({}–{}{rest})", seconds(*least), seconds(*most))
}

/// Seconds for people.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}
