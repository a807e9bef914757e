//! The comparison of methods: settings over seeds, fronts, and methods at the same L0.

use std::collections::{BTreeMap, BTreeSet};

use compare::front::{Point, front};
use compare::interval::Interval;
use compare::matched::{Pair, Reading, pairs, readings};
use compare::{Better, Method, Outcome};

use super::runs::{Runs, better};

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
    /// Above which value a latent counts as active.
    pub l0_threshold: f64,
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

/// The metric that tells how much is lost where codes that do not count are 0.
const THRESHOLDED: &str = "test_mse_thresholded";

impl Comparison {
    /// Compares runs, grouped by the values of these columns, by a metric, at these L0; at those that
    /// the methods have in common if none is given.
    pub fn new(runs: &Runs, by: &[String], metric: &str, at: &[f64]) -> Self {
        let better = better(metric);
        let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
        let mut methods: BTreeMap<(String, String), Vec<(usize, Outcome)>> = BTreeMap::new();
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
            let threshold = runs.number(row, "l0_threshold").unwrap_or_default();
            let column = column_of(metric, threshold);
            let outcome = runs.number(row, "test_l0").zip(runs.number(row, column));
            let Some((l0, value)) = outcome else {
                *left_out.entry(format!("without {column}")).or_default() += 1;
                continue;
            };
            let name: Vec<String> = by.iter().map(|column| runs.text(row, column)).collect();
            let outcome = Outcome { seed: runs.seed(row), l0, value };
            let key = (name.join(" "), format!("{threshold:e}"));
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
        let at = if at.is_empty() { common(runs, &groups) } else { at.to_vec() };
        let readings: Vec<Reading> =
            at.iter().flat_map(|l0| readings(&methods, *l0, better)).collect();
        // What codes count at one threshold says nothing about those at another, but for what the
        // model makes of them when the rest is 0.
        let are_comparable = |one: usize, other: usize| {
            let (one, other): (&Group, &Group) = (&groups[one], &groups[other]);
            one.l0_threshold == other.l0_threshold || metric == "test_mse"
        };
        let pairs = pairs(&readings, better, are_comparable);
        let by = by.to_vec();
        Self { metric: metric.to_owned(), by, groups, at, readings, pairs, left_out }
    }
}

/// The column that a method with this threshold is compared by.
fn column_of(metric: &str, threshold: f64) -> &str {
    if metric == "test_mse" && threshold > 0.0 { THRESHOLDED } else { metric }
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
    let l0_threshold = runs.number(rows[0], "l0_threshold").unwrap_or_default();
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
    Group { name, l0_threshold, metric: column_of(metric, l0_threshold).to_owned(), settings }
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

/// The L0 that runs were to reach, if they had targets; else three, evenly spaced in the logarithm,
/// where at least two methods have settings.
fn common(runs: &Runs, groups: &[Group]) -> Vec<f64> {
    let mut targets: Vec<f64> =
        (0..runs.count()).filter_map(|row| runs.number(row, "target_l0")).collect();
    targets.sort_by(f64::total_cmp);
    targets.dedup();
    if !targets.is_empty() {
        return targets;
    }
    let ends = groups.iter().filter_map(|group| {
        let l0 = group.settings.iter().filter(|one| one.is_on_front).map(|one| one.l0.mean);
        Some((l0.clone().reduce(f64::min)?, l0.reduce(f64::max)?))
    });
    let ends: Vec<(f64, f64)> = ends.collect();
    let mut lows: Vec<f64> = ends.iter().map(|(low, _)| *low).collect();
    let mut highs: Vec<f64> = ends.iter().map(|(_, high)| *high).collect();
    lows.sort_by(f64::total_cmp);
    highs.sort_by(f64::total_cmp);
    // From where the second method begins to where the second last ends.
    let (Some(low), Some(high)) = (lows.get(1), highs.iter().rev().nth(1)) else {
        return Vec::new();
    };
    if !(*low > 0.0 && low < high) {
        return Vec::new();
    }
    [0.25, 0.5, 0.75].map(|share: f64| rounded(low * (high / low).powf(share))).to_vec()
}

/// Two significant digits: an L0 that people would ask for.
fn rounded(l0: f64) -> f64 {
    format!("{l0:.1e}").parse().unwrap_or(l0)
}
