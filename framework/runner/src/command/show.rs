//! Tables for people.

use std::borrow::Cow;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::ASCII_MARKDOWN};
use compare::interval::Interval;
use framework::printable;
use serde_json::{Value as Json, json};
use tables::Values;

/// A table with more rows is not fitted to the terminal: nobody reads all of it there, and laying
/// out 100,000 rows would take longer than all the rest of listing them.
const FITTED: usize = 1000;

/// A table with a heading; columns of numbers are aligned to the right. A cell is one line, of which a
/// terminal obeys nothing.
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

/// On a terminal, as wide as that is at most.
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

/// The same, one line a row whatever its length.
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

/// A value of a result in few digits.
pub fn cell(values: &Values, row: usize) -> String {
    match values {
        Values::Number(values) => values.get(row).copied().flatten().map_or(String::new(), number),
        Values::Whole(values) => {
            values.get(row).copied().flatten().map_or(String::new(), |n| n.to_string())
        }
        Values::Flag(values) => {
            values.get(row).copied().flatten().map_or(String::new(), |n| n.to_string())
        }
        Values::Text(values) => values.get(row).cloned().flatten().unwrap_or_default(),
    }
}

/// A column of results in few digits; counts, a column of whole numbers alone, in all of theirs.
pub fn column(values: &Values) -> Vec<String> {
    let rows = 0..values.len();
    match values {
        Values::Number(numbers) if are_counts(numbers) => {
            let count = |value: &Option<f64>| value.map_or(String::new(), |n| format!("{n:.0}"));
            numbers.iter().map(count).collect()
        }
        _ => rows.map(|row| cell(values, row)).collect(),
    }
}

/// The largest number that is still a count: beyond it, f64 skips whole numbers.
const LARGEST_COUNT: f64 = 9_007_199_254_740_992.0;

/// Whether these are whole numbers, and more than zeros.
fn are_counts(values: &[Option<f64>]) -> bool {
    let mut known = values.iter().flatten();
    known.clone().any(|value| *value != 0.0)
        && known.all(|value| value.fract() == 0.0 && value.abs() < LARGEST_COUNT)
}

/// A row of a table as a JSON object; what is null, or no number that JSON has, is null.
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

/// Four significant digits.
pub fn number(value: f64) -> String {
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    match magnitude {
        -4..=5 => format!("{value:.*}", usize::try_from(3 - magnitude).unwrap_or(0)),
        _ => format!("{value:.3e}"),
    }
}

/// A mean and half of its interval.
pub fn interval(interval: &Interval) -> String {
    let mean = number(interval.mean);
    match interval.half_width {
        Some(half) => format!("{mean} ± {}", two_digits(half)),
        None => mean,
    }
}

/// From here on numbers are written with a power of ten: of all their digits few mean something.
const LARGE: f64 = 1e6;

fn two_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    let digits = if rounded == 0.0 { 0 } else { (1 - rounded.abs().log10().floor() as i32).max(0) };
    match digits {
        0..=6 if rounded.abs() < LARGE => format!("{rounded:.*}", digits as usize),
        _ => format!("{value:.1e}"),
    }
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

    #[test]
    fn numbers_have_four_significant_digits() {
        assert_eq!(number(0.012345678), "0.01235");
        assert_eq!(number(123.456), "123.5");
        assert_eq!(number(98765.4), "98765");
        assert_eq!(number(1.5e-9), "1.500e-9");
        assert_eq!(number(0.0), "0.000");
    }

    #[test]
    fn intervals_have_two_digits() {
        let said = |half| {
            interval(&Interval { count: 2, mean: 0.0153, deviation: None, half_width: half })
        };
        assert_eq!(said(Some(0.00093)), "0.01530 ± 0.00093");
        assert_eq!((said(Some(0.0)), said(None)), ("0.01530 ± 0".into(), "0.01530".into()));
        assert_eq!(two_digits(12.3), "12");
    }

    /// Wrong if digits were written that mean nothing, as all 42 of them once were.
    #[test]
    fn large_numbers_have_a_power_of_ten() {
        let huge = Interval { count: 2, mean: 1.5e40, deviation: None, half_width: Some(1.9e41) };
        assert_eq!(interval(&huge), "1.500e40 ± 1.9e41");
        assert_eq!((two_digits(99_499.0), two_digits(999_999.0)), ("99000".into(), "1.0e6".into()));
        for power in -300..=300 {
            let value = 1.23456 * 10_f64.powi(power);
            assert!(number(value).len() <= 10 && two_digits(value).len() <= 10, "{value:e}");
        }
    }

    /// Wrong if a count of trainings were shown as `11.00`, or a mean without its digits.
    #[test]
    fn counts_have_no_decimals() {
        let said = |values: &[f64]| {
            column(&Values::Number(values.iter().map(|value| Some(*value)).collect()))
        };
        assert_eq!(said(&[11.0, 3.0, 1437.0]), ["11", "3", "1437"]);
        assert_eq!(said(&[11.0, 3.5]), ["11.00", "3.500"]);
        assert_eq!(said(&[0.0, 0.0]), ["0.000", "0.000"]);
        assert_eq!(said(&[1.9e41]), ["1.900e41"]);
        assert_eq!(column(&Values::Number(vec![None, Some(2.0)])), ["", "2"]);
    }
}
