//! The comparison of methods: settings over seeds, fronts, and methods at the same L0.

use std::collections::{BTreeMap, BTreeSet};

use compare::front::{Point, front};
use compare::interval::Interval;
use compare::matched::{Pair, Reading, pairs, readings};
use compare::{Better, Method, Outcome};
use framework::plugin::L0Rule;

use super::common::common;
use super::runs::{Runs, better};
use crate::command::show;

/// A comparison of methods by a metric.
pub struct Comparison {
    /// The metric.
    pub metric: String,
    /// The columns whose values name a method.
    pub by: Vec<String>,
    /// The methods, in the order of their names.
    pub groups: Vec<Group>,
    /// The L0 at which they are compared.
    pub at: Vec<f64>,
    /// What each comes to there, by `at` and method.
    pub readings: Vec<Reading>,
    /// Every two of them there.
    pub pairs: Vec<Pair>,
    /// What was left out: runs by status, and runs that are done and lack a number.
    pub left_out: BTreeMap<String, usize>,
}

/// A method.
pub struct Group {
    /// Its name.
    pub name: String,
    /// Which of its latents are active.
    pub l0_rule: L0Rule,
    /// The column that its values are from: codes that L0 does not count are not let through.
    pub metric: String,
    /// Its settings, sorted by L0.
    pub settings: Vec<Setting>,
}

/// A setting of a method: everything but the seed.
pub struct Setting {
    /// What is varied, and its values, in words.
    pub words: String,
    /// The rows of its runs.
    pub rows: Vec<usize>,
    /// Their outcomes.
    pub outcomes: Vec<Outcome>,
    /// Over the seeds.
    pub l0: Interval,
    /// Over the seeds.
    pub value: Interval,
    /// Whether nothing of the method beats it in both.
    pub is_on_front: bool,
}

/// Why a method may have no value at an L0.
pub const UNREAD: &str = "A method is not read (–) where its front does not reach: nothing is guessed beyond \
                          its sparsest and its densest setting, and a denser setting that is no better than a \
                          sparser one is not on the front.";

/// The metric that tells how much is lost where codes that do not count are 0.
pub const THRESHOLDED: &str = "test_mse_thresholded";

impl Comparison {
    /// Compares runs, grouped by the values of these columns, by a metric, at these L0; at those that
    /// the methods have in common if none is given.
    pub fn new(runs: &Runs, by: &[String], metric: &str, at: &[f64]) -> Self {
        let better = better(metric);
        let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
        let mut methods: BTreeMap<(String, L0Rule), Vec<(usize, Outcome)>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for row in 0..runs.count() {
            if !seen.insert(runs.text(row, "run_id")) {
                continue; // Two folders may have the same run.
            }
            let status = runs.text(row, "status");
            if status != "done" {
                *left_out.entry(status).or_default() += 1;
                continue;
            }
            let rule = runs.l0_rule(row);
            let column = column_of(metric, rule);
            let outcome = runs.number(row, "test_l0").zip(runs.number(row, column));
            let Some((l0, value)) = outcome else {
                *left_out.entry(format!("without {column}")).or_default() += 1;
                continue;
            };
            let name: Vec<String> = by.iter().map(|column| runs.text(row, column)).collect();
            let outcome = Outcome { seed: runs.seed(row), l0, value };
            let key = (name.join(" "), rule);
            methods.entry(key).or_default().push((row, outcome));
        }
        let groups: Vec<Group> = methods
            .into_iter()
            .map(|((name, _), outcomes)| group(runs, by, name, metric, better, outcomes))
            .collect();
        let methods: Vec<Method> = groups
            .iter()
            .map(|group| Method {
                name: group.name.clone(),
                settings: group.settings.iter().map(|one| one.outcomes.clone()).collect(),
            })
            .collect();
        // What codes count by one rule says nothing about those of another, but for what the
        // model makes of them when the rest is 0.
        let are_comparable = |one: usize, other: usize| {
            let (one, other): (&Group, &Group) = (&groups[one], &groups[other]);
            one.l0_rule == other.l0_rule || metric == "test_mse"
        };
        let at = match (at.is_empty(), targets(runs)) {
            (false, _) => at.to_vec(),
            (true, targets) if targets.is_empty() => common(&groups, are_comparable),
            (true, targets) => targets,
        };
        let readings: Vec<Reading> =
            at.iter().flat_map(|l0| readings(&methods, *l0, better)).collect();
        let pairs = pairs(&readings, better, are_comparable);
        let by = by.to_vec();
        Self { metric: metric.to_owned(), by, groups, at, readings, pairs, left_out }
    }

    /// What a method comes to at an L0, in words: over which seeds, where that is not all of them. `None`
    /// if its front does not reach there.
    pub fn read(&self, reading: &Reading) -> Option<String> {
        let value = show::interval(&reading.interval()?);
        let settings = &self.groups[reading.method].settings;
        let outcomes = settings.iter().flat_map(|setting| &setting.outcomes);
        let all: BTreeSet<u64> = outcomes.map(|outcome| outcome.seed).collect();
        Some(match (reading.seeds.len(), all.len()) {
            (some, all) if some < all => format!("{value} ({some} of {all} seeds)"),
            _ => value,
        })
    }
}

/// The column that a method whose latents are counted so is compared by.
fn column_of(metric: &str, rule: L0Rule) -> &str {
    if metric == "test_mse" && rule != L0Rule::Nonzero { THRESHOLDED } else { metric }
}

fn group(
    runs: &Runs,
    by: &[String],
    name: String,
    metric: &str,
    better: Better,
    outcomes: Vec<(usize, Outcome)>,
) -> Group {
    let rows: Vec<usize> = outcomes.iter().map(|(row, _)| *row).collect();
    let l0_rule = runs.l0_rule(rows[0]);
    let varied = runs.varied(&rows);
    let mut settings: BTreeMap<Vec<String>, Vec<(usize, Outcome)>> = BTreeMap::new();
    for (row, outcome) in outcomes {
        let setting = runs.setting(row);
        let value = |name: &&str| {
            let found = setting.iter().find(|(known, _)| known == name);
            found.map_or(String::new(), |(_, value)| value.clone())
        };
        settings.entry(varied.iter().map(value).collect()).or_default().push((row, outcome));
    }
    let shown: Vec<&&str> =
        varied.iter().filter(|name| !by.iter().any(|column| column == **name)).collect();
    let words = |values: &[String]| {
        let word = |name: &&&&str| {
            let at = varied.iter().position(|known| known == **name)?;
            let value = values[at].as_str();
            (!value.is_empty()).then(|| format!("{}={value}", short(name)))
        };
        shown.iter().filter_map(|name| word(&name)).collect::<Vec<_>>().join(" ")
    };
    let mut settings: Vec<Setting> = settings
        .iter()
        .filter_map(|(values, outcomes)| {
            let all: Vec<Outcome> = outcomes.iter().map(|(_, outcome)| *outcome).collect();
            let of = |number: fn(&Outcome) -> f64| {
                Interval::of(&all.iter().map(number).collect::<Vec<f64>>())
            };
            Some(Setting {
                words: words(values),
                rows: outcomes.iter().map(|(row, _)| *row).collect(),
                l0: of(|outcome| outcome.l0)?,
                value: of(|outcome| outcome.value)?,
                outcomes: all,
                is_on_front: false,
            })
        })
        .collect();
    settings.sort_by(|a, b| a.l0.mean.total_cmp(&b.l0.mean));
    let points: Vec<Point> = settings
        .iter()
        .map(|setting| Point { l0: setting.l0.mean, value: setting.value.mean })
        .collect();
    for at in front(&points, better) {
        settings[at].is_on_front = true;
    }
    Group { name, l0_rule, metric: column_of(metric, l0_rule).to_owned(), settings }
}

/// A column without its section, where that is clear.
fn short(column: &str) -> &str {
    for section in ["penalty_", "architecture_", "dataset_", "train_"] {
        if let Some(rest) = column.strip_prefix(section) {
            return rest;
        }
    }
    column
}

/// The L0 that runs were to reach, if they had targets.
fn targets(runs: &Runs) -> Vec<f64> {
    let targets = (0..runs.count()).filter_map(|row| runs.number(row, "target_l0"));
    let mut targets: Vec<f64> = targets.collect();
    targets.sort_by(f64::total_cmp);
    targets.dedup();
    targets
}
