//! Methods: their settings, each over its seeds, and the settings that are on the front.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use framework::plugin::L0Rule;
use framework::search::Quantity;

use super::runs::Runs;
use crate::statistics::front::{FrontPoint, front};
use crate::statistics::interval::Interval;
use crate::statistics::{Better, SeedOutcome};

/// A method.
pub struct Group {
    /// Name of the method.
    pub name: String,
    /// Words that name its comparison; empty if there is only one.
    pub within: String,
    /// Rule by which its latents count as active.
    pub l0_rule: L0Rule,
    /// Column that its values come from.
    pub metric: String,
    /// Name of its values.
    pub label: String,
    /// What its settings are compared at.
    pub along: Quantity,
    /// Activation of its codes, if methods are compared at the same mean activation; else empty.
    pub codes: String,
    /// Settings of the method, sorted by what they are compared at.
    pub settings: Vec<Setting>,
}

/// A setting of a method: runs that differ only by the seed, or by columns averaged over like the seed.
pub struct Setting {
    /// Varied columns and their values in words, and the strengths that were found for a target.
    pub words: String,
    /// Rows of its runs.
    pub rows: Vec<usize>,
    /// Outcomes of its runs, in the order of `rows`.
    pub outcomes: Vec<SeedOutcome>,
    /// L0 over the seeds.
    pub l0: Interval,
    /// What methods are compared at over the seeds: L0, or another quantity in its place.
    pub place: Interval,
    /// Metric over the seeds.
    pub value: Interval,
    /// True if no other setting of the method beats its means in both L0 and the metric; of a metric that is
    /// compared at budgets, if its mean is the best of the method at one of them.
    pub is_on_front: bool,
    /// True if it is on the front of at least one seed, or the best of one at a budget. Methods are read there.
    pub is_read: bool,
    /// Budgets at which its mean is the best of the method, if the metric is compared at budgets.
    pub best_at: Vec<f64>,
}

impl Group {
    /// Returns its name, unique among the methods of all comparisons.
    pub fn title(&self) -> String {
        match self.within.is_empty() {
            true => self.name.clone(),
            false => format!("{} ({})", self.name, self.within),
        }
    }
}

/// Returns the settings of a method, sorted by what they are compared at and else by their values, and the number of
/// repeated runs: those with the settings and seed of another run. The words of a setting leave out the columns in
/// `named`.
pub fn settings(
    runs: &Runs,
    named: &[&str],
    over: &[&str],
    better: Option<Better>,
    outcomes: Vec<(usize, SeedOutcome)>,
) -> (Vec<Setting>, usize) {
    let rows: Vec<usize> = outcomes.iter().map(|(row, _)| *row).collect();
    let varied: Vec<&str> =
        runs.varied(&rows).into_iter().filter(|name| !over.contains(name)).collect();
    let mut settings: BTreeMap<Vec<String>, Vec<(usize, SeedOutcome)>> = BTreeMap::new();
    let mut twice = 0;
    for (row, outcome) in outcomes {
        let setting = runs.setting(row);
        let value = |name: &&str| {
            let found = setting.iter().find(|(known, _)| known == name);
            found.map_or(String::new(), |(_, value)| value.clone())
        };
        let known = settings.entry(varied.iter().map(value).collect()).or_default();
        if known.iter().any(|(_, other)| other.seed == outcome.seed) {
            twice += 1;
        } else {
            known.push((row, outcome));
        }
    }
    let is_implied = |name: &&&str| follows(runs, &rows, name, &varied, named);
    let implied: Vec<&str> = varied.iter().filter(is_implied).copied().collect();
    let words = |row: usize| {
        let is_shown = |name: &&&str| !named.contains(name) && !implied.contains(name);
        let shown = varied.iter().filter(is_shown);
        let word = |name: &&str| {
            let value = runs.shown(row, name);
            (!value.is_empty()).then(|| format!("{}={value}", short(name)))
        };
        shown.filter_map(word).collect::<Vec<_>>()
    };
    let all_words = |rows: &[usize]| {
        let shown = rows.first().map_or(Vec::new(), |row| words(*row));
        shown.into_iter().chain(runs.found_words(rows)).collect::<Vec<_>>().join(" ")
    };
    let setting = |outcomes: &Vec<(usize, SeedOutcome)>| {
        let all: Vec<SeedOutcome> = outcomes.iter().map(|(_, outcome)| *outcome).collect();
        let of = |number: fn(&SeedOutcome) -> f64| {
            Interval::of(&all.iter().map(number).collect::<Vec<f64>>())
        };
        let rows: Vec<usize> = outcomes.iter().map(|(row, _)| *row).collect();
        let l0: Vec<f64> =
            rows.iter().map(|row| runs.number(*row, "test_l0").unwrap_or(f64::NAN)).collect();
        Some(Setting {
            words: all_words(&rows),
            rows,
            l0: Interval::of(&l0)?,
            place: of(|outcome| outcome.l0)?,
            value: of(|outcome| outcome.value)?,
            outcomes: all,
            is_on_front: false,
            is_read: false,
            best_at: Vec::new(),
        })
    };
    let mut values: Vec<_> = settings.into_iter().collect();
    values.sort_by(|(a, _), (b, _)| by_value(a, b));
    let outcomes = values.iter().map(|(_, outcomes)| outcomes);
    let mut settings: Vec<Setting> = outcomes.filter_map(setting).collect();
    settings.sort_by(|a, b| a.place.mean.total_cmp(&b.place.mean));
    if let Some(better) = better {
        mark(&mut settings, better);
    }
    (settings, twice)
}

/// Orders values of settings: numbers by their size, 2 before 16, and then texts.
fn by_value(one: &[String], other: &[String]) -> Ordering {
    let order = |(one, other): (&String, &String)| match (one.parse::<f64>(), other.parse::<f64>())
    {
        (Ok(one), Ok(other)) => one.total_cmp(&other),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => one.cmp(other),
    };
    one.iter().zip(other).map(order).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Marks the settings on the front of means, and those on the front of any seed. A setting of which one
/// seed has only codes that are off is on no front of means.
fn mark(settings: &mut [Setting], better: Better) {
    let is_silent = |setting: &Setting| setting.outcomes.iter().any(|outcome| outcome.l0 <= 0.0);
    let with_codes: Vec<usize> =
        (0..settings.len()).filter(|at| !is_silent(&settings[*at])).collect();
    let mean =
        |at: &usize| FrontPoint { l0: settings[*at].place.mean, value: settings[*at].value.mean };
    let means: Vec<FrontPoint> = with_codes.iter().map(mean).collect();
    for at in front(&means, better) {
        settings[with_codes[at]].is_on_front = true;
    }
    let outcomes = settings.iter().flat_map(|setting| &setting.outcomes);
    let seeds: BTreeSet<u64> = outcomes.map(|outcome| outcome.seed).collect();
    for seed in seeds {
        let own: Vec<(usize, FrontPoint)> = settings
            .iter()
            .enumerate()
            .flat_map(|(at, setting)| setting.outcomes.iter().map(move |outcome| (at, outcome)))
            .filter(|(_, outcome)| outcome.seed == seed)
            .map(|(at, outcome)| (at, FrontPoint { l0: outcome.l0, value: outcome.value }))
            .collect();
        let points: Vec<FrontPoint> = own.iter().map(|(_, point)| *point).collect();
        for at in front(&points, better) {
            settings[own[at].0].is_read = true;
        }
    }
}

/// Returns true if a setting is the same wherever its section is of one kind, and the kind is among the
/// columns that are shown: then the kind says it all.
fn follows(runs: &Runs, rows: &[usize], name: &str, varied: &[&str], named: &[&str]) -> bool {
    let is_kind =
        |kind: &&&str| name.strip_prefix(**kind).is_some_and(|rest| rest.starts_with('_'));
    let mut shown = varied.iter().filter(|name| !named.contains(name));
    let Some(kind) = shown.find(is_kind) else { return false };
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    rows.iter().all(|row| {
        // A strength that was found for a target is no setting of its run.
        if runs.is_searched(*row, name) {
            return true;
        }
        let value = runs.text(*row, name);
        values.entry(runs.text(*row, kind)).or_insert_with(|| value.clone()) == &value
    })
}

/// Returns the name of a column without its section.
fn short(column: &str) -> &str {
    let sections =
        ["penalty_", "architecture_", "dataset_", "train_", "target_", "corruption_", "auxiliary_"];
    for section in sections {
        if let Some(rest) = column.strip_prefix(section) {
            return rest;
        }
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if 16 stood before 2, or if an order went round in a circle, which sorting does not bear.
    #[test]
    fn numbers_stand_before_texts_and_by_their_size() {
        let mut values =
            ["relu", "16", "1a", "2", "10", "-1", "1e-3"].map(|word| vec![word.to_owned()]);
        values.sort_by(|a, b| by_value(a, b));
        assert_eq!(values.concat(), ["-1", "1e-3", "2", "10", "16", "1a", "relu"]);
    }
}
