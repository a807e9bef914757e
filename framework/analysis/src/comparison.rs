//! Comparison of methods: their settings over seeds, their fronts, and their values at the same L0.

use std::collections::{BTreeMap, BTreeSet};

use framework::plugin::L0Rule;

use super::common::common;
use super::comparisons::Question;
use super::differs::{Differs, differences};
use super::group::{Group, settings};
use super::metric::ComparedMetric;
use super::runs::Runs;
use super::scope::Scope;
use crate::statistics::matched::{MethodPair, Reading, pairs, readings};
use crate::statistics::{Better, Method, SeedOutcome};
use crate::words;

/// Comparison of methods by one metric.
pub struct Comparison {
    /// Words that tell its runs from those of the other comparisons; empty if there is only one.
    pub within: String,
    /// Name of the values that are compared.
    pub metric: String,
    /// Direction in which values are better. `None` if unknown: then nothing is on a front and nothing
    /// wins.
    pub better: Option<Better>,
    /// Methods, in the order of their names.
    pub groups: Vec<Group>,
    /// L0 at which the methods are compared.
    pub at: Vec<f64>,
    /// Values of the methods at these L0, sorted by L0 (in the order of `at`) and then by method.
    pub readings: Vec<Reading>,
    /// Pairs of methods at these L0.
    pub pairs: Vec<MethodPair>,
    /// Settings that differ between the methods, beside those that name them.
    pub differs: Vec<Differs>,
    /// Number of runs whose codes are all off: they are on no front.
    pub silent: usize,
    /// True if some methods are not compared because their L0 counts differently.
    pub is_split: bool,
}

/// Explanation of why a method may have no value at an L0.
pub const UNREAD: &str = "A method is not read (–) where its front does not reach: nothing is guessed beyond \
                          its sparsest and its densest setting, and a denser setting that is no better than a \
                          sparser one is not on the front.";

/// Returns the name of the values of these methods. If one of the methods has codes that L0 does not count,
/// all values are errors without such codes. For methods whose L0 counts every nonzero code, that is the
/// same error.
pub(super) fn called<'a>(
    metric: &ComparedMetric<'_>,
    groups: impl Iterator<Item = &'a Group>,
) -> String {
    let rule = groups.map(|group| group.l0_rule).max().unwrap_or(L0Rule::Nonzero);
    metric.label(metric.column(rule))
}

impl Comparison {
    /// Compares the methods of one scope. Adds the runs that it drops as repetitions to `twice`.
    pub(super) fn new(
        runs: &Runs,
        question: &Question,
        metric: &ComparedMetric<'_>,
        scope: &Scope,
        outcomes: &BTreeMap<usize, SeedOutcome>,
        twice: &mut usize,
    ) -> Self {
        let Question { by, over, .. } = question;
        let better = metric.better();
        let mut methods: BTreeMap<(String, L0Rule), Vec<(usize, SeedOutcome)>> = BTreeMap::new();
        for row in &scope.rows {
            let word = |column: &String| match runs.text(*row, column) {
                // A run without a section lacks its settings; its method has a name all the same.
                missing if missing.is_empty() => "none".to_owned(),
                value => value,
            };
            let name: Vec<String> = by.iter().map(word).collect();
            let key = (name.join(" "), runs.l0_rule(*row));
            methods.entry(key).or_default().push((*row, outcomes[row]));
        }
        let (by, over): (Vec<&str>, Vec<&str>) =
            (by.iter().map(String::as_str).collect(), runs.averaged(over));
        let mut groups: Vec<Group> = Vec::new();
        for ((name, l0_rule), outcomes) in methods {
            let column = metric.column(l0_rule);
            let (settings, again) = settings(runs, &by, &over, better, outcomes);
            *twice += again;
            groups.push(Group {
                name,
                within: scope.name.clone(),
                l0_rule,
                metric: column.to_owned(),
                label: metric.label(column),
                settings,
            });
        }
        tell_apart(&mut groups);
        let methods: Vec<Method> = groups
            .iter()
            .map(|group| Method {
                name: group.name.clone(),
                settings: group.settings.iter().map(|one| one.outcomes.clone()).collect(),
            })
            .collect();
        // Codes that are counted by different rules cannot be compared. The exception is a metric that is
        // taken with all uncounted codes set to 0.
        let are_comparable = |one: usize, other: usize| {
            groups[one].l0_rule == groups[other].l0_rule || metric.crosses_thresholds()
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

    /// Returns the value of a method at an L0 in words. Says how many seeds it is from, if some do not
    /// reach there. `None` if no front of the method reaches there.
    pub fn read(&self, reading: &Reading) -> Option<String> {
        let value = words::interval(&reading.interval()?);
        let settings = &self.groups[reading.method].settings;
        let outcomes = settings.iter().flat_map(|setting| &setting.outcomes);
        let all: BTreeSet<u64> = outcomes.map(|outcome| outcome.seed).collect();
        Some(match (reading.seeds.len(), all.len()) {
            (some, all) if some < all => format!("{value} ({some} of {all} seeds)"),
            _ => value,
        })
    }
}

/// Renames methods that share a name but count L0 differently, so that each has its own name.
fn tell_apart(groups: &mut [Group]) {
    let names: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
    for group in groups {
        let is_shared = names.iter().filter(|name| **name == group.name).count() > 1;
        if is_shared && group.l0_rule != L0Rule::Nonzero {
            group.name = format!("{} (L0 {})", group.name, group.l0_rule.words());
        }
    }
}

/// Returns the L0 at which to compare methods, each once: those that the user asks for, else the targets of
/// the runs, else L0 that the fronts of two methods share.
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
