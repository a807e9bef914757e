//! The metric against L0: all settings with their intervals, and the front of each method. Methods whose
//! codes are counted by another rule stand in a figure of their own.

use std::collections::BTreeSet;

use compare::Better;
use compare::interval::Interval;
use framework::plugin::L0Rule;
use report::axis::{Axis, Scale};
use report::{Block, Drawing, Figure, Plot, Point, Series};

use super::{Subject, file_name, interval};
use crate::analysis::{Group, Setting, THRESHOLDED, better};

pub fn blocks(subject: &Subject<'_>) -> Vec<Block> {
    let groups = &subject.comparison.groups;
    let rules: BTreeSet<L0Rule> = groups.iter().map(|group| group.l0_rule).collect();
    let figures: Vec<Figure> = rules.into_iter().map(|rule| figure(groups, rule)).collect();
    if figures.is_empty() { Vec::new() } else { vec![Block::Figures(figures)] }
}

fn figure(all: &[Group], rule: L0Rule) -> Figure {
    let of = |group: &&Group| group.l0_rule == rule;
    let groups: Vec<&Group> = all.iter().filter(of).collect();
    let metric = groups.first().map_or("", |group| group.metric.as_str());
    let values = || groups.iter().flat_map(|group| &group.settings);
    let axis = |label: String, of: fn(&Setting) -> Interval| {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        values().for_each(|setting| {
            (low, high) = (low.min(of(setting).mean), high.max(of(setting).mean))
        });
        // Where everything lies close together, or something is 0, even axes say more.
        let scale = if low > 0.0 && high > 2.0 * low { Scale::Log } else { Scale::Linear };
        Axis { label, scale }
    };
    let plot = Plot {
        x: axis(L0.into(), |setting| setting.l0),
        y: axis(axis_label(metric), |setting| setting.value),
        // All of them, so that a method has one colour in every figure.
        series: all.iter().map(|group| series(group, of(&group))).collect(),
    };
    let counting = match (rule, metric == THRESHOLDED) {
        (L0Rule::Nonzero, _) => String::new(),
        (_, true) => format!(
            " A latent counts as active {}; {metric} is taken with all others set to 0.",
            rule.words()
        ),
        (_, false) => format!(" A latent counts as active {}.", rule.words()),
    };
    let wanted = match better(metric) {
        Better::Lower => "lower",
        Better::Higher => "higher",
    };
    Figure {
        name: match rule {
            L0Rule::Nonzero => file_name(&["front", metric]),
            _ => file_name(&["front", metric, rule.name(), &rule.threshold().to_string()]),
        },
        caption: format!(
            "{metric} against L0: each mark is a setting, its mean over the seeds with 95 % intervals (Student's t). \
             Filled marks are on the front of their method; better is further to the left and {wanted}.{counting}"
        ),
        drawing: Drawing::Plot(plot),
    }
}

/// What L0 is, with its unit.
pub const L0: &str = "L0 (active latents per sample)";

/// What a metric is, with its unit.
pub fn axis_label(metric: &str) -> String {
    match metric {
        // There is room for some thirty letters.
        "test_mse" | "test_mse_thresholded" => format!("{metric} (per input)"),
        other => other.to_owned(),
    }
}

fn series(group: &Group, is_drawn: bool) -> Series {
    let point = |setting: &Setting| Point {
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
            group.metric,
            interval(&setting.value),
            setting.rows.len()
        ),
    };
    Series {
        name: group.name.clone(),
        points: group.settings.iter().filter(|_| is_drawn).map(point).collect(),
        is_marked: true,
        has_line: true,
    }
}
