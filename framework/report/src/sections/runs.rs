//! The table of all runs, and their number by status.

use std::collections::{BTreeMap, BTreeSet};

use analysis::Runs;
use analysis::words::cell;
use framework::plugin::Within;

use super::{ExperimentView, two_lines};
use crate::{Block, PageTable};

/// Maximum number of rows: browsers are slow to lay out longer tables.
const ROWS: usize = 3000;

/// Columns that come first after the varied settings, if they have values.
const FIRST: [&str; 5] = [
    "test_mse",
    "test_explained_variance",
    "test_l0",
    "test_dead_fraction",
    "test_mse_thresholded",
];

/// Columns that come last.
const LAST: [&str; 2] = ["seconds", "reason"];

/// Returns the number of runs, in all and by status, in words.
pub fn counts(subject: &ExperimentView<'_>) -> String {
    let runs = subject.runs;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for row in (0..runs.count()).filter(|row| seen.insert(runs.text(*row, "run_id"))) {
        *counts.entry(runs.text(row, "status")).or_default() += 1;
    }
    let words: Vec<String> =
        counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let total: usize = counts.values().sum();
    format!("{total} run{}: {}.", if total == 1 { "" } else { "s" }, words.join(", "))
}

/// Returns the table of runs, after notes on runs that were left out.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    let runs = subject.runs;
    let mut blocks = Vec::new();
    for (what, count) in &subject.comparisons.left_out {
        blocks
            .push(Block::Words(format!("Left out of all comparisons and means: {count} {what}.")));
    }
    if runs.count() > ROWS {
        blocks.push(Block::Words(format!(
            "The first {ROWS} of {} runs; runs.parquet has all of them.",
            runs.count()
        )));
    }
    let mut seen = BTreeSet::new();
    let key = |row: usize| (runs.text(row, "run_id"), runs.scope(row, Within::Training));
    let rows: Vec<usize> = (0..runs.count()).filter(|row| seen.insert(key(*row))).collect();
    let again = runs.count() - rows.len();
    if again > 0 {
        let are = if again == 1 { "run is" } else { "runs are" };
        let words = format!("{again} {are} part of several experiments and listed once.");
        blocks.push(Block::Words(words));
    }
    blocks.push(Block::PageTable(table(subject, runs, &rows)));
    blocks
}

/// Returns the settings that tell these runs apart: those with several values, and those that some runs of
/// a method have and others lack. A setting that only some methods have, always with the same value, adds
/// nothing to the method's name.
fn varied<'a>(subject: &'a ExperimentView<'_>, rows: &[usize]) -> Vec<&'a str> {
    let runs = subject.runs;
    let mut methods: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
    for row in rows {
        let name = subject.comparisons.by.iter().map(|column| runs.text(*row, column)).collect();
        methods.entry(name).or_default().push(*row);
    }
    let within: BTreeSet<&str> = methods.values().flat_map(|rows| runs.varied(rows)).collect();
    let has_several = |name: &&str| {
        let values = rows.iter().map(|row| runs.text(*row, name)).filter(|value| !value.is_empty());
        within.contains(name) || values.collect::<BTreeSet<String>>().len() > 1
    };
    runs.varied(rows).into_iter().filter(has_several).collect()
}

/// Makes the table of runs.
fn table(subject: &ExperimentView<'_>, runs: &Runs, rows: &[usize]) -> PageTable {
    let shown = &rows[..rows.len().min(ROWS)];
    let is_there = |name: &str| shown.iter().any(|row| !runs.text(*row, name).is_empty());
    let mut columns: Vec<&str> = vec!["run_id", "status"];
    columns.extend((subject.folders.len() > 1).then_some("experiment"));
    let mut add = |name| {
        if !columns.contains(&name) && is_there(name) {
            columns.push(name);
        }
    };
    subject.comparisons.by.iter().for_each(|name| add(name.as_str()));
    varied(subject, shown).into_iter().for_each(&mut add);
    add("seed");
    FIRST.into_iter().for_each(&mut add);
    let all = runs.table().columns().iter().map(|column| column.name.as_str());
    all.filter(|name| name.starts_with("test_")).for_each(&mut add);
    LAST.into_iter().for_each(&mut add);
    let row = |row: &usize| {
        let value = |name: &&str| {
            // Settings are shown as written, results in few digits.
            if runs.settings().iter().any(|setting| setting == name) {
                return runs.text(*row, name);
            }
            runs.table().get(name).map_or(String::new(), |values| cell(values, *row))
        };
        columns.iter().map(value).collect()
    };
    PageTable {
        heading: columns.iter().map(|name| two_lines(runs.title(name).short, name)).collect(),
        rows: shown.iter().map(row).collect(),
        filter: Some(1),
    }
}
