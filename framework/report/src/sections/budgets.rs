//! Curves over budgets: what each method reaches with 1, 2, 5, … latents of each sample, beside a baseline.

use std::collections::BTreeMap;

use analysis::statistics::Better;
use analysis::statistics::interval::Interval;
use analysis::words;
use analysis::{BaselineCurve, BudgetCurve, Comparison, Group, Setting};

use super::{ExperimentView, file_name, in_words, interval, label};
use crate::figures::axis::PlotAxis;
use crate::subject::{name, shown};
use crate::{Block, Drawing, Figure, PageTable, Plot, PlotPoint, Series};

/// Label of the axis of budgets, with its unit.
const LATENTS: &str = "latents kept per sample";

/// Returns the figures and tables of every curve that the runs declare.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    for curve in subject.runs.budget_curves() {
        for part in &subject.comparisons.parts {
            blocks.extend(of_part(subject, &curve, part));
        }
    }
    blocks
}

/// Settings of a method, each with its values.
struct MethodCurves<'a> {
    group: &'a Group,
    settings: Vec<(&'a Setting, Vec<(usize, Interval)>)>,
}

/// Returns the figures and the table of a curve for the methods of a comparison.
fn of_part(subject: &ExperimentView<'_>, curve: &BudgetCurve, part: &Comparison) -> Vec<Block> {
    let values = |setting| (setting, curve.values(subject.runs, setting));
    let methods = subject.methods().filter(|(of, _)| std::ptr::eq(*of, part));
    let all: Vec<MethodCurves<'_>> = methods
        .map(|(_, group)| MethodCurves {
            group,
            settings: group
                .settings
                .iter()
                .map(values)
                .filter(|(_, values)| !values.is_empty())
                .collect(),
        })
        .filter(|method| !method.settings.is_empty())
        .collect();
    let rows: Vec<usize> = all
        .iter()
        .flat_map(|method| &method.settings)
        .flat_map(|(setting, _)| setting.rows.iter().copied())
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let baseline = curve.baseline(subject.runs, &rows);
    let mut figures = Vec::new();
    if let Some(better) = curve.better().filter(|_| all.len() > 1) {
        figures.push(best(subject, curve, part, &all, baseline.as_ref(), better));
    }
    let has_several = |method: &&MethodCurves<'_>| all.len() == 1 || method.settings.len() > 1;
    let of_settings = all.iter().filter(has_several);
    figures.extend(of_settings.map(|method| of_method(subject, curve, method, baseline.as_ref())));
    vec![Block::Figures(figures), Block::PageTable(table(curve, &all, baseline.as_ref()))]
}

/// Draws the best setting of each method at each budget.
fn best(
    subject: &ExperimentView<'_>,
    curve: &BudgetCurve,
    part: &Comparison,
    all: &[MethodCurves<'_>],
    baseline: Option<&BaselineCurve>,
    better: Better,
) -> Figure {
    let series = |method: &MethodCurves<'_>| {
        let mut best: BTreeMap<usize, (&Setting, Interval)> = BTreeMap::new();
        for (setting, values) in &method.settings {
            for (latents, value) in values {
                let known = best.entry(*latents).or_insert((*setting, *value));
                if better.cost(value.mean) < better.cost(known.1.mean) {
                    *known = (*setting, *value);
                }
            }
        }
        let points = best.into_iter().map(|(latents, (setting, value))| {
            point(curve, latents, &value, &name(method.group, setting))
        });
        marked(method.group.name.clone(), points.collect())
    };
    let within = &part.within;
    let of = if within.is_empty() { String::new() } else { format!("{within}: ") };
    figure(
        subject,
        file_name(&["budget", &curve.name, within]),
        format!(
            "{of}{} with few latents per sample: those that contribute most keep their values, all others rest. Of \
             each method the setting that is its best with that number; mean over the seeds with 95 % intervals \
             (Student's t).",
            in_words(&subject.runs.title(&curve.name), &curve.name)
        ),
        curve,
        all.iter().map(series).collect(),
        baseline,
    )
}

/// Draws the settings of a method.
fn of_method(
    subject: &ExperimentView<'_>,
    curve: &BudgetCurve,
    method: &MethodCurves<'_>,
    baseline: Option<&BaselineCurve>,
) -> Figure {
    let group = method.group;
    let shown = shown(group);
    let drawn =
        method.settings.iter().filter(|(one, _)| shown.iter().any(|s| std::ptr::eq(*s, *one)));
    let series = drawn.map(|(setting, values)| {
        let words = name(group, setting);
        let points = values.iter().map(|(latents, value)| point(curve, *latents, value, &words));
        marked(words.clone(), points.collect())
    });
    let series: Vec<Series> = series.collect();
    let some = match series.len() < method.settings.len() {
        true => format!(" {} of {} settings are drawn.", series.len(), method.settings.len()),
        false => String::new(),
    };
    figure(
        subject,
        file_name(&["budget", &curve.name, &group.title()]),
        format!(
            "{}: {} with few latents per sample, of each setting, mean over the seeds with 95 % intervals (Student's \
             t).{some}",
            group.title(),
            in_words(&subject.runs.title(&curve.name), &curve.name)
        ),
        curve,
        series,
        baseline,
    )
}

/// Makes a point with its title.
fn point(curve: &BudgetCurve, latents: usize, value: &Interval, of: &str) -> PlotPoint {
    PlotPoint {
        dy: value.half_width,
        title: format!(
            "{of}: {} latents, {} {}, {} seeds",
            latents,
            curve.name,
            interval(value),
            value.count
        ),
        ..PlotPoint::at(latents as f64, value.mean)
    }
}

/// Makes a line with marks.
fn marked(name: String, points: Vec<PlotPoint>) -> Series {
    Series { name, points, is_marked: true, has_line: true }
}

/// Share of the least value of all methods below which a baseline is not drawn: it would leave the methods no
/// room.
const BELOW: f64 = 0.1;

/// Makes a figure, with the baseline last.
fn figure(
    subject: &ExperimentView<'_>,
    name: String,
    mut caption: String,
    curve: &BudgetCurve,
    mut series: Vec<Series>,
    baseline: Option<&BaselineCurve>,
) -> Figure {
    let values = || series.iter().flat_map(|series| &series.points).map(|point| point.y);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let is_log = low > 0.0 && high > 2.0 * low;
    if let Some(BaselineCurve { method, points }) = baseline {
        let drawn = points.iter().filter(|(_, value)| *value >= BELOW * low);
        let drawn: Vec<(f64, f64)> =
            drawn.map(|(latents, value)| (*latents as f64, *value)).collect();
        let on = if drawn.len() < points.len() { "; it goes on below the figure" } else { "" };
        caption.push_str(&format!(" The line without marks is {method}, on the same samples{on}."));
        series.push(Series::line(method, drawn));
    }
    let y = label(subject, &curve.name);
    let y = if is_log { PlotAxis::log(y) } else { PlotAxis::linear(y) };
    let plot = Plot { x: PlotAxis::log(LATENTS), y, series };
    Figure { name, caption, drawing: Drawing::Plot(plot) }
}

/// Makes the table behind the figures.
fn table(
    curve: &BudgetCurve,
    all: &[MethodCurves<'_>],
    baseline: Option<&BaselineCurve>,
) -> PageTable {
    let latents: Vec<usize> = curve.points.iter().map(|point| point.latents).collect();
    let words = |latents: &usize| match latents {
        1 => "1 latent".to_owned(),
        some => format!("{some} latents"),
    };
    let heading = ["method", "setting"].map(str::to_owned).into_iter();
    let row = |method: &str, setting: &str, value: &dyn Fn(usize) -> Option<String>| {
        let values = latents.iter().map(|at| value(*at).unwrap_or("–".to_owned()));
        [method.to_owned(), setting.to_owned()].into_iter().chain(values).collect()
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for MethodCurves { group, settings } in all {
        for (setting, values) in settings {
            let value = |at: usize| {
                let known = values.iter().find(|(latents, _)| *latents == at);
                known.map(|(_, value)| interval(value))
            };
            rows.push(row(&group.name, &setting.words, &value));
        }
    }
    if let Some(BaselineCurve { method, points }) = baseline {
        let value = |at: usize| {
            let known = points.iter().find(|(latents, _)| *latents == at);
            known.map(|(_, value)| words::number(*value))
        };
        rows.push(row(method, "", &value));
    }
    PageTable { heading: heading.chain(latents.iter().map(words)).collect(), rows, filter: None }
}
