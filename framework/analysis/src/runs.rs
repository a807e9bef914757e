//! The rows of one or several tables of runs, with what every comparison asks of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use framework::plugin::{Built, DATASETS, Dataset, Decides, L0Rule, PENALTIES, Penalty, Plugin};
use framework::spec::experiment_schema;
use store::l0_rule_of;
use tables::{Table, Values};

use crate::words::cell;

/// The sections whose settings are columns.
pub(super) const SECTIONS: [&str; 5] = ["dataset", "architecture", "penalty", "train", "target"];

/// Runs of one or several experiments.
pub struct Runs {
    table: Table,
    /// Where each column of the table stands.
    places: HashMap<String, usize>,
    /// The columns that hold settings.
    settings: Vec<String>,
    /// The setting of each penalty that a target has the program find, as a column.
    strengths: BTreeMap<&'static str, String>,
    /// Every registered dataset, as its example describes it.
    datasets: Vec<Built<dyn Dataset>>,
    /// Where each row is from; of rows past the end nothing is known.
    pub(super) origins: Vec<RowOrigin>,
    /// How many runs were left out as the experiment file does not contain them any more.
    pub earlier: usize,
}

/// Where a row is from.
#[derive(Clone, Debug, Default)]
pub struct RowOrigin {
    /// The experiment folder.
    pub folder: Arc<str>,
    /// The digests of the files that the data was in, by the settings that name them.
    pub files: BTreeMap<String, String>,
}

impl Runs {
    /// The runs of a table.
    pub fn new(table: Table) -> Self {
        let schema = experiment_schema();
        let own = schema["$defs"]["train"]["properties"].as_object();
        let train: Vec<String> =
            own.into_iter().flatten().map(|(key, _)| format!("train_{key}")).collect();
        let is_setting = |name: &str| {
            let within = |section: &&str| {
                name.strip_prefix(*section)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            };
            // The losses of training are called after it too.
            SECTIONS.iter().any(within)
                && (!name.starts_with("train_")
                    || train.iter().any(|key| name.starts_with(key.as_str())))
        };
        let columns = table.columns().iter().map(|column| column.name.clone());
        let settings = columns.filter(|name| is_setting(name)).collect();
        let strength = |row: &Plugin<dyn Penalty>| {
            let key = row.example(Path::new("")).ok()?.plugin.strength()?.key();
            Some((row.name, format!("penalty_{key}")))
        };
        let strengths = PENALTIES.iter().filter_map(strength).collect();
        let dataset = |row: &Plugin<dyn Dataset>| row.example(Path::new("")).ok();
        let datasets = DATASETS.iter().filter_map(dataset).collect();
        let names = table.columns().iter().map(|column| column.name.clone());
        let places = names.zip(0..).collect();
        let origins = Vec::new();
        Self { table, places, settings, strengths, datasets, origins, earlier: 0 }
    }

    /// The same, with where each row is from.
    pub fn from(self, origins: Vec<RowOrigin>) -> Self {
        Self { origins, ..self }
    }

    /// Whether the data of a row is in files, as far as is known.
    pub fn has_files(&self, row: usize) -> bool {
        self.dataset(row).is_none_or(|built| !built.plugin.files(&built.settings).is_empty())
    }

    fn dataset(&self, row: usize) -> Option<&Built<dyn Dataset>> {
        let kind = self.text(row, "dataset");
        self.datasets.iter().find(|built| built.kind == kind)
    }

    /// What a setting of a row's dataset decides.
    pub(super) fn decides(&self, row: usize, key: &str) -> Decides {
        // It is for every dataset, and errors are in the units of the data whatever it is.
        if key == "normalize" {
            return Decides::Training;
        }
        let is_given = |key: &str| !self.exactly(row, &format!("dataset_{key}")).is_empty();
        let dataset = self.dataset(row);
        dataset.map_or(Decides::Test, |built| built.plugin.decides(key, &is_given))
    }

    /// The digests of the data files of a row; none if they are not known.
    pub(super) fn files(&self, row: usize) -> Option<&BTreeMap<String, String>> {
        self.origins.get(row).map(|origin| &origin.files).filter(|files| !files.is_empty())
    }

    /// A setting of a row as it counts: of a data file counts what it holds, not where it lies.
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

    /// The table, given away.
    pub fn into_table(self) -> Table {
        self.table
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// How many runs there are.
    pub fn count(&self) -> usize {
        self.table.rows()
    }

    /// The columns that hold settings.
    pub fn settings(&self) -> &[String] {
        &self.settings
    }

    fn values(&self, column: &str) -> Option<&Values> {
        self.places.get(column).map(|at| &self.table.columns()[*at].values)
    }

    /// A text of a row; empty if there is none.
    pub fn text(&self, row: usize, column: &str) -> String {
        match self.values(column) {
            Some(Values::Text(values)) => values.get(row).cloned().flatten().unwrap_or_default(),
            _ => self.exactly(row, column),
        }
    }

    /// A value of a row with all its digits; empty if there is none.
    fn exactly(&self, row: usize, column: &str) -> String {
        match self.values(column) {
            Some(Values::Number(values)) => {
                values.get(row).copied().flatten().map_or(String::new(), written)
            }
            Some(values) => cell(values, row),
            None => String::new(),
        }
    }

    /// A finite number of a row.
    pub fn number(&self, row: usize, column: &str) -> Option<f64> {
        let value = match self.values(column)? {
            Values::Number(values) => *values.get(row)?,
            Values::Whole(values) => values.get(row)?.map(|value| value as f64),
            Values::Text(_) | Values::Flag(_) => None,
        };
        value.filter(|value| value.is_finite())
    }

    /// Whether a column holds numbers.
    pub fn is_number(&self, column: &str) -> bool {
        matches!(self.values(column), Some(Values::Number(_) | Values::Whole(_)))
    }

    /// The seed of a row.
    pub fn seed(&self, row: usize) -> u64 {
        match self.table.get("seed") {
            // A number of 64 bits with a point has not all of their digits.
            Some(Values::Whole(seeds)) => {
                let seed = seeds.get(row).copied().flatten();
                seed.and_then(|seed| u64::try_from(seed).ok()).unwrap_or_default()
            }
            _ => self.number(row, "seed").unwrap_or_default() as u64,
        }
    }

    /// Which latents of a row's codes are active.
    pub fn l0_rule(&self, row: usize) -> L0Rule {
        let rule = l0_rule_of(self.number(row, "l0_threshold"), Some(&self.text(row, "l0_rule")));
        rule.unwrap_or(L0Rule::Nonzero)
    }

    /// The settings of a row that are given rather than found, all but the seed: runs that have the
    /// same differ by chance alone.
    pub fn setting(&self, row: usize) -> Vec<(&str, String)> {
        let has_target = self.number(row, "target_l0").is_some();
        let found = has_target.then(|| self.strengths.get(self.text(row, "penalty").as_str()));
        let found = found.flatten();
        let settings = self.settings.iter().filter(|name| Some(*name) != found);
        settings.map(|name| (name.as_str(), self.counted(row, name))).collect()
    }

    /// Which of these settings differ between rows.
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

/// All digits of a number, and no more zeros than people would write.
fn written(value: f64) -> String {
    match value.abs() {
        size if size > 0.0 && !(1e-4..1e15).contains(&size) => format!("{value:e}"),
        _ => value.to_string(),
    }
}

/// These rows of a table.
pub fn rows_of(table: &Table, rows: &[usize]) -> Table {
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
    use super::*;

    #[test]
    fn numbers_are_written_as_people_do() {
        let said = [1e-8, 0.0001, 0.03, 25.0, 1e20, -2.5e-5, 0.0].map(written);
        assert_eq!(said, ["1e-8", "0.0001", "0.03", "25", "1e20", "-2.5e-5", "0"]);
    }

    /// Wrong if two seeds became one, which is what a number with a point makes of them.
    #[test]
    fn seeds_keep_all_their_digits() {
        let mut table = Table::default();
        let seeds = [1 << 53, (1 << 53) + 1, i64::MAX, 0];
        table.set("seed", Values::Whole(seeds.map(Some).to_vec()));
        let runs = Runs::new(table);
        let read = [0, 1, 2, 3].map(|row| runs.seed(row));
        assert_eq!(read, [9007199254740992, 9007199254740993, 9223372036854775807, 0]);
    }

    /// Wrong if runs that were made before there was `l0_rule` were taken to be counted otherwise than
    /// they were.
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
