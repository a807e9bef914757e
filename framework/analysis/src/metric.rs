//! The metric that methods are compared by: its column, which of its values are good, and what it may be
//! compared within.

use std::collections::HashMap;
use std::path::Path;

use framework::plugin::{Best, Declared, EVALUATIONS, L0Rule, Within};
use serde_json::{Map, Value as Json};
use store::{DECLARED, own_declared};
use tables::Values;

use super::Runs;
use crate::statistics::Better;

/// What methods are compared by where nobody says.
pub const DEFAULT: &str = "test_mse";

/// The metric that tells how much is lost where codes that do not count are 0. Where all that is not 0
/// counts, it is the same as [`DEFAULT`].
pub const THRESHOLDED: &str = "test_mse_thresholded";

/// A metric of some runs.
pub struct ComparedMetric<'a> {
    column: String,
    /// Whether nobody asked for it.
    is_default: bool,
    /// Which of its values are good; `None`: nobody knows.
    best: Option<Best>,
    /// What it may be compared within.
    pub within: Within,
    /// The settings of its evaluation, by what rows declare.
    hows: HashMap<&'a str, String>,
    declared: &'a [Option<String>],
}

impl<'a> ComparedMetric<'a> {
    /// The metric that is asked for, or else the default one, as the runs declare it, or the registered
    /// evaluations where runs say nothing. `best` is what the user says of it.
    pub fn new(runs: &'a Runs, asked: Option<&str>, best: Option<Best>) -> Self {
        let column = asked.unwrap_or(DEFAULT).to_owned();
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
        let best = best.or(first.filter(|_| is_agreed));
        Self { column, is_default: asked.is_none(), best, within, hows, declared }
    }

    /// Which values of those that [`Self::value`] gives are better; `None`: nobody knows.
    pub fn better(&self) -> Option<Better> {
        Some(match self.best? {
            Best::Lowest | Best::Value(_) => Better::Lower,
            Best::Highest => Better::Higher,
        })
    }

    /// A number of the metric as it is compared: where one value is the best, the distance from it.
    pub fn value(&self, number: f64) -> f64 {
        match self.best {
            Some(Best::Value(best)) => (number - best).abs(),
            _ => number,
        }
    }

    /// What a number of this column is called as it is compared.
    pub fn label(&self, column: &str) -> String {
        match self.best {
            Some(Best::Value(best)) => format!("|{column} - {best}|"),
            _ => column.to_owned(),
        }
    }

    /// The column for runs whose L0 counts by this rule. Only the default is ever another column than the
    /// one that was asked for.
    pub fn column(&self, rule: L0Rule) -> &str {
        if self.is_default && rule != L0Rule::Nonzero { THRESHOLDED } else { &self.column }
    }

    /// Whether it says the same of runs whose L0 counts differently: what is not counted is 0.
    pub fn crosses_thresholds(&self) -> bool {
        self.is_default || self.column == THRESHOLDED
    }

    /// The settings of a row's evaluation that are not the default ones, as JSON.
    pub fn how(&self, row: usize) -> &str {
        let text = self.declared.get(row).and_then(Option::as_deref);
        text.and_then(|text| self.hows.get(text)).map_or("", String::as_str)
    }
}

/// What a metric declares that every run has, or that a registered evaluation finds.
fn registered(metric: &str) -> Option<Declared> {
    if let Some((_, own)) = own_declared().into_iter().find(|(name, _)| *name == metric) {
        return Some(own);
    }
    EVALUATIONS.iter().find_map(|row| {
        let plugin = row.example(Path::new("")).ok()?.plugin;
        let (_, best) = *plugin.metrics().iter().find(|(name, _)| *name == metric)?;
        Some(Declared { best, within: plugin.within(metric), how: String::new() })
    })
}
