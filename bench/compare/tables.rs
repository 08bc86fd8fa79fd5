//! What a comparison found, as Markdown.

use crate::{
    cell::{Cell, Figure},
    program::{Kind, Program},
    rounds::Rounds,
    spread::Spread,
};
use std::fmt::Write;

/// A program's place in a cell's order, its ratio to the base included.
pub(crate) struct Row<'a> {
    pub(crate) program: &'a Program,
    pub(crate) ratio: Spread,
}

/// The programs measured in `cell`, best first, with the ratio of the cell's first figure to the base's.
pub(crate) fn rows<'a>(rounds: &'a Rounds, cell: Cell) -> Vec<Row<'a>> {
    let Some(base) = rounds.base(cell) else { return Vec::new() };
    let figure = &cell.figures()[0];
    let to = rounds.values(cell, base, figure);
    let mut rows = rounds
        .programs
        .iter()
        .filter_map(|program| {
            let ratio = Spread::of_ratios(&rounds.values(cell, program, figure), &to)?;
            Some(Row { program, ratio })
        })
        .collect::<Vec<_>>();
    rows.sort_by(|a, b| a.ratio.median.total_cmp(&b.ratio.median));
    rows
}

/// A table for each cell, and what failback's ratios are.
pub(crate) fn markdown(rounds: &Rounds, cells: &[Cell]) -> String {
    let mut text = String::new();
    for cell in cells {
        let rows = rows(rounds, *cell);
        let Some(base) = rounds.base(*cell) else { continue };
        line(&mut text, format_args!("\n### {}\n", cell.title()));
        let figures = cell.figures();
        let names = figures.iter().map(|figure| figure.name).collect::<Vec<_>>().join(" | ");
        line(&mut text, format_args!("| | {} ÷ {} | quartiles | {names} |", figures[0].name, base.label));
        line(&mut text, format_args!("|---|--:|--:|{}", "--:|".repeat(figures.len())));
        for Row { program, ratio } in &rows {
            let values =
                figures.iter().map(|figure| shown(rounds, *cell, program, figure)).collect::<Vec<_>>().join(" | ");
            let name =
                if program.kind == Kind::Failback { format!("**{}**", program.label) } else { program.label.clone() };
            let Spread { low, median, high } = ratio;
            line(&mut text, format_args!("| {name} | {median:.2} | {low:.2}–{high:.2} | {values} |"));
        }
        verdict(&mut text, rounds, *cell, &rows);
    }
    text
}

/// Failback's ratio to the best of the others.
fn verdict(text: &mut String, rounds: &Rounds, cell: Cell, rows: &[Row<'_>]) {
    let Some(best) = rows.iter().find(|row| row.program.kind != Kind::Failback) else { return };
    let figure = &cell.figures()[0];
    let to = rounds.values(cell, best.program, figure);
    for own in rows.iter().filter(|row| row.program.kind == Kind::Failback) {
        let Some(ratio) = Spread::of_ratios(&rounds.values(cell, own.program, figure), &to) else { continue };
        let (own, best, Spread { low, median, high }) = (&own.program.label, &best.program.label, ratio);
        line(text, format_args!("\n{own} ÷ the best peer ({best}): **{median:.2}** ({low:.2}–{high:.2})"));
    }
}

fn shown(rounds: &Rounds, cell: Cell, program: &Program, figure: &Figure) -> String {
    let spread = Spread::of(rounds.values(cell, program, figure).into_iter().flatten());
    spread.map_or_else(|| "–".into(), |spread| format!("{:.*}", figure.digits, spread.median))
}

/// Writing to a `String` can't fail.
fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _always_fits = writeln!(text, "{line}");
}
