//! `failback top`: rates per route from two scrapes of the metrics, and where each pair stands.

use super::{
    BOLD, CARE, DIM, GOOD, PLAIN,
    status::{moving, state, style_of},
    styled,
    table::{Cell, Table},
    words,
};
use crate::model::{
    plain::plain,
    view::{RouteView, StatusView},
};
use std::{collections::BTreeMap, time::SystemTime};

/// The counters of every route at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::cli) struct Sample(BTreeMap<String, Counts>);

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counts {
    begun: f64,
    ended: f64,
    refused: f64,
    to_upstream: f64,
    to_client: f64,
}

impl Sample {
    /// Reads the counters out of a page of metrics; what it does not know is skipped.
    pub(in crate::cli) fn parse(page: &str) -> Self {
        let mut routes = BTreeMap::<String, Counts>::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let (Some(route), Ok(value)) = (label(series, "route"), value.parse::<f64>()) else { continue };
            let counts = routes.entry(route).or_default();
            match series.split('{').next().unwrap_or("") {
                "failback_sessions_total" => counts.begun += value,
                "failback_session_ends_total" => counts.ended += value,
                "failback_refused_clients_total" => counts.refused += value,
                "failback_bytes_total" if series.contains("direction=\"to_upstream\"") => counts.to_upstream += value,
                "failback_bytes_total" => counts.to_client += value,
                _ => {}
            }
        }
        Self(routes)
    }
}

/// The value of a label, with the escapes of the text format undone.
fn label(series: &str, name: &str) -> Option<String> {
    let start = series.find(&format!("{name}=\""))? + name.len() + 2;
    let mut value = String::new();
    let mut chars = series[start..].chars();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                c => value.push(c),
            },
            c => value.push(c),
        }
    }
}

/// One picture: `seconds` lie between the two samples.
pub(in crate::cli) fn page(
    view: &StatusView,
    before: &Sample,
    now: &Sample,
    seconds: f64,
    clock: SystemTime,
) -> String {
    let time = humantime::format_rfc3339_seconds(clock).to_string();
    let mut page = format!("{}  {}\n\n", styled(&plain(&view.node), BOLD), styled(&time, DIM));
    let mut table = Table::new(&["PAIR", "STATE", "UPSTREAM", "EPOCH", "PRIMARY", "BACKUP", "HELD", ""]);
    for pair in &view.pairs {
        table.row(vec![
            Cell::new(&*pair.pair).style(BOLD),
            Cell::new(state(pair)).style(style_of(pair)),
            Cell::new(&*pair.active_upstream),
            Cell::number(pair.epoch),
            Cell::number(pair.sessions.primary),
            Cell::number(pair.sessions.backup),
            Cell::number(pair.held).style(if pair.held > 0 { CARE } else { PLAIN }),
            Cell::new(pair.migration.as_ref().map(|migration| moving(migration, pair.held)).unwrap_or_default()),
        ]);
    }
    page.push_str(&table.render());
    page.push('\n');
    page.push_str(&rates(&view.routes, before, now, seconds));
    page
}

fn rates(routes: &[RouteView], before: &Sample, now: &Sample, seconds: f64) -> String {
    let mut table = Table::new(&["ROUTE", "SESSIONS", "NEW/S", "ENDED/S", "REFUSED/S", "TO UPSTREAM/S", "TO CLIENT/S"]);
    for route in routes {
        let of = |sample: &Sample| sample.0.get(&*route.route).copied().unwrap_or_default();
        let (before, now) = (of(before), of(now));
        // A counter that fell belongs to a node that was restarted in between.
        let rate = |of: fn(&Counts) -> f64| (of(&now) - of(&before)).max(0.0) / seconds;
        let per_second = |of| Cell::number(format!("{:.1}", rate(of)));
        let refused = rate(|counts| counts.refused);
        table.row(vec![
            Cell::new(&*route.route).style(if route.sessions > 0 { GOOD } else { PLAIN }),
            Cell::number(route.sessions),
            per_second(|counts| counts.begun),
            per_second(|counts| counts.ended),
            Cell::number(format!("{refused:.1}")).style(if refused > 0.0 { CARE } else { PLAIN }),
            Cell::number(words::bytes(rate(|counts| counts.to_upstream))),
            Cell::number(words::bytes(rate(|counts| counts.to_client))),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_per_route_over_all_other_labels() {
        let page = "# HELP failback_bytes_total Bytes.\nfailback_bytes_total{route=\"a\\\"b\",direction=\"to_upstream\"} 7\n\
            failback_bytes_total{route=\"a\\\"b\",direction=\"to_client\"} 3\n\
            failback_session_ends_total{route=\"a\\\"b\",reason=\"idle\"} 1\n\
            failback_session_ends_total{route=\"a\\\"b\",reason=\"failover\"} 2\nprocess_open_fds 9\n";
        let counts = Counts { ended: 3.0, to_upstream: 7.0, to_client: 3.0, ..Counts::default() };
        assert_eq!(Sample::parse(page), Sample(BTreeMap::from([("a\"b".to_owned(), counts)])));
    }
}
