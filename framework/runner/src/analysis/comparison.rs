//! The comparison of methods: settings over seeds, fronts, and methods at the same L0; one comparison for
//! each part of the runs within which the metric means the same.

use std::collections::{BTreeMap, BTreeSet};

use compare::matched::{Pair, Reading, pairs, readings};
use compare::{Better, Method, Outcome};
use framework::plugin::Best;

use super::common::common;
use super::differs::{Differs, differences};
use super::group::{Group, settings};
use super::metric::Metric;
use super::runs::Runs;
use super::scope::{Scope, scopes};
use crate::command::show;

/// What is to be compared, by what and where.
pub struct Question {
    /// The columns whose values name a method.
    pub by: Vec<String>,
    /// The columns that are paired and averaged over like the seed.
    pub over: Vec<String>,
    /// The metric; where nobody asks for one, the test error of what L0 counts.
    pub metric: Option<String>,
    /// Which of its values are good, where the user says it.
    pub best: Option<Best>,
    /// The L0 at which methods are compared; where there is none, those that they have in common.
    pub at: Vec<f64>,
}

impl Default for Question {
    fn default() -> Self {
        let by = vec!["penalty".to_owned()];
        Self { by, over: Vec::new(), metric: None, best: None, at: Vec::new() }
    }
}

/// The comparisons of some runs.
pub struct Comparisons {
    /// The columns whose values name a method.
    pub by: Vec<String>,
    /// The columns that are averaged over like the seed.
    pub over: Vec<String>,
    /// What the values that are compared are called.
    pub metric: String,
    /// One for each part within which the metric means the same.
    pub parts: Vec<Comparison>,
    /// What was left out: runs by status, runs that are done and lack a number, runs of earlier files.
    pub left_out: BTreeMap<String, usize>,
}

/// A comparison of methods by a metric.
pub struct Comparison {
    /// What tells its runs from those of the other comparisons; empty if there are none.
    pub within: String,
    /// What the values that are compared are called.
    pub metric: String,
    /// Which of them are better; `None`: nobody knows, so nothing is on a front and nothing wins.
    pub better: Option<Better>,
    /// The methods, in the order of their names.
    pub groups: Vec<Group>,
    /// The L0 at which they are compared.
    pub at: Vec<f64>,
    /// What each comes to there, by `at` and method.
    pub readings: Vec<Reading>,
    /// Every two of them there.
    pub pairs: Vec<Pair>,
    /// What differs between them beside what names them.
    pub differs: Vec<Differs>,
    /// Runs whose codes are all off: they are on no front.
    pub silent: usize,
    /// Whether some methods were not compared as their L0 counts differently.
    pub is_split: bool,
}

/// Why a method may have no value at an L0.
pub const UNREAD: &str = "A method is not read (–) where its front does not reach: nothing is guessed beyond \
                          its sparsest and its densest setting, and a denser setting that is no better than a \
                          sparser one is not on the front.";

/// What is said of runs that the experiment file does not contain any more.
pub const EARLIER: &str = "not in the experiment file any more";

impl Comparisons {
    /// Compares runs.
    pub fn new(runs: &Runs, question: &Question) -> Self {
        let metric = Metric::new(runs, question.metric.as_deref(), question.best);
        let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
        if runs.earlier > 0 {
            left_out.insert(EARLIER.to_owned(), runs.earlier);
        }
        let mut outcomes = BTreeMap::new();
        for row in once(runs) {
            let status = runs.text(row, "status");
            if status != "done" {
                *left_out.entry(status).or_default() += 1;
                continue;
            }
            let column = metric.column(threshold(runs, row));
            match runs.number(row, "test_l0").zip(runs.number(row, column)) {
                Some((l0, value)) => {
                    let seed = runs.seed(row);
                    outcomes.insert(row, Outcome { seed, l0, value: metric.value(value) });
                }
                None => *left_out.entry(format!("without {column}")).or_default() += 1,
            }
        }
        replicate(runs, &question.over, &mut outcomes);
        let rows: Vec<usize> = outcomes.keys().copied().collect();
        let mut twice = 0;
        let parts: Vec<Comparison> = scopes(runs, &metric, &question.over, &rows)
            .into_iter()
            .map(|scope| Comparison::new(runs, question, &metric, &scope, &outcomes, &mut twice))
            .collect();
        if twice > 0 {
            left_out.insert("the same run again, its data under another path".to_owned(), twice);
        }
        let (by, over) = (question.by.clone(), question.over.clone());
        let called = called(&metric, parts.iter().flat_map(|part| &part.groups));
        Self { by, over, metric: called, parts, left_out }
    }

    /// The methods of all comparisons.
    pub fn groups(&self) -> impl Iterator<Item = &Group> + Clone {
        self.parts.iter().flat_map(|part| &part.groups)
    }

    /// Each comparison with its methods.
    pub fn parts_of_groups(&self) -> impl Iterator<Item = (&Comparison, &Group)> {
        self.parts.iter().flat_map(|part| part.groups.iter().map(move |group| (part, group)))
    }

    /// Why there are several comparisons; `None` if there is one at most.
    pub fn why_several(&self) -> Option<String> {
        (self.parts.len() > 1).then(|| {
            format!(
                "{} does not mean the same for all of these runs, so there are {} comparisons, and nothing is \
                 compared across them.",
                self.metric,
                self.parts.len()
            )
        })
    }
}

/// The rows of runs, each run once: two folders may have the same one. Of those, one that is done is
/// taken before one that is not.
fn once(runs: &Runs) -> Vec<usize> {
    let mut chosen: BTreeMap<_, usize> = BTreeMap::new();
    for row in 0..runs.count() {
        // A path counts as it is written in a run's id, and may lead to other data from another folder.
        let key = (runs.text(row, "run_id"), runs.scope(row, framework::plugin::Within::Training));
        let known = chosen.entry(key).or_insert(row);
        let is_done = |row: usize| runs.text(row, "status") == "done";
        if !is_done(*known) && is_done(row) {
            *known = row;
        }
    }
    let mut rows: Vec<usize> = chosen.into_values().collect();
    rows.sort_unstable();
    rows
}

/// Where more than the seed is averaged over, numbers what is averaged over together.
fn replicate(runs: &Runs, over: &[String], outcomes: &mut BTreeMap<usize, Outcome>) {
    if over.is_empty() {
        return;
    }
    let key = |row: usize| {
        let values = over.iter().map(|column| runs.over(row, column));
        (runs.seed(row), values.collect::<Vec<_>>())
    };
    let keys: BTreeSet<_> = outcomes.keys().map(|row| key(*row)).collect();
    let numbers: BTreeMap<_, u64> = keys.into_iter().zip(0..).collect();
    for (row, outcome) in outcomes {
        outcome.seed = numbers[&key(*row)];
    }
}

fn threshold(runs: &Runs, row: usize) -> f64 {
    runs.number(row, "l0_threshold").unwrap_or_default()
}

/// What the values of these methods are called: where one of them has codes that L0 does not count, all
/// are errors without those, which is the same where all that is not 0 counts.
fn called<'a>(metric: &Metric<'_>, mut groups: impl Iterator<Item = &'a Group>) -> String {
    let highest = groups.by_ref().map(|group| group.l0_threshold).fold(0.0, f64::max);
    metric.label(metric.column(highest))
}

impl Comparison {
    fn new(
        runs: &Runs,
        question: &Question,
        metric: &Metric<'_>,
        scope: &Scope,
        outcomes: &BTreeMap<usize, Outcome>,
        twice: &mut usize,
    ) -> Self {
        let Question { by, over, .. } = question;
        let better = metric.better();
        let mut methods: BTreeMap<(String, String), Vec<(usize, Outcome)>> = BTreeMap::new();
        for row in &scope.rows {
            let name: Vec<String> = by.iter().map(|column| runs.text(*row, column)).collect();
            // What L0 counts is told by the threshold and, in newer results, by a rule.
            let rule = runs.text(*row, "l0_rule");
            let key = (name.join(" "), format!("{:e} {rule}", threshold(runs, *row)));
            methods.entry(key).or_default().push((*row, outcomes[row]));
        }
        let (by, over): (Vec<&str>, Vec<&str>) =
            (by.iter().map(String::as_str).collect(), runs.averaged(over));
        let mut groups: Vec<Group> = Vec::new();
        for ((name, counts), outcomes) in methods {
            let l0_threshold = threshold(runs, outcomes[0].0);
            let column = metric.column(l0_threshold);
            let (settings, again) = settings(runs, &by, &over, better, outcomes);
            *twice += again;
            groups.push(Group {
                name,
                within: scope.name.clone(),
                l0_threshold,
                counts,
                metric: column.to_owned(),
                label: metric.label(column),
                settings,
            });
        }
        let methods: Vec<Method> = groups
            .iter()
            .map(|group| Method {
                name: group.name.clone(),
                settings: group.settings.iter().map(|one| one.outcomes.clone()).collect(),
            })
            .collect();
        // What codes count in one way says nothing about those that count in another, but for what the
        // model makes of them when the rest is 0.
        let are_comparable = |one: usize, other: usize| {
            groups[one].counts == groups[other].counts || metric.crosses_thresholds()
        };
        let at = match better {
            None => Vec::new(),
            Some(_) => places(runs, question, scope, &groups, are_comparable),
        };
        let readings: Vec<Reading> = match better {
            None => Vec::new(),
            Some(better) => at.iter().flat_map(|l0| readings(&methods, *l0, better)).collect(),
        };
        let pairs = better.map_or(Vec::new(), |better| pairs(&readings, better, are_comparable));
        let all = groups.iter().flat_map(|group| &group.settings).flat_map(|one| &one.outcomes);
        let silent = all.filter(|outcome| outcome.l0 <= 0.0).count();
        let named: Vec<&str> = by.iter().chain(&over).copied().collect();
        Self {
            within: scope.name.clone(),
            metric: called(metric, groups.iter()),
            better,
            differs: differences(runs, &groups, &named),
            at,
            readings,
            pairs,
            silent,
            is_split: (1..groups.len()).any(|at| !are_comparable(0, at)),
            groups,
        }
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

/// The L0 at which methods are compared, each once: those asked for, or the targets of the runs, or some
/// at which there is something to compare.
fn places(
    runs: &Runs,
    question: &Question,
    scope: &Scope,
    groups: &[Group],
    are_comparable: impl Fn(usize, usize) -> bool,
) -> Vec<f64> {
    let targets = scope.rows.iter().filter_map(|row| runs.number(*row, "target_l0"));
    let mut targets: Vec<f64> = targets.collect();
    targets.sort_by(f64::total_cmp);
    let asked = if question.at.is_empty() { targets } else { question.at.clone() };
    let mut at: Vec<f64> = Vec::new();
    for l0 in asked {
        if !at.contains(&l0) {
            at.push(l0);
        }
    }
    if at.is_empty() { common(groups, are_comparable) } else { at }
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
