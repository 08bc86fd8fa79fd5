//! Which notes of a silence are alerts. A series counts down (`B8`), and what follows a step at once is told instead of it: who is
//! woken by a takeover reads one message, not five.

use crate::{
    decide::seat::effect::Note,
    model::{NodeName, Time},
};
use std::{collections::BTreeMap, time::Duration};

/// Steps that come faster are one to whoever reads them.
const APART: Duration = Duration::from_secs(1);

/// The seats whose holder was called silent, and when last.
#[derive(Debug, Default)]
pub(super) struct Series(BTreeMap<NodeName, Time>);

impl Series {
    /// Shall it be told? Of any note but those about a silence: yes.
    pub(super) fn is_news(&mut self, now: Time, note: &Note) -> bool {
        match note {
            // The takeover follows, or why there is none.
            Note::Countdown { left, .. } if left.is_zero() => false,
            Note::Countdown { seat, .. } => {
                let apart = self.0.get(seat).is_none_or(|last| now.since(*last) >= APART);
                if apart {
                    self.0.insert(seat.clone(), now);
                }
                apart
            }
            Note::HeldBack { seat, .. } => {
                self.0.insert(seat.clone(), now);
                true
            }
            // Who was not told of a beginning is not told of the end.
            Note::CountdownOver { seat, .. } => self.0.remove(seat).is_some(),
            Note::Serving { seat, .. } => {
                self.0.remove(seat);
                true
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Epoch,
        seat::{SeatReason, SeatRefusal},
    };

    fn at(millis: u64) -> Time {
        Time::from_start(Duration::from_millis(millis))
    }

    /// The four steps of a silence that lasts from 0 to `span` milliseconds.
    fn steps(series: &mut Series, span: u64, held_back: Option<SeatRefusal>) -> Vec<u64> {
        let told = |step: &u64| {
            let left = Duration::from_millis(span - step * span / 4);
            let note = Note::Countdown { seat: "A".into(), holder: "A".into(), left, held_back };
            series.is_news(at(step * span / 4), &note)
        };
        (1..=4).filter(told).collect()
    }

    #[test]
    fn b8_a_series_is_told_as_far_as_there_is_time_to_read_it() {
        assert_eq!(steps(&mut Series::default(), 60_000, None), [1, 2, 3]);
        assert_eq!(steps(&mut Series::default(), 3_000, None), [1, 3]);
        assert_eq!(steps(&mut Series::default(), 1_600, Some(SeatRefusal::AutoOff)), [1]);
    }

    #[test]
    fn b8_the_end_of_a_silence_is_told_to_whom_the_beginning_was() {
        let over = Note::CountdownOver { seat: "A".into(), holder: "A".into() };
        let mut series = Series::default();
        assert!(!series.is_news(at(0), &over));
        steps(&mut series, 3_000, None);
        assert!(series.is_news(at(2_500), &over));
        assert!(!series.is_news(at(2_600), &over), "once");
        let why = SeatRefusal::AutoOff;
        assert!(series.is_news(at(5_000), &Note::HeldBack { seat: "A".into(), why }), "none of the steps was told");
        assert!(series.is_news(at(9_000), &over));
        steps(&mut series, 3_000, None);
        let (seat, epoch, reason) = ("A".into(), Epoch(2), SeatReason::HolderSilent);
        assert!(series.is_news(at(13_000), &Note::Serving { seat, epoch, reason, degraded: true }));
        assert!(!series.is_news(at(14_000), &over), "the takeover was told");
    }
}
