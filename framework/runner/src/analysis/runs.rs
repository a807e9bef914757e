//! The rows of one or several tables of runs, with what every comparison asks of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use compare::Better;
use framework::plugin::{Best, EVALUATIONS, L0Rule, PENALTIES, Penalty, Plugin};
use framework::spec::experiment_schema;
use tables::{Table, Values};

use crate::command::show::cell;
use crate::store::l0_rule_of;

/// The sections whose settings are columns.
const SECTIONS: [&str; 5] = ["dataset", "architecture", "penalty", "train", "target"];

/// Runs of one or several experiments.
pub struct Runs {
    table: Table,
    /// The columns that hold settings.
    settings: Vec<String>,
    /// The setting of each penalty that a target has the program find, as a column.
    strengths: BTreeMap<&'static str, String>,
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
        Self { table, settings, strengths }
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

    /// A text of a row; empty if there is none.
    pub fn text(&self, row: usize, column: &str) -> String {
        match self.table.get(column) {
            Some(Values::Text(values)) => values.get(row).cloned().flatten().unwrap_or_default(),
            _ => self.exactly(row, column),
        }
    }

    /// A value of a row with all its digits; empty if there is none.
    fn exactly(&self, row: usize, column: &str) -> String {
        match self.table.get(column) {
            Some(Values::Number(values)) => {
                values.get(row).copied().flatten().map_or(String::new(), written)
            }
            Some(values) => cell(values, row),
            None => String::new(),
        }
    }

    /// A finite number of a row.
    pub fn number(&self, row: usize, column: &str) -> Option<f64> {
        let value = match self.table.get(column)? {
            Values::Number(values) => *values.get(row)?,
            Values::Whole(values) => values.get(row)?.map(|value| value as f64),
            Values::Text(_) | Values::Flag(_) => None,
        };
        value.filter(|value| value.is_finite())
    }

    /// Whether a column holds numbers.
    pub fn is_number(&self, column: &str) -> bool {
        matches!(self.table.get(column), Some(Values::Number(_) | Values::Whole(_)))
    }

    /// The seed of a row.
    pub fn seed(&self, row: usize) -> u64 {
        self.number(row, "seed").unwrap_or_default() as u64
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
        settings.map(|name| (name.as_str(), self.exactly(row, name))).collect()
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

/// Which values of a metric are better, as the evaluation that finds it says; of others, such as the
/// losses of training, the lower ones.
pub fn better(metric: &str) -> Better {
    let is_highest_best = EVALUATIONS.iter().any(|row| {
        let built = row.example(Path::new("")).ok();
        let mut found = built.iter().flat_map(|built| built.plugin.metrics());
        found.any(|(name, best)| *name == metric && *best == Some(Best::Highest))
    });
    if is_highest_best { Better::Higher } else { Better::Lower }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_do() {
        let said = [1e-8, 0.0001, 0.03, 25.0, 1e20, -2.5e-5, 0.0].map(written);
        assert_eq!(said, ["1e-8", "0.0001", "0.03", "25", "1e20", "-2.5e-5", "0"]);
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
