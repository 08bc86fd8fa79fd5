//! What became of alerts.

use super::text::{Kind, Page};
use crate::model::alert::AlertResult;
use std::collections::BTreeMap;

/// One way alerts go, or the queue before all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Channel {
    results: [u64; AlertResult::ALL.len()],
    /// `None`: nothing waits there.
    pub(super) pending: Option<u64>,
}

impl Channel {
    pub(super) fn count(&mut self, result: AlertResult, count: u64) {
        if let Some(of_kind) = self.results.get_mut(result as usize) {
            *of_kind += count;
        }
    }
}

/// The families, if anybody is told of anything.
pub(super) fn render(page: &mut Page, channels: &BTreeMap<String, Channel>) {
    if channels.is_empty() {
        return;
    }
    page.family(Kind::Counter, "failback_alerts_total", "Alerts by way and by what became of them.");
    for (name, channel) in channels {
        for (result, count) in AlertResult::ALL.iter().zip(channel.results) {
            page.sample(&[("channel", name), ("result", result.as_str())], count);
        }
    }
    page.family(Kind::Gauge, "failback_alerts_pending", "Alerts that wait for their receiver.");
    for (name, channel) in channels {
        if let Some(pending) = channel.pending {
            page.sample(&[("channel", name)], pending);
        }
    }
}
