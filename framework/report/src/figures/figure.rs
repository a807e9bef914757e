//! What figures have in common: their name, what they show in words, and the two ways of colouring
//! them.

use super::heat::Heat;
use super::plot::Plot;
use crate::escape::escape;

/// What ink and paper are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The page, which is light or dark.
    Page,
    /// Paper: a file of its own.
    Paper,
}

impl On {
    /// The colour of axes and words.
    pub(crate) fn ink(self) -> &'static str {
        match self {
            Self::Page => "currentColor",
            Self::Paper => "#222222",
        }
    }

    /// The colour of lines that help to read.
    pub(crate) fn grid(self) -> &'static str {
        match self {
            Self::Page => "var(--line)",
            Self::Paper => "#dddddd",
        }
    }
}

/// What is drawn.
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
    /// The name of its files.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub caption: String,
    /// What is drawn.
    pub drawing: Drawing,
}

impl Figure {
    /// How many marks it has: points, or cells with a number.
    pub fn marks(&self) -> usize {
        match &self.drawing {
            Drawing::Plot(plot) => plot.marks(),
            Drawing::Heat(heat) => heat.marks(),
        }
    }

    /// As SVG.
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

/// The size of words, in units of which a figure is 900 wide: legible on a phone, where that is the
/// width of the screen.
pub(crate) const FONT: f64 = 26.0;

/// How wide a text is, about: without the fonts of the reader, nobody knows.
pub(crate) fn width(text: &str) -> f64 {
    0.56 * FONT * text.chars().count() as f64
}

/// The size of a text that is to have room, whatever the fonts of the reader: it is smaller than others
/// where it has to be. A digit of a wide font (DejaVu Sans) takes 0.64 of its size, a letter less.
pub(crate) fn fitting(text: &str, room: f64) -> f64 {
    (room / (0.64 * text.chars().count().max(1) as f64)).min(FONT)
}

/// The first tag of a figure.
pub(crate) fn opening(on: On, width: f64, height: f64, caption: &str) -> String {
    let caption = escape(caption);
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

    /// Wrong if a long text did not fit its room, or a short one were not as large as others.
    #[test]
    fn a_text_is_smaller_only_where_it_has_to_be() {
        assert_eq!((fitting("step", 400.0), fitting("", 400.0)), (FONT, FONT));
        let size = fitting("principal component 2 (17.7 % of variance)", 400.0);
        assert!(size < FONT && size * 0.64 * 42.0 <= 400.0 + 1e-9, "{size}");
    }
}
