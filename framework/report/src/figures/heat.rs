//! Heat maps: numbers as colours over two lists, with each value written in its cell.

use std::fmt::Write;

use super::figure::{FONT, On, fitting, height, opening, width, words};
use super::palette;
use crate::escape::escape;

/// A heat map.
#[derive(Clone, Debug)]
pub struct Heat {
    /// Title of the columns.
    pub x: String,
    /// Title of the rows.
    pub y: String,
    /// Labels of the columns.
    pub columns: Vec<String>,
    /// Labels of the rows, from top to bottom.
    pub rows: Vec<String>,
    /// Number of each cell with its text, row by row.
    pub cells: Vec<Option<(f64, String)>>,
    /// Title of the numbers. It may have a second line, in small letters.
    pub label: String,
}

/// Width of a figure.
const WIDTH: f64 = 900.0;
/// Height of a row.
const ROW: f64 = 64.0;

impl Heat {
    /// Returns the number of cells with a number.
    pub fn marks(&self) -> usize {
        self.cells.iter().flatten().count()
    }

    /// Draws the map as SVG.
    pub fn svg(&self, on: On, caption: &str) -> String {
        let left = self.rows.iter().map(|row| width(row)).fold(0.0, f64::max) + 2.2 * FONT + 10.0;
        let cell = (WIDTH - left - 10.0) / self.columns.len().max(1) as f64;
        let top = FONT + height(&self.label);
        let bottom = top + ROW * self.rows.len() as f64;
        let mut svg = opening(on, WIDTH, bottom + 3.2 * FONT, caption);
        let ink = on.ink();
        let numbers = || self.cells.iter().flatten().map(|(value, _)| *value);
        let (low, high) =
            (numbers().fold(f64::INFINITY, f64::min), numbers().fold(f64::NEG_INFINITY, f64::max));
        let _ = write!(
            svg,
            "{}<g class=\"marks\" text-anchor=\"middle\">",
            words(&self.label, 10.0, FONT, "start", on)
        );
        for (at, value) in self.cells.iter().enumerate() {
            let (row, column) = (at / self.columns.len().max(1), at % self.columns.len().max(1));
            let (x, y) = (left + cell * column as f64, top + ROW * row as f64);
            let Some((value, word)) = value else {
                let _ = write!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{ink}\">–</text>",
                    x + cell / 2.0,
                    y + 0.62 * ROW
                );
                continue;
            };
            let share = if high > low { (value - low) / (high - low) } else { 0.5 };
            let color = palette::scale(share);
            let (word_ink, [r, g, b]) = (palette::ink_on(color), color);
            let _ = write!(
                svg,
                "<rect class=\"mark\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#{r:02x}{g:02x}{b:02x}\"/>",
                cell - 2.0,
                ROW - 2.0
            );
            if width(word) < cell {
                let _ = write!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{word_ink}\">{}</text>",
                    x + cell / 2.0,
                    y + 0.62 * ROW,
                    escape(word)
                );
            }
        }
        svg.push_str("</g>");
        let _ = write!(svg, "<g fill=\"{ink}\" text-anchor=\"end\">");
        for (at, row) in self.rows.iter().enumerate() {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                left - 10.0,
                top + ROW * (at as f64 + 0.62),
                escape(row)
            );
        }
        let _ = write!(svg, "</g><g fill=\"{ink}\" text-anchor=\"middle\">");
        for (at, column) in self.columns.iter().enumerate() {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{:.1}\">{}</text>",
                left + cell * (at as f64 + 0.5),
                bottom + 1.1 * FONT,
                fitting(column, 0.95 * cell),
                escape(column)
            );
        }
        // The title of the rows has the height below the label.
        let room = bottom + 3.0 * FONT - top;
        let (middle, center) = (top + room / 2.0, (left + WIDTH) / 2.0);
        let _ = write!(
            svg,
            "<text x=\"{center:.1}\" y=\"{:.1}\" font-size=\"{:.1}\">{}</text>\
             <text transform=\"translate({FONT} {middle:.1}) rotate(-90)\" font-size=\"{:.1}\">{}</text></g></svg>",
            bottom + 2.6 * FONT,
            fitting(&self.x, 2.0 * (WIDTH - center)),
            escape(&self.x),
            fitting(&self.y, room),
            escape(&self.y)
        );
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_cell_and_what_is_missing_none() {
        let heat = Heat {
            x: "<x>".into(),
            y: "y".into(),
            columns: vec!["a".into(), "b".into()],
            rows: vec!["1".into(), "2".into()],
            cells: vec![
                Some((1.0, "1".into())),
                None,
                Some((3.0, "3".into())),
                Some((1.0, "1".into())),
            ],
            label: "test_mse".into(),
        };
        let svg = heat.svg(On::Paper, "");
        assert_eq!(svg.matches("class=\"mark\"").count(), heat.marks());
        assert_eq!(heat.marks(), 3);
        assert!(svg.contains("&lt;x&gt;") && svg.contains('–'));
    }
}
