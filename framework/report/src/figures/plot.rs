//! Plots: points and lines over two axes. plotters draws the axes. The series with their lines, marks and
//! intervals, and the legend, are written on top, so that the page can show the title of a mark.

use std::fmt::Write;
use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

use super::axis::{Placed, PlotAxis};
use super::figure::{FONT, On, height, opening, width, words};
use super::palette;
use crate::escape::escape;

/// A figure of points and lines.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Axis from left to right.
    pub x: PlotAxis,
    /// Axis upwards.
    pub y: PlotAxis,
    /// Series to draw. One without points is not drawn, but keeps its colour for other figures of the same
    /// list.
    pub series: Vec<Series>,
}

/// A series: points that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points of the series.
    pub points: Vec<PlotPoint>,
    /// True if each point has a mark.
    pub is_marked: bool,
    /// True if a line runs through the strong points, in their order.
    pub has_line: bool,
}

/// A point of a series.
#[derive(Clone, Debug, Default)]
pub struct PlotPoint {
    /// Position from left to right.
    pub x: f64,
    /// Position upwards.
    pub y: f64,
    /// Half the width of its interval.
    pub dx: Option<f64>,
    /// Half the height of its interval.
    pub dy: Option<f64>,
    /// True if its mark is filled and the line runs through it.
    pub is_strong: bool,
    /// Title that the page shows for the mark.
    pub title: String,
}

impl PlotPoint {
    /// Makes a point without an interval.
    pub fn at(x: f64, y: f64) -> Self {
        Self { x, y, is_strong: true, ..Self::default() }
    }
}

impl Series {
    /// Makes a line without marks.
    pub fn line(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let points = points.into_iter().map(|(x, y)| PlotPoint::at(x, y)).collect();
        Self { name: name.into(), points, is_marked: false, has_line: true }
    }
}

impl Ranged for Placed {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (place.clamp(self.low, self.high) - self.low) / (self.high - self.low);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.iter().map(|(place, _)| *place).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Placed {
    fn format(place: &f64) -> String {
        place.to_string()
    }

    fn format_ext(&self, place: &f64) -> String {
        let tick = self.ticks.iter().find(|(at, _)| at == place);
        tick.map_or(String::new(), |(_, label)| label.clone())
    }
}

/// Factor by which plotters writes words smaller than requested.
const PLOTTERS_FONT: f64 = 1.24;

/// Width of a plot.
const WIDTH: u32 = 900;
/// Height of a plot, without the legend.
const HEIGHT: u32 = 600;
/// Margin around a plot.
const MARGIN: u32 = 10;

/// Ink that plotters draws with. No other item has this colour, so it can be replaced by the colour of the
/// page.
const INK: RGBColor = RGBColor(1, 2, 3);
/// Grid colour that plotters draws with, replaced likewise.
const GRID: RGBColor = RGBColor(1, 2, 4);
/// [`INK`] as SVG has it.
const INK_WORD: &str = "#010203";
/// [`GRID`] as SVG has it.
const GRID_WORD: &str = "#010204";

impl Plot {
    /// Returns the number of marks.
    pub fn marks(&self) -> usize {
        let marked = self.series.iter().filter(|series| series.is_marked);
        marked
            .map(|series| series.points.iter().filter(|point| self.place(point).is_some()).count())
            .sum()
    }

    /// Returns the place of a point; `None` if it has none on one of the axes.
    fn place(&self, point: &PlotPoint) -> Option<(f64, f64)> {
        Some((self.x.place(point.x)?, self.y.place(point.y)?))
    }

    /// Draws the plot as SVG.
    ///
    /// # Errors
    /// If plotters cannot draw it.
    pub fn svg(&self, on: On, caption: &str) -> Result<String, String> {
        let (mut lines, mut marks) = (String::new(), String::new());
        self.draw(on, &mut lines, &mut marks)
            .map_err(|error| format!("a figure cannot be drawn: {error}"))?;
        // Replace the first tag of plotters by one that fits any width.
        let body = lines.find('>').map_or("", |at| &lines[at + 1..]);
        let body = body.trim().strip_suffix("</svg>").unwrap_or(body);
        let body = body.replace(INK_WORD, on.ink()).replace(GRID_WORD, on.grid());
        let (legend, more) = self.legend(on);
        let opening = opening(on, f64::from(WIDTH), f64::from(HEIGHT) + more, caption);
        let (margin, wide) = (f64::from(MARGIN), f64::from(WIDTH));
        let bottom = f64::from(HEIGHT) - margin + FONT - height(&self.x.label);
        let x = words(&self.x.label, wide / 2.0, bottom, "middle", on);
        let y = words(&self.y.label, margin, margin + 0.7 * FONT, "start", on);
        Ok(format!("{opening}{body}{x}{y}<g class=\"marks\">{marks}</g>{legend}</svg>"))
    }

    /// Draws the axes into `lines`, and the series into `marks`.
    fn draw(
        &self,
        on: On,
        lines: &mut String,
        marks: &mut String,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let points = || points().filter(|point| self.place(point).is_some());
        let reach = |value: f64, half: Option<f64>| {
            let half = half.unwrap_or(0.0);
            [value - half, value, value + half]
        };
        // An interval that reaches below 0 has no place there on a logarithmic axis, and ends at the axis.
        let x = self.x.around(points().flat_map(|point| reach(point.x, point.dx)));
        let y = self.y.around(points().flat_map(|point| reach(point.y, point.dy)));
        let root = SVGBackend::with_string(lines, (WIDTH, HEIGHT)).into_drawing_area();
        let longest = y.ticks.iter().map(|(_, label)| width(label)).fold(0.0, f64::max);
        // The words of the upward axis stand above it, where a line of them has room.
        let (above, left) = (FONT * 0.8 + height(&self.y.label), longest + FONT * 0.8);
        let below = FONT * 1.9 + height(&self.x.label);
        let mut chart = ChartBuilder::on(&root)
            .margin(MARGIN)
            .margin_top(above as u32)
            .margin_right(24)
            .x_label_area_size(below as u32)
            .y_label_area_size(left as u32)
            .build_cartesian_2d(x.clone(), y.clone())?;
        let font = |size: f64| ("sans-serif", size * PLOTTERS_FONT).into_font().color(&INK);
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style(font(FONT))
            .draw()?;
        let lined = |series: &Series| series.has_line && !series.points.is_empty();
        for (at, series) in self.series.iter().enumerate().filter(|(_, series)| lined(series)) {
            let places = series
                .points
                .iter()
                .filter(|point| point.is_strong)
                .filter_map(|point| self.place(point));
            let places: Vec<String> = places
                .map(|place| {
                    let (x, y) = chart.backend_coord(&place);
                    format!("{x},{y}")
                })
                .collect();
            let dashes = palette::dashes(at);
            let dashes = if dashes.is_empty() {
                String::new()
            } else {
                format!(" stroke-dasharray=\"{dashes}\"")
            };
            write!(
                marks,
                "<polyline class=\"line\" points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"3\"{dashes}/>",
                places.join(" "),
                palette::color(at)
            )?;
        }
        let size = self.size();
        for (at, series) in self.series.iter().enumerate().filter(|(_, series)| series.is_marked) {
            for point in &series.points {
                let Some(place) = self.place(point) else { continue };
                let pixel = |x: f64, y: f64| chart.backend_coord(&(x, y));
                let color = palette::color(at);
                // The end of an interval has a cap, unless it lies beyond a logarithmic axis.
                let mut bars = String::new();
                for (half, sign) in [(point.dx, -1.0), (point.dx, 1.0)] {
                    let Some(half) = half else { continue };
                    let end = self.x.place(point.x + sign * half);
                    let (to, y) = pixel(end.unwrap_or(x.low), place.1);
                    write!(bars, "M{} {y}H{to}", pixel(place.0, place.1).0)?;
                    if end.is_some() {
                        write!(bars, "m0 -5v10")?;
                    }
                }
                for (half, sign) in [(point.dy, -1.0), (point.dy, 1.0)] {
                    let Some(half) = half else { continue };
                    let end = self.y.place(point.y + sign * half);
                    let (x, to) = pixel(place.0, end.unwrap_or(y.low));
                    write!(bars, "M{x} {}V{to}", pixel(place.0, place.1).1)?;
                    if end.is_some() {
                        write!(bars, "m-5 0h10")?;
                    }
                }
                if !bars.is_empty() {
                    write!(
                        marks,
                        "<path class=\"interval\" d=\"{bars}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>"
                    )?;
                }
                let (x, y) = pixel(place.0, place.1);
                let shape = palette::shape(at, f64::from(x), f64::from(y), size);
                write!(
                    marks,
                    "<path class=\"mark\" d=\"{shape}\" {}>",
                    paint(color, point.is_strong)
                )?;
                if on == On::Page && !point.title.is_empty() {
                    write!(marks, "<title>{}</title>", escape(&point.title))?;
                }
                marks.push_str("</path>");
            }
        }
        root.present()?;
        drop(chart);
        Ok(())
    }

    /// Returns the size of marks: many marks are smaller.
    fn size(&self) -> f64 {
        if self.marks() > 150 { 5.0 } else { 9.0 }
    }

    /// Returns the names of the series, to stand below the plot, and their height.
    fn legend(&self, on: On) -> (String, f64) {
        let is_named = |series: &Series| !series.name.is_empty() && !series.points.is_empty();
        let named: Vec<(usize, &Series)> =
            self.series.iter().enumerate().filter(|(_, series)| is_named(series)).collect();
        if named.is_empty() {
            return (String::new(), 0.0);
        }
        let mut legend = format!("<g class=\"legend\" fill=\"{}\">", on.ink());
        let (mut x, mut y) = (20.0, f64::from(HEIGHT) + FONT);
        for (at, series) in named {
            // A line is shown by a piece of it; a mark takes less room.
            let sign = if series.has_line { 44.0 } else { 20.0 };
            let wide = sign + 12.0 + width(&series.name) + 24.0;
            if x > 20.0 && x + wide > f64::from(WIDTH) {
                (x, y) = (20.0, y + 1.4 * FONT);
            }
            let color = palette::color(at);
            let middle = y - 0.35 * FONT;
            if series.has_line {
                let _ = write!(
                    legend,
                    "<path d=\"M{x} {middle}h{sign}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"3\" stroke-dasharray=\"{}\"/>",
                    palette::dashes(at)
                );
            }
            if series.is_marked {
                let _ = write!(
                    legend,
                    "<path d=\"{}\" {}/>",
                    palette::shape(at, x + sign / 2.0, middle, 9.0),
                    paint(color, true)
                );
            }
            let _ = write!(
                legend,
                "<text x=\"{}\" y=\"{y}\">{}</text>",
                x + sign + 12.0,
                escape(&series.name)
            );
            x += wide;
        }
        legend.push_str("</g>");
        (legend, y - f64::from(HEIGHT) + 0.6 * FONT)
    }
}

/// Returns the paint of a mark: filled if strong, else hollow.
fn paint(color: &str, is_strong: bool) -> String {
    match is_strong {
        true => format!("fill=\"{color}\" stroke=\"{color}\""),
        false => format!("fill=\"none\" stroke=\"{color}\" stroke-width=\"2.5\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        let weak = PlotPoint {
            is_strong: false,
            dx: Some(1.0),
            dy: Some(9.0),
            title: "<script>".into(),
            ..PlotPoint::at(20.0, 0.3)
        };
        let series = Series {
            name: "<b>".into(),
            points: vec![
                PlotPoint::at(10.0, 0.4),
                weak,
                PlotPoint::at(f64::NAN, 1.0),
                PlotPoint::at(5.0, 0.0),
            ],
            is_marked: true,
            has_line: true,
        };
        let line = Series::line("curve", [(1.0, 1.0), (2.0, 0.5)]);
        Plot {
            x: PlotAxis::log("L0 <latents>"),
            y: PlotAxis::log("test_mse"),
            series: vec![series, line],
        }
    }

    /// Wrong if a mark is lost, or drawn for a number without a place: NaN, or 0 on a logarithmic axis.
    #[test]
    fn there_are_as_many_marks_as_numbers() {
        let svg = plot().svg(On::Page, "what \"it\" is").unwrap();
        assert_eq!(plot().marks(), 2);
        assert_eq!(svg.matches("class=\"mark\"").count(), 2);
        assert_eq!(svg.matches("class=\"line\"").count(), 2);
        assert_eq!(svg.matches("class=\"interval\"").count(), 1);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    /// Wrong if foreign names become tags, or colours of the page stay in the figure for paper.
    #[test]
    fn names_are_escaped_and_colours_are_those_of_the_page() {
        let page = plot().svg(On::Page, "\"><script>").unwrap();
        let paper = plot().svg(On::Paper, "\"><script>").unwrap();
        for svg in [&page, &paper] {
            assert!(
                !svg.contains("<script") && !svg.contains("<b>") && !svg.contains("<latents>"),
                "{svg}"
            );
            assert!(!svg.contains(INK_WORD) && !svg.contains(GRID_WORD), "{svg}");
            assert!(svg.contains("L0 &lt;latents&gt;"), "{svg}");
        }
        assert!(
            page.contains("currentColor")
                && !paper.contains("currentColor")
                && !paper.contains("var(")
        );
    }

    #[test]
    fn a_plot_of_nothing_is_empty_axes() {
        let empty = Plot { series: Vec::new(), ..plot() };
        assert!(empty.svg(On::Paper, "").unwrap().ends_with("</svg>"));
    }
}
