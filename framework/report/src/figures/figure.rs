//! Figures: the name and caption that all kinds share, and the colours for screen and paper.

use super::heat::Heat;
use super::plot::Plot;
use crate::escape::escape;

/// Place where a figure is shown; it decides the colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// In the page, which is light or dark.
    Page,
    /// On paper, as a file of its own.
    Paper,
}

impl On {
    /// Returns the colour of axes and words.
    pub(crate) fn ink(self) -> &'static str {
        match self {
            Self::Page => "currentColor",
            Self::Paper => "#222222",
        }
    }

    /// Returns the colour of the grid.
    pub(crate) fn grid(self) -> &'static str {
        match self {
            Self::Page => "var(--line)",
            Self::Paper => "#dddddd",
        }
    }
}

/// Content of a figure.
#[derive(Clone, Debug)]
pub enum Drawing {
    /// Points and lines over two axes.
    Plot(Plot),
    /// Numbers as colours over two lists.
    Heat(Heat),
}

/// A figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Name of its files, without extension.
    pub name: String,
    /// Caption: what the figure shows, in a sentence or two.
    pub caption: String,
    /// Content of the figure.
    pub drawing: Drawing,
}

impl Figure {
    /// Returns the number of marks: points, or cells with a number.
    pub fn marks(&self) -> usize {
        match &self.drawing {
            Drawing::Plot(plot) => plot.marks(),
            Drawing::Heat(heat) => heat.marks(),
        }
    }

    /// Draws the figure as SVG.
    ///
    /// # Errors
    /// If the figure cannot be drawn.
    pub fn svg(&self, on: On) -> Result<String, String> {
        match &self.drawing {
            Drawing::Plot(plot) => plot.svg(on, &self.caption),
            Drawing::Heat(heat) => Ok(heat.svg(on, &self.caption)),
        }
    }
}

/// Font size. A figure is 900 units wide, so words stay legible where it fills the width of a phone's
/// screen.
pub(crate) const FONT: f64 = 26.0;

/// Estimates the width of a text. The exact width depends on the reader's fonts, which are unknown.
pub(crate) fn width(text: &str) -> f64 {
    0.56 * FONT * text.chars().count() as f64
}

/// Returns the font size at which a text fits its room with any font, at most [`FONT`]. A digit of a wide
/// font (DejaVu Sans) takes 0.64 of its size, a letter less.
pub(crate) fn fitting(text: &str, room: f64) -> f64 {
    (room / (0.64 * text.chars().count().max(1) as f64)).min(FONT)
}

/// Size of the name of a column beside the words for it, as a share of their size.
const SMALL: f64 = 0.7;

/// Room for a label: the width of a figure without its margins.
const ROOM: f64 = 880.0;

/// Returns the height of a label: one line, or two if the name of its column has no room beside its words.
pub(crate) fn height(label: &str) -> f64 {
    let (words, name) = label.split_once('\n').unwrap_or((label, ""));
    let letters = words.chars().count() as f64 + SMALL * (name.chars().count() + 2) as f64;
    let is_wide = !name.is_empty() && 0.64 * FONT * letters > ROOM;
    if is_wide { FONT * (1.0 + 1.2 * SMALL) } else { FONT }
}

/// Writes the label of an axis, its first line at `y`: its words, and behind or below them in small letters the
/// name of its column.
pub(crate) fn words(label: &str, x: f64, y: f64, anchor: &str, on: On) -> String {
    let (words, name) = label.split_once('\n').unwrap_or((label, ""));
    let place = match height(label) > FONT {
        true => format!("x=\"{x:.1}\" dy=\"{:.1}\"", 1.2 * SMALL * FONT),
        false => format!("dx=\"{:.1}\"", 0.5 * FONT),
    };
    let name = match name {
        "" => String::new(),
        name => {
            let (size, name) = (SMALL * FONT, escape(name));
            format!("<tspan {place} font-size=\"{size:.1}\" opacity=\"0.75\">{name}</tspan>")
        }
    };
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{:.1}\" fill=\"{}\">{}{name}</text>",
        fitting(words, ROOM),
        on.ink(),
        escape(words)
    )
}

/// Returns the first tag of a figure.
pub(crate) fn opening(on: On, width: f64, height: f64, caption: &str) -> String {
    // Backticks set the names of columns in small letters; here there are none.
    let caption = escape(&caption.replace('`', "")).into_owned();
    let size = match on {
        On::Page => String::new(),
        On::Paper => format!(" width=\"{width}\" height=\"{height}\""),
    };
    let paper = match on {
        On::Page => "",
        On::Paper => "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\"{size} role=\"img\" \
         aria-label=\"{caption}\" font-family=\"sans-serif\" font-size=\"{FONT}\">{paper}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if the name of a column were lost, stood over the words, or left the figure.
    #[test]
    fn a_label_has_a_second_line_where_its_name_has_no_room() {
        let (short, long) =
            ("error per pixel\ntest_mse", "m".repeat(50) + "\ntest_mse_thresholded");
        assert_eq!(height(short), FONT);
        assert!(height(&long) > FONT);
        let of = |label: &str| words(label, 10.0, 20.0, "start", On::Paper);
        assert!(of(short).contains("<tspan dx=") && of(&long).contains("<tspan x=\"10.0\" dy="));
        assert!(!of("step").contains("tspan"));
    }

    /// Wrong if a long text does not fit its room, or a short text is smaller than others.
    #[test]
    fn a_text_is_smaller_only_where_it_has_to_be() {
        assert_eq!((fitting("step", 400.0), fitting("", 400.0)), (FONT, FONT));
        let size = fitting("principal component 2 (17.7 % of variance)", 400.0);
        assert!(size < FONT && size * 0.64 * 42.0 <= 400.0 + 1e-9, "{size}");
    }
}
