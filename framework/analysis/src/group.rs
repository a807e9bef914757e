//! A method: its settings, each over its seeds, and which of them are on its front.

use std::collections::{BTreeMap, BTreeSet};

use framework::plugin::L0Rule;

use super::runs::Runs;
use crate::statistics::front::{FrontPoint, front};
use crate::statistics::interval::Interval;
use crate::statistics::{Better, SeedOutcome};

/// A method.
pub struct Group {
    /// Its name.
    pub name: String,
    /// What it is compared within, in words; empty where there is one comparison only.
    pub within: String,
    /// Which of its latents are active.
    pub l0_rule: L0Rule,
    /// The column that its values are from.
    pub metric: String,
    /// What its values are called.
    pub label: String,
    /// Its settings, sorted by L0.
    pub settings: Vec<Setting>,
}

/// A setting of a method: everything but the seed, and what is averaged over like one.
pub struct Setting {
    /// What is varied, and its values, in words.
    pub words: String,
    /// The rows of its runs.
    pub rows: Vec<usize>,
    /// Their outcomes.
    pub outcomes: Vec<SeedOutcome>,
    /// Over the seeds.
    pub l0: Interval,
    /// Over the seeds.
    pub value: Interval,
    /// Whether nothing of the method beats it in both.
    pub is_on_front: bool,
    /// Whether the same is so for one of its seeds: the method is then read there.
    pub is_read: bool,
}

impl Group {
    /// Its name among the methods of all comparisons.
    pub fn title(&self) -> String {
        match self.within.is_empty() {
            true => self.name.clone(),
            false => format!("{} ({})", self.name, self.within),
        }
    }
}

/// The settings of a method, sorted by L0, and how many runs were there twice: with the same settings and
/// seed. Columns in `named` are not among the words.
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
    let words = |row: usize| {
        let shown = varied.iter().filter(|name| !named.contains(name));
        let word = |name: &&str| {
            let value = runs.text(row, name);
            (!value.is_empty()).then(|| format!("{}={value}", short(name)))
        };
        shown.filter_map(word).collect::<Vec<_>>().join(" ")
    };
    let setting = |outcomes: &Vec<(usize, SeedOutcome)>| {
        let all: Vec<SeedOutcome> = outcomes.iter().map(|(_, outcome)| *outcome).collect();
        let of = |number: fn(&SeedOutcome) -> f64| {
            Interval::of(&all.iter().map(number).collect::<Vec<f64>>())
        };
        Some(Setting {
            words: words(outcomes[0].0),
            rows: outcomes.iter().map(|(row, _)| *row).collect(),
            l0: of(|outcome| outcome.l0)?,
            value: of(|outcome| outcome.value)?,
            outcomes: all,
            is_on_front: false,
            is_read: false,
        })
    };
    let mut settings: Vec<Setting> = settings.values().filter_map(setting).collect();
    settings.sort_by(|a, b| a.l0.mean.total_cmp(&b.l0.mean));
    if let Some(better) = better {
        mark(&mut settings, better);
    }
    (settings, twice)
}

/// Marks the settings that are on the front of their means, and those on the front of a seed. One whose
/// codes are all off for a seed is on no front of means.
fn mark(settings: &mut [Setting], better: Better) {
    let is_silent = |setting: &Setting| setting.outcomes.iter().any(|outcome| outcome.l0 <= 0.0);
    let with_codes: Vec<usize> =
        (0..settings.len()).filter(|at| !is_silent(&settings[*at])).collect();
    let mean =
        |at: &usize| FrontPoint { l0: settings[*at].l0.mean, value: settings[*at].value.mean };
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

/// A column without its section, where that is clear.
fn short(column: &str) -> &str {
    for section in ["penalty_", "architecture_", "dataset_", "train_"] {
        if let Some(rest) = column.strip_prefix(section) {
            return rest;
        }
    }
    column
}
