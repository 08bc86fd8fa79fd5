//! What was found, as Markdown: a table for each fault.

use crate::{
    fault::Fault,
    group::Kind,
    round::{LIMIT, Outcome},
    spread::{Spread, range, seconds},
};
use std::{collections::BTreeSet, fmt::Write, time::Duration};

/// Every round, in the order in which they were played.
pub(crate) type Rounds = Vec<(Kind, Fault, Outcome)>;

const HEAD: &str = "| | first answer | longest wait of an event | events | lost, doubled, unanswered | sessions cut | written to | \
                    both held it meanwhile | both held it after | held at the end by |\n|---|--:|--:|--:|--:|--:|---|--:|--:|---|\n";

/// A table for each fault, and what failback's ratios are.
pub(crate) fn markdown(rounds: &Rounds, faults: &[Fault], kinds: &[Kind]) -> String {
    let mut text = String::new();
    for fault in faults {
        let of = |kind: Kind| -> Vec<&Outcome> {
            rounds.iter().filter(|round| (round.0, round.1) == (kind, *fault)).map(|round| &round.2).collect()
        };
        let measured: Vec<Kind> = kinds.iter().copied().filter(|kind| !of(*kind).is_empty()).collect();
        if measured.is_empty() {
            continue;
        }
        add(&mut text, format_args!("\n### {}\n\n{HEAD}", capital(fault.title())));
        for kind in &measured {
            row(&mut text, *kind, *fault, &of(*kind));
        }
        for kind in measured.iter().filter(|_| fault.takes_over()) {
            if let Some(peer) = kind.peer() {
                ratio(&mut text, [*kind, peer], [of(*kind), of(peer)]);
            }
        }
    }
    text
}

fn row(text: &mut String, kind: Kind, fault: Fault, outcomes: &[&Outcome]) {
    let name = if kind.is_own() { format!("**{}**", kind.label()) } else { kind.label().to_owned() };
    let over = |each: &dyn Fn(&Outcome) -> Option<Duration>| range(outcomes.iter().map(|it| each(it)), LIMIT);
    let sum = |each: &dyn Fn(&Outcome) -> u64| outcomes.iter().map(|it| each(it)).sum::<u64>();
    let names = |each: &dyn Fn(&Outcome) -> String| {
        outcomes.iter().map(|it| each(it)).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ")
    };
    let both = |which: usize| {
        let longest = outcomes.iter().map(|it| it.both[which]).max().unwrap_or_default();
        let heartbeats = longest.as_secs_f64() / kind.heartbeat().as_secs_f64();
        if longest.is_zero() {
            "0".into()
        } else {
            format!("{}: ≤ {heartbeats:.1} heartbeats", over(&|it| Some(it.both[which])))
        }
    };
    let [lost, doubled, unanswered] =
        [sum(&|it| it.fleet.lost), sum(&|it| it.fleet.duplicated), sum(&|it| it.fleet.unanswered)];
    let cells = [
        name,
        // Where nothing may happen, the next newcomer's answer tells nothing.
        if fault.takes_over() { over(&|it| it.first) } else { "–".into() },
        over(&|it| Some(it.longest)),
        sum(&|it| it.fleet.sent).to_string(),
        format!("{lost}, {doubled}, {unanswered}"),
        sum(&|it| it.fleet.cuts).to_string(),
        names(&|it| it.servers.join(" and ")),
        both(0),
        both(1),
        names(&|it| if it.holders.is_empty() { "nobody".into() } else { it.holders.join(" and ") }),
    ];
    add(text, format_args!("| {} |\n", cells.join(" | ")));
}

fn ratio(text: &mut String, kinds: [Kind; 2], outcomes: [Vec<&Outcome>; 2]) {
    let [of, to] =
        outcomes.map(|all| all.iter().map(|it| it.first.map(|first| first.as_secs_f64())).collect::<Vec<_>>());
    if let Some(Spread { low, median, high }) = Spread::of_ratios(&of, &to) {
        let [of, to] = kinds.map(Kind::label);
        add(text, format_args!("\n{of} ÷ {to}, first answer: **{median:.2}** ({low:.2}–{high:.2})\n"));
    }
}

/// What is wanted of failback's speed, and whether it was kept.
pub(crate) fn verdict(rounds: &Rounds) -> String {
    let mut text = String::new();
    for (kind, fault, outcome) in rounds.iter().filter(|(kind, ..)| kind.is_own()) {
        if let Some(late) = outcome.late(*kind, *fault) {
            add(&mut text, format_args!("- missed: {}, {}: {late}\n", kind.label(), fault.title()));
        }
    }
    let kills = rounds.iter().filter(|(kind, fault, _)| (*kind, *fault) == (Kind::Failback, Fault::Kill));
    let median = Spread::of(kills.filter_map(|(.., it)| Some(it.first?.as_secs_f64()))).map(|spread| spread.median);
    if let Some(median) = median {
        let word = if median <= 1.0 { "kept" } else { "missed" };
        add(&mut text, format_args!("- {word}: within a second of `kill -9` in the median: {}\n", seconds(median)));
    }
    text
}

fn capital(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Writing to a `String` can't fail.
fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    let _always_fits = text.write_fmt(more);
}
