//! Curves over budgets: a metric that was taken with 1, 2, 5, … latents of each sample. They compare codes that
//! are never 0, which have no L0 worth the name.

use std::collections::{BTreeMap, BTreeSet};

use framework::plugin::{BaselineColumn, Best, Declared, EVALUATIONS, L0Rule};
use serde_json::{Map, Value as Json};
use std::path::Path;
use store::DECLARED;
use tables::Values;

use super::group::{Group, Setting};
use super::runs::Runs;
use crate::statistics::interval::Interval;
use crate::statistics::{Better, Method, SeedOutcome};

/// A metric over budgets.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetCurve {
    /// Name of the curve.
    pub name: String,
    /// Which of its values are good.
    pub best: Option<Best>,
    /// Its metrics, by growing budget.
    pub points: Vec<BudgetPoint>,
}

/// A metric with a number of latents.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetPoint {
    /// Number of latents of each sample.
    pub latents: usize,
    /// Column of the metric.
    pub column: String,
    /// Column of a method that everybody knows.
    pub baseline: Option<BaselineColumn>,
}

/// What a baseline reaches, by growing budget.
#[derive(Clone, Debug, PartialEq)]
pub struct BaselineCurve {
    /// Name of the method.
    pub method: String,
    /// Budget and value.
    pub points: Vec<(usize, f64)>,
}

/// Budget that stands for a curve where one number is shown, if the runs have it; else the nearest one.
const USUAL: f64 = 10.0;

impl Runs {
    /// Returns the curves over budgets that the runs declare, by name.
    pub fn budget_curves(&self) -> Vec<BudgetCurve> {
        let Some(Values::Text(declared)) = self.table().get(DECLARED) else { return Vec::new() };
        let texts: BTreeSet<&str> = declared.iter().flatten().map(String::as_str).collect();
        let mut curves: BTreeMap<String, (Option<Best>, BTreeMap<usize, BudgetPoint>)> =
            BTreeMap::new();
        for text in texts {
            let all: Map<String, Json> = serde_json::from_str(text).unwrap_or_default();
            for (column, kept) in all {
                let Declared { best, at: Some(at), .. } = Declared::from_json(&kept) else {
                    continue;
                };
                let point = BudgetPoint { latents: at.latents, column, baseline: at.baseline };
                let (_, points) = curves.entry(at.curve).or_insert((best, BTreeMap::new()));
                points.entry(at.latents).or_insert(point);
            }
        }
        let curve = |(name, (best, points)): (String, (_, BTreeMap<usize, BudgetPoint>))| {
            BudgetCurve { name, best, points: points.into_values().collect() }
        };
        curves.into_iter().map(curve).collect()
    }

    /// Returns true if codes of a row are never 0: L0 counts all latents, or only those above a threshold.
    pub fn is_never_zero(&self, row: usize) -> bool {
        let counts_all = self.number(row, "test_firing_rate").is_some_and(|share| share >= 1.0);
        self.l0_rule(row) != L0Rule::Nonzero || counts_all
    }

    /// Returns the curve by which runs with codes that are never 0 are compared with others, and the column that
    /// stands for it; `None` if there are no such codes, or if a run was not measured at any common budget.
    pub(super) fn curve_for_all_codes(&self) -> Option<(BudgetCurve, String)> {
        let is_done = |row: &usize| self.text(*row, "status") == "done";
        let rows: Vec<usize> = (0..self.count()).filter(is_done).collect();
        if !rows.iter().any(|row| self.is_never_zero(*row)) {
            return None;
        }
        self.budget_curves().into_iter().find_map(|curve| {
            let has_all = |point: &&BudgetPoint| {
                rows.iter().all(|row| self.number(*row, &point.column).is_some())
            };
            let off = |point: &&BudgetPoint| (point.latents as f64 / USUAL).ln().abs();
            let known = curve.points.iter().filter(has_all);
            let column = known.min_by(|a, b| off(a).total_cmp(&off(b)))?.column.clone();
            Some((curve, column))
        })
    }
}

/// Returns the name of an evaluation that finds curves over budgets, if one is registered.
pub(super) fn evaluation() -> Option<&'static str> {
    let has_budgets = |row: &&framework::plugin::Plugin<dyn framework::plugin::Evaluation>| {
        row.example(Path::new("")).is_ok_and(|built| built.plugin.has_budgets())
    };
    EVALUATIONS.iter().filter(has_budgets).map(|row| row.name).min()
}

impl BudgetCurve {
    /// Returns the same curve with the point of this column alone; `None` if it has none.
    pub(super) fn only(&self, column: &str) -> Option<Self> {
        let point = self.points.iter().find(|point| point.column == column)?;
        Some(Self { points: vec![point.clone()], ..self.clone() })
    }

    /// Returns the direction in which its values are better; `None` if unknown.
    pub fn better(&self) -> Option<Better> {
        match self.best? {
            Best::Lowest => Some(Better::Lower),
            Best::Highest => Some(Better::Higher),
            Best::Value(_) => None,
        }
    }

    /// Returns the budgets at which a setting was measured, each with the metric over its seeds.
    pub fn values(&self, runs: &Runs, setting: &Setting) -> Vec<(usize, Interval)> {
        let at = |point: &BudgetPoint| {
            let values = setting.rows.iter().filter_map(|row| runs.number(*row, &point.column));
            Some((point.latents, Interval::of(&values.collect::<Vec<f64>>())?))
        };
        self.points.iter().filter_map(at).collect()
    }

    /// Returns what the baseline reaches beside these rows: where it differs, as models of more latents allow it
    /// more, its best.
    pub fn baseline(&self, runs: &Runs, rows: &[usize]) -> Option<BaselineCurve> {
        let method = self.points.iter().find_map(|point| point.baseline.as_ref())?.method.clone();
        let better = self.better()?;
        let at = |point: &BudgetPoint| {
            let column = &point.baseline.as_ref().filter(|one| one.method == method)?.column;
            let values = rows.iter().filter_map(|row| runs.number(*row, column));
            let best = values.min_by(|a, b| better.cost(*a).total_cmp(&better.cost(*b)))?;
            Some((point.latents, best))
        };
        let points: Vec<(usize, f64)> = self.points.iter().filter_map(at).collect();
        (!points.is_empty()).then_some(BaselineCurve { method, points })
    }

    /// Returns methods with the values that their runs have with this budget, at this budget: where L0 stands
    /// otherwise. `value` turns numbers into those that are compared.
    pub(super) fn methods_at(
        &self,
        runs: &Runs,
        groups: &[Group],
        latents: f64,
        value: impl Fn(f64) -> f64,
    ) -> Vec<Method> {
        let point = self.points.iter().find(|point| point.latents as f64 == latents);
        let outcomes = |setting: &Setting| -> Vec<SeedOutcome> {
            let Some(point) = point else { return Vec::new() };
            let outcome = |(row, known): (&usize, &SeedOutcome)| {
                let value = value(runs.number(*row, &point.column)?);
                Some(SeedOutcome { seed: known.seed, l0: latents, value })
            };
            setting.rows.iter().zip(&setting.outcomes).filter_map(outcome).collect()
        };
        let method = |group: &Group| Method {
            name: group.name.clone(),
            settings: group.settings.iter().map(outcomes).collect(),
        };
        groups.iter().map(method).collect()
    }
}

/// Marks the setting of each method that has the best mean with this budget, and those that are the best of a
/// seed.
pub(super) fn mark(groups: &mut [Group], methods: &[Method], latents: f64, better: Better) {
    for (group, method) in groups.iter_mut().zip(methods) {
        let mean = |outcomes: &Vec<SeedOutcome>| {
            let values: Vec<f64> = outcomes.iter().map(|outcome| outcome.value).collect();
            Interval::of(&values).map(|interval| better.cost(interval.mean))
        };
        let means = method.settings.iter().enumerate();
        let means = means.filter_map(|(at, outcomes)| Some((at, mean(outcomes)?)));
        if let Some((at, _)) = means.min_by(|a, b| a.1.total_cmp(&b.1)) {
            group.settings[at].best_at.push(latents);
            group.settings[at].is_on_front = true;
        }
        let all = method.settings.iter().enumerate();
        let all = all.flat_map(|(at, outcomes)| outcomes.iter().map(move |one| (at, one)));
        let mut of_seeds: BTreeMap<u64, (usize, f64)> = BTreeMap::new();
        for (at, outcome) in all {
            let cost = better.cost(outcome.value);
            let known = of_seeds.entry(outcome.seed).or_insert((at, cost));
            if cost < known.1 {
                *known = (at, cost);
            }
        }
        of_seeds.into_values().for_each(|(at, _)| group.settings[at].is_read = true);
    }
}

#[cfg(test)]
#[path = "budgets_tests.rs"]
mod tests;
