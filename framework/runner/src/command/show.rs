//! Tables for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::ASCII_MARKDOWN};
use tables::Values;

/// A table with a heading; columns of numbers are aligned to the right.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(heading);
    for row in rows {
        table.add_row(row);
    }
    for at in 0..heading.len() {
        let mut cells = rows.iter().filter_map(|row| row.get(at)).filter(|cell| !cell.is_empty());
        let numeric = !rows.is_empty() && cells.all(|cell| cell.parse::<f64>().is_ok());
        if let Some(column) = table.column_mut(at).filter(|_| numeric) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n")
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

/// Four significant digits.
pub fn number(value: f64) -> String {
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    match magnitude {
        -4..=5 => format!("{value:.*}", usize::try_from(3 - magnitude).unwrap_or(0)),
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_significant_digits() {
        assert_eq!(number(0.012345678), "0.01235");
        assert_eq!(number(123.456), "123.5");
        assert_eq!(number(98765.4), "98765");
        assert_eq!(number(1.5e-9), "1.500e-9");
        assert_eq!(number(0.0), "0.000");
    }
}
