//! A table without lines: columns as wide as their widest cell, two blanks between them.
//!
//! `comfy-table`, which `bench/` uses, would need crossterm to measure styled cells.

use super::DIM;
use crate::model::plain::plain;
use anstyle::Style;
use unicode_width::UnicodeWidthStr;

/// One cell; its text is made safe for a terminal.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    pub(in crate::cli) fn new(text: impl AsRef<str>) -> Self {
        Self { text: plain(text.as_ref()).into_owned(), style: Style::new(), right: false }
    }

    /// A number, aligned to the right.
    #[expect(clippy::needless_pass_by_value, reason = "a number is passed as it is")]
    pub(in crate::cli) fn number(number: impl ToString) -> Self {
        Self { right: true, ..Self::new(number.to_string()) }
    }

    pub(in crate::cli) fn style(self, style: Style) -> Self {
        Self { style, ..self }
    }
}

/// Rows under a header.
#[derive(Debug)]
pub(in crate::cli) struct Table {
    header: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(in crate::cli) fn new(header: &'static [&'static str]) -> Self {
        Self { header, rows: Vec::new() }
    }

    /// Adds a row; it has as many cells as the header.
    pub(in crate::cli) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table, a line each, ending with a newline.
    pub(in crate::cli) fn render(&self) -> String {
        let numeric = |column: usize| self.rows.first().and_then(|row| row.get(column)).is_some_and(|cell| cell.right);
        let header = self.header.iter().enumerate().map(|(column, title)| Cell {
            text: (*title).into(),
            style: DIM,
            right: numeric(column),
        });
        let lines: Vec<Vec<Cell>> = std::iter::once(header.collect()).chain(self.rows.iter().cloned()).collect();
        let width = |column: usize| lines.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.width()).max();
        let widths: Vec<usize> = (0..self.header.len()).map(|column| width(column).unwrap_or(0)).collect();
        lines.iter().map(|row| line(row, &widths)).collect()
    }
}

fn line(row: &[Cell], widths: &[usize]) -> String {
    let mut text = String::new();
    let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
    for (column, (cell, width)) in row.iter().zip(widths).enumerate().take(last + 1) {
        let blanks = " ".repeat(width.saturating_sub(cell.text.width()));
        let (before, after) = if cell.right { (blanks.as_str(), "") } else { ("", blanks.as_str()) };
        text.push_str(before);
        text.push_str(&super::styled(&cell.text, cell.style));
        if column != last {
            text.push_str(after);
            text.push_str("  ");
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_wide_characters_and_numbers() {
        let mut table = Table::new(&["PAIR", "N", "NOTE"]);
        table.row(vec![Cell::new("日本"), Cell::number(7), Cell::new("")]);
        table.row(vec![Cell::new("AGG_VV"), Cell::number(1234), Cell::new("x\u{1b}[2J")]);
        let text = anstream::adapter::strip_str(&table.render()).to_string();
        assert_eq!(text, "PAIR       N  NOTE\n日本       7\nAGG_VV  1234  x\\u{1b}[2J\n");
    }
}
