//! The metric against L0, or what stands in its place: all settings with their intervals, and the front of each
//! method. Each rule of counting active latents has its own figure, as have codes whose means are not compared.

use std::collections::BTreeSet;

use analysis::statistics::Better;
use analysis::statistics::interval::Interval;
use analysis::{Comparison, Group, Setting, THRESHOLDED};
use framework::plugin::L0Rule;
use framework::search::Quantity;

use super::{ExperimentView, file_name, in_words, interval, label};
use crate::figures::axis::{PlotAxis, Scale};
use crate::{Block, Drawing, Figure, Plot, PlotPoint, Series};

/// Returns the figures of all comparisons.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    let figures = subject.by_l0.parts.iter().flat_map(|part| figures(subject, part));
    let figures: Vec<Figure> = figures.collect();
    if figures.is_empty() { Vec::new() } else { vec![Block::Figures(figures)] }
}

/// Returns the figures of a comparison, one for each rule of counting active latents. At the same mean activation
/// nothing is counted, and there is one for each activation of codes.
fn figures(subject: &ExperimentView<'_>, comparison: &Comparison) -> Vec<Figure> {
    let groups = &comparison.groups;
    let kinds: BTreeSet<(L0Rule, &str)> =
        groups.iter().map(|group| kind(comparison, group)).collect();
    kinds.into_iter().map(|kind| figure(subject, comparison, kind)).collect()
}

/// Returns what methods of one figure have in common.
fn kind<'a>(comparison: &Comparison, group: &'a Group) -> (L0Rule, &'a str) {
    match comparison.along {
        Quantity::MeanActivation => (L0Rule::Nonzero, &group.codes),
        Quantity::L0 | Quantity::Share => (group.l0_rule, ""),
    }
}

/// Draws the methods of one kind.
fn figure(subject: &ExperimentView<'_>, comparison: &Comparison, own: (L0Rule, &str)) -> Figure {
    let ((rule, codes), along) = (own, comparison.along);
    let all = &comparison.groups;
    let of = |group: &&Group| kind(comparison, group) == own;
    let groups: Vec<&Group> = all.iter().filter(of).collect();
    let metric = groups.first().map_or("", |group| group.label.as_str());
    let column = groups.first().map_or("", |group| group.metric.as_str());
    let values = || groups.iter().flat_map(|group| &group.settings);
    let axis = |label: String, of: fn(&Setting) -> Interval| {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        // Codes that are all off have no place on a logarithm; the caption says so.
        values().filter(|setting| setting.place.mean > 0.0).for_each(|setting| {
            (low, high) = (low.min(of(setting).mean), high.max(of(setting).mean))
        });
        // If all values are close together, or one is 0, a linear axis shows more.
        let is_log = low.is_finite() && low > 0.0 && high > 2.0 * low;
        PlotAxis { label, scale: if is_log { Scale::Log } else { Scale::Linear } }
    };
    let x = axis(along_label(along, rule), |setting| setting.place);
    let silent = values().filter(|setting| setting.place.mean <= 0.0).count();
    let is_placed = |setting: &&Setting| x.scale == Scale::Linear || setting.place.mean > 0.0;
    let has_none = format!("{} 0, which has no place on a logarithm.", along.words());
    let left_out = match (x.scale, silent) {
        (Scale::Linear, _) | (_, 0) => String::new(),
        (_, 1) => format!(" One setting has {has_none}"),
        (_, silent) => format!(" {silent} settings have {has_none}"),
    };
    let series = |group: &Group| series(group, along, |setting| of(&group) && is_placed(setting));
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
            L0Rule::Nonzero if along == Quantity::L0 => file_name(&["front", metric, within]),
            L0Rule::Nonzero => file_name(&["front", metric, along.key(), codes, within]),
            _ => {
                let threshold = rule.threshold().to_string();
                file_name(&["front", metric, rule.name(), &threshold, within])
            }
        },
        caption: format!(
            "{part}Each mark is a setting: {} against {}{}, means over the seeds with 95 % intervals (Student's \
             t). {front}{counting}{left_out}",
            in_words(&subject.runs.title(metric), metric),
            match along {
                Quantity::L0 => "active latents per sample (L0)",
                Quantity::Share | Quantity::MeanActivation => along.words(),
            },
            if codes.is_empty() { String::new() } else { format!(" of {codes} codes") },
        ),
        drawing: Drawing::Plot(plot),
    }
}

/// Returns the label of the axis of what methods are compared at.
fn along_label(along: Quantity, rule: L0Rule) -> String {
    match along {
        Quantity::L0 => l0_axis(&[rule]),
        Quantity::Share | Quantity::MeanActivation => {
            format!("{}\n{}", along.words(), along.column())
        }
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
fn series(group: &Group, along: Quantity, is_drawn: impl Fn(&&Setting) -> bool) -> Series {
    let point = |setting: &Setting| PlotPoint {
        x: setting.place.mean,
        y: setting.value.mean,
        dx: setting.place.half_width,
        dy: setting.value.half_width,
        is_strong: setting.is_on_front,
        title: format!(
            "{} {}: {} {}, {} {}, {} seeds",
            group.name,
            setting.words,
            along.words(),
            interval(&setting.place),
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
