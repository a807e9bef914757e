//! Comparison of methods: their settings over seeds, their fronts, and their values at the same L0.

use std::collections::{BTreeMap, BTreeSet};

use framework::plugin::{L0Rule, Title};
use framework::search::Quantity;

use super::budgets::{BaselineCurve, BudgetCurve, mark};
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
    /// What these values are called; at any number of latents, if `budgets` is given.
    pub title: Title,
    /// Direction in which values are better. `None` if unknown: then nothing is on a front and nothing
    /// wins.
    pub better: Option<Better>,
    /// Methods, in the order of their names.
    pub groups: Vec<Group>,
    /// L0 at which the methods are compared, values of `along`, or numbers of latents if `budgets` is given.
    pub at: Vec<f64>,
    /// Quantity at whose values the methods are compared.
    pub along: Quantity,
    /// Values of the methods there, in the order of `at` and then by method.
    pub readings: Vec<Reading>,
    /// Pairs of methods there.
    pub pairs: Vec<MethodPair>,
    /// Curve that the methods are compared along, if the metric was taken with a number of latents.
    pub budgets: Option<BudgetCurve>,
    /// What the baseline of the curve reaches.
    pub baseline: Option<BaselineCurve>,
    /// Methods with codes that are never 0.
    pub never_zero: Vec<String>,
    /// Column by which all codes can be compared with the same number of latents, if all runs have one.
    pub for_all_codes: Option<String>,
    /// Settings that differ between the methods, beside those that name them.
    pub differs: Vec<Differs>,
    /// Number of runs whose codes are all off: they are on no front.
    pub silent: usize,
    /// True if some methods are not compared because their L0 counts differently, or their mean activations are
    /// those of other codes.
    pub is_split: bool,
}

/// Explanation of why a method may have no value at an L0.
const UNREAD: &str = "A method is not read (–) where its front does not reach: nothing is guessed beyond \
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
        /// Name, rule and codes of a method.
        type MethodKey = (String, L0Rule, String);
        let along = metric.along();
        let mut methods: BTreeMap<MethodKey, Vec<(usize, SeedOutcome)>> = BTreeMap::new();
        for row in &scope.rows {
            let word = |column: &String| match runs.text(*row, column) {
                // A run without a section lacks its settings; its method has a name all the same.
                missing if missing.is_empty() => "none".to_owned(),
                value => value,
            };
            let name: Vec<String> = by.iter().map(word).collect();
            let codes = match along {
                Quantity::MeanActivation => runs.activation(*row),
                Quantity::L0 | Quantity::Share => String::new(),
            };
            let key = (name.join(" "), runs.l0_rule(*row), codes);
            methods.entry(key).or_default().push((*row, outcomes[row]));
        }
        let budgets = metric.budgets();
        let (by, over): (Vec<&str>, Vec<&str>) =
            (by.iter().map(String::as_str).collect(), runs.averaged(over));
        let mut groups: Vec<Group> = Vec::new();
        for ((name, l0_rule, codes), outcomes) in methods {
            let column = metric.column(l0_rule);
            let of_front = better.filter(|_| budgets.is_none());
            let (settings, again) = settings(runs, &by, &over, of_front, outcomes);
            *twice += again;
            groups.push(Group {
                name,
                within: scope.name.clone(),
                l0_rule,
                metric: column.to_owned(),
                label: metric.label(column),
                along,
                codes,
                settings,
            });
        }
        tell_apart(&mut groups);
        // Codes that are counted by different rules cannot be compared. The exception is a metric that is
        // taken with all uncounted codes set to 0, or with the same number of latents.
        // Mean activations can be compared where codes are of one activation.
        let are_comparable = |one: usize, other: usize| match along {
            Quantity::MeanActivation => groups[one].codes == groups[other].codes,
            Quantity::L0 | Quantity::Share => {
                groups[one].l0_rule == groups[other].l0_rule || metric.crosses_thresholds()
            }
        };
        let at = match (better, budgets) {
            (None, _) => Vec::new(),
            (_, Some(curve)) if question.at.is_empty() => {
                curve.points.iter().map(|point| point.latents as f64).collect()
            }
            (_, Some(_)) => each_once(question.at.clone()),
            (_, None) => places(runs, question, scope, along, &groups, are_comparable),
        };
        let methods_at = |place: f64| match budgets {
            Some(curve) => curve.methods_at(runs, &groups, place, |number| metric.value(number)),
            None => groups.iter().map(method).collect(),
        };
        let of_places: Vec<(f64, Vec<Method>)> =
            at.iter().map(|place| (*place, methods_at(*place))).collect();
        let read = |better| {
            let of_places = of_places.iter();
            of_places.flat_map(|(place, methods)| readings(methods, *place, better)).collect()
        };
        let readings: Vec<Reading> = better.map_or(Vec::new(), read);
        let pairs = better.map_or(Vec::new(), |better| pairs(&readings, better, are_comparable));
        let is_split = (1..groups.len()).any(|at| !are_comparable(0, at));
        if let Some(better) = better.filter(|_| budgets.is_some()) {
            of_places
                .iter()
                .for_each(|(place, methods)| mark(&mut groups, methods, *place, better));
        }
        let all = groups.iter().flat_map(|group| &group.settings).flat_map(|one| &one.outcomes);
        let silent = all.filter(|outcome| outcome.l0 <= 0.0 && budgets.is_none()).count();
        let is_never_zero = |group: &&Group| {
            let mut rows = group.settings.iter().flat_map(|setting| &setting.rows);
            rows.any(|row| runs.is_never_zero(*row))
        };
        let never_zero = groups.iter().filter(is_never_zero).map(|group| group.name.clone());
        let named: Vec<&str> = by.iter().chain(&over).copied().collect();
        let called = called(metric, groups.iter());
        Self {
            within: scope.name.clone(),
            title: runs.title(budgets.map_or(&called, |curve| &curve.name)),
            metric: match budgets {
                Some(curve) if curve.points.len() > 1 => curve.name.clone(),
                _ => called,
            },
            budgets: budgets.cloned(),
            baseline: budgets.and_then(|curve| curve.baseline(runs, &scope.rows)),
            never_zero: never_zero.collect(),
            for_all_codes: runs.curve_for_all_codes().map(|(_, column)| column),
            better,
            differs: differences(runs, &groups, &named),
            at,
            along,
            readings,
            pairs,
            silent,
            is_split,
            groups,
        }
    }

    /// Returns the methods that are compared with one another, set by set.
    pub fn sets(&self) -> Vec<Vec<usize>> {
        let mut sets: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, group) in self.groups.iter().enumerate() {
            let kind = match self.along {
                Quantity::MeanActivation => (None, group.codes.as_str()),
                Quantity::L0 | Quantity::Share => (Some(group.l0_rule), ""),
            };
            sets.entry(self.is_split.then_some(kind)).or_default().push(at);
        }
        sets.into_values().collect()
    }

    /// Returns a place where methods are compared in words: `L0 25`, or `10 latents`.
    pub fn place(&self, at: f64) -> String {
        match (&self.budgets, at == 1.0) {
            (None, _) => format!("{} {at}", self.along.words()),
            (Some(_), true) => "1 latent".to_owned(),
            (Some(_), false) => format!("{at} latents"),
        }
    }

    /// Returns the name of the values that are compared at a place.
    pub fn metric_at(&self, at: f64) -> &str {
        let points = self.budgets.iter().flat_map(|curve| &curve.points);
        let mut own = points.filter(|point| point.latents as f64 == at);
        own.next().map_or(&self.metric, |point| &point.column)
    }

    /// Explains why a method has no value at a place; `None` if all have one.
    pub fn unread(&self) -> Option<&'static str> {
        let is_unread = self.readings.iter().any(|reading| reading.seeds.is_empty());
        let why = match self.budgets {
            None => UNREAD,
            Some(_) => "A method is not read (–) where none of its runs was measured.",
        };
        is_unread.then_some(why)
    }

    /// Returns what the baseline reaches at each place, with its name.
    pub fn baseline_row(&self) -> Option<(&str, Vec<Option<f64>>)> {
        let BaselineCurve { method, points } = self.baseline.as_ref()?;
        let value = |at: &f64| {
            points.iter().find(|(latents, _)| *latents as f64 == *at).map(|(_, value)| *value)
        };
        Some((method, self.at.iter().map(value).collect()))
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

/// Returns a method with the outcomes of its settings.
fn method(group: &Group) -> Method {
    Method {
        name: group.name.clone(),
        settings: group.settings.iter().map(|one| one.outcomes.clone()).collect(),
    }
}

/// Renames methods that share a name but count L0 differently or have other codes, so that each has its own name.
fn tell_apart(groups: &mut [Group]) {
    let key = |group: &Group| (group.name.clone(), group.l0_rule, group.codes.clone());
    let keys: Vec<(String, L0Rule, String)> = groups.iter().map(key).collect();
    for group in groups {
        let own = group.name.clone();
        let same = || keys.iter().filter(|(name, ..)| *name == own);
        if !group.codes.is_empty() && same().any(|(.., codes)| *codes != group.codes) {
            group.name = format!("{own} ({} codes)", group.codes);
        }
        if group.l0_rule != L0Rule::Nonzero && same().any(|(_, rule, _)| *rule != group.l0_rule) {
            group.name = format!("{} (L0 {})", group.name, group.l0_rule.words());
        }
    }
}

/// Returns the L0, or values of what stands in its place, at which to compare methods, each once: those that the
/// user asks for, else the targets of the runs, else some that the fronts of two methods share.
fn places(
    runs: &Runs,
    question: &Question,
    scope: &Scope,
    along: Quantity,
    groups: &[Group],
    are_comparable: impl Fn(usize, usize) -> bool,
) -> Vec<f64> {
    let targets = scope.rows.iter().filter_map(|row| runs.target(*row, along));
    let mut targets: Vec<f64> = targets.collect();
    targets.sort_by(f64::total_cmp);
    let at = each_once(if question.at.is_empty() { targets } else { question.at.clone() });
    if at.is_empty() { common(groups, are_comparable) } else { at }
}

/// Returns the same places, each once.
fn each_once(places: Vec<f64>) -> Vec<f64> {
    let mut at: Vec<f64> = Vec::new();
    for place in places {
        if !at.contains(&place) {
            at.push(place);
        }
    }
    at
}
