//! Tables for people.

use std::borrow::Cow;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::ASCII_MARKDOWN};
use framework::printable;
use serde_json::{Value as Json, json};
use tables::Values;

/// Largest number of rows in a table that is fitted to the terminal. Nobody reads a longer one there, and
/// laying out 100,000 rows would take longer than all the rest of listing them.
const FITTED: usize = 1000;

/// Formats a table with a heading; columns of numbers are aligned to the right. A cell is one escaped line,
/// of which a terminal obeys nothing.
pub fn table<C: AsRef<str>>(heading: &[&str], rows: &[Vec<C>]) -> String {
    let heading: Vec<Cow<'_, str>> = heading.iter().map(|title| printable::line(title)).collect();
    let heading: Vec<&str> = heading.iter().map(AsRef::as_ref).collect();
    let rows: Vec<Vec<Cow<'_, str>>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| printable::line(cell.as_ref())).collect())
        .collect();
    let (heading, rows) = (&heading[..], &rows[..]);
    let numeric: Vec<bool> = (0..heading.len()).map(|at| is_numeric(rows, at)).collect();
    if rows.len() <= FITTED {
        fitted(heading, rows, &numeric)
    } else {
        as_wide_as_need_be(heading, rows, &numeric)
    }
}

fn is_numeric<C: AsRef<str>>(rows: &[Vec<C>], at: usize) -> bool {
    let cells = rows.iter().filter_map(|row| row.get(at)).map(AsRef::as_ref);
    let mut cells = cells.filter(|cell| !cell.is_empty());
    !rows.is_empty() && cells.all(|cell| cell.parse::<f64>().is_ok())
}

/// Formats a table, on a terminal at most as wide as the terminal.
fn fitted<C: AsRef<str>>(heading: &[&str], rows: &[Vec<C>], numeric: &[bool]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(heading);
    for row in rows {
        table.add_row(row.iter().map(AsRef::as_ref));
    }
    for (at, _) in numeric.iter().enumerate().filter(|(_, numeric)| **numeric) {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n")
}

/// Formats the same table with one line a row, whatever its length.
fn as_wide_as_need_be<C: AsRef<str>>(
    heading: &[&str],
    rows: &[Vec<C>],
    numeric: &[bool],
) -> String {
    let width = |cell: &str| if cell.is_ascii() { cell.len() } else { cell.chars().count() };
    let widths: Vec<usize> = heading
        .iter()
        .enumerate()
        .map(|(at, title)| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| width(cell.as_ref())).max().unwrap_or(0).max(width(title))
        })
        .collect();
    let line = widths.iter().map(|width| width + 3).sum::<usize>() + 2;
    let mut text = String::with_capacity(line * (rows.len() + 2));
    let add = |text: &mut String, at: usize, cell: &str| {
        let blanks = std::iter::repeat_n(' ', widths[at].saturating_sub(width(cell)));
        text.push_str("| ");
        if numeric[at] {
            text.extend(blanks);
            text.push_str(cell);
        } else {
            text.push_str(cell);
            text.extend(blanks);
        }
        text.push(' ');
    };
    heading.iter().enumerate().for_each(|(at, title)| add(&mut text, at, title));
    text.push_str("|\n");
    for width in &widths {
        text.push('|');
        text.extend(std::iter::repeat_n('-', width + 2));
    }
    text.push_str("|\n");
    for row in rows {
        for at in 0..heading.len() {
            let cell = row.get(at).map_or("", AsRef::as_ref);
            add(&mut text, at, cell);
        }
        text.push_str("|\n");
    }
    text
}

/// Returns a row of a table as a JSON object; null, NaN and infinity become null.
pub fn object(table: &tables::Table, row: usize) -> Json {
    let cells = table.columns().iter().map(|column| {
        let value = match &column.values {
            Values::Text(values) => json!(values[row]),
            Values::Number(values) => json!(values[row]),
            Values::Whole(values) => json!(values[row]),
            Values::Flag(values) => json!(values[row]),
        };
        (column.name.clone(), value)
    });
    Json::Object(cells.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_is_laid_out_as_a_short_one() {
        let rows: Vec<Vec<String>> = [["é", "1.5", ""], ["relu", "-20", "x y"], ["", "", "none"]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec();
        let heading = ["architecture.activation", "seed", "status"];
        let numeric = [false, true, false];
        let fitted = fitted(&heading, &rows, &numeric);
        assert_eq!(as_wide_as_need_be(&heading, &rows, &numeric), fitted);
        assert_eq!(table(&heading, &rows), fitted);
        assert!(fitted.contains("|  1.5 |"), "numbers are aligned to the right:\n{fitted}");
    }

    #[test]
    fn a_row_is_one_line_and_nothing_in_it_is_obeyed() {
        for count in [1, FITTED + 1] {
            let rows = vec![vec!["two\nlines\r\u{9b}2J\u{1b}[31m\u{202e}"]; count];
            let text = table(&["rea\u{1b}son\n"], &rows);
            assert_eq!(text.lines().count(), count + 2, "{text}");
            assert!(text.lines().all(|line| line.chars().all(printable::is_shown)), "{text:?}");
            assert!(text.contains("| two lines \\u{9b}2J\\u{1b}[31m\\u{202e} |"), "{text}");
        }
    }
}
