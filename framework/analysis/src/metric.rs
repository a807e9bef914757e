//! The metric that methods are compared by: its column, its good values, and the runs among which it can be
//! compared.

use std::collections::HashMap;
use std::path::Path;

use framework::plugin::{Best, Declared, EVALUATIONS, L0Rule, Within};
use framework::search::Quantity;
use serde_json::{Map, Value as Json};
use store::{DECLARED, own_declared};
use tables::Values;

use super::Runs;
use super::budgets::BudgetCurve;
use super::comparisons::Question;
use crate::statistics::Better;

/// Metric to compare by if the user names none.
pub const DEFAULT: &str = "test_mse";

/// Test error with all codes that L0 does not count set to 0. Where L0 counts every nonzero code, it equals
/// [`DEFAULT`].
pub const THRESHOLDED: &str = "test_mse_thresholded";

/// The metric of a comparison, as its runs declare it.
pub struct ComparedMetric<'a> {
    column: String,
    /// True if the user named no metric.
    is_default: bool,
    /// Good values; `None` if unknown.
    best: Option<Best>,
    /// Settings that must be equal for two values to be comparable.
    pub within: Within,
    /// Settings of the evaluation, by the declaration that a row holds.
    hows: HashMap<&'a str, String>,
    declared: &'a [Option<String>],
    /// Budgets at which it is compared, if it was taken with a number of latents: they stand where L0 stands
    /// otherwise.
    budgets: Option<BudgetCurve>,
    /// Quantity at whose values methods are compared, if not at budgets.
    along: Quantity,
}

impl<'a> ComparedMetric<'a> {
    /// Finds the metric that the question asks for, or else the default one. Its properties come from the
    /// declarations of the runs, or from the registered evaluations if no run declares it. `best` from the
    /// user overrides both.
    pub fn new(runs: &'a Runs, question: &Question) -> Self {
        let Question { metric: asked, best, along, by_l0, .. } = question;
        let asked_along = along.filter(|along| *along != Quantity::L0);
        let along = along.or_else(|| runs.common_target()).unwrap_or(Quantity::L0);
        // Codes of the same activation and the same mean are compared whole.
        let by_l0 = *by_l0 || along == Quantity::MeanActivation;
        let for_all = || runs.curve_for_all_codes().filter(|_| !by_l0);
        let (column, budgets) = match asked {
            Some(column) => {
                let mut curves = runs.budget_curves().into_iter();
                let curve = curves.find_map(|curve| curve.only(column));
                (column.clone(), curve.filter(|_| asked_along.is_none()))
            }
            None => match for_all() {
                Some((curve, column)) => (column, Some(curve)),
                None => (DEFAULT.to_owned(), None),
            },
        };
        let declared: &[Option<String>] = match runs.table().get(DECLARED) {
            Some(Values::Text(values)) => values,
            _ => &[],
        };
        let mut found: Vec<Declared> = Vec::new();
        let mut hows = HashMap::new();
        for text in declared.iter().flatten() {
            if hows.contains_key(text.as_str()) {
                continue;
            }
            let all: Map<String, Json> = serde_json::from_str(text).unwrap_or_default();
            let own = all.get(&column).map(Declared::from_json);
            hows.insert(text.as_str(), own.as_ref().map_or(String::new(), |own| own.how.clone()));
            found.extend(own);
        }
        if found.is_empty() {
            found.extend(registered(&column));
        }
        let first = found.first().and_then(|first| first.best);
        let is_agreed = found.iter().all(|other| other.best == first);
        let within = found.iter().map(|one| one.within).max().unwrap_or(Within::Training);
        let best = (*best).or(first.filter(|_| is_agreed));
        let along = if budgets.is_some() { Quantity::L0 } else { along };
        let is_default = asked.is_none() && budgets.is_none() && along != Quantity::MeanActivation;
        Self { column, is_default, best, within, hows, declared, budgets, along }
    }

    /// Returns the budgets at which it is compared; `None` if it is compared at L0.
    pub fn budgets(&self) -> Option<&BudgetCurve> {
        self.budgets.as_ref()
    }

    /// Returns the quantity at whose values methods are compared, if not at budgets.
    pub fn along(&self) -> Quantity {
        self.along
    }

    /// Returns the direction in which the numbers of [`Self::value`] are better; `None` if unknown.
    pub fn better(&self) -> Option<Better> {
        Some(match self.best? {
            Best::Lowest | Best::Value(_) => Better::Lower,
            Best::Highest => Better::Higher,
        })
    }

    /// Converts a number of the metric into the number to compare: its distance from the best value, if one
    /// value is the best.
    pub fn value(&self, number: f64) -> f64 {
        match self.best {
            Some(Best::Value(best)) => (number - best).abs(),
            _ => number,
        }
    }

    /// Returns the name of the numbers of this column, as they are compared.
    pub fn label(&self, column: &str) -> String {
        match self.best {
            Some(Best::Value(best)) => format!("|{column} - {best}|"),
            _ => column.to_owned(),
        }
    }

    /// Returns the column for runs whose L0 counts by this rule. It differs from the requested column only
    /// for the default metric.
    pub fn column(&self, rule: L0Rule) -> &str {
        if self.is_default && rule != L0Rule::Nonzero { THRESHOLDED } else { &self.column }
    }

    /// Returns true if the metric means the same for runs whose L0 counts differently: it is taken with all
    /// uncounted codes set to 0, or with the same number of latents.
    pub fn crosses_thresholds(&self) -> bool {
        self.is_default || self.budgets.is_some() || self.column == THRESHOLDED
    }

    /// Returns the settings of a row's evaluation that are not defaults, as JSON.
    pub fn how(&self, row: usize) -> &str {
        let text = self.declared.get(row).and_then(Option::as_deref);
        text.and_then(|text| self.hows.get(text)).map_or("", String::as_str)
    }
}

/// Returns the declaration of a metric that every run has, or that a registered evaluation finds.
fn registered(metric: &str) -> Option<Declared> {
    if let Some((_, own)) = own_declared().into_iter().find(|(name, _)| *name == metric) {
        return Some(own);
    }
    EVALUATIONS.iter().find_map(|row| {
        let plugin = row.example(Path::new("")).ok()?.plugin;
        let (_, best) = *plugin.metrics().iter().find(|(name, _)| *name == metric)?;
        Some(Declared::new(best, plugin.within(metric)))
    })
}
