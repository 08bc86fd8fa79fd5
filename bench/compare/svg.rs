//! The picture: a bar for every program and cell, its length the ratio to the base, its whisker the quartiles.

use crate::{
    cell::Cell,
    program::Kind,
    rounds::Rounds,
    tables::{Row, rows},
};
use std::fmt::Write;

const WIDTH: f64 = 760.0;
/// Where bars begin, and how long a ratio of 1 is.
const LEFT: f64 = 150.0;
const ONE: f64 = 200.0;
const BAR: f64 = 16.0;
const GAP: f64 = 5.0;
/// Longer bars are cut: beyond this only "far worse" matters.
const MOST: f64 = 2.6;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:14px}\
    .note{fill:#777}.own{fill:#1a7f5a}.peer{fill:#a9b4bf}.line{stroke:#777;stroke-width:1}\
    .one{stroke:#c0392b;stroke-width:1;stroke-dasharray:3 3}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.note{fill:#999}.peer{fill:#5c6a77}.own{fill:#3fbf8f}}";

/// Draws `cells`.
pub(crate) fn picture(rounds: &Rounds, cells: &[Cell], date: &str) -> String {
    let mut body = String::new();
    let mut y = 24.0;
    for cell in cells {
        let rows = rows(rounds, *cell);
        let Some(base) = rounds.base(*cell) else { continue };
        let what = cell.figures()[0].name;
        let title = format!("{}: {what}, {} = 1, less is better", cell.title(), base.label);
        element(&mut body, format_args!("<text class=\"title\" x=\"10\" y=\"{y:.0}\">{title}</text>"));
        y += 14.0;
        let top = y;
        for row in &rows {
            bar(&mut body, row, y);
            y += BAR + GAP;
        }
        let x = LEFT + ONE;
        let bottom = y - GAP + 2.0;
        element(&mut body, format_args!("<path class=\"one\" d=\"M{x} {:.0}V{bottom:.0}\"/>", top - 2.0));
        y += 24.0;
    }
    let note =
        format!("{date}; one core for each proxy, one for the load; medians and quartiles of interleaved rounds");
    element(&mut body, format_args!("<text class=\"note\" x=\"10\" y=\"{y:.0}\">{note}</text>"));
    let height = y + 14.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\">\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

fn bar(body: &mut String, row: &Row<'_>, y: f64) {
    let ratio = row.ratio;
    let class = if row.program.kind == Kind::Failback { "own" } else { "peer" };
    let (middle, label) = (y + BAR - 4.0, &row.program.label);
    let x = |ratio: f64| LEFT + ONE * ratio.clamp(0.0, MOST);
    let length = x(ratio.median) - LEFT;
    element(body, format_args!("<text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\">{label}</text>", LEFT - 8.0));
    element(
        body,
        format_args!(
            "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>"
        ),
    );
    let (low, high, center) = (x(ratio.low), x(ratio.high), y + BAR / 2.0);
    element(body, format_args!("<path class=\"line\" d=\"M{low:.1} {center:.0}H{high:.1}\"/>"));
    let (beyond, value) = (x(ratio.median).max(high) + 6.0, ratio.median);
    element(body, format_args!("<text x=\"{beyond:.0}\" y=\"{middle:.0}\">{value:.2}</text>"));
}

/// Writing to a `String` can't fail.
fn element(body: &mut String, element: std::fmt::Arguments<'_>) {
    let _always_fits = writeln!(body, "{element}");
}
