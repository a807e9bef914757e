//! The metric against L0: all settings with their intervals, and the front of each method. Each rule of
//! counting active latents has its own figure.

use std::collections::BTreeSet;

use analysis::statistics::Better;
use analysis::statistics::interval::Interval;
use analysis::{Comparison, Group, Setting, THRESHOLDED};
use framework::plugin::L0Rule;

use super::{ExperimentView, file_name, in_words, interval, label};
use crate::figures::axis::{PlotAxis, Scale};
use crate::{Block, Drawing, Figure, Plot, PlotPoint, Series};

/// Returns the figures of all comparisons.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    let figures = subject.by_l0.parts.iter().flat_map(|part| figures(subject, part));
    let figures: Vec<Figure> = figures.collect();
    if figures.is_empty() { Vec::new() } else { vec![Block::Figures(figures)] }
}

/// Returns the figures of a comparison, one for each rule of counting active latents.
fn figures(subject: &ExperimentView<'_>, comparison: &Comparison) -> Vec<Figure> {
    let groups = &comparison.groups;
    let rules: BTreeSet<L0Rule> = groups.iter().map(|group| group.l0_rule).collect();
    rules.into_iter().map(|rule| figure(subject, comparison, rule)).collect()
}

/// Draws the methods whose L0 counts by this rule.
fn figure(subject: &ExperimentView<'_>, comparison: &Comparison, rule: L0Rule) -> Figure {
    let all = &comparison.groups;
    let of = |group: &&Group| group.l0_rule == rule;
    let groups: Vec<&Group> = all.iter().filter(of).collect();
    let metric = groups.first().map_or("", |group| group.label.as_str());
    let column = groups.first().map_or("", |group| group.metric.as_str());
    let values = || groups.iter().flat_map(|group| &group.settings);
    let axis = |label: String, of: fn(&Setting) -> Interval| {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        // Codes that are all off have no place on a logarithm; the caption says so.
        values().filter(|setting| setting.l0.mean > 0.0).for_each(|setting| {
            (low, high) = (low.min(of(setting).mean), high.max(of(setting).mean))
        });
        // If all values are close together, or one is 0, a linear axis shows more.
        let is_log = low.is_finite() && low > 0.0 && high > 2.0 * low;
        PlotAxis { label, scale: if is_log { Scale::Log } else { Scale::Linear } }
    };
    let x = axis(l0_axis(&[rule]), |setting| setting.l0);
    let silent = values().filter(|setting| setting.l0.mean <= 0.0).count();
    let is_placed = |setting: &&Setting| x.scale == Scale::Linear || setting.l0.mean > 0.0;
    let left_out = match (x.scale, silent) {
        (Scale::Linear, _) | (_, 0) => String::new(),
        (_, 1) => " One setting has L0 0, which has no place on a logarithm.".to_owned(),
        (_, silent) => format!(" {silent} settings have L0 0, which has no place on a logarithm."),
    };
    let series = |group: &Group| series(group, |setting| of(&group) && is_placed(setting));
    let plot = Plot {
        // Include all methods, so that each has the same colour in every figure.
        series: all.iter().map(series).collect(),
        y: axis(label(subject, metric), |setting| setting.value),
        x,
    };
    let counting = match (rule, column == THRESHOLDED) {
        (L0Rule::Nonzero, _) => String::new(),
        (_, true) => format!(
            " These codes are never exactly 0: a latent counts as active {}, and all others are set to 0.",
            rule.words()
        ),
        (_, false) => {
            format!(" These codes are never exactly 0: a latent counts as active {}.", rule.words())
        }
    };
    let front = |wanted| {
        format!(
            "Filled marks are on the front of their method; better is further to the left and {wanted}."
        )
    };
    let front = match comparison.better {
        Some(Better::Lower) => front("lower"),
        Some(Better::Higher) => front("higher"),
        None => "Which values are good is not known, so there are no fronts.".to_owned(),
    };
    let within = &comparison.within;
    let part = if within.is_empty() { String::new() } else { format!("{within}: ") };
    Figure {
        name: match rule {
            L0Rule::Nonzero => file_name(&["front", metric, within]),
            _ => {
                let threshold = rule.threshold().to_string();
                file_name(&["front", metric, rule.name(), &threshold, within])
            }
        },
        caption: format!(
            "{part}{} against active latents per sample (L0): each mark is a setting, its mean over the seeds \
             with 95 % intervals (Student's t). {front}{counting}{left_out}",
            in_words(&subject.runs.title(metric), metric)
        ),
        drawing: Drawing::Plot(plot),
    }
}

/// Returns the label of the L0 axis, with its unit; if latents are counted by one rule, it says which.
pub fn l0_axis(rules: &[L0Rule]) -> String {
    match rules {
        [L0Rule::Nonzero] | [] | [_, _, ..] => "active latents per sample (L0)\ntest_l0".to_owned(),
        [rule] => format!("latents {} per sample (L0)\ntest_l0", rule.condition()),
    }
}

/// Makes the series of a method.
fn series(group: &Group, is_drawn: impl Fn(&&Setting) -> bool) -> Series {
    let point = |setting: &Setting| PlotPoint {
        x: setting.l0.mean,
        y: setting.value.mean,
        dx: setting.l0.half_width,
        dy: setting.value.half_width,
        is_strong: setting.is_on_front,
        title: format!(
            "{} {}: L0 {}, {} {}, {} seeds",
            group.name,
            setting.words,
            interval(&setting.l0),
            group.label,
            interval(&setting.value),
            setting.rows.len()
        ),
    };
    Series {
        name: group.name.clone(),
        points: group.settings.iter().filter(is_drawn).map(point).collect(),
        is_marked: true,
        has_line: true,
    }
}
