//! Runs as rows of one or several tables, with the lookups that every comparison needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use framework::plugin::{
    Activation, Built, CodeRange, DATASETS, Dataset, Decides, L0Rule, PENALTIES, Penalty, Plugin,
};
use framework::search::Quantity;
use framework::spec::{SECTIONS, experiment_schema, is_list};
use serde_json::Value as Json;
use store::l0_rule_of;
use tables::{Table, Values};

use crate::words::cell;

/// Runs of one or several experiments.
pub struct Runs {
    table: Table,
    /// Position of each column in the table.
    places: HashMap<String, usize>,
    /// Columns that hold settings.
    settings: Vec<String>,
    /// Columns of the settings that decide how sparse codes are, by penalty: the first, and one that keeps its
    /// ratio to it. With a target, the program finds their values.
    strengths: BTreeMap<&'static str, (String, Option<String>)>,
    /// Every registered dataset, built from its example.
    datasets: Vec<Built<dyn Dataset>>,
    /// Origin of each row; may be shorter than the table, and then nothing is known of the remaining rows.
    pub(super) origins: Vec<RowOrigin>,
    /// Number of runs left out because the experiment file no longer contains them.
    pub earlier: usize,
    /// Columns that the experiment files ask tables of settings to show beside the usual ones.
    pub show: Vec<String>,
}

/// Origin of a row.
#[derive(Clone, Debug, Default)]
pub struct RowOrigin {
    /// Experiment folder.
    pub folder: Arc<str>,
    /// Digests of the data files, by the settings that name the files.
    pub files: BTreeMap<String, String>,
}

impl Runs {
    /// Wraps a table of runs.
    pub fn new(mut table: Table) -> Self {
        let schema = experiment_schema();
        for section in SECTIONS {
            // A run has no column for a section that says nothing; beside runs that have one, it has the
            // kind that stands for a missing section.
            let default = &schema["properties"][section]["default"];
            let missing = if is_list(section) { Some("none") } else { default["kind"].as_str() };
            if let (Some(kind), Some(Values::Text(kinds))) = (missing, table.get(section)) {
                let kind_or = |own: &Option<String>| own.clone().or(Some(kind.to_owned()));
                let kinds = kinds.iter().map(kind_or).collect();
                table.set(section, Values::Text(kinds));
            }
        }
        let own = schema["$defs"]["train"]["properties"].as_object();
        for (key, property) in own.into_iter().flatten() {
            // The same of settings that runs have a column for only where they say something.
            let name = format!("train_{key}");
            let filled = match (table.get(&name), &property["default"]) {
                (Some(Values::Text(own)), Json::String(default)) => {
                    let own = own.iter().map(|own| own.clone().or(Some(default.clone())));
                    Values::Text(own.collect())
                }
                (Some(Values::Number(own)), Json::Number(default)) => {
                    Values::Number(own.iter().map(|own| own.or(default.as_f64())).collect())
                }
                _ => continue,
            };
            table.set(name, filled);
        }
        fill_target_method(&mut table);
        let train: Vec<String> =
            own.into_iter().flatten().map(|(key, _)| format!("train_{key}")).collect();
        let is_setting = |name: &str| {
            let within = |section: &&str| {
                name.strip_prefix(*section)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            };
            // Columns of training losses also begin with `train_`, but are not settings.
            SECTIONS.iter().any(within)
                && (!name.starts_with("train_")
                    || train.iter().any(|key| name.starts_with(key.as_str())))
        };
        let columns = table.columns().iter().map(|column| column.name.clone());
        let settings = columns.filter(|name| is_setting(name)).collect();
        let strength = |row: &Plugin<dyn Penalty>| {
            let key = row.example(Path::new("")).ok()?.plugin.strength()?;
            let column = |key: &str| format!("penalty_{key}");
            Some((row.name, (column(key.key()), key.second().map(column))))
        };
        let strengths = PENALTIES.iter().filter_map(strength).collect();
        let dataset = |row: &Plugin<dyn Dataset>| row.example(Path::new("")).ok();
        let datasets = DATASETS.iter().filter_map(dataset).collect();
        let names = table.columns().iter().map(|column| column.name.clone());
        let places = names.zip(0..).collect();
        let origins = Vec::new();
        Self { table, places, settings, strengths, datasets, origins, earlier: 0, show: Vec::new() }
    }

    /// Adds columns that tables of settings show, each once.
    pub fn show<'a>(&mut self, columns: impl IntoIterator<Item = &'a str>) {
        for column in columns {
            if !self.show.iter().any(|known| known == column) {
                self.show.push(column.to_owned());
            }
        }
    }

    /// Returns the same runs with the origin of each row.
    pub fn from(self, origins: Vec<RowOrigin>) -> Self {
        Self { origins, ..self }
    }

    /// Returns the experiment folder of a row, as the user named it; `None` if unknown.
    pub fn folder(&self, row: usize) -> Option<&str> {
        self.origins.get(row).map(|origin| &*origin.folder)
    }

    /// Returns true if the data of a row is in files, or if its dataset is unknown.
    pub fn has_files(&self, row: usize) -> bool {
        self.dataset(row).is_none_or(|built| !built.plugin.files(&built.settings).is_empty())
    }

    /// Returns the registered dataset of a row.
    fn dataset(&self, row: usize) -> Option<&Built<dyn Dataset>> {
        self.dataset_of(&self.text(row, "dataset"))
    }

    /// Returns the registered dataset of a kind.
    pub(super) fn dataset_of(&self, kind: &str) -> Option<&Built<dyn Dataset>> {
        self.datasets.iter().find(|built| built.kind == kind)
    }

    /// Returns what a setting of a row's dataset decides.
    pub(super) fn decides(&self, row: usize, key: &str) -> Decides {
        // Every dataset has this setting. Errors are in the units of the data whatever its value.
        if key == "normalize" {
            return Decides::Training;
        }
        let is_given = |key: &str| !self.exactly(row, &format!("dataset_{key}")).is_empty();
        let dataset = self.dataset(row);
        dataset.map_or(Decides::Test, |built| built.plugin.decides(key, &is_given))
    }

    /// Returns the digests of a row's data files; `None` if unknown.
    pub(super) fn files(&self, row: usize) -> Option<&BTreeMap<String, String>> {
        self.origins.get(row).map(|origin| &origin.files).filter(|files| !files.is_empty())
    }

    /// Returns a setting of a row as comparisons count it: a data file counts by its content, not by its
    /// path.
    pub(super) fn counted(&self, row: usize, column: &str) -> String {
        if let Some(key) = column.strip_prefix("dataset_")
            && let Some(files) = self.files(row)
        {
            if let Some(digest) = files.get(key) {
                return digest.clone();
            }
            if self.decides(row, key) == Decides::Place {
                return String::new();
            }
        }
        self.exactly(row, column)
    }

    /// Returns the table and drops the rest.
    pub fn into_table(self) -> Table {
        self.table
    }

    /// Returns the table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Returns the number of runs.
    pub fn count(&self) -> usize {
        self.table.rows()
    }

    /// Returns the columns that hold settings.
    pub fn settings(&self) -> &[String] {
        &self.settings
    }

    /// Returns the values of a column.
    fn values(&self, column: &str) -> Option<&Values> {
        self.places.get(column).map(|at| &self.table.columns()[*at].values)
    }

    /// Returns a value of a row as text; empty if missing.
    pub fn text(&self, row: usize, column: &str) -> String {
        match self.values(column) {
            Some(Values::Text(values)) => values.get(row).cloned().flatten().unwrap_or_default(),
            _ => self.exactly(row, column),
        }
    }

    /// Returns a value of a row with all its digits; empty if missing.
    fn exactly(&self, row: usize, column: &str) -> String {
        match self.values(column) {
            Some(Values::Number(values)) => {
                values.get(row).copied().flatten().map_or(String::new(), written)
            }
            Some(values) => cell(values, row),
            None => String::new(),
        }
    }

    /// Returns a number of a row, if it is finite.
    pub fn number(&self, row: usize, column: &str) -> Option<f64> {
        let value = match self.values(column)? {
            Values::Number(values) => *values.get(row)?,
            Values::Whole(values) => values.get(row)?.map(|value| value as f64),
            Values::Text(_) | Values::Flag(_) => None,
        };
        value.filter(|value| value.is_finite())
    }

    /// Returns true if a column holds numbers.
    pub fn is_number(&self, column: &str) -> bool {
        matches!(self.values(column), Some(Values::Number(_) | Values::Whole(_)))
    }

    /// Returns the seed of a row.
    pub fn seed(&self, row: usize) -> u64 {
        match self.table.get("seed") {
            // A 64-bit float cannot hold every digit of a large seed.
            Some(Values::Whole(seeds)) => {
                let seed = seeds.get(row).copied().flatten();
                seed.and_then(|seed| u64::try_from(seed).ok()).unwrap_or_default()
            }
            _ => self.number(row, "seed").unwrap_or_default() as u64,
        }
    }

    /// Returns the rule by which the latents of a row count as active.
    pub fn l0_rule(&self, row: usize) -> L0Rule {
        let rule = l0_rule_of(self.number(row, "l0_threshold"), Some(&self.text(row, "l0_rule")));
        rule.unwrap_or(L0Rule::Nonzero)
    }

    /// Returns the settings of a row, without the seed and without a strength that the program found for a
    /// target; of a second strength, what is left is its ratio to the first, and of one that was steered its start. Runs that are equal in these differ
    /// by chance alone.
    pub fn setting(&self, row: usize) -> Vec<(&str, String)> {
        let settings = self.settings.iter().map(String::as_str);
        let settings = settings.filter(|name| !self.is_searched(row, name));
        let value = |name| self.strength(row, name).unwrap_or_else(|| self.counted(row, name));
        settings.map(|name| (name, value(name))).collect()
    }

    /// Returns a setting of a row in words: its value, or its ratio to the first strength if the program found
    /// both for a target, or where the strength started if it was steered.
    pub fn shown(&self, row: usize, column: &str) -> String {
        self.strength(row, column).unwrap_or_else(|| self.text(row, column))
    }

    /// Returns the value of the quantity that is the target of a row, if it has such a target.
    pub fn target(&self, row: usize, quantity: Quantity) -> Option<f64> {
        self.number(row, &format!("target_{}", quantity.key()))
    }

    /// Returns the quantity that all finished runs have a target of; `None` if they have none in common.
    pub(super) fn common_target(&self) -> Option<Quantity> {
        let is_done = |row: &usize| self.text(*row, "status") == "done";
        let mut rows = (0..self.count()).filter(is_done).peekable();
        rows.peek()?;
        let rows: Vec<usize> = rows.collect();
        let is_of_all =
            |quantity: &&Quantity| rows.iter().all(|row| self.target(*row, **quantity).is_some());
        Quantity::ALL.iter().find(is_of_all).copied()
    }

    /// Returns the activation of a row's codes; empty if unknown.
    pub(super) fn activation(&self, row: usize) -> String {
        self.text(row, "architecture_activation")
    }

    /// Returns true if codes of a row can be negative.
    pub(super) fn is_signed(&self, row: usize) -> bool {
        let activation = serde_json::from_value(Json::String(self.activation(row)));
        let range = activation.map(|activation: Activation| activation.range());
        matches!(range, Ok(CodeRange::Real | CodeRange::Symmetric))
    }

    /// Returns true if a search found the value of this column for a row.
    pub(super) fn is_searched(&self, row: usize, column: &str) -> bool {
        !self.is_steered(row) && self.found(row).is_some_and(|(first, _)| first == column)
    }

    /// Returns true if a strength of a row was steered while it trained.
    pub(super) fn is_steered(&self, row: usize) -> bool {
        self.text(row, TARGET_METHOD) == STEERED
    }

    /// Returns true if the program found the value of this column for one of the rows.
    pub fn is_found(&self, rows: &[usize], column: &str) -> bool {
        let found = rows.iter().filter_map(|row| self.found(*row));
        found
            .into_iter()
            .any(|(first, second)| first == column || second.as_deref() == Some(column))
    }

    /// Returns the strengths that the program found for runs of one setting in words, as in `lambda≈1.2 to 1.4
    /// (found)`, or those that it steered to at the end, as in `lambda≈1.3 (steered)`; `None` if there are none.
    pub fn found_words(&self, rows: &[usize]) -> Option<String> {
        let row = *rows.first()?;
        let (first, second) = self.found(row)?;
        let is_steered = self.is_steered(row);
        let word = |column: &String| {
            let name = column.trim_start_matches("penalty_");
            let column = &if is_steered { format!("control_{name}") } else { column.clone() };
            let values: Vec<f64> =
                rows.iter().filter_map(|row| self.number(*row, column)).collect();
            let (low, high) = (
                values.iter().copied().reduce(f64::min)?,
                values.iter().copied().reduce(f64::max)?,
            );
            let is_count = matches!(self.values(column), Some(Values::Whole(_)));
            let (sign, [low, high]) = match is_count {
                true => ("=", [low, high].map(written)),
                false => ("≈", [low, high].map(three_digits)),
            };
            Some(match low == high {
                true => format!("{name}{sign}{low}"),
                false => format!("{name}{sign}{low} to {high}"),
            })
        };
        let words: Vec<String> = std::iter::once(first).chain(second).filter_map(word).collect();
        let how = if is_steered { "steered" } else { "found" };
        (!words.is_empty()).then(|| format!("{} ({how})", words.join(" ")))
    }

    /// Returns the columns of the strengths that the program found for a row, or steered.
    fn found(&self, row: usize) -> Option<&(String, Option<String>)> {
        Quantity::ALL.iter().find_map(|quantity| self.target(row, *quantity))?;
        self.strengths.get(self.text(row, "penalty").as_str())
    }

    /// Returns a strength that the program found or steered as settings have it: a second one by its ratio to the
    /// first, and a first one that was steered by its start, as in `from 0.1`; `None` for other settings.
    fn strength(&self, row: usize, column: &str) -> Option<String> {
        let is_start = || self.found(row).is_some_and(|(first, _)| first == column);
        if self.is_steered(row) && is_start() {
            return Some(format!("from {}", self.exactly(row, column)));
        }
        self.ratio(row, column)
    }

    /// Returns the ratio of a found second strength to the first, as in `2·lambda`; `None` for other settings.
    fn ratio(&self, row: usize, column: &str) -> Option<String> {
        let (first, second) = self.found(row)?;
        if second.as_deref() != Some(column) {
            return None;
        }
        let ratio = self.number(row, column)? / self.number(row, first)?;
        // A search keeps the ratio up to the rounding of both numbers.
        let ratio = format!("{ratio:.9e}").parse().unwrap_or(ratio);
        Some(format!("{}·{}", written(ratio), first.trim_start_matches("penalty_")))
    }

    /// Returns the settings that differ between rows.
    pub fn varied(&self, rows: &[usize]) -> Vec<&str> {
        let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for row in rows {
            for (name, value) in self.setting(*row) {
                values.entry(name).or_default().insert(value);
            }
        }
        let varied = |name: &&String| values.get(name.as_str()).is_some_and(|seen| seen.len() > 1);
        self.settings.iter().filter(varied).map(String::as_str).collect()
    }
}

/// Column that says how runs are brought to a target, and what it says of runs whose strength is steered.
const TARGET_METHOD: &str = "target_method";
const STEERED: &str = "control";

/// Says of runs with a target, beside runs that are steered to one, that they search: they have no column for it.
fn fill_target_method(table: &mut Table) {
    let Some(Values::Text(methods)) = table.get(TARGET_METHOD) else { return };
    let columns: Vec<&Values> = Quantity::ALL
        .iter()
        .filter_map(|quantity| table.get(&format!("target_{}", quantity.key())))
        .collect();
    let has_target = |row: usize| {
        columns.iter().any(|values| match values {
            Values::Number(values) => values.get(row).is_some_and(Option::is_some),
            Values::Whole(values) => values.get(row).is_some_and(Option::is_some),
            Values::Text(_) | Values::Flag(_) => false,
        })
    };
    let method = |(row, own): (usize, &Option<String>)| {
        own.clone().or_else(|| has_target(row).then(|| "search".to_owned()))
    };
    let methods = methods.iter().enumerate().map(method).collect();
    table.set(TARGET_METHOD, Values::Text(methods));
}

/// Writes a number with three significant digits.
fn three_digits(value: f64) -> String {
    written(format!("{value:.2e}").parse().unwrap_or(value))
}

/// Writes a number with all its digits, and no more zeros than people would write.
fn written(value: f64) -> String {
    match value.abs() {
        size if size > 0.0 && !(1e-4..1e15).contains(&size) => format!("{value:e}"),
        _ => value.to_string(),
    }
}

/// Returns a table of these rows.
pub fn rows_of(table: &Table, rows: &[usize]) -> Table {
    /// Returns these rows of one column.
    fn of<T: Clone>(values: &[Option<T>], rows: &[usize]) -> Vec<Option<T>> {
        rows.iter().map(|row| values.get(*row).cloned().flatten()).collect()
    }
    let mut some = Table::default();
    for column in table.columns() {
        let values = match &column.values {
            Values::Text(values) => Values::Text(of(values, rows)),
            Values::Number(values) => Values::Number(of(values, rows)),
            Values::Whole(values) => Values::Whole(of(values, rows)),
            Values::Flag(values) => Values::Flag(of(values, rows)),
        };
        some.set(column.name.as_str(), values);
    }
    some
}

#[cfg(test)]
mod tests {
    use framework::plugin::Within;

    use super::*;

    #[test]
    fn numbers_are_written_as_people_do() {
        let said = [1e-8, 0.0001, 0.03, 25.0, 1e20, -2.5e-5, 0.0].map(written);
        assert_eq!(said, ["1e-8", "0.0001", "0.03", "25", "1e20", "-2.5e-5", "0"]);
    }

    /// Wrong if two large seeds become one, as they do when read as floats.
    #[test]
    fn seeds_keep_all_their_digits() {
        let mut table = Table::default();
        let seeds = [1 << 53, (1 << 53) + 1, i64::MAX, 0];
        table.set("seed", Values::Whole(seeds.map(Some).to_vec()));
        let runs = Runs::new(table);
        let read = [0, 1, 2, 3].map(|row| runs.seed(row));
        assert_eq!(read, [9007199254740992, 9007199254740993, 9223372036854775807, 0]);
    }

    /// Wrong if runs older than the column `l0_rule` are read with another rule than they were counted by.
    #[test]
    fn the_rule_of_old_runs_follows_from_their_threshold() {
        let mut table = Table::default();
        table.set("l0_threshold", Values::Number(vec![Some(0.5), Some(0.5), Some(0.0), None]));
        let names = ["", "magnitude", "", ""].map(|name| Some(name.to_owned()));
        let runs = |table: &Table| {
            let runs = Runs::new(table.clone());
            (0..4).map(|row| runs.l0_rule(row)).collect::<Vec<L0Rule>>()
        };
        use L0Rule::{Above, Magnitude, Nonzero};
        assert_eq!(runs(&table), [Above, Above, Nonzero, Nonzero]);
        table.set("l0_rule", Values::Text(names.to_vec()));
        assert_eq!(runs(&table), [Above, Magnitude, Nonzero, Nonzero]);
    }

    /// Wrong if a run without the list were a run of which it is not known.
    #[test]
    fn a_run_without_auxiliaries_says_so_beside_runs_with_some() {
        let mut table = Table::default();
        table.set("auxiliary", Values::Text(vec![None, Some("l1".to_owned())]));
        table.set("auxiliary_l1_lambda", Values::Number(vec![None, Some(0.5)]));
        let runs = Runs::new(table);
        assert_eq!([0, 1].map(|row| runs.text(row, "auxiliary")), ["none", "l1"]);
        assert_eq!(runs.varied(&[0, 1]), ["auxiliary", "auxiliary_l1_lambda"]);
    }

    /// Wrong if losses with and without the terms of an auxiliary were compared, or errors were not.
    #[test]
    fn auxiliaries_change_what_a_loss_means_and_nothing_else() {
        let mut table = Table::default();
        table.set("dataset", Values::Text(vec![Some("some".to_owned()); 2]));
        table.set("auxiliary", Values::Text(vec![None, Some("l1".to_owned())]));
        table.set("auxiliary_l1_lambda", Values::Number(vec![None, Some(0.5)]));
        let runs = Runs::new(table);
        let is_same = |within| runs.scope(0, within) == runs.scope(1, within);
        assert!(!is_same(Within::Loss));
        assert!(is_same(Within::Data) && is_same(Within::Training));
        assert_eq!(runs.scope(1, Within::Loss).len(), 3);
    }

    /// Wrong if strengths that were found for a target, which differ by chance, told settings apart, or if runs of
    /// two ratios of the strengths were taken for one setting.
    #[test]
    fn strengths_that_were_found_count_by_their_ratio() {
        let (name, first, second) = ("two", "one", "other");
        let mut table = Table::default();
        table.set("penalty", Values::Text(vec![Some(name.to_owned()); 4]));
        let third = 0.1 * (0.37 / 0.2);
        let (firsts, seconds) = ([0.2, 0.37, 0.4, 0.5], [0.1, third, 0.4, 0.5]);
        let column = |key: &str| format!("penalty_{key}");
        table.set(column(first), Values::Number(firsts.map(Some).to_vec()));
        table.set(column(second), Values::Number(seconds.map(Some).to_vec()));
        let varied = |table: &Table, rows: &[usize]| {
            let mut runs = Runs::new(table.clone());
            runs.strengths.insert(name, (column(first), Some(column(second))));
            runs.varied(rows).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(varied(&table, &[0, 1]), [column(first), column(second)], "as they are written");
        table.set("target_l0", Values::Number(vec![Some(5.0); 4]));
        assert_eq!(varied(&table, &[0, 1]), [""; 0]);
        assert_eq!(varied(&table, &[2, 3]), [""; 0]);
        assert_eq!(varied(&table, &[1, 2]), [column(second)]);
        let mut runs = Runs::new(table);
        runs.strengths.insert(name, (column(first), Some(column(second))));
        assert_eq!(runs.shown(1, &column(second)), format!("0.5·{first}"));
        assert_eq!(runs.shown(1, &column(first)), "0.37");
        assert_eq!(
            runs.found_words(&[0, 1]).unwrap(),
            "one≈0.2 to 0.37 other≈0.1 to 0.185 (found)"
        );
        assert_eq!(runs.found_words(&[2]).unwrap(), "one≈0.4 other≈0.4 (found)");
        for name in [first, second] {
            assert!(runs.is_found(&[0, 1], &column(name)));
        }
    }

    /// Wrong if a run whose strength was steered were told as one of its start, or as one of a strength that was
    /// found, or if runs from two starts were one setting.
    #[test]
    fn strengths_that_were_steered_are_told_by_their_start_and_their_end() {
        let (name, key) = ("one", "weight");
        let column = format!("penalty_{key}");
        let mut table = Table::default();
        table.set("penalty", Values::Text(vec![Some(name.to_owned()); 5]));
        let starts = [0.31, 0.1, 0.1, 0.2, 0.5];
        table.set(column.as_str(), Values::Number(starts.map(Some).to_vec()));
        let targets = [Some(5.0), Some(5.0), Some(5.0), Some(5.0), None];
        table.set("target_l0", Values::Number(targets.to_vec()));
        let steered = Some("control".to_owned());
        let methods = [None, steered.clone(), steered.clone(), steered, None];
        table.set("target_method", Values::Text(methods.to_vec()));
        let ends = [None, Some(0.4), Some(0.45), Some(0.5), None];
        table.set(format!("control_{key}"), Values::Number(ends.to_vec()));
        let mut runs = Runs::new(table);
        runs.strengths.insert(name, (column.clone(), None));
        let methods: Vec<String> = (0..5).map(|row| runs.text(row, "target_method")).collect();
        assert_eq!(methods, ["search", "control", "control", "control", ""]);
        assert_eq!(runs.found_words(&[0]).unwrap(), format!("{key}≈0.31 (found)"));
        assert_eq!(runs.found_words(&[1, 2]).unwrap(), format!("{key}≈0.4 to 0.45 (steered)"));
        assert_eq!(runs.varied(&[0, 1, 2]), ["target_method"]);
        assert_eq!(runs.varied(&[1, 3]), [&*column]);
        assert_eq!(runs.shown(1, &column), "from 0.1");
        assert_eq!(runs.shown(4, &column), "0.5", "as it is written");
        assert!(runs.is_found(&[1, 3], &column), "a start is no axis of a picture");
    }

    #[test]
    fn only_settings_are_settings() {
        let mut table = Table::default();
        for name in ["run_id", "penalty", "penalty_lambda", "train_batch", "train_loss", "seed"] {
            table.set(name, Values::Text(vec![None]));
        }
        for name in ["train_optimizer_lr", "train_loss_penalty", "test_mse", "target_l0", "targets"]
        {
            table.set(name, Values::Text(vec![None]));
        }
        let runs = Runs::new(table);
        let expected =
            ["penalty", "penalty_lambda", "train_batch", "train_optimizer_lr", "target_l0"];
        assert_eq!(runs.settings(), expected);
    }
}
