//! Comparisons of runs: chooses the runs that take part, and makes one comparison for each scope, that is,
//! for runs among which the metric means the same.

use std::collections::{BTreeMap, BTreeSet};

use framework::plugin::{Best, Within};
use framework::search::Quantity;

use super::comparison::{Comparison, called};
use super::group::Group;
use super::metric::ComparedMetric;
use super::runs::Runs;
use super::scope::scopes;
use crate::statistics::SeedOutcome;

/// Request for a comparison: methods, metric and L0.
pub struct Question {
    /// Columns whose values name a method.
    pub by: Vec<String>,
    /// Columns that are paired and averaged over like the seed.
    pub over: Vec<String>,
    /// Metric to compare by. If `None`, the test error with only the codes that L0 counts; if some are never 0
    /// and all were measured at budgets, the test error with the same number of latents.
    pub metric: Option<String>,
    /// Direction or value that is best, if the user says so.
    pub best: Option<Best>,
    /// L0, or numbers of latents of a metric that is compared at budgets, at which to compare methods. If empty,
    /// L0 that the methods have in common, or all budgets.
    pub at: Vec<f64>,
    /// Quantity that these are values of. If `None`, that of the targets of all runs, else L0.
    pub along: Option<Quantity>,
    /// True to compare at L0 unless a metric is named, even if codes are never 0 and were measured at budgets.
    pub by_l0: bool,
}

impl Default for Question {
    fn default() -> Self {
        let by = vec!["penalty".to_owned()];
        let (over, at) = (Vec::new(), Vec::new());
        Self { by, over, metric: None, best: None, at, along: None, by_l0: false }
    }
}

/// All comparisons of a set of runs.
pub struct Comparisons {
    /// Columns whose values name a method.
    pub by: Vec<String>,
    /// Columns that are averaged over like the seed.
    pub over: Vec<String>,
    /// Name of the values that are compared.
    pub metric: String,
    /// Comparisons, one for each scope within which the metric means the same.
    pub parts: Vec<Comparison>,
    /// Number of runs left out, by reason: their status, a missing number, or an earlier experiment file.
    pub left_out: BTreeMap<String, usize>,
}

/// Reason given for runs without a mean activation to compare at.
const SIGNED: &str = "with codes that can be negative, whose mean does not say how sparse they are";

/// Reason given for runs that the experiment file no longer contains.
pub const EARLIER: &str = "not in the experiment file any more";

impl Comparisons {
    /// Compares runs.
    pub fn new(runs: &Runs, question: &Question) -> Self {
        let metric = ComparedMetric::new(runs, question);
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
            let (column, along) = (metric.column(runs.l0_rule(row)), metric.along());
            if along == Quantity::MeanActivation && runs.is_signed(row) {
                *left_out.entry(SIGNED.to_owned()).or_default() += 1;
                continue;
            }
            // At a budget, L0 is shown if it was measured.
            let shown = metric.budgets().map(|_| f64::NAN);
            let place = runs.number(row, along.column()).or(shown);
            match place.zip(runs.number(row, column)) {
                Some((l0, value)) => {
                    let seed = runs.seed(row);
                    outcomes.insert(row, SeedOutcome { seed, l0, value: metric.value(value) });
                }
                None => {
                    // What has no place has no value either where both are of one evaluation: then that is said.
                    let is_alone = runs.number(row, column).is_some();
                    let missing = match place {
                        None if is_alone || along != Quantity::L0 => along.column(),
                        _ => column,
                    };
                    let from = match missing {
                        "test_l0" => ", which the evaluation `sparsity` measures",
                        _ => "",
                    };
                    *left_out.entry(format!("without {missing}{from}")).or_default() += 1;
                }
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

    /// Returns the methods of all comparisons.
    pub fn groups(&self) -> impl Iterator<Item = &Group> + Clone {
        self.parts.iter().flat_map(|part| &part.groups)
    }

    /// Returns each method together with its comparison.
    pub fn parts_of_groups(&self) -> impl Iterator<Item = (&Comparison, &Group)> {
        self.parts.iter().flat_map(|part| part.groups.iter().map(move |group| (part, group)))
    }

    /// Explains why there are several comparisons; `None` if there is at most one.
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

/// Returns the rows of runs, each run once, since two folders may hold the same run. Prefers a row whose
/// run is done.
fn once(runs: &Runs) -> Vec<usize> {
    let mut chosen: BTreeMap<_, usize> = BTreeMap::new();
    for row in 0..runs.count() {
        // A run's id contains the data path as it is written; from another folder that path may lead to
        // other data.
        let key = (runs.text(row, "run_id"), runs.scope(row, Within::Training));
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

/// Renumbers the seeds of outcomes if more than the seed is averaged over: equal seed and equal `over`
/// values get one number.
fn replicate(runs: &Runs, over: &[String], outcomes: &mut BTreeMap<usize, SeedOutcome>) {
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

#[cfg(test)]
#[path = "comparisons_tests.rs"]
mod tests;
